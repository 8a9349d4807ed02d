//! A synthetic model: the shape of Qwen2.5-1.5B, filled with random values that pass every gate.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use clap::ValueEnum;

use super::together::side_by_side;
use crate::cli::CommandError;
use crate::contract::DType;
use crate::loader::verbs::read_back;
use crate::loader::verbs::read_back::Entry;

/// Bytes made at once.
const PIECE: usize = 4 << 20;

/// Bytes that the generator makes in a step.
const WORD: u64 = 8;

/// What a step of SplitMix64 adds to its state.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Element types that a synthetic model may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Elements {
    /// 3.09 GB at full size.
    #[default]
    Bf16,
    /// 6.17 GB at full size.
    F32,
}

impl Elements {
    /// As the contract names it.
    pub const fn dtype(self) -> DType {
        match self {
            Elements::Bf16 => DType::BF16,
            Elements::F32 => DType::F32,
        }
    }

    /// Masks for eight random bytes: the bits to keep, and the bits to set. Sign and mantissa stay
    /// random. The exponent is one of four, so that magnitudes lie in [2^-7, 2^-3), like those of
    /// weights. The upper half of an F32 is a BF16.
    const fn bits(self) -> (u64, u64) {
        match self {
            Elements::Bf16 => (0x81ff_81ff_81ff_81ff, 0x3c00_3c00_3c00_3c00),
            Elements::F32 => (0x81ff_ffff_81ff_ffff, 0x3c00_0000_3c00_0000),
        }
    }
}

/// What to write.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Element type of every tensor.
    pub elements: Elements,
    /// Layers, 28 in the original.
    pub layers: u64,
    /// What every other dimension is divided by.
    pub scale: u64,
    /// Seed of the values.
    pub seed: u64,
}

impl Shape {
    /// What it is, in words.
    pub fn describe(&self) -> String {
        let size = match (self.layers, self.scale) {
            (28, 1) => String::new(),
            (layers, 1) => format!(", {layers} layers"),
            (layers, scale) => format!(", {layers} layers, other dimensions 1/{scale}"),
        };
        format!(
            "the shape of Qwen2.5-1.5B{size}, {}, values random (seed {:016x})",
            self.elements.dtype(),
            self.seed
        )
    }

    /// Its `config.json`. The heads have half the original's size and are twice as many, so that the same shapes
    /// divide over eight ranks.
    pub fn config(&self) -> serde_json::Value {
        let of = |full: u64| (full / self.scale).max(1);
        serde_json::json!({
            "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": of(151_936),
            "hidden_size": of(1536), "num_hidden_layers": self.layers, "num_attention_heads": 24,
            "num_key_value_heads": 4, "head_dim": of(64), "intermediate_size": of(8960),
            "hidden_act": "silu", "rms_norm_eps": 1e-6, "max_position_embeddings": 32_768,
            "rope_theta": 1e6, "use_sliding_window": false, "tie_word_embeddings": true,
        })
    }

    /// Names and shapes, in the order of their bytes.
    fn tensors(&self) -> Vec<(String, Vec<u64>)> {
        let of = |full: u64| (full / self.scale).max(1);
        let (vocabulary, hidden, key, inner) = (of(151_936), of(1536), of(256), of(8960));
        let mut all = vec![("model.embed_tokens.weight".to_owned(), vec![vocabulary, hidden])];
        for layer in 0..self.layers {
            let mut add = |name: &str, shape: &[u64]| {
                all.push((format!("model.layers.{layer}.{name}"), shape.to_vec()));
            };
            add("input_layernorm.weight", &[hidden]);
            add("mlp.down_proj.weight", &[hidden, inner]);
            add("mlp.gate_proj.weight", &[inner, hidden]);
            add("mlp.up_proj.weight", &[inner, hidden]);
            add("post_attention_layernorm.weight", &[hidden]);
            for (name, rows) in [("k", key), ("q", hidden), ("v", key)] {
                add(&format!("self_attn.{name}_proj.bias"), &[rows]);
                add(&format!("self_attn.{name}_proj.weight"), &[rows, hidden]);
            }
            add("self_attn.o_proj.weight", &[hidden, hidden]);
        }
        all.push(("model.norm.weight".to_owned(), vec![hidden]));
        all
    }

