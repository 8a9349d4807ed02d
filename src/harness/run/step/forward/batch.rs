//! Inputs: made for the run, written for the loader, and asked with.

use std::fs;
use std::path::Path;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use safetensors::tensor::{Dtype, TensorView};

use crate::contract::inference::{
    ATTENTION_MASK, Batch, EMBEDDING, INPUT_IDS, Input, State, TOKEN_TYPE_IDS, TRACE, Traced,
    VECTORS,
};
use crate::contract::reply::{Embedded, Reply};
use crate::contract::request::{self, Request};
use crate::harness::evidence::digest::sha256_hex;
use crate::harness::model::{Architecture, Recipe};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{Attempt, Stop};

/// A batch that suits a model: so many sentences, each of another length unless told, the rest
/// padding; or so many vectors.
pub(in crate::harness::run::step) fn random(
    recipe: &Recipe,
    rows: usize,
    tokens: Option<usize>,
    seed: u64,
) -> Batch {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let sizes = &recipe.sizes;
    if recipe.architecture == Architecture::Projection {
        let values = (0..rows * sizes.hidden).map(|_| random.random_range(-2.0..2.0)).collect();
        return Batch::Vectors { rows, columns: sizes.hidden, values };
    }
    let longest = sizes.longest(recipe.architecture).min(40);
    let columns = tokens.unwrap_or_else(|| random.random_range(longest / 2..=longest));
    let (mut ids, mut mask, mut types) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..rows {
        let length = match tokens {
            Some(_) => columns,
            // The first fills the batch, the others are shorter, one of a single token.
            None if row == 0 => columns,
            None if row == 1 => 1,
            None => random.random_range(2..columns),
        };
        for at in 0..columns {
            let real = at < length;
            let id = loop {
                let id = random.random_range(0..sizes.vocabulary);
                if id != sizes.padding {
                    break id;
                }
            };
            ids.push(if real { id } else { sizes.padding } as i64);
            mask.push(i64::from(real));
            types.push(random.random_range(0..sizes.types.max(1)) as i64);
        }
    }
    Batch::Tokens {
        rows,
        columns,
        ids,
        mask,
        types: if sizes.types > 1 { types } else { Vec::new() },
    }
}

/// Name, type and bytes of a tensor of the batch's shape.
type Part = (&'static str, Dtype, Vec<u8>);

/// Writes a batch as a file.
pub(in crate::harness::run::step) fn write(batch: &Batch, path: &Path) -> Result<(), Stop> {
    let bytes =
        |values: &[i64]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
    let (shape, parts): (Vec<usize>, Vec<Part>) = match batch {
        Batch::Vectors { rows, columns, values } => {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (vec![*rows, *columns], vec![(VECTORS, Dtype::F32, bytes)])
        }
        Batch::Tokens { rows, columns, ids, mask, types } => {
            let mut parts = vec![
                (INPUT_IDS, Dtype::I64, bytes(ids)),
                (ATTENTION_MASK, Dtype::I64, bytes(mask)),
            ];
            if !types.is_empty() {
                parts.push((TOKEN_TYPE_IDS, Dtype::I64, bytes(types)));
            }
            (vec![*rows, *columns], parts)
        }
    };
    let shaped: Vec<(&str, Dtype, Vec<usize>, Vec<u8>)> =
        parts.into_iter().map(|(name, dtype, bytes)| (name, dtype, shape.clone(), bytes)).collect();
    write_tensors(&shaped, path)
}

/// Writes tensors as a file.
pub(super) fn write_tensors(
    tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)],
    path: &Path,
) -> Result<(), Stop> {
    let fault = |error: String| Stop::Fault(format!("writing an input: {error}"));
    let views: Vec<(&str, TensorView<'_>)> = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes);
            Ok((*name, view.map_err(|error| fault(error.to_string()))?))
        })
        .collect::<Result<_, Stop>>()?;
    let bytes = safetensors::serialize(views, None).map_err(|error| fault(error.to_string()))?;
    fs::write(path, bytes).map_err(|error| fault(error.to_string()))
}

/// Asks for an embedding and reads what was written; the refusal where there is one.
pub(in crate::harness::run::step) fn ask(
    attempt: &mut Attempt<'_>,
    handle: u64,
    input: Input,
    trace: bool,
) -> Result<Result<Traced, crate::contract::Failure>, Stop> {
    let into = attempt.scratch_file();
    let request = request::Embed { handle, input, into: into.clone(), trace };
    let embedded = match attempt.ask(Request::Embed(request), 0)? {
        Ok(Reply::Embed(embedded)) => embedded,
        Ok(other) => return Err(Stop::Fault(format!("a {} reply to embed", other.verb()))),
        Err(failure) => return Ok(Err(failure)),
    };
    let bytes = fs::read(&into);
    let _gone = fs::remove_file(&into);
    let read = bytes.map_err(|error| error.to_string()).and_then(|bytes| read(&bytes, &embedded));
    match read {
        Ok(traced) => {
            let device = attempt.device();
            let ran = embedded.device;
            attempt.check(Check::equal("where it ran", device, ran, Basis::Declared))?;
            Ok(Ok(traced))
        }
        Err(why) => {
            let wanted = "a safetensors file with the embedding, as claimed";
            attempt.check(Check::of("file", wanted, why, false, Basis::Observed))?;
            Err(Stop::Failed)
        }
    }
}

fn read(bytes: &[u8], claimed: &Embedded) -> Result<Traced, String> {
    if sha256_hex(bytes) != claimed.written.sha256 {
        return Err("another SHA-256 than claimed".to_owned());
    }
    let file = safetensors::SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut output = None;
    let mut states = Vec::new();
    for (name, view) in file.tensors() {
        if view.dtype() != Dtype::F32 {
            return Err(format!("{name} is {:?}, not F32", view.dtype()));
        }
        let values: Vec<f32> =
            view.data().as_chunks().0.iter().map(|raw| f32::from_le_bytes(*raw)).collect();
        let shape = view.shape().to_vec();
        match name.strip_prefix(TRACE) {
            Some(short) => states.push(State { name: short.to_owned(), shape, values }),
            None if name == EMBEDDING => output = Some(State { name, shape, values }),
            None => return Err(format!("a tensor that was not asked for: {name}")),
        }
    }
    let output = output.ok_or_else(|| format!("no tensor {EMBEDDING}"))?;
    let shape: Vec<u64> = output.shape.iter().map(|side| *side as u64).collect();
    match shape == claimed.shape {
        true => Ok(Traced { output, states }),
        false => Err(format!("shape {shape:?}, {:?} claimed", claimed.shape)),
    }
}
