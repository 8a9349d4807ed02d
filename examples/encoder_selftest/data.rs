//! Random shapes and values, weights on the device in any type, and comparison with float64.

use half::{bf16, f16};
use weighbridge::gpu::{DeviceBuffer, DeviceWeight, Element, Floats, GpuError, Runner};

use crate::words;

/// A small generator: xorshift.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    /// From `least` to `most`, both included.
    pub fn size(&mut self, least: usize, most: usize) -> usize {
        least + (self.next() as usize) % (most - least + 1)
    }

    /// Between -1 and 1.
    pub fn value(&mut self) -> f32 {
        (self.next() as f64 / (1u64 << 52) as f64 - 1.0) as f32
    }

    pub fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.value()).collect()
    }

    pub fn coin(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }

    pub fn element(&mut self) -> Element {
        [Element::F32, Element::F16, Element::BF16][self.size(0, 2)]
    }
}

/// A weight on the device, at an odd offset in its own memory, and its exact values.
pub struct Weights {
    memory: DeviceBuffer,
    offset: usize,
    element: Element,
    pub rows: usize,
    pub columns: usize,
    pub values: Vec<f64>,
}

impl Weights {
    pub fn new(
        runner: &Runner,
        random: &mut Random,
        element: Element,
        rows: usize,
        columns: usize,
    ) -> Result<Weights, String> {
        let values = random.values(rows * columns);
        // Sometimes only with the alignment of the element itself.
        let width = if element == Element::F32 { 4 } else { 2 };
        let offset = if random.coin() { 256 } else { 256 + width };
        Weights::of(runner, (element, offset), (rows, columns), &values)
    }

    /// Given values, rounded to the element, at an offset.
    pub fn of(
        runner: &Runner,
        (element, offset): (Element, usize),
        (rows, columns): (usize, usize),
        of: &[f32],
    ) -> Result<Weights, String> {
        let (mut bytes, mut values) = (Vec::new(), Vec::new());
        for value in of {
            match element {
                Element::F32 => {
                    bytes.extend(value.to_le_bytes());
                    values.push(f64::from(*value));
                }
                Element::F16 => {
                    bytes.extend(f16::from_f32(*value).to_le_bytes());
                    values.push(f16::from_f32(*value).to_f64());
                }
                Element::BF16 => {
                    bytes.extend(bf16::from_f32(*value).to_le_bytes());
                    values.push(bf16::from_f32(*value).to_f64());
                }
            }
        }
        let memory = runner.context().allocate(offset + bytes.len()).map_err(words)?;
        memory.write(offset, &bytes).map_err(words)?;
        Ok(Weights { memory, offset, element, rows, columns, values })
    }

    /// Whether tensor cores read it without a copy.
    pub fn suits_tensor_cores(&self) -> bool {
        let placed = self.offset.is_multiple_of(16) && self.columns.is_multiple_of(8);
        self.element == Element::BF16 && placed
    }

    pub fn memory(&self) -> &DeviceBuffer {
        &self.memory
    }

    pub fn stored(&self) -> DeviceWeight<'_> {
        DeviceWeight {
            memory: &self.memory,
            offset: self.offset as u64,
            element: self.element,
            rows: self.rows,
            columns: self.columns,
        }
    }
}

/// The nearest BF16 value, ties to even.
pub fn rounded(value: f32) -> f32 {
    bf16::from_f32(value).to_f32()
}

/// Fetches a buffer and compares each value: the difference may be `tolerance` times the magnitude
/// of what went into it.
pub fn agree(
    runner: &mut Runner,
    buffer: Floats,
    wanted: &[(f64, f64)],
    tolerance: f64,
    what: impl Fn() -> String,
) -> Result<(), String> {
    let mut found = vec![0f32; wanted.len()];
    runner.fetch(buffer, &mut found).map_err(words)?;
    compare(&found, wanted, tolerance, what)
}

/// The same of values that have been fetched.
pub fn compare(
    found: &[f32],
    wanted: &[(f64, f64)],
    tolerance: f64,
    what: impl Fn() -> String,
) -> Result<(), String> {
    for (at, (found, (value, magnitude))) in found.iter().zip(wanted).enumerate() {
        let difference = (f64::from(*found) - value).abs();
        // A NaN counts as a difference.
        if difference.is_nan() || difference > tolerance * magnitude.max(1e-3) {
            return Err(format!("{}: value {at} is {found}, not {value}", what()));
        }
    }
    Ok(())
}

/// The error of a call that must be refused.
pub fn refused<T>(result: Result<T, GpuError>, what: &str) -> Result<(), String> {
    match result {
        Ok(_) => Err(format!("taken: {what}")),
        Err(_) => Ok(()),
    }
}
