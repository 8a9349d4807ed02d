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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;
    use crate::loader::infer::tests::{Tiny, decoder, le_bytes};

    /// A decoder with heads of four, and these divisors.
    fn with_divisors(values: &[f32]) -> Tiny {
        let mut model = decoder();
        model.tensors.push(("d".to_owned(), vec![values.len()], values.to_vec()));
        model
    }

    fn find(model: &Tiny) -> Result<RopeFactors> {
        let config = model.runnable().expect("a sound model").config;
        RopeFactors::find("d", &config, &model.placed().0)
    }

    #[test]
    fn each_frequency_is_divided_by_its_divisor() {
        let model = with_divisors(&[2.0, 0.5]);
        let mut factors = find(&model).expect("one for each pair");
        factors.fill(&Memory::Host(model.placed().1)).expect("sound values");
        let mut frequencies = [1.0, 3.0];
        factors.apply(&mut frequencies);
        assert_eq!(frequencies, [0.5, 6.0]);
    }

    #[test]
    fn divisors_of_another_form_or_no_divisors_are_refused() {
        let error = find(&with_divisors(&[1.0; 3])).expect_err("one more than pairs");
        let failure = error.failure();
        let told = (failure.expected.as_deref(), failure.actual.as_deref());
        assert_eq!(failure.code, Code::ShapeMismatch);
        assert_eq!(told, (Some("F32 [2], one for each rotary pair"), Some("F32 [3]")));
        let error = find(&decoder()).expect_err("no such tensor");
        assert_eq!(error.code(), Code::Internal);
        for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let model = with_divisors(&[1.0, bad]);
            let mut factors = find(&model).expect("one for each pair");
            let error = factors.fill(&Memory::Host(model.placed().1)).expect_err("no divisor");
            let failure = error.failure();
            assert_eq!((failure.code, failure.tensor.as_deref()), (Code::InvalidField, Some("d")));
            assert_eq!(failure.actual, Some(bad.to_string()));
        }
        let mut factors = find(&with_divisors(&[1.0, 1.0])).expect("one for each pair");
        let short = Memory::Host(le_bytes(&[1.0]));
        assert_eq!(factors.fill(&short).map_err(|error| error.code()), Err(Code::Internal));
    }
}
