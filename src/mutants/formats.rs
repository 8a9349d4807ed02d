//! Mutants of GGUF and APR files, which hold configuration and tokenizer beside the weights.

use std::path::Path;

use serde_json::json;

use super::mutant::{Mutant, reference};
use crate::contract::DType;
use crate::contract::request::Format;
use crate::loader::LoadDecisions;
use crate::loader::format::ImportedModel;
use crate::loader::format::blocks::Packing;

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "gguf-qk-kept-permuted",
        lie: "keeps query and key rows in the permuted order that llama.cpp writes",
        seen_in: "importers that only rename tensors",
        needs_gpu: false,
        make: || reference(Misread(Format::Gguf, kept_permuted)),
    },
    Mutant {
        name: "gguf-dims-swapped",
        lie: "uses GGUF's dimension order, innermost first, without reversing it",
        seen_in: "importers that use shapes as printed",
        needs_gpu: false,
        make: || reference(Misread(Format::Gguf, sides_kept)),
    },
    Mutant {
        name: "gguf-theta-default",
        lie: "ignores the RoPE base in the metadata and uses 10000",
        seen_in: "importers made for one model",
        needs_gpu: false,
        make: || reference(Misread(Format::Gguf, default_base)),
    },
    Mutant {
        name: "gguf-template-skipped",
        lie: "uses a built-in chat template instead of the file's",
        seen_in: "serving programs with one chat template for all models",
        needs_gpu: false,
        make: || reference(Misread(Format::Gguf, own_template)),
    },
    Mutant {
        name: "apr-bf16-as-f16",
        lie: "reads BF16 tensors of an APR file as F16",
        seen_in: "readers with one case for 16-bit floats",
        needs_gpu: false,
        make: || reference(Misread(Format::Apr, bf16_as_f16)),
    },
    Mutant {
        name: "apr-misrouted",
        lie: "swaps the gate and up projections of an APR file",
        seen_in: "errors in rename tables",
        needs_gpu: false,
        make: || reference(Misread(Format::Apr, misrouted)),
    },
    Mutant {
        name: "q4k-mins-dropped",
        lie: "unpacks Q4_K without the minima of its groups",
        seen_in: "dequantisers copied from those of symmetric types",
        needs_gpu: false,
        make: || reference(Unpacked(Packing::Q4K, mins_dropped)),
    },
    Mutant {
        name: "q6k-unsigned",
        lie: "reads Q6_K elements as two's complement instead of subtracting 32",
        seen_in: "dequantisers that take stored elements as signed",
        needs_gpu: false,
        make: || reference(Unpacked(Packing::Q6K, unsigned)),
    },
    Mutant {
        name: "format-sniffed",
        lie: "ignores the requested format and decides by the file's first bytes",
        seen_in: "loaders with one entry point for all formats",
        needs_gpu: false,
        make: || reference(Sniffed),
    },
];

/// Changes what was read from a file of this format.
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

/// Changes quantised blocks of this kind before they are unpacked.
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
        // Bytes 2 and 3 are the F16 scale of the minima.
        block[2..4].fill(0);
    }
    Packing::Q4K.unpack(blocks, out);
}

fn unsigned(blocks: &mut [u8], out: &mut Vec<u8>) {
    // Flip the highest of an element's six bits. Minus 32, the bits then read as two's complement.
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
