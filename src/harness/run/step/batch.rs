//! Input batches: generates them, writes them to a file, and runs a model on them.

use std::fs;
use std::path::Path;
use std::time::Instant;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use safetensors::tensor::{Dtype, TensorView};

use crate::contract::inference::{
    ATTENTION_MASK, Batch, INPUT_IDS, Input, OutputKind, State, TOKEN_TYPE_IDS, TRACE, Traced,
    VECTORS,
};
use crate::contract::reply::{Forwarded, Reply};
use crate::contract::request::{self, Request};
use crate::harness::case::forward::Form;
use crate::harness::evidence::digest::sha256_hex;
use crate::harness::model::{Architecture, Recipe};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::answer_file::OUTPUTS;
use crate::harness::run::case_run::{CaseEnd, CaseRun};
use crate::harness::run::step::times;

/// The seed of an input. Every step of a case has its own seed, unless the input has a name.
pub fn seed(case_run: &CaseRun<'_>, name: Option<&str>) -> u64 {
    match name {
        None => case_run.seed(&format!("input {}", case_run.steps.len())),
        Some(name) => case_run.seed(&format!("input named {name}")),
    }
}

/// A random batch that suits a model: `rows` sentences, of `tokens` tokens each if given, else of
/// different lengths with padding; or `rows` vectors.
pub fn random(recipe: &Recipe, rows: usize, tokens: Option<usize>, seed: u64) -> Batch {
    formed(recipe, Form::PaddingRight, rows, tokens, seed)
}

/// The same in some form. In a batch with padding, each row has at least one token.
pub fn formed(recipe: &Recipe, form: Form, rows: usize, tokens: Option<usize>, seed: u64) -> Batch {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let sizes = &recipe.sizes;
    if recipe.architecture == Architecture::Projection {
        let values = (0..rows * sizes.hidden).map(|_| random.random_range(-2.0..2.0)).collect();
        return Batch::Vectors { rows, columns: sizes.hidden, values };
    }
    let longest = sizes.longest(recipe.architecture);
    let short = longest.min(40);
    let columns = match form {
        Form::FullLength => longest,
        _ => tokens.unwrap_or_else(|| random.random_range(short / 2..=short)),
    };
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
            let real = match form {
                Form::PaddingRight
                | Form::PaddingIdInside
                | Form::FullLength
                | Form::WithoutTypes => at < length,
                Form::PaddingLeft => at + length >= columns,
                // The last column of a row is its only certain token.
                Form::Holes | Form::HolesOverTokens => {
                    at + 1 == columns || at + length >= columns && random.random_range(0..3) > 0
                }
            };
            let id = loop {
                let id = random.random_range(0..sizes.vocabulary);
                if id != sizes.padding {
                    break id;
                }
            };
            let id = match (form, real) {
                (Form::PaddingIdInside, true) if at % 3 == 1 => sizes.padding,
                (Form::HolesOverTokens, _) | (_, true) => id,
                (_, false) => sizes.padding,
            };
            ids.push(id as i64);
            mask.push(i64::from(real));
            types.push(random.random_range(0..sizes.types.max(1)) as i64);
        }
    }
    Batch::Tokens {
        rows,
        columns,
        ids,
        mask,
        types: if sizes.types > 1 && form != Form::WithoutTypes { types } else { Vec::new() },
    }
}

/// Name, type and bytes of a tensor of the batch's shape.
type Part = (&'static str, Dtype, Vec<u8>);

/// Writes a batch as a file.
pub fn write(batch: &Batch, path: &Path) -> Result<(), CaseEnd> {
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
pub fn write_tensors(
    tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)],
    path: &Path,
) -> Result<(), CaseEnd> {
    let fault = |error: String| CaseEnd::Fault(format!("writing an input: {error}"));
    let views: Vec<(&str, TensorView<'_>)> = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes);
            Ok((*name, view.map_err(|error| fault(error.to_string()))?))
        })
        .collect::<Result<_, CaseEnd>>()?;
    let bytes = safetensors::serialize(views, None).map_err(|error| fault(error.to_string()))?;
    fs::write(path, bytes).map_err(|error| fault(error.to_string()))
}

/// Runs a model and reads the output file. Returns the refusal if the loader refuses. An output of
/// another kind than `gives` ends the case.
pub fn ask(
    case_run: &mut CaseRun<'_>,
    (handle, gives): (u64, OutputKind),
    input: Input,
    trace: bool,
) -> Result<Result<Traced, crate::contract::Failure>, CaseEnd> {
    let into = case_run.scratch_file();
    let request = request::Forward { handle, input, into: into.clone(), trace };
    let begin = Instant::now();
    let forwarded = match case_run.ask(Request::Forward(request), 0)? {
        Ok(Reply::Forward(forwarded)) => forwarded,
        Ok(other) => return Err(CaseEnd::Fault(format!("a {} reply to forward", other.verb()))),
        Err(failure) => return Ok(Err(failure)),
    };
    times::within(forwarded.elapsed_us, begin.elapsed()).map_or(Ok(()), |no| case_run.check(no))?;
    let bytes = case_run.take_answer(&into, OUTPUTS);
    let read = bytes.and_then(|bytes| read(&bytes, &forwarded, gives));
    match read {
        Ok(traced) => {
            let device = case_run.device_of(handle);
            let ran = forwarded.device;
            case_run.check(Check::equal("where it ran", device, ran, Basis::Declared))?;
            Ok(Ok(traced))
        }
        Err(why) => {
            let wanted = format!("{gives}, in a safetensors file as claimed");
            case_run.check(Check::broken("output", wanted, why, Basis::Observed))?;
            Err(CaseEnd::Failed)
        }
    }
}

