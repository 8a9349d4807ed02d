//! Mutants of GGUF files as people have them: alignment, parts, divisors of rotary frequencies, and
//! tokenizers.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::mutant::{Mutant, reference};
use crate::contract::request::Format;
use crate::loader::LoadDecisions;
use crate::loader::format::ImportedModel;
use crate::loader::format::blocks::Packing;

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "alignment-ignored",
        lie: "takes every GGUF file's data to begin at a multiple of 32",
        seen_in: "readers that take a default for the rule",
        needs_gpu: false,
        make: || reference(AlignmentIgnored::default()),
    },
    Mutant {
        name: "split-first-only",
        lie: "reads the tensors of all parts of a split model from its first file",
        seen_in: "readers that join tables of tensors and keep one file open",
        needs_gpu: false,
        make: || reference(Misread(first_part)),
    },
    Mutant {
        name: "rope-factors-unread",
        lie: "loads the divisors of rotary frequencies and does not divide by them",
        seen_in: "engines from before Llama 3.1",
        needs_gpu: false,
        make: || reference(Misread(factors_unread)),
    },
    Mutant {
        name: "scores-ignored",
        lie: "joins SentencePiece tokens in the order of their ids, not of their scores",
        seen_in: "converters that take ids for ranks",
        needs_gpu: false,
        make: || reference(Misread(scores_ignored)),
    },
    Mutant {
        name: "byte-fallback-lost",
        lie: "gives the unknown token for text that a SentencePiece vocabulary has as bytes",
        seen_in: "converters that leave out the flag",
        needs_gpu: false,
        make: || reference(Misread(byte_fallback_lost)),
    },
    Mutant {
        name: "pre-ignored",
        lie: "splits the text of every byte-level tokenizer in GGUF as GPT-2 does",
        seen_in: "files and engines from before tokenizer.ggml.pre",
        needs_gpu: false,
        make: || reference(Misread(pre_ignored)),
    },
    Mutant {
        name: "small-values-flushed",
        lie: "flushes unpacked values below 2^-8 to zero",
        seen_in: "converters of halves that give up subnormals, and importers that prune",
        needs_gpu: false,
        make: || reference(Flushed),
    },
];

/// Changes what was read from a GGUF file.
struct Misread(fn(&mut ImportedModel));

impl LoadDecisions for Misread {
    fn imported_model(&self, format: Format, mut read: ImportedModel) -> ImportedModel {
        if format == Format::Gguf {
            self.0(&mut read);
        }
        read
    }
}

fn first_part(read: &mut ImportedModel) {
    // The bytes of the first file are read for every tensor, from the places that they have in their
    // own files.
    for file in &mut read.files {
        file.tail = None;
    }
    let most = read.files.first().map_or(0, |file| file.data.end - file.data.start);
    for tensor in read.tensors.iter_mut().filter(|tensor| tensor.file > 0) {
        let bytes = tensor.info.end - tensor.info.begin;
        tensor.file = 0;
        tensor.info.begin = tensor.info.begin.min(most.saturating_sub(bytes));
        tensor.info.end = tensor.info.begin + bytes;
    }
}

fn factors_unread(read: &mut ImportedModel) {
    let name = read.documents.rope_factors.take();
    read.tensors.retain(|tensor| Some(&tensor.info.name) != name.as_ref());
}

/// Changes the tokenizer.
fn tokenizer(read: &mut ImportedModel, change: impl FnOnce(&mut Value)) {
    let text = read.documents.tokenizer.as_deref().unwrap_or_default();
    if let Ok(mut value) = serde_json::from_slice::<Value>(text) {
        change(&mut value);
        read.documents.tokenizer = Some(value.to_string().into_bytes());
    }
}

/// Whether it is one with byte fallback, as only SentencePiece's are.
fn falls_back(tokenizer: &Value) -> bool {
    tokenizer["model"]["byte_fallback"] == true
}

fn scores_ignored(read: &mut ImportedModel) {
    tokenizer(read, |value| {
        if !falls_back(value) {
            return;
        }
        let vocabulary = value["model"]["vocab"].clone();
        if let Some(merges) = value["model"]["merges"].as_array_mut() {
            merges.sort_by_key(|pair| {
                let [left, right] = [0, 1].map(|at| pair[at].as_str().unwrap_or_default());
                vocabulary[format!("{left}{right}")].as_u64()
            });
        }
    });
}

fn byte_fallback_lost(read: &mut ImportedModel) {
    tokenizer(read, |value| {
        if falls_back(value) {
            value["model"]["byte_fallback"] = json!(false);
        }
    });
}

fn pre_ignored(read: &mut ImportedModel) {
    tokenizer(read, |value| {
        if value["pre_tokenizer"]["type"] == "Sequence" {
            value["pre_tokenizer"] = json!({
                "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                "use_regex": true,
            });
        }
    });
}

/// Finds a data start that the usual alignment would give, where the file has another one.
#[derive(Default)]
struct AlignmentIgnored(Mutex<Option<PathBuf>>);

impl LoadDecisions for AlignmentIgnored {
    fn format(&self, asked: Format, path: &Path) -> Format {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.to_owned());
        asked
    }

    fn imported_model(&self, format: Format, mut read: ImportedModel) -> ImportedModel {
        let path = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let whole = path.and_then(|path| fs::read(path).ok()).unwrap_or_default();
        let Some(file) = read.files.first_mut().filter(|_| format == Format::Gguf) else {
            return read;
        };
        let header = whole.get(..file.data.start as usize).unwrap_or_default();
        let key = b"general.alignment";
        if !header.windows(key.len()).any(|window| window == key) {
            return read;
        }
        // The table ends in the offset of its last tensor, whose high bytes are zero.
        let end = header.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        let start = end.next_multiple_of(32);
        file.data.start = match start < file.data.start {
            true => start,
            false => file.data.start.next_multiple_of(32),
        };
        let room = file.data.end.saturating_sub(file.data.start);
        for tensor in read.tensors.iter_mut().filter(|tensor| tensor.file == 0) {
            let bytes = tensor.info.end - tensor.info.begin;
            tensor.info.begin = tensor.info.begin.min(room.saturating_sub(bytes));
            tensor.info.end = tensor.info.begin + bytes;
        }
        read
    }
}

struct Flushed;

impl LoadDecisions for Flushed {
    fn unpack(&self, packing: Packing, blocks: &[u8], out: &mut Vec<u8>) {
        let before = out.len();
        packing.unpack(blocks, out);
        let (words, _) = out[before..].as_chunks_mut::<4>();
        for word in words.iter_mut().filter(|word| f32::from_le_bytes(**word).abs() < 1.0 / 256.0) {
            *word = [0; 4];
        }
    }
}
