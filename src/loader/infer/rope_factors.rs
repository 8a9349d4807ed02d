//! Divisors of the rotary frequencies that a GGUF file holds as a tensor. llama.cpp's converter
//! writes Llama 3's scaling of positions in this form.

use crate::contract::DType;
use crate::loader::error::{LoadError, Result, shape_text};
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::memory::Memory;
use crate::loader::remedies::formats::GGUF_FACTORS;
use crate::loader::remedies::names::SHAPE_DIFFERS;

use super::config::Config;

/// The tensor of divisors, and its values once they are verified.
#[derive(Clone, Debug)]
pub struct RopeFactors {
    name: String,
    offset: u64,
    count: usize,
    values: Vec<f32>,
}

impl RopeFactors {
    /// Finds the tensor: one F32 value for each rotary pair.
    ///
    /// # Errors
    /// `shape_mismatch`.
    pub fn find(name: &str, config: &Config, tensors: &[PlacedTensor]) -> Result<RopeFactors> {
        let count = config.head_size / 2;
        let held = tensors.iter().find(|tensor| tensor.info.name == name);
        let held = held.ok_or_else(|| LoadError::internal("the divisors are not a tensor"))?;
        if held.info.shape != [count as u64] || held.dtype != DType::F32 {
            let found = format!("{} {}", held.dtype, shape_text(&held.info.shape));
            return Err(LoadError::header(SHAPE_DIFFERS, "the divisors of the rotary frequencies")
                .tensor(name)
                .expected(format!("F32 [{count}], one for each rotary pair"), found));
        }
        Ok(RopeFactors { name: name.to_owned(), offset: held.offset, count, values: Vec::new() })
    }

    /// Reads the values from the model's memory, which is verified.
    ///
    /// # Errors
    /// `invalid_field` for a value that is not a number above zero; `device_fault`.
    pub fn fill(&mut self, memory: &Memory) -> Result<()> {
        let mut bytes = vec![0; self.count * 4];
        memory.read(self.offset, &mut bytes)?;
        let (words, _) = bytes.as_chunks::<4>();
        self.values = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let sound = |value: &&f32| !(value.is_finite() && **value > 0.0);
        match self.values.iter().find(sound) {
            None => Ok(()),
            Some(value) => Err(LoadError::header(
                GGUF_FACTORS,
                "a divisor of the rotary frequencies is not a number above zero",
            )
            .tensor(&self.name)
            .expected("finite numbers above zero", value)),
        }
    }

    /// Divides the frequency of each pair.
    pub fn apply(&self, frequencies: &mut [f32]) {
        for (frequency, factor) in frequencies.iter_mut().zip(&self.values) {
            *frequency /= factor;
        }
    }
}