/// Reads an output file. The reply must agree with it, and the output must have the kind that the
/// model's head gives.
fn read(bytes: &[u8], claimed: &Forwarded, gives: OutputKind) -> Result<Traced, String> {
    let kind = claimed.output.kind();
    if kind != gives {
        return Err(format!("{kind} given where the head asks for {gives}"));
    }
    if bytes.len() as u64 != claimed.written.bytes {
        return Err(format!("{} bytes, {} claimed", bytes.len(), claimed.written.bytes));
    }
    if sha256_hex(bytes) != claimed.written.sha256 {
        return Err("another SHA-256 than claimed".to_owned());
    }
    let file = safetensors::SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut output = None;
    let mut states = Vec::new();
    for (name, view) in file.tensors() {
        if view.dtype() != Dtype::F32 {
            return Err(format!("{name} is {}, not F32", view.dtype()));
        }
        let values: Vec<f32> =
            view.data().as_chunks().0.iter().map(|raw| f32::from_le_bytes(*raw)).collect();
        let shape = view.shape().to_vec();
        match name.strip_prefix(TRACE) {
            Some(short) => states.push(State { name: short.to_owned(), shape, values }),
            None if name == kind.name() => output = Some(State { name, shape, values }),
            None => return Err(format!("a tensor that was not asked for: {name}")),
        }
    }
    let output = output.ok_or_else(|| format!("no tensor {kind}"))?;
    let shape: Vec<u64> = output.shape.iter().map(|side| *side as u64).collect();
    match shape == claimed.output.shape() {
        true => Ok(Traced { output, states }),
        false => Err(format!("shape {shape:?}, {:?} claimed", claimed.output.shape())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Device;
    use crate::contract::inference::Output;
    use crate::contract::reply::Written;

    /// A file of one tensor, and a reply that claims an output of the kind.
    fn given(name: &str, shape: &[usize], kind: OutputKind) -> (Vec<u8>, Forwarded) {
        let data = vec![0; shape.iter().product::<usize>() * 4];
        let view = TensorView::new(Dtype::F32, shape.to_vec(), &data).unwrap();
        let bytes = safetensors::serialize([(name, view)], None).unwrap();
        let written = Written { bytes: bytes.len() as u64, sha256: sha256_hex(&bytes) };
        let output = kind.shaped(shape).unwrap_or(Output::Embedding { shape: [1, 1] });
        (bytes, Forwarded { written, device: Device::Cpu, output, elapsed_us: None })
    }

    #[test]
    fn a_form_lies_as_it_says_and_no_row_is_empty() {
        let recipe = crate::harness::model::random::recipe(Architecture::Roberta, None, 4);
        let padding = recipe.sizes.padding as i64;
        for form in [Form::PaddingLeft, Form::Holes, Form::HolesOverTokens, Form::PaddingIdInside] {
            let Batch::Tokens { columns, ids, mask, .. } = formed(&recipe, form, 6, None, 9) else {
                panic!("no tokens");
            };
            assert!(mask.chunks(columns).all(|row| row.contains(&1)), "{form:?}");
            let pairs = || ids.iter().zip(&mask);
            let inside = pairs().any(|(id, seen)| *id == padding && *seen == 1);
            assert_eq!(inside, form == Form::PaddingIdInside);
            let over = pairs().any(|(id, seen)| *id != padding && *seen == 0);
            assert_eq!(over, form == Form::HolesOverTokens);
            let begins = mask.chunks(columns).any(|row| row[0] == 0);
            assert_eq!(begins, form != Form::PaddingIdInside);
            let mut rows = mask.chunks(columns);
            let hole = rows.any(|row| row.windows(3).any(|three| three == [1, 0, 1]));
            assert_eq!(hole, matches!(form, Form::Holes | Form::HolesOverTokens));
        }
    }

    #[test]
    fn an_output_of_the_kind_that_the_head_gives_is_read() {
        for (kind, shape) in [
            (OutputKind::Embedding, &[2, 3][..]),
            (OutputKind::TokenStates, &[2, 4, 3]),
            (OutputKind::Logits, &[2, 4, 9]),
        ] {
            let (bytes, claimed) = given(kind.name(), shape, kind);
            let output = read(&bytes, &claimed, kind).unwrap().output;
            assert_eq!((output.name.as_str(), output.shape.as_slice()), (kind.name(), shape));
        }
    }

    #[test]
    fn an_output_of_another_kind_is_refused() {
        let (bytes, claimed) = given("embedding", &[2, 3], OutputKind::Embedding);
        let why = read(&bytes, &claimed, OutputKind::Logits).unwrap_err();
        assert_eq!(why, "embedding given where the head asks for logits");
        let (bytes, claimed) = given("token_states", &[2, 4, 3], OutputKind::TokenStates);
        assert!(read(&bytes, &claimed, OutputKind::Logits).is_err());
    }

    #[test]
    fn a_file_that_holds_another_kind_than_the_reply_claims_is_refused() {
        let (bytes, claimed) = given("embedding", &[2, 4, 9], OutputKind::Logits);
        let why = read(&bytes, &claimed, OutputKind::Logits).unwrap_err();
        assert_eq!(why, "a tensor that was not asked for: embedding");
        let (bytes, claimed) = given("logits", &[2, 9], OutputKind::Logits);
        let claimed = Forwarded { output: Output::Logits { shape: [1, 2, 9] }, ..claimed };
        assert!(read(&bytes, &claimed, OutputKind::Logits).is_err());
    }
}
