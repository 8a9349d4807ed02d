//! Greedy generation with logits, for steps that compare one model with another.

use std::path::Path;

use super::prompt;
use crate::contract::generation::{LOGITS, Sampling};
use crate::contract::inference::State;
use crate::contract::reply::{Generated, Reply};
use crate::contract::request::{self, Request};
use crate::harness::evidence::digest::sha256_hex;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::answer_file::OUTPUTS;
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// Lets a model generate.
///
/// # Errors
/// If it does not generate, was given other tokens than requested, or writes no logits.
pub fn greedy(
    case_run: &mut CaseRun<'_>,
    name: &str,
    made: &prompt::Made,
    limit: u32,
) -> Result<(Generated, State), CaseEnd> {
    let into = case_run.scratch_file();
    let request = request::Generate {
        handle: case_run.model(name)?.handle,
        prompt: made.prompt.clone(),
        limit,
        sampling: Sampling::GREEDY,
        into: Some(into.clone()),
    };
    let generated = match case_run.ask(Request::Generate(request), 0)? {
        Ok(Reply::Generate(generated)) => generated,
        Ok(other) => return Err(CaseEnd::Fault(format!("a {} reply to generate", other.verb()))),
        Err(failure) => return Err(case_run.unexpected("generated", &failure)),
    };
    case_run.check(Check::one_of(
        format!("tokens given to {name}"),
        made.wanted(&generated.prompt),
        format!("{:?}", generated.prompt),
        Basis::Declared,
    ))?;
    match read_logits(case_run, &into, &generated) {
        Ok(logits) => Ok((generated, logits)),
        Err(why) => {
            let check = Check::broken("file", "the logits, as claimed", why, Basis::Observed);
            Err(case_run.check(check).err().unwrap_or(CaseEnd::Failed))
        }
    }
}

/// Reads the logits that a loader wrote, and removes their file.
///
/// # Errors
/// Why they are not what the loader claims.
pub fn read_logits(
    case_run: &CaseRun<'_>,
    into: &Path,
    generated: &Generated,
) -> Result<State, String> {
    let bytes = case_run.take_answer(into, OUTPUTS)?;
    let size = generated.written.as_ref().map(|written| written.bytes);
    if size != Some(bytes.len() as u64) {
        let claimed = size.map_or_else(|| "none".to_owned(), |size| size.to_string());
        return Err(format!("{} bytes, {claimed} claimed", bytes.len()));
    }
    let claimed = generated.written.as_ref().map(|written| written.sha256.as_str());
    if claimed != Some(sha256_hex(&bytes).as_str()) {
        return Err("another SHA-256 than claimed".to_owned());
    }
    let file = safetensors::SafeTensors::deserialize(&bytes).map_err(|error| error.to_string())?;
    let view = file.tensor(LOGITS).map_err(|error| error.to_string())?;
    if view.dtype() != safetensors::Dtype::F32 {
        return Err(format!("{}, not F32", view.dtype()));
    }
    let values = view.data().as_chunks().0.iter().map(|raw| f32::from_le_bytes(*raw)).collect();
    Ok(State { name: LOGITS.to_owned(), shape: view.shape().to_vec(), values })
}
