//! Mutants that are right up to a number: of tensors, of bytes, of letters, of layers, of models.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::contract::reply::Reply;
use crate::contract::request::{Request, Unload};
use crate::contract::{Device, Loader};
use crate::loader::error::Result;
use crate::loader::format::safetensors::{self, Header, TensorInfo};
use crate::loader::memory::sink::Sink;
use crate::loader::{LoadDecisions, ReferenceLoader};
use crate::mutants::between::{Answer, Between, between, handle};
use crate::mutants::mutant::{Mutant, reference};

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "tensors-beyond-4096-zero",
        lie: "leaves every tensor behind the 4,096th of a file zero",
        seen_in: "fixed tables of tensors",
        needs_gpu: false,
        make: || reference(Beyond::new(4096)),
    },
    Mutant {
        name: "tensors-beyond-65535-zero",
        lie: "leaves every tensor behind the 65,535th of a file zero",
        seen_in: "tables with an index of 16 bits",
        needs_gpu: false,
        make: || reference(Beyond::new(65_535)),
    },
    Mutant {
        name: "header-beyond-a-buffer-dropped",
        lie: "reads the first 64 KiB of a header, and drops the tensors behind them",
        seen_in: "readers with a fixed buffer for the header",
        needs_gpu: false,
        make: || reference(Changed(|text, header| cut(text, header, 64 << 10))),
    },
    Mutant {
        name: "header-beyond-4-mib-dropped",
        lie: "reads the first 4 MiB of a header, and drops the tensors behind them",
        seen_in: "readers with a fixed buffer for the header",
        needs_gpu: false,
        make: || reference(Changed(|text, header| cut(text, header, 4 << 20))),
    },
    Mutant {
        name: "tensor-beyond-16-mib-zero",
        lie: "leaves the bytes of a tensor behind its first 16 MiB zero",
        seen_in: "copies of one staging buffer for each tensor",
        needs_gpu: false,
        make: || reference(Longest(16 << 20)),
    },
    Mutant {
        name: "tensor-beyond-64-mib-zero",
        lie: "leaves the bytes of a tensor behind its first 64 MiB zero",
        seen_in: "copies of one staging buffer for each tensor",
        needs_gpu: false,
        make: || reference(Longest(64 << 20)),
    },
    Mutant {
        name: "offsets-of-31-bits",
        lie: "reads tensors at their offset modulo 2^31",
        seen_in: "offsets that are kept as int",
        needs_gpu: true,
        make: || reference(Wrapped(1 << 31)),
    },
    Mutant {
        name: "offsets-of-32-bits",
        lie: "reads tensors at their offset modulo 2^32",
        seen_in: "offsets that are kept as unsigned int",
        needs_gpu: true,
        make: || reference(Wrapped(1 << 32)),
    },
    Mutant {
        name: "names-cut-at-63",
        lie: "keeps the first 63 bytes of a tensor's name",
        seen_in: "ggml, whose names have at most 63 bytes",
        needs_gpu: false,
        make: || reference(Changed(|_, header| names_cut(header, 63))),
    },
    Mutant {
        name: "names-cut-at-255",
        lie: "keeps the first 255 bytes of a tensor's name",
        seen_in: "programs that use names as file names",
        needs_gpu: false,
        make: || reference(Changed(|_, header| names_cut(header, 255))),
    },
    Mutant {
        name: "sides-of-32-bits",
        lie: "keeps the lower 32 bits of each side of a shape",
        seen_in: "shapes that are kept as int",
        needs_gpu: false,
        make: || reference(Changed(|_, header| sides_narrowed(header))),
    },
    Mutant {
        name: "ninth-dimension-joined",
        lie: "multiplies the dimensions behind the seventh into the eighth",
        seen_in: "kernels with at most eight dimensions",
        needs_gpu: false,
        make: || reference(Changed(|_, header| dimensions_joined(header))),
    },
    Mutant {
        name: "metadata-values-cut",
        lie: "keeps the first 1,024 bytes of each value of the metadata",
        seen_in: "fixed buffers for texts",
        needs_gpu: false,
        make: || reference(Changed(|_, header| values_cut(header))),
    },
    Mutant {
        name: "metadata-entries-cut",
        lie: "keeps the first 16 entries of the metadata",
        seen_in: "fixed tables of entries",
        needs_gpu: false,
        make: || reference(Changed(|_, header| entries_cut(header))),
    },
    Mutant {
        name: "handles-of-8-bits",
        lie: "counts handles in one byte, so that a later model takes the handle of an earlier one",
        seen_in: "slots that are counted and never looked at",
        needs_gpu: false,
        make: || between(ByteHandles::default()),
    },
    Mutant {
        name: "sixteen-models-at-most",
        lie: "unloads the oldest model when a seventeenth is loaded, and does not say so",
        seen_in: "serving programs that keep the models used last",
        needs_gpu: false,
        make: || between(AtMost::default()),
    },
];

/// Leaves tensors unwritten behind so many of a file.
struct Beyond {
    most: usize,
    names: Mutex<BTreeSet<String>>,
}

