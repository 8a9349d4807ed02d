//! Mutants of bounds: what lies at the border of a format's rules, and what takes without a limit.

use std::fs;
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use super::mutant::{Mutant, reference};
use crate::contract::generation::Prompt;
use crate::loader::LoadDecisions;
use crate::loader::error::{LoadError, Result};
use crate::loader::format::safetensors;
use crate::loader::format::safetensors::{Header, TensorInfo};
use crate::loader::infer::{RunnableModel, Search};
use crate::loader::read::file::OpenFile;
use crate::loader::remedies::Remedy;
use crate::loader::remedies::header::SIZE_OVERFLOW;
use crate::loader::remedies::tokenizer_and_template::{
    TEMPLATE_ENDLESS, TEMPLATE_TOO_LONG, TOKENIZER_UNBOUNDED,
};

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "empty-inside-accepted",
        lie: "accepts a tensor without bytes inside another one's range",
        seen_in: "this project's reference loader, up to the commit before this mutant",
        needs_gpu: false,
        make: || reference(EmptyInside),
    },
    Mutant {
        name: "overflow-forgiven-by-zero",
        lie: "looks for a dimension of zero before it multiplies a shape",
        seen_in: "this project's reference loader, up to the commit before this mutant",
        needs_gpu: false,
        make: || reference(ZeroFirst),
    },
    Mutant {
        name: "overflow-behind-zero-refused",
        lie: "multiplies a shape without its zeros, and refuses an empty tensor whose product is too large",
        seen_in: "readers that compute strides before sizes, such as NumPy's",
        needs_gpu: false,
        make: || reference(ZerosLeftOut),
    },
    Mutant {
        name: "gguf-mended",
        lie: "takes alignments, flags and letters that GGUF forbids for the nearest that it allows",
        seen_in: "readers that mask bits and round up",
        needs_gpu: false,
        make: || reference(Mended::default()),
    },
    Mutant {
        name: "template-unbounded",
        lie: "goes on to take memory where a chat template grows without end",
        seen_in: "engines that give a template fuel and no bound of memory",
        needs_gpu: false,
        make: || reference(TemplateUnbounded(grow)),
    },
    Mutant {
        name: "template-endless",
        lie: "goes on to compute where a chat template does not end",
        seen_in: "engines that run a template without fuel",
        needs_gpu: false,
        make: || reference(TemplateUnbounded(compute)),
    },
    Mutant {
        name: "tokenizer-unbounded",
        lie: "goes on to take memory where the steps of a tokenizer make a text ever longer",
        seen_in: "engines that run a tokenizer.json as it is",
        needs_gpu: false,
        make: || reference(DocumentUnbounded(TOKENIZER_UNBOUNDED)),
    },
    Mutant {
        name: "document-unbounded",
        lie: "goes on to take memory where a document becomes a large tree",
        seen_in: "loaders that parse JSON of any size",
        needs_gpu: false,
        make: || reference(DocumentUnbounded(TEMPLATE_TOO_LONG)),
    },
];

/// Accepts an empty tensor anywhere in the data.
struct EmptyInside;

impl LoadDecisions for EmptyInside {
    fn layout(&self, header: &Header, data_bytes: u64) -> Result<()> {
        let mut header = header.clone();
        for tensor in &mut header.tensors {
            if tensor.begin == tensor.end && tensor.end <= data_bytes {
                (tensor.begin, tensor.end) = (0, 0);
            }
        }
        safetensors::layout::check(&header, data_bytes)
    }
}

/// Takes every shape with a zero for an empty one.
struct ZeroFirst;

impl LoadDecisions for ZeroFirst {
    fn layout(&self, header: &Header, data_bytes: u64) -> Result<()> {
        let mut header = header.clone();
        for tensor in header.tensors.iter_mut().filter(|tensor| tensor.shape.contains(&0)) {
            tensor.shape = vec![0];
        }
        safetensors::layout::check(&header, data_bytes)
    }
}

/// Multiplies all dimensions but those of zero.
struct ZerosLeftOut;

