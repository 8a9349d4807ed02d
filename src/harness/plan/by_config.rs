//! A model of which `config.json` and the index are there, and no weight file: names by the index, shapes and
//! element type by the configuration.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::header::{Declared, WeightFile};
use super::refusal::Refusal;
use crate::contract::{Code, DType};

/// Most bytes of a model: far more than any has, and few enough for sums in 64 bits.
const MOST: u64 = 1 << 56;

/// What is known of weights that are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByConfig {
    /// Their element type.
    pub dtype: DType,
    /// Bytes of all tensors, if the index says it.
    pub total: Option<u64>,
}

impl ByConfig {
    /// The element type of the configuration.
    ///
    /// # Errors
    /// If it names none that models compute with.
    pub fn of(config: &Value, total: Option<u64>, path: &Path) -> Result<ByConfig, Refusal> {
        let told = ["dtype", "torch_dtype"].iter().find_map(|name| config.get(name));
        let dtype = match told.and_then(Value::as_str) {
            Some("float32") => DType::F32,
            Some("float16") => DType::F16,
            Some("bfloat16") => DType::BF16,
            _ => {
                let message = "no weight file is there, and config.json has no element type";
                let actual = told.map_or("no dtype".to_owned(), |told| format!("dtype {told}"));
                let remedy = "Get the weight files: their headers say it.";
                let refusal = Refusal::file(path, Code::NotFound, message);
                let expected = "dtype float32, float16 or bfloat16";
                return Err(refusal.told(expected, actual, remedy));
            }
        };
        Ok(ByConfig { dtype, total })
    }

    /// The files and tensors that an index lists. Shapes are not known here.
    pub fn listed(&self, map: &BTreeMap<String, String>) -> (Vec<WeightFile>, Vec<Declared>) {
        let mut files: Vec<WeightFile> =
            map.values().map(|name| WeightFile { name: name.clone(), bytes: None }).collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        files.dedup();
        let place = |name: &String| files.binary_search_by(|file| file.name.cmp(name));
        let tensors = map.iter().map(|(name, file)| Declared {
            name: name.clone(),
            dtype: self.dtype,
            shape: Vec::new(),
            file: place(file).unwrap_or_default(),
            begin: None,
            bytes: 0,
        });
        let tensors = tensors.collect();
        (files, tensors)
    }

    /// A tensor with the shape that the configuration asks for. `before` is the number of bytes of those
    /// before it, and grows by its own.
    ///
    /// # Errors
    /// If that is more than a model can have.
    pub fn shaped(
        &self,
        declared: &Declared,
        shape: Vec<u64>,
        before: &mut u64,
    ) -> Result<Declared, Refusal> {
        let sides = shape.iter().copied().chain([self.dtype.bits() / 8]);
        let bytes = sides.clone().try_fold(1, u64::checked_mul);
        let sum = bytes.and_then(|bytes| before.checked_add(bytes)).filter(|sum| *sum <= MOST);
        let (Some(bytes), Some(sum)) = (bytes, sum) else {
            let refusal = Refusal::model(Code::InvalidConfig, "more bytes than a model can have");
            let (expected, remedy) =
                (format!("at most {MOST} bytes"), "Correct the sizes in config.json.");
            let actual = format!(
                "{:?} of shape {shape:?} and the tensors before it have more",
                declared.name
            );
            return Err(refusal.told(expected, actual, remedy).tensor(&declared.name));
        };
        *before = sum;
        Ok(Declared { shape, bytes, ..declared.clone() })
    }
}

/// The refusal of a tensor that an encoder would load whole, and whose shape the configuration does not say.
pub fn undescribed(declared: &Declared, files: &[WeightFile]) -> Refusal {
    let file = Path::new(&files[declared.file].name);
    let message = "no weight file is there, and config.json says no shape of a tensor";
    let remedy = "Get the weight files: their headers say it.";
    let refusal = Refusal::file(file, Code::NotFound, message).tensor(&declared.name);
    refusal.told("a tensor of the architecture", &declared.name, remedy)
}
