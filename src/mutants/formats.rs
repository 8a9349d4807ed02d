//! Lies about other formats: how a file is understood that says everything itself.

use std::path::Path;

use serde_json::json;

use super::mutant::{Mutant, reference};
use crate::contract::DType;
use crate::contract::request::Format;
use crate::loader::LoadDecisions;
use crate::loader::format::ImportedModel;
use crate::loader::format::blocks::Packing;

/// These mutants.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "gguf-qk-kept-permuted",
        lie: "keeps the rows of queries and keys in the order that llama.cpp turns them in",
        seen_in: "importers that rename tensors and do no more",
        needs_gpu: false,
        make: || reference(Misread(Format::Gguf, kept_permuted)),
    },
    Mutant {
        name: "gguf-dims-swapped",
        lie: "takes a matrix's sides in the order of the table, innermost first",
        seen_in: "importers that read shapes as they are printed",
        needs_gpu: false,
        make: || reference(Misread(Format::Gguf, sides_kept)),
    },
    Mutant {
        name: "gguf-theta-default",
        lie: "does not look for the rotary base in the metadata and uses 10000",
        seen_in: "importers made for one model",
        needs_gpu: false,
        make: || reference(Misread(Format::Gguf, default_base)),
    },
    Mutant {
        name: "gguf-template-skipped",
        lie: "takes a template of its own in place of the file's",
        seen_in: "serving programs with one template for all",
        needs_gpu: false,
        make: || reference(Misread(Format::Gguf, own_template)),
    },
    Mutant {
        name: "apr-bf16-as-f16",
        lie: "reads BF16 in APR as if it were F16",
        seen_in: "readers with one case for halves",
        needs_gpu: false,
        make: || reference(Misread(Format::Apr, bf16_as_f16)),
    },
    Mutant {
        name: "apr-misrouted",
        lie: "takes APR's gate for up, and up for the gate",
        seen_in: "rename tables",
        needs_gpu: false,
        make: || reference(Misread(Format::Apr, misrouted)),
    },
    Mutant {
        name: "q4k-mins-dropped",
        lie: "unpacks Q4_K without the minima of its groups",
        seen_in: "dequantisers made from those of symmetric types",
        needs_gpu: false,
        make: || reference(Unpacked(Packing::Q4K, mins_dropped)),
    },
    Mutant {
        name: "q6k-unsigned",
        lie: "unpacks Q6_K without moving its elements below zero",
        seen_in: "dequantisers that leave an offset out",
        needs_gpu: false,
        make: || reference(Unpacked(Packing::Q6K, unsigned)),
    },
    Mutant {
        name: "format-sniffed",
        lie: "takes a file for what its first bytes look like, whatever format was named",
        seen_in: "loaders with one entry point for all",
        needs_gpu: false,
        make: || reference(Sniffed),
    },
];

/// A file of this format, understood in another way.
struct Misread(Format, fn(&mut ImportedModel));

impl LoadDecisions for Misread {
    fn imported_model(&self, format: Format, mut read: ImportedModel) -> ImportedModel {
        if format == self.0 {
            self.1(&mut read);
        }
        read
    }
}

fn kept_permuted(read: &mut ImportedModel) {
    read.tensors.iter_mut().for_each(|tensor| tensor.import.heads = None);
}

fn sides_kept(read: &mut ImportedModel) {
    read.tensors.iter_mut().for_each(|tensor| tensor.info.shape.reverse());
}

fn default_base(read: &mut ImportedModel) {
    read.documents.config["rope_theta"] = json!(10_000.0);
}

fn own_template(read: &mut ImportedModel) {
    if let Some(template) = &mut read.documents.template {
        template["chat_template"] = json!(
            "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
        );
    }
}

fn bf16_as_f16(read: &mut ImportedModel) {
    let halves = read.tensors.iter_mut().filter(|tensor| tensor.info.dtype == DType::BF16);
    halves.for_each(|tensor| tensor.info.dtype = DType::F16);
}

fn misrouted(read: &mut ImportedModel) {
    for tensor in &mut read.tensors {
        let name = &tensor.info.name;
        tensor.info.name = match name.contains(".gate_proj.") {
            true => name.replace(".gate_proj.", ".up_proj."),
            false => name.replace(".up_proj.", ".gate_proj."),
        };
    }
}

/// Blocks of this kind, changed before they are unpacked.
struct Unpacked(Packing, fn(&mut [u8], &mut Vec<u8>));

impl LoadDecisions for Unpacked {
    fn unpack(&self, packing: Packing, blocks: &[u8], out: &mut Vec<u8>) {
        if packing != self.0 {
            return packing.unpack(blocks, out);
        }
        let mut blocks = blocks.to_vec();
        self.1(&mut blocks, out);
    }
}

fn mins_dropped(blocks: &mut [u8], out: &mut Vec<u8>) {
    for block in blocks.chunks_mut(Packing::Q4K.bytes() as usize) {
        // The scale of the minima.
        block[2..4].fill(0);
    }
    Packing::Q4K.unpack(blocks, out);
}

fn unsigned(blocks: &mut [u8], out: &mut Vec<u8>) {
    // An element less 32 is what its lower five bits say where its highest bit is turned.
    for block in blocks.chunks_mut(Packing::Q6K.bytes() as usize) {
        block[128..192].iter_mut().for_each(|high| *high ^= 0b1010_1010);
    }
    Packing::Q6K.unpack(blocks, out);
}

struct Sniffed;

impl LoadDecisions for Sniffed {
    fn format(&self, asked: Format, path: &Path) -> Format {
        let head = std::fs::read(path).unwrap_or_default();
        match head.get(..4) {
            Some(b"GGUF") => Format::Gguf,
            Some(b"APR\0") => Format::Apr,
            Some(_) => Format::Safetensors,
            None => asked,
        }
    }
}
