//! Reads a model's input from a file or tokenizes text, and checks it against the model before any
//! computation.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::contract::inference::{
    ATTENTION_MASK, Batch, INPUT_IDS, Input, TOKEN_TYPE_IDS, VECTORS,
};
use crate::contract::{DType, Phase};
use crate::loader::error::{LoadError, Result, shape_text};
use crate::loader::format::safetensors;
use crate::loader::format::safetensors::Header;
use crate::loader::host_memory::host_bytes;
use crate::loader::read::file::OpenFile;
use crate::loader::remedies::Cause;
use crate::loader::remedies::input_and_output::{
    INPUT_EMPTY, INPUT_NOT_FINITE, INPUT_OUT_OF_RANGE, INPUT_ROW_MASKED, INPUT_SHAPES_DIFFER,
    INPUT_TENSOR_FORM, INPUT_TENSOR_MISSING, INPUT_TOKENS_WANTED, INPUT_TOO_LONG,
    INPUT_VECTOR_SIZE, INPUT_VECTORS_WANTED,
};
use crate::loader::remedies::tokenizer_and_template::NO_TOKENIZER;

use super::RunnableModel;
use super::config::Architecture;

/// Reads an input as a batch, and checks it.
///
/// # Errors
/// `invalid_input`, `invalid_tokenizer`, and those of opening and reading a file.
pub fn batch(runnable: &RunnableModel, input: &Input) -> Result<Batch> {
    let batch = match input {
        Input::File(path) => read(path).map_err(|error| error.path(path))?,
        Input::Texts(texts) => {
            let tokenizer = runnable.tokenizer.as_ref().ok_or_else(|| {
                let message = "the model was loaded without a tokenizer";
                LoadError::refused(Phase::Request, NO_TOKENIZER, message)
                    .expected("a tokenizer named when the model is loaded", "none")
            })?;
            tokenizer.batch(texts)?
        }
    };
    check(runnable, &batch)?;
    Ok(batch)
}

/// Checks a batch against a model.
///
/// # Errors
/// `invalid_input`.
pub fn check(runnable: &RunnableModel, batch: &Batch) -> Result<()> {
    let config = &runnable.config;
    let (rows, columns, ids, mask, types) = match batch {
        Batch::Vectors { rows, columns, values } => {
            if config.architecture != Architecture::Projection {
                return Err(invalid(INPUT_TOKENS_WANTED, "vectors for a model of tokens")
                    .expected(INPUT_IDS, VECTORS));
            }
            if *rows == 0 || *columns != config.hidden {
                let cause = INPUT_VECTOR_SIZE.about([&config.hidden.to_string()]);
                return Err(invalid(cause, "vectors of the wrong size")
                    .expected(format!("[1 or more, {}]", config.hidden), shape(*rows, *columns)));
            }
            return match values.iter().position(|value| !value.is_finite()) {
                None => Ok(()),
                Some(at) => Err(invalid(INPUT_NOT_FINITE, format!("value {at} is not finite"))
                    .expected("a finite number", values[at])),
            };
        }
        Batch::Tokens { rows, columns, ids, mask, types } => (*rows, *columns, ids, mask, types),
    };
    if config.architecture == Architecture::Projection {
        return Err(invalid(INPUT_VECTORS_WANTED, "tokens for a model of vectors")
            .expected(VECTORS, INPUT_IDS));
    }
    if rows == 0 || columns == 0 {
        return Err(invalid(INPUT_EMPTY, "an empty batch")
            .expected("a row with a token", shape(rows, columns)));
    }
    if columns > config.longest {
        let cause = INPUT_TOO_LONG.about([&config.longest.to_string()]);
        return Err(invalid(cause, "too many tokens")
            .expected(format!("at most {} a row", config.longest), columns));
    }
    let count = rows * columns;
    if ids.len() != count
        || mask.len() != count
        || !matches!(types.len(), n if n == 0 || n == count)
    {
        return Err(invalid(INPUT_SHAPES_DIFFER, "tensors of different shapes").expected(
            format!("{count} ids, as many of the mask"),
            format!("{} and {}", ids.len(), mask.len()),
        ));
    }
    let below = |values: &[i64], limit: usize, what: &str| match values
        .iter()
        .position(|value| !(0..limit as i64).contains(value))
    {
        None => Ok(()),
        Some(at) => {
            Err(invalid(INPUT_OUT_OF_RANGE.about([what]), format!("{what} out of range at {at}"))
                .tensor(what)
                .expected(format!("0 to {}", limit - 1), values[at]))
        }
    };
    below(ids, config.vocabulary, INPUT_IDS)?;
    below(mask, 2, ATTENTION_MASK)?;
    below(types, config.types.max(1), TOKEN_TYPE_IDS)?;
    match mask.chunks(columns).position(|row| !row.contains(&1)) {
        None => Ok(()),
        Some(row) => Err(invalid(
            INPUT_ROW_MASKED.about([&row.to_string()]),
            format!("row {row} has no token"),
        )
        .tensor(ATTENTION_MASK)
        .expected("at least one 1", "zeros")),
    }
}

