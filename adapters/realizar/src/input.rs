//! Inputs from the harness in addition to the weights: tokens to run, and the tokens that end a sequence.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use weighbridge::contract::inference::{ATTENTION_MASK, INPUT_IDS};
use weighbridge::contract::{Code, Failure, Phase};

use weighbridge_adapter::refused;

/// The rows of an input, each up to the end of its mask, and the width of the batch.
pub fn tokens(path: &Path) -> Result<(Vec<Vec<u32>>, usize), Failure> {
    let bad = |text: String| refused(Phase::Infer, Code::InvalidInput, text);
    let bytes = fs::read(path).map_err(|error| bad(error.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| bad(error.to_string()))?;
    let values = |name: &str| match file.tensor(name) {
        Ok(view) if view.dtype() == safetensors::Dtype::I64 && view.shape().len() == 2 => {
            let (chunks, _) = view.data().as_chunks::<8>();
            let values: Vec<i64> = chunks.iter().map(|chunk| i64::from_le_bytes(*chunk)).collect();
            Ok((values, view.shape()[1]))
        }
        Ok(_) => Err(bad(format!("{name} is no I64 matrix"))),
        Err(error) => Err(bad(error.to_string())),
    };
    let ((ids, width), (mask, seen)) = (values(INPUT_IDS)?, values(ATTENTION_MASK)?);
    if ids.len() != mask.len() || width != seen || width == 0 {
        return Err(bad("ids and mask are of different or no width".to_owned()));
    }
    let mut rows = Vec::new();
    for (ids, mask) in ids.chunks(width).zip(mask.chunks(width)) {
        let real = mask.iter().take_while(|seen| **seen == 1).count();
        if mask[real..].iter().any(|seen| *seen != 0) {
            return Err(bad("realizar takes no mask: padding may only follow".to_owned()));
        }
        let ids: Result<Vec<u32>, _> = ids[..real].iter().map(|id| u32::try_from(*id)).collect();
        rows.push(ids.map_err(|_| bad("an id that is no u32".to_owned()))?);
    }
    Ok((rows, width))
}
