//! Mutants that treat the first of several files in another way than the others, or read files that
//! nobody named.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::one_file::{Opened, tensors_of};
use crate::contract::reply::{Gate, GateReport};
use crate::contract::request::{DtypePolicy, Format};
use crate::contract::{DType, Device};
use crate::loader::LoadDecisions;
use crate::loader::decisions::Honest;
use crate::loader::error::Result;
use crate::loader::format::ImportedModel;
use crate::loader::format::safetensors::{self, Header, TensorInfo};
use crate::loader::format::widen;
use crate::loader::gates::{self, Scan};
use crate::loader::memory::sink::Sink;
use crate::loader::read::file::OpenFile;
use crate::mutants::mutant::{Mutant, reference};

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "strays-override",
        lie: "also reads the safetensors files that lie beside the shards, and takes their tensors by name",
        seen_in: "scripts that load every file of a folder into one dictionary",
        needs_gpu: false,
        make: || reference(Strays::default()),
    },
    Mutant {
        name: "gates-of-the-first-shard",
        lie: "applies the gates to the first shard alone, and reports them for all tensors",
        seen_in: "checks that were written for one file",
        needs_gpu: false,
        make: || reference(Several { gated: Some(|place| place == 0), ..Several::default() }),
    },
    Mutant {
        name: "gates-of-later-shards",
        lie: "applies the gates to every shard but the first",
        seen_in: "loops over the rest of a list whose head was taken before",
        needs_gpu: false,
        make: || reference(Several { gated: Some(|place| place > 0), ..Several::default() }),
    },
    Mutant {
        name: "pin-of-one-file-only",
        lie: "compares the expected digest where there is one file, and not for several",
        seen_in: "download tools that check a digest for a file, not for a model",
        needs_gpu: false,
        make: || {
            let pinned = |format, count| format != Format::Safetensors || count == 1;
            reference(Several { pinned: Some(pinned), ..Several::default() })
        },
    },
    Mutant {
        name: "pin-ignored-for-gguf",
        lie: "compares no expected digest of a GGUF file",
        seen_in: "importers beside the path that checks digests",
        needs_gpu: false,
        make: || {
            let pinned = |format, _| format != Format::Gguf;
            reference(Several { pinned: Some(pinned), ..Several::default() })
        },
    },
    Mutant {
        name: "pin-ignored-for-split-gguf",
        lie: "compares no expected digest of a GGUF model in several files",
        seen_in: "importers beside the path that checks digests",
        needs_gpu: false,
        make: || {
            let pinned = |format, count| format != Format::Gguf || count == 1;
            reference(Several { pinned: Some(pinned), ..Several::default() })
        },
    },
    Mutant {
        name: "pin-ignored-for-apr",
        lie: "compares no expected digest of an APR file, because the file has a checksum of its own",
        seen_in: "formats with a checksum at their end",
        needs_gpu: false,
        make: || {
            let pinned = |format, _| format != Format::Apr;
            reference(Several { pinned: Some(pinned), ..Several::default() })
        },
    },
    Mutant {
        name: "digest-of-the-first-file",
        lie: "reports and compares the digest of the first of several files",
        seen_in: "model cards that name one digest",
        needs_gpu: false,
        make: || reference(Several { first_digest: true, ..Several::default() }),
    },
    Mutant {
        name: "fifth-file-zero",
        lie: "leaves the tensors of the fifth and of every later file zero",
        seen_in: "fixed pools of reader threads",
        needs_gpu: false,
        make: || reference(Several { written: Some(|place| place < 4), ..Several::default() }),
    },
    Mutant {
        name: "seventeenth-file-zero",
        lie: "leaves the tensors of the seventeenth and of every later file zero",
        seen_in: "fixed tables of open files",
        needs_gpu: false,
        make: || reference(Several { written: Some(|place| place < 16), ..Several::default() }),
    },
    Mutant {
        name: "later-layouts-unchecked",
        lie: "checks the offsets of the first of several files only",
        seen_in: "checks that were written for one file",
        needs_gpu: false,
        make: || reference(Several { first_checked: true, ..Several::default() }),
    },
    Mutant {
        name: "later-shards-not-widened",
        lie: "keeps halves as they are stored in every shard but the first, whatever is asked for",
        seen_in: "options that are passed to the first call of a loop",
        needs_gpu: false,
        make: || reference(Several { first_widened: true, ..Several::default() }),
    },
    Mutant {
        name: "data-start-of-the-first",
        lie: "takes the data of every shard to begin where that of the first does",
        seen_in: "readers that compute the header's length once",
        needs_gpu: false,
        make: || reference(FirstStart::default()),
    },
];

