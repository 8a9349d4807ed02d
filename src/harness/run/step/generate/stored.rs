//! Compares a decoder with logits and tokens that the transformers library gave for exactly these
//! weights. They are committed, each with the SHA-256 of its weight file.

use include_dir::{Dir, include_dir};
use serde::Deserialize;

use crate::contract::generation::{Prompt, Sampling};
use crate::contract::inference::{Batch, Input, OutputKind};
use crate::contract::reply::Reply;
use crate::contract::request::{self, Request};
use crate::harness::case::stored::StoredGolden;
use crate::harness::record::{Basis, Check, Digits};
use crate::harness::run::case_run::{CaseEnd, CaseRun};
use crate::harness::run::step::batch;

static SMOLLM2: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/fixtures/smollm2");
static CHAT: &str = include_str!("../../../../../fixtures/published/chat.json");

/// The goldens of one weight file, by fixtures/smollm2/goldens.py.
#[derive(Deserialize)]
struct Golden {
    weights_sha256: String,
    prompts: Vec<OfPrompt>,
}

/// The goldens of one prompt.
#[derive(Deserialize)]
struct OfPrompt {
    prompt: Vec<u32>,
    largest: Vec<Position>,
    spread: Vec<Position>,
    greedy: Vec<u32>,
    leads: Vec<f64>,
}

/// Some logits of one position.
#[derive(Deserialize)]
struct Position {
    at: usize,
    ids: Vec<usize>,
    logits: Vec<f64>,
}

/// Compares a model with its golden.
///
/// # Errors
/// Why the case ends here.
pub fn stored(case_run: &mut CaseRun<'_>, step: &StoredGolden) -> Result<(), CaseEnd> {
    let file = case_run.model(&step.model)?.file.clone();
    case_run.begin(format!("compare {} with what transformers gives for its weights", step.model));
    let digest = case_run.file(&file)?.fixture.sha256().to_owned();
    let Some(golden) = of(&digest)? else {
        let short = digest.get(..16).unwrap_or_default();
        let why = format!("no golden is stored for these weights (SHA-256 {short}...)");
        return Err(case_run.placed_model(&file)?.lacks(why));
    };
    let tolerance = case_run.placed_model(&file)?.tolerance(step.tolerance);
    for one in &golden.prompts {
        logits(case_run, (step, tolerance), one)?;
        tokens(case_run, (step, tolerance), one)?;
    }
    Ok(())
}

/// The golden of a weight file.
fn of(digest: &str) -> Result<Option<Golden>, CaseEnd> {
    let texts = ["f32.json", "bf16.json"].map(|name| {
        SMOLLM2.get_file(name).and_then(|file| file.contents_utf8()).unwrap_or_default()
    });
    for text in texts.into_iter().chain([CHAT]) {
        let golden: Golden = serde_json::from_str(text)
            .map_err(|error| CaseEnd::Fault(format!("a stored golden: {error}")))?;
        if golden.weights_sha256 == digest {
            return Ok(Some(golden));
        }
    }
    Ok(None)
}

/// Checks the logits at every position of a prompt.
fn logits(
    case_run: &mut CaseRun<'_>,
    (step, tolerance): (&StoredGolden, f64),
    golden: &OfPrompt,
) -> Result<(), CaseEnd> {
    let handle = case_run.model(&step.model)?.handle;
    let columns = golden.prompt.len();
    let batch = Batch::Tokens {
        rows: 1,
        columns,
        ids: golden.prompt.iter().map(|id| i64::from(*id)).collect(),
        mask: vec![1; columns],
        types: Vec::new(),
    };
    let path = case_run.input_file();
    batch::write(&batch, &path)?;
    let given = batch::ask(case_run, (handle, OutputKind::Logits), Input::File(path), false)?;
    let given = match given {
        Ok(given) => given.output,
        Err(failure) => return Err(case_run.unexpected("an output", &failure)),
    };
    let width = given.shape.last().copied().unwrap_or(1).max(1);
    let (mut far, mut at) = (0.0, (0, 0));
    for position in golden.largest.iter().chain(&golden.spread) {
        let scale = largest(golden, position.at);
        for (id, wanted) in position.ids.iter().zip(&position.logits) {
            let found = given.values.get(position.at * width + id).copied().unwrap_or(f32::NAN);
            let off = (f64::from(found) - wanted).abs() / scale;
            // A NaN counts as an infinite difference.
            let off = if off.is_nan() { f64::INFINITY } else { off };
            if off > far {
                (far, at) = (off, (position.at, *id));
            }
        }
    }
    let texts = |digits: Digits| {
        let far = digits.scientific(far, 2);
        let wanted = format!("at most {tolerance:e} off transformers'");
        (wanted, format!("{far} off transformers', at position {}, token {}", at.0, at.1))
    };
    let what = format!("logits of {columns} positions");
    case_run.check(Check::measured(what, texts, Basis::Observed))
}

/// Checks the greedy tokens, up to the first that leads by too little to be certain.
fn tokens(
    case_run: &mut CaseRun<'_>,
    (step, tolerance): (&StoredGolden, f64),
    golden: &OfPrompt,
) -> Result<(), CaseEnd> {
    let scale = largest(golden, golden.prompt.len().saturating_sub(1));
    let certain = golden.leads.iter().take_while(|lead| **lead > 2.0 * tolerance * scale).count();
    let wanted = golden.greedy.get(..certain).unwrap_or_default();
    let request = request::Generate {
        handle: case_run.model(&step.model)?.handle,
        prompt: Prompt::Tokens(golden.prompt.clone()),
        limit: golden.greedy.len() as u32,
        sampling: Sampling::GREEDY,
        into: None,
    };
    let found = match case_run.ask(Request::Generate(request), 0)? {
        Ok(Reply::Generate(generated)) => generated.tokens,
        Ok(other) => return Err(CaseEnd::Fault(format!("a {} reply to generate", other.verb()))),
        Err(failure) => return Err(case_run.unexpected("generated", &failure)),
    };
    let all = certain == golden.greedy.len();
    let found = if all { found.as_slice() } else { &found[..certain.min(found.len())] };
    let (wanted, found) = (format!("{wanted:?}"), format!("{found:?}"));
    case_run.check(Check::equal("tokens of transformers", wanted, found, Basis::Observed))
}

/// The largest logit of a position, at least 1.
fn largest(golden: &OfPrompt, at: usize) -> f64 {
    let position = golden.largest.iter().find(|position| position.at == at);
    let all = position.map_or(&[][..], |position| position.logits.as_slice());
    all.iter().fold(1.0, |most: f64, logit| most.max(logit.abs()))
}