impl Beyond {
    fn new(most: usize) -> Beyond {
        Beyond { most, names: Mutex::default() }
    }
}

impl LoadDecisions for Beyond {
    fn header(&self, text: &[u8]) -> Result<Header> {
        let header = safetensors::parse(text)?;
        let beyond = header.tensors.iter().skip(self.most).map(|tensor| tensor.name.clone());
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = beyond.collect();
        Ok(header)
    }

    fn place(
        &self,
        _device: Device,
        tensor: &TensorInfo,
        sink: &mut dyn Sink,
        offset: u64,
        bytes: &[u8],
    ) -> Result<()> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        match names.contains(&tensor.name) {
            true => Ok(()),
            false => sink.put(offset, bytes),
        }
    }
}

/// Changes a header, given its text.
struct Changed(fn(&[u8], &mut Header));

impl LoadDecisions for Changed {
    fn header(&self, text: &[u8]) -> Result<Header> {
        let mut header = safetensors::parse(text)?;
        (self.0)(text, &mut header);
        Ok(header)
    }

    // The other tensors cover less than the data.
    fn layout(&self, header: &Header, data_bytes: u64) -> Result<()> {
        let end = header.tensors.iter().map(|tensor| tensor.end).max().unwrap_or(0);
        match safetensors::layout::check(header, data_bytes) {
            Err(_) if end < data_bytes => safetensors::layout::check(header, end),
            checked => checked,
        }
    }
}

/// Drops the tensors whose entry ends behind so many bytes of the text.
fn cut(text: &[u8], header: &mut Header, most: usize) {
    if text.len() <= most {
        return;
    }
    // Entries stand in the order of the list, so their share of the text tells where they end.
    let mut at = 0;
    let before = &text[..most];
    header.tensors.retain(|tensor| {
        let key = format!("\"{}\"", tensor.name).into_bytes();
        let found = before[at..].windows(key.len()).position(|window| window == key);
        at = found.map_or(at, |found| at + found + key.len());
        found.is_some()
    });
}

fn names_cut(header: &mut Header, most: usize) {
    for tensor in &mut header.tensors {
        let mut length = most.min(tensor.name.len());
        while !tensor.name.is_char_boundary(length) {
            length -= 1;
        }
        tensor.name.truncate(length);
    }
}

fn sides_narrowed(header: &mut Header) {
    let sides = header.tensors.iter_mut().flat_map(|tensor| tensor.shape.iter_mut());
    sides.for_each(|side| *side &= u64::from(u32::MAX));
}

fn dimensions_joined(header: &mut Header) {
    for tensor in header.tensors.iter_mut().filter(|tensor| tensor.shape.len() > 8) {
        let joined = tensor.shape.split_off(7).into_iter().product();
        tensor.shape.push(joined);
    }
}

fn values_cut(header: &mut Header) {
    for value in header.metadata.iter_mut().flat_map(BTreeMap::values_mut) {
        let mut length = value.len().min(1024);
        while !value.is_char_boundary(length) {
            length -= 1;
        }
        value.truncate(length);
    }
}

fn entries_cut(header: &mut Header) {
    if let Some(metadata) = &mut header.metadata {
        let first = std::mem::take(metadata).into_iter().take(16);
        *metadata = first.collect();
    }
}

/// Reads so many bytes of each tensor.
struct Longest(u64);

impl LoadDecisions for Longest {
    fn span(&self, tensor: &TensorInfo) -> Range<u64> {
        tensor.begin..tensor.end.min(tensor.begin + self.0)
    }
}

/// Reads each tensor at its offset modulo this.
struct Wrapped(u64);

impl LoadDecisions for Wrapped {
    fn span(&self, tensor: &TensorInfo) -> Range<u64> {
        let begin = tensor.begin % self.0;
        begin..begin + (tensor.end - tensor.begin)
    }
}

/// Gives handles modulo 256.
#[derive(Default)]
struct ByteHandles {
    count: u8,
    real: BTreeMap<u64, u64>,
}

impl Between for ByteHandles {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        if let Some(told) = handle(&mut request) {
            *told = self.real.get(told).copied().unwrap_or(u64::MAX);
        }
        let mut reply = loader.answer(request)?;
        if let Reply::Load(loaded) = &mut reply {
            let told = u64::from(self.count);
            self.count = self.count.wrapping_add(1);
            self.real.insert(told, loaded.handle);
            loaded.handle = told;
        }
        Ok(reply)
    }
}

/// Holds so many models.
const HELD: usize = 16;

/// Unloads the oldest model where there are too many.
#[derive(Default)]
struct AtMost(VecDeque<u64>);

impl Between for AtMost {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        if let Request::Unload(Unload { handle }) = &request {
            self.0.retain(|held| held != handle);
        }
        let reply = loader.answer(request)?;
        if let Reply::Load(loaded) = &reply {
            self.0.push_back(loaded.handle);
            if self.0.len() > HELD
                && let Some(handle) = self.0.pop_front()
            {
                loader.answer(Request::Unload(Unload { handle }))?;
            }
        }
        Ok(reply)
    }
}