    /// Writes it, with all processors. A file that is not complete is removed.
    ///
    /// # Errors
    /// Where the folder has no room for it.
    pub fn write(&self, into: &Path) -> Result<(), CommandError> {
        let dtype = self.elements.dtype();
        let tensors = self.tensors();
        let entries: Vec<Entry<'_>> = tensors
            .iter()
            .map(|(name, shape)| {
                let bytes = shape.iter().product::<u64>() * dtype.bits() / 8;
                Entry { name, dtype, shape, bytes }
            })
            .collect();
        let bytes = entries.iter().map(|entry| entry.bytes).sum();
        let header = read_back::header(&entries, None).map_err(CommandError::harness)?;
        self.fill(into, &header, bytes).map_err(|error| {
            let _ = fs::remove_file(into);
            CommandError::harness(format!("{}: {error}", into.display()))
        })
    }

    /// Writes a header and `bytes` bytes of values.
    fn fill(&self, into: &Path, header: &[u8], bytes: u64) -> io::Result<()> {
        let (file, next) = (File::create(into)?, AtomicU64::new(0));
        file.write_all_at(header, 0)?;
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let filled = side_by_side(threads, |_| {
            let mut piece = vec![0; PIECE];
            loop {
                let at = next.fetch_add(PIECE as u64, Relaxed);
                if at >= bytes {
                    return Ok(());
                }
                let part = &mut piece[..(bytes - at).min(PIECE as u64) as usize];
                // Every piece begins where the sequence of the pieces before it ends.
                self.noise(self.seed.wrapping_add((at / WORD).wrapping_mul(STEP)), part);
                file.write_all_at(part, header.len() as u64 + at)?;
            }
        });
        filled.map(drop)
    }

    /// Fills `into` with random values, by a generator in this state. The generator is SplitMix64, because it is
    /// fast and no file system can compress its output.
    fn noise(&self, mut state: u64, into: &mut [u8]) {
        let (keep, set) = self.elements.bits();
        for place in into.chunks_mut(WORD as usize) {
            state = state.wrapping_add(STEP);
            let mut word = state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word = (word ^ (word >> 31)) & keep | set;
            place.copy_from_slice(&word.to_le_bytes()[..place.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_size_is_the_original() {
        let full = Shape { elements: Elements::Bf16, layers: 28, scale: 1, seed: 0 };
        let tensors = full.tensors();
        assert_eq!(tensors.len(), 338);
        let elements: u64 = tensors.iter().map(|(_, shape)| shape.iter().product::<u64>()).sum();
        assert_eq!(elements, 1_543_714_304);
    }

    #[test]
    fn a_file_has_one_sequence_of_values_whoever_wrote_its_pieces() {
        let shape = Shape { elements: Elements::Bf16, layers: 1, scale: 8, seed: 9 };
        let file = tempfile::NamedTempFile::new().expect("a file");
        shape.write(file.path()).expect("written");
        let bytes = fs::read(file.path()).expect("there");
        let mut values = vec![0; bytes.len()];
        shape.noise(9, &mut values);
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
        assert!(bytes.len() > header + PIECE, "more than one piece");
        assert!(bytes[header..] == values[..bytes.len() - header]);
    }

    #[test]
    fn every_value_is_that_of_a_weight() {
        for elements in [Elements::Bf16, Elements::F32] {
            let shape = Shape { elements, layers: 1, scale: 64, seed: 7 };
            let mut bytes = vec![0; 4096];
            shape.noise(7, &mut bytes);
            let values: Vec<f32> = match elements {
                Elements::Bf16 => {
                    let pairs = bytes.as_chunks::<2>().0.iter();
                    pairs.map(|pair| half::bf16::from_le_bytes(*pair).to_f32()).collect()
                }
                Elements::F32 => {
                    bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
                }
            };
            let range = 2f32.powi(-7)..2f32.powi(-3);
            assert!(values.iter().all(|value| range.contains(&value.abs())), "{elements:?}");
            assert!(values.iter().any(|value| *value < 0.0) && values[0] != values[1]);
        }
    }
}
