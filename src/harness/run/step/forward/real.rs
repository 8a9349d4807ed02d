//! Runs the run's own checkpoint, if it is an encoder. Texts go through the checkpoint's tokenizer,
//! and the output is compared with the oracle. For the checkpoint that the golden was made from, it
//! is also compared with transformers.

use std::sync::Arc;

use include_dir::{Dir, include_dir};
use serde::Deserialize;
use tokenizers::{PaddingParams, Tokenizer};

use crate::contract::inference::{
    Batch, Compute, Inference, Input, OutputKind, State, TracedForward,
};
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
        parallel: None,
        inference: Some(Inference {
            config: Some(folder.join("config.json")),
            tokenizer: Some(folder.join("tokenizer.json")),
            template: None,
            generation: None,
            head: given.model.head.clone(),
            compute: Compute::Exact,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use serde_json::json;

    use super::*;
    use crate::contract::inference::{Output, Pooling};
    use crate::contract::reply::{Forwarded, Written};
    use crate::contract::{Capability, Device, Failure, Phase};
    use crate::harness::evidence::digest::sha256_hex;
    use crate::harness::model::{Architecture, HeadKind, file, random};
    use crate::harness::run::Setting;
    use crate::harness::run::trial::{self, Tried};

    fn golden() -> (Sentences, State) {
        let text = GOLDEN.get_file("sentences.json").unwrap().contents_utf8().unwrap();
        let golden: Sentences = serde_json::from_str(text).unwrap();
        let values =
            golden_values(GOLDEN.get_file("golden_output.bin").unwrap().contents()).unwrap();
        let shape = vec![golden.texts.len(), values.len() / golden.texts.len()];
        (golden, State { name: "embedding".to_owned(), shape, values })
    }

    /// The first check that does not hold of outputs for the golden sentences.
    fn broken(change: impl Fn(&mut Sentences, &mut State)) -> Option<String> {
        let (mut golden, mut given) = golden();
        change(&mut golden, &mut given);
        let case = trial::case("{}", "{}", "[]");
        let tried = trial::with(
            &case,
            &Capability::ALL,
            |_| {},
            |_| None,
            |case_run| by_transformers(case_run, &golden, &given),
        );
        assert_eq!(tried.end.is_ok(), tried.broken().is_none());
        tried.broken().map(|(what, _)| what.to_owned())
    }

    #[test]
    fn outputs_are_held_to_those_of_transformers() {
        assert_eq!(broken(|_, _| {}), None);
        let off = broken(|_, given| given.values[7] += 1e-3);
        assert_eq!(off.as_deref(), Some("embeddings against its golden"));
        // Values within the tolerance, and a cosine that another script has written.
        let other = broken(|golden, _| golden.cosines[1][2] += 1e-3);
        assert_eq!(other.as_deref(), Some("cosines of all pairs"));
        let unlike = broken(|golden, _| golden.related = vec![(0, 4)]);
        assert_eq!(unlike.as_deref(), Some("related sentences lie closer than any others"));
    }

    #[test]
    fn without_an_encoder_nothing_more_is_tried() {
        let case = trial::case("{}", "{}", "[{real: {}}]");
        let asked = |_: &Request| panic!("a loader was asked");
        let tried = trial::tried(&case, &Capability::ALL, |_| {}, asked);
        assert!(tried.end.is_ok());
        assert!(tried.steps[0].does.starts_with("no encoder was given"), "{}", tried.steps[0].does);
        // What the judge cannot describe is not judged.
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), r#"{"model_type": "mamba"}"#).unwrap();
        let given = |setting: &mut Setting| {
            setting.checkpoint = Some(folder.path().join("model.safetensors"));
        };
        let tried = trial::tried(&case, &Capability::ALL, given, asked);
        assert!(
            tried.why().starts_with("--model: ") && tried.why().contains("mamba"),
            "{:?}",
            tried.end
        );
    }

    /// A made BERT, and a tokenizer that knows every word of the golden sentences.
    fn encoder(folder: &Path) -> PathBuf {
        let head = HeadKind::Embedding(Pooling::Mean);
        let mut recipe = random::recipe(Architecture::Bert, Some(head), 11);
        recipe.sizes.positions = 64;
        file::write_recipe(&recipe, folder, &|_| ()).unwrap();
        let (golden, _) = golden();
        let words: BTreeSet<&str> =
            golden.texts.iter().flat_map(|text| text.split_whitespace()).collect();
        let mut ids = json!({"[PAD]": 0, "[UNK]": 1});
        words.iter().enumerate().for_each(|(at, word)| ids[*word] = (at + 2).into());
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
            "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "vocab": ids, "unk_token": "[UNK]"},
        });
        std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
        folder.join("model.safetensors")
    }

    /// What is told of a loader whose output is the oracle's, but for a change.
    fn of_checkpoint(change: fn(&mut State), unloads: bool) -> Tried {
        let folder = tempfile::tempdir().unwrap();
        let path = encoder(folder.path());
        let given = Given::read(&path).unwrap();
        let batch = tokens(&given, &golden().0.texts).unwrap();
        let mut oracle = Oracle::new(&given.model, Precision::F64).unwrap();
        let mut output = oracle.forward(&batch, false).unwrap().output;
        change(&mut output);
        let case = trial::case("{}", "{}", "[{real: {}}]");
        let setting = |setting: &mut Setting| setting.checkpoint = Some(path);
        let answer = |asked: &Request| match asked {
            Request::Forward(asked) => {
                let Input::Texts(texts) = &asked.input else { panic!("{:?}", asked.input) };
                assert_eq!(*texts, golden().0.texts);
                Some(Ok(Reply::Forward(answered(&output, &asked.into))))
            }
            Request::Unload(_) if !unloads => {
                Some(Err(Failure::unsupported(Phase::Request, "it stays")))
            }
            _ => None,
        };
        trial::tried(&case, &Capability::ALL, setting, answer)
    }

    /// Writes an output as a loader does.
    fn answered(output: &State, into: &Path) -> Forwarded {
        let bytes = output.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let name = OutputKind::Embedding.name();
        let tensor = (name, safetensors::Dtype::F32, output.shape.clone(), bytes);
        batch::write_tensors(&[tensor], into).unwrap();
        let file = std::fs::read(into).unwrap();
        let written = Written { bytes: file.len() as u64, sha256: sha256_hex(&file) };
        let [rows, width] = output.shape[..] else { panic!("{:?}", output.shape) };
        let output = Output::Embedding { shape: [rows as u64, width as u64] };
        Forwarded { written, device: Device::Cpu, output, elapsed_us: None }
    }

    #[test]
    fn sentences_go_through_the_checkpoints_own_tokenizer() {
        let right = of_checkpoint(|_| {}, true);
        assert!(right.end.is_ok(), "{:?}", right.end);
        assert_eq!(right.steps[0].does, "run the checkpoint of --model on sentences");
        assert_eq!(right.steps.len(), 1, "no golden is of this checkpoint");
        assert_eq!(right.steps[0].checks.last().unwrap().what, "embeddings");
        // One sentence's embedding in the place of another's.
        let moved = of_checkpoint(
            |output| {
                let width = output.shape[1];
                output.values.copy_within(..width, width);
            },
            true,
        );
        assert_eq!(moved.broken().map(|(what, _)| what), Some("embeddings"));
        let kept = of_checkpoint(|_| {}, false);
        assert_eq!(kept.broken().map(|(what, _)| what), Some("answer"));
    }
}