fn read(path: &Path) -> Result<Batch> {
    let mut source = OpenFile::open(path)?;
    let text = safetensors::read_text(&mut source, &mut Sha256::new())?;
    let header = safetensors::parse(&text)?;
    safetensors::layout::check(&header, source.left())?;
    let mut data = host_bytes(source.left())?;
    source.read(&mut data)?;
    let file = Opened { header: &header, data: &data };
    if header.tensors.iter().any(|tensor| tensor.name == VECTORS) {
        let (rows, columns, values) = file.matrix(VECTORS, DType::F32)?;
        let values = values.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value));
        return Ok(Batch::Vectors { rows, columns, values: values.collect() });
    }
    let (rows, columns, ids) = file.matrix(INPUT_IDS, DType::I64)?;
    let same = |name: &str| {
        let (other_rows, other_columns, bytes) = file.matrix(name, DType::I64)?;
        match (other_rows, other_columns) == (rows, columns) {
            true => Ok(integers(bytes)),
            false => Err(invalid(
                INPUT_SHAPES_DIFFER,
                format!("{name} has another shape than {INPUT_IDS}"),
            )
            .tensor(name)
            .expected(shape(rows, columns), shape(other_rows, other_columns))),
        }
    };
    let typed = header.tensors.iter().any(|tensor| tensor.name == TOKEN_TYPE_IDS);
    Ok(Batch::Tokens {
        rows,
        columns,
        ids: integers(ids),
        mask: same(ATTENTION_MASK)?,
        types: if typed { same(TOKEN_TYPE_IDS)? } else { Vec::new() },
    })
}

struct Opened<'a> {
    header: &'a Header,
    data: &'a [u8],
}

impl<'a> Opened<'a> {
    /// Returns rows, columns and bytes of a matrix of this dtype.
    fn matrix(&self, name: &str, dtype: DType) -> Result<(usize, usize, &'a [u8])> {
        let tensor = self.header.tensors.iter().find(|tensor| tensor.name == name);
        let tensor = tensor.ok_or_else(|| {
            invalid(INPUT_TENSOR_MISSING.about([name]), format!("no tensor {name}"))
                .tensor(name)
                .expected(name, "none of that name")
        })?;
        let sides: Vec<usize> =
            tensor.shape.iter().filter_map(|side| usize::try_from(*side).ok()).collect();
        let bytes = self.data.get(tensor.begin as usize..tensor.end as usize);
        match (sides.as_slice(), bytes) {
            (&[rows, columns], Some(bytes)) if tensor.dtype == dtype => Ok((rows, columns, bytes)),
            _ => Err(invalid(
                INPUT_TENSOR_FORM.about([name]),
                format!("tensor {name} has another type or shape"),
            )
            .tensor(name)
            .expected(
                format!("{dtype} of shape [batch, size]"),
                format!("{} of shape {}", tensor.dtype, shape_text(&tensor.shape)),
            )),
        }
    }
}

fn integers(bytes: &[u8]) -> Vec<i64> {
    bytes.as_chunks().0.iter().map(|value| i64::from_le_bytes(*value)).collect()
}

fn shape(rows: usize, columns: usize) -> String {
    format!("[{rows}, {columns}]")
}

fn invalid(cause: impl Into<Cause>, message: impl Into<String>) -> LoadError {
    LoadError::refused(Phase::Infer, cause, message)
}