/// What to write for a tensor: its description, its bytes, and how many of them are written.
type Instead = (TensorInfo, Vec<u8>, usize);

/// Takes tensors of files that no index names.
#[derive(Default)]
struct Strays {
    opened: Opened,
    /// By name.
    instead: Mutex<BTreeMap<String, Instead>>,
}

impl LoadDecisions for Strays {
    fn format(&self, asked: Format, _path: &Path) -> Format {
        self.opened.begin();
        asked
    }

    fn source(&self, opened: OpenFile) -> Result<OpenFile> {
        if self.opened.add(opened.path()) == 0 {
            let mut instead = self.instead.lock().unwrap_or_else(PoisonError::into_inner);
            instead.clear();
            for (info, bytes) in strays(opened.path()) {
                instead.insert(info.name.clone(), (info, bytes, 0));
            }
        }
        Ok(opened)
    }

    fn convert<'b>(
        &self,
        tensor: &TensorInfo,
        kept: DType,
        bytes: &'b [u8],
        scratch: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        let mut instead = self.instead.lock().unwrap_or_else(PoisonError::into_inner);
        let other = instead
            .get_mut(&tensor.name)
            .filter(|(info, ..)| info.dtype == tensor.dtype && info.shape == tensor.shape);
        let Some((_, all, at)) = other else {
            return Honest.convert(tensor, kept, bytes, scratch);
        };
        let own = all.get(*at..*at + bytes.len()).unwrap_or(bytes).to_vec();
        *at += bytes.len();
        match kept == tensor.dtype {
            true => scratch.extend(own),
            false => widen::widen(tensor.dtype, &own, scratch),
        }
        scratch
    }
}

/// The tensors of all safetensors files beside a shard that its index does not name.
fn strays(shard: &Path) -> Vec<(TensorInfo, Vec<u8>)> {
    let folder = shard.parent().unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let ends = |path: &Path, end: &str| path.to_string_lossy().ends_with(end);
    let Some(index) = paths.iter().find(|path| ends(path, ".safetensors.index.json")) else {
        return Vec::new();
    };
    let index: Value =
        serde_json::from_slice(&std::fs::read(index).unwrap_or_default()).unwrap_or_default();
    let places = index["weight_map"].as_object();
    let named: Vec<&str> =
        places.into_iter().flat_map(|map| map.values()).filter_map(Value::as_str).collect();
    let named = |path: &Path| named.iter().any(|name| path.ends_with(name));
    // Without an index, the one file counts.
    if !named(shard) {
        return Vec::new();
    }
    let strays = paths.iter().filter(|path| ends(path, ".safetensors") && !named(path));
    strays.flat_map(|path| tensors_of(path)).collect()
}

/// Whether something is done for the file at this place.
type ByPlace = fn(usize) -> bool;

/// Does something for some of a model's files only.
#[derive(Default)]
pub(super) struct Several {
    opened: Opened,
    gated: Option<ByPlace>,
    written: Option<ByPlace>,
    /// By format and number of files.
    pinned: Option<fn(Format, usize) -> bool>,
    format: Mutex<Format>,
    first_digest: bool,
    first_checked: bool,
    first_widened: bool,
}

impl Several {
    /// Applies the gates to some files only.
    pub(super) fn gated(place: ByPlace) -> Several {
        Several { gated: Some(place), ..Several::default() }
    }

    /// Writes the tensors of some files only.
    pub(super) fn written(place: ByPlace) -> Several {
        Several { written: Some(place), ..Several::default() }
    }
}

