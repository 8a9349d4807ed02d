//! Runs the run's own checkpoint, if it is an encoder. Texts go through the checkpoint's tokenizer,
//! and the output is compared with the oracle. For the checkpoint that the golden was made from, it
//! is also compared with transformers.

use std::sync::Arc;

use include_dir::{Dir, include_dir};
use serde::Deserialize;
use tokenizers::{PaddingParams, Tokenizer};

use crate::contract::inference::{Batch, Inference, Input, OutputKind, State, TracedForward};
use crate::contract::reply::Reply;
use crate::contract::request::{self, DtypePolicy, Request};
use crate::harness::model::registry::golden_values;
use crate::harness::oracle::forward::{Oracle, Precision};
use crate::harness::record::{Basis, Check, Digits};
use crate::harness::run::case_run::model::{Given, Kind, left_open};
use crate::harness::run::case_run::{CaseEnd, CaseRun, oracle_fault};
use crate::harness::run::step::{batch, compare};

static GOLDEN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/fixtures/models/goldens/minilm");

/// Tolerance between an F32 and an F64 implementation of one model.
const TOLERANCE: f64 = 1e-5;

/// What `fixtures/models/minilm.py` wrote.
#[derive(Deserialize)]
struct Sentences {
    texts: Vec<String>,
    related: Vec<(usize, usize)>,
    cosines: Vec<Vec<f64>>,
    sha256: String,
}

/// Runs the golden sentences with the run's checkpoint. If the run has no encoder, the record says
/// so, and only the other steps of the case test the loader.
pub fn real(case_run: &mut CaseRun<'_>) -> Result<(), CaseEnd> {
    let text = GOLDEN.get_file("sentences.json").and_then(|file| file.contents_utf8());
    let golden: Sentences =
        serde_json::from_str(text.ok_or_else(|| CaseEnd::Fault("no sentences".to_owned()))?)
            .map_err(oracle_fault)?;
    let path = match (case_run.context.kind(), &case_run.context.setting.checkpoint) {
        (Kind::Encoder(_), Some(path)) => path.clone(),
        (Kind::Unknown(why), _) => return Err(CaseEnd::Untested(why.clone())),
        _ => {
            case_run.begin("no encoder was given with --model: only the generated model is tested");
            return Ok(());
        }
    };
    case_run.begin("run the checkpoint of --model on sentences");
    let (given, expected) = case_run.gathering(|_| {
        let untested = |why: String| CaseEnd::Untested(format!("--model: {why}"));
        let given = Given::read(&path).map_err(|error| CaseEnd::Untested(error.to_string()))?;
        let batch = tokens(&given, &golden.texts).map_err(untested)?;
        let oracle = Oracle::new(&given.model, Precision::F64);
        let expected = oracle.and_then(|mut oracle| oracle.forward(&batch, false));
        let expected = expected.map_err(|error| untested(format!("the oracle: {error}")))?;
        Ok((given, expected.output))
    })?;
    let digest = given.fixture.sha256().to_owned();
    let folder = given.folder.clone();
    let (unusual, fixture) = (Arc::clone(&given.unusual), Arc::clone(&given.fixture));
    let request = request::Load {
        path: path.clone(),
        format: request::Format::Safetensors,
        device: case_run.device(),
        keep: DtypePolicy::Stored,
        expect_sha256: Some(digest.clone()),
        seal: None,
        admit: true,
        inference: Some(Inference {
            config: Some(folder.join("config.json")),
            tokenizer: Some(folder.join("tokenizer.json")),
            template: None,
            generation: None,
            head: given.model.head.clone(),
        }),
    };
    let handle = match case_run.ask(Request::Load(request), 1 << 30)? {
        Ok(Reply::Load(loaded)) => loaded.handle,
        Ok(other) => return Err(CaseEnd::Fault(format!("a {} reply to load", other.verb()))),
        Err(failure) => {
            return Err(match left_open(&unusual, &fixture, &failure) {
                None => case_run.unexpected("loaded", &failure),
                Some(why) => case_run.not_decided(why, &failure),
            });
        }
    };
    let texts = Input::Texts(golden.texts.clone());
    let given = match batch::ask(case_run, (handle, OutputKind::Embedding), texts, false)? {
        Ok(given) => given.output,
        Err(failure) => return Err(case_run.unexpected("an output", &failure)),
    };
    compare::output(case_run, "embeddings", &given, &expected, TOLERANCE)?;
    if digest == golden.sha256 {
        by_transformers(case_run, &golden, &given)?;
    }
    match case_run.ask(Request::Unload(request::Unload { handle }), 0)? {
        Ok(_) => Ok(()),
        Err(failure) => Err(case_run.unexpected("unloaded", &failure)),
    }
}

