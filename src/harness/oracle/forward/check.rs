//! Refuses inputs that a model cannot take, so that a mistake in a case is noticed.

use super::error::{OracleError, Result};
use super::weights::Weights;
use crate::contract::inference::Batch;

/// Checks a batch against a model.
pub(super) fn input(weights: &Weights, batch: &Batch) -> Result<()> {
    let refuse = |why: String| Err(OracleError::Input(why));
    match batch {
        Batch::Vectors { columns, .. } => match weights.size("input_size")? {
            size if size == *columns => Ok(()),
            size => refuse(format!("vectors have {columns} elements, the model takes {size}")),
        },
        Batch::Tokens { columns, ids, mask, .. } => {
            let vocabulary = weights.size("vocab_size")? as i64;
            if let Some(id) = ids.iter().find(|id| !(0..vocabulary).contains(*id)) {
                return refuse(format!("token id {id} is outside the vocabulary of {vocabulary}"));
            }
            match mask.chunks((*columns).max(1)).any(|row| !row.contains(&1)) {
                true => refuse("a row's mask has no token".to_owned()),
                false => Ok(()),
            }
        }
    }
}