impl LoadDecisions for Several {
    fn format(&self, asked: Format, _path: &Path) -> Format {
        self.opened.begin();
        *self.format.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        asked
    }

    fn source(&self, opened: OpenFile) -> Result<OpenFile> {
        self.opened.add(opened.path());
        Ok(opened)
    }

    fn header(&self, text: &[u8]) -> Result<Header> {
        let header = safetensors::parse(text)?;
        self.opened.header(&header);
        Ok(header)
    }

    fn imported_model(&self, _format: Format, read: ImportedModel) -> ImportedModel {
        self.opened.imported(&read);
        read
    }

    fn layout(&self, header: &Header, data_bytes: u64) -> Result<()> {
        match self.first_checked && self.opened.count() > 1 {
            true => Ok(()),
            false => Honest.layout(header, data_bytes),
        }
    }

    fn kept(&self, tensor: &TensorInfo, keep: DtypePolicy) -> DType {
        match self.first_widened && self.opened.count() > 1 {
            true => tensor.dtype,
            false => Honest.kept(tensor, keep),
        }
    }

    fn place(
        &self,
        _device: Device,
        tensor: &TensorInfo,
        sink: &mut dyn Sink,
        offset: u64,
        bytes: &[u8],
    ) -> Result<()> {
        match self.written {
            Some(written) if !written(self.opened.place_of(&tensor.name)) => Ok(()),
            _ => sink.put(offset, bytes),
        }
    }

    fn digest(&self, _path: &Path, used: [u8; 32]) -> [u8; 32] {
        let first = self.opened.first().filter(|_| self.first_digest);
        let bytes = first.and_then(|path| std::fs::read(path).ok());
        bytes.map_or(used, |bytes| Sha256::digest(bytes).into())
    }

    fn digests_match(&self, asked: &[u8; 32], actual: &[u8; 32]) -> bool {
        let format = *self.format.lock().unwrap_or_else(PoisonError::into_inner);
        let ignored = self.pinned.is_some_and(|pinned| !pinned(format, self.opened.count()));
        ignored || asked == actual
    }

    fn admit(&self, tensors: &[(&TensorInfo, &Scan)]) -> Result<Vec<GateReport>> {
        gates::run(tensors.iter().copied(), |gate: Gate, tensor, scan| match self.gated {
            Some(gated) if !gated(self.opened.place_of(&tensor.name)) => Ok(()),
            _ => gates::judge(gate, tensor, scan),
        })
    }
}

/// Reads every file's data from where the first file's begins.
#[derive(Default)]
struct FirstStart {
    opened: Opened,
    bytes: AtomicU64,
    /// Where the first file's data begins.
    first: AtomicU64,
    /// By tensor: how far its file's data begins behind that of the first.
    behind: Mutex<BTreeMap<String, i64>>,
}

impl LoadDecisions for FirstStart {
    fn format(&self, asked: Format, _path: &Path) -> Format {
        self.opened.begin();
        self.behind.lock().unwrap_or_else(PoisonError::into_inner).clear();
        asked
    }

    fn source(&self, opened: OpenFile) -> Result<OpenFile> {
        self.opened.add(opened.path());
        self.bytes.store(opened.bytes(), Relaxed);
        Ok(opened)
    }

    fn layout(&self, header: &Header, data_bytes: u64) -> Result<()> {
        let start = self.bytes.load(Relaxed) - data_bytes;
        if self.opened.count() == 1 {
            self.first.store(start, Relaxed);
        }
        let behind = start as i64 - self.first.load(Relaxed) as i64;
        let mut all = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(header.tensors.iter().map(|tensor| (tensor.name.clone(), behind)));
        Honest.layout(header, data_bytes)
    }

    fn span(&self, tensor: &TensorInfo) -> Range<u64> {
        let all = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = all.get(&tensor.name).copied().unwrap_or(0);
        // What lies before the data cannot be reached: the read begins with the data.
        let begin = tensor.begin.saturating_add_signed(-behind);
        begin..begin + (tensor.end - tensor.begin)
    }
}