impl LoadDecisions for ZerosLeftOut {
    fn layout(&self, header: &Header, data_bytes: u64) -> Result<()> {
        let product = |tensor: &TensorInfo| {
            let sides = tensor.shape.iter().filter(|side| **side > 0);
            sides.copied().try_fold(1_u64, u64::checked_mul)
        };
        match header.tensors.iter().find(|tensor| product(tensor).is_none()) {
            Some(tensor) => Err(LoadError::header(SIZE_OVERFLOW, "size does not fit in 64 bits")
                .tensor(&tensor.name)),
            None => safetensors::layout::check(header, data_bytes),
        }
    }
}

/// Reads a mended copy of a GGUF file.
#[derive(Default)]
struct Mended(Mutex<Vec<NamedTempFile>>);

impl LoadDecisions for Mended {
    fn source(&self, opened: OpenFile) -> Result<OpenFile> {
        let Ok(mut bytes) = fs::read(opened.path()) else { return Ok(opened) };
        if !bytes.starts_with(b"GGUF") || !mend(&mut bytes) {
            return Ok(opened);
        }
        let Ok(copy) = NamedTempFile::new() else { return Ok(opened) };
        if fs::write(copy.path(), &bytes).is_err() {
            return Ok(opened);
        }
        let source = OpenFile::open(copy.path());
        // The copy stays until the loader ends.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
        source
    }
}

/// Mends the bytes of a file. Returns whether anything was wrong.
fn mend(bytes: &mut [u8]) -> bool {
    let behind = |bytes: &[u8], key: &[u8]| {
        let at = bytes.windows(key.len()).position(|window| window == key)?;
        Some(at + key.len())
    };
    // Behind a key stands the type of its value, then the value.
    if let Some(at) = behind(bytes, b"general.alignment")
        && let Some(value) = bytes.get_mut(at + 4..at + 8)
    {
        let alignment = u32::from_le_bytes([value[0], value[1], value[2], value[3]]);
        if alignment < 8 || !alignment.is_power_of_two() {
            // Of the one who writes such files only the lower bits went wrong.
            value.copy_from_slice(&64_u32.to_le_bytes());
            return true;
        }
    }
    if let Some(at) = behind(bytes, b"tokenizer.ggml.add_bos_token")
        && let Some(flag) = bytes.get_mut(at + 4).filter(|flag| **flag > 1)
    {
        *flag = 1;
        return true;
    }
    let (wrong, right) = ("g\u{e9}neral.rchitecture", "general.architecture");
    if let Some(at) = behind(bytes, wrong.as_bytes()) {
        bytes[at - right.len()..at].copy_from_slice(right.as_bytes());
        return true;
    }
    false
}

/// Most memory that a mutant takes before it gives up, in bytes.
const MOST: usize = 6 << 30;

/// Longest time that a mutant computes before it gives up.
const LONGEST: Duration = Duration::from_secs(600);

/// Takes memory as what doubles a text takes it.
fn grow() {
    let mut held: Vec<Vec<u8>> = Vec::new();
    while held.len() << 24 < MOST {
        held.push(vec![b'x'; 1 << 24]);
        black_box(&held);
    }
}

/// Computes and gives nothing.
fn compute() {
    let begun = Instant::now();
    while begun.elapsed() < LONGEST {
        black_box((0..1000_u64).sum::<u64>());
    }
}

fn is_for(error: &LoadError, remedy: Remedy) -> bool {
    error.failure().remedy.as_deref() == Some(remedy.text)
}

/// Goes on with a chat template that takes too much.
struct TemplateUnbounded(fn());

impl LoadDecisions for TemplateUnbounded {
    fn prompt(&self, model: &RunnableModel, asked: Prompt) -> Result<Prompt> {
        if let (Prompt::Chat(turns), Some(template)) = (&asked, &model.template)
            && let Err(error) = template.render(turns)
            && is_for(&error, TEMPLATE_ENDLESS)
        {
            self.0();
        }
        Ok(asked)
    }
}

/// Goes on with a document that takes too much.
struct DocumentUnbounded(Remedy);

impl LoadDecisions for DocumentUnbounded {
    fn model(&self, search: &Search) -> Result<RunnableModel> {
        search.find().inspect_err(|error| {
            if is_for(error, self.0) {
                grow();
            }
        })
    }
}