/// Values, cosines, and which sentences lie closer.
fn by_transformers(
    case_run: &mut CaseRun<'_>,
    golden: &Sentences,
    given: &State,
) -> Result<(), CaseEnd> {
    case_run.begin("compare with what transformers gives for this checkpoint");
    let bytes = GOLDEN.get_file("golden_output.bin").map(|file| file.contents());
    let values = golden_values(bytes.unwrap_or_default()).map_err(oracle_fault)?;
    let wanted = State { name: given.name.clone(), shape: given.shape.clone(), values };
    compare::golden(case_run, "embeddings", given, &wanted, TOLERANCE)?;
    let width = given.shape.last().copied().unwrap_or(1);
    let cosine = |a: usize, b: usize| {
        let row = |at: usize| &given.values[at * width..][..width];
        row(a).iter().zip(row(b)).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
    };
    let count = golden.texts.len();
    let (mut far, mut nearest_stranger, mut furthest_kin) = (0f64, f64::MIN, f64::MAX);
    for a in 0..count {
        for b in a + 1..count {
            let own = cosine(a, b);
            far = far.max((own - golden.cosines[a][b]).abs());
            match golden.related.contains(&(a, b)) {
                true => furthest_kin = furthest_kin.min(own),
                false => nearest_stranger = nearest_stranger.max(own),
            }
        }
    }
    let texts = |digits: Digits| {
        let far = digits.scientific(far, 1);
        (format!("at most {TOLERANCE:e} off transformers'"), format!("{far} off transformers'"))
    };
    case_run.check(Check::measured("cosines of all pairs", texts, Basis::Observed))?;
    let texts = |digits: Digits| {
        let stranger = digits.fixed(nearest_stranger, 3);
        (format!("above {stranger}"), digits.fixed(furthest_kin, 3))
    };
    let what = "related sentences lie closer than any others";
    case_run.check(Check::measured(what, texts, Basis::Observed))
}

/// The sentences as the checkpoint's own tokenizer encodes them.
fn tokens(given: &Given, texts: &[String]) -> Result<Batch, String> {
    let path = given.folder.join("tokenizer.json");
    let told = |error: &dyn std::fmt::Display| format!("tokenizer.json: {error}");
    let mut tokenizer = Tokenizer::from_file(path).map_err(|error| told(&error))?;
    tokenizer.with_padding(Some(PaddingParams::default()));
    tokenizer.with_truncation(None).map_err(|error| told(&error))?;
    let encoded = tokenizer.encode_batch(texts.to_vec(), true).map_err(|error| told(&error))?;
    let all = |get: fn(&tokenizers::Encoding) -> &[u32]| -> Vec<i64> {
        encoded.iter().flat_map(get).map(|value| i64::from(*value)).collect()
    };
    Ok(Batch::Tokens {
        rows: texts.len(),
        columns: encoded.first().map_or(0, |first| first.len()),
        ids: all(tokenizers::Encoding::get_ids),
        mask: all(tokenizers::Encoding::get_attention_mask),
        types: Vec::new(),
    })
}
