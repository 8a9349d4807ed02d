//! Steps that run models.

use super::loads::on_card;
use crate::harness::against::refusal::{HELD, refusal};
use crate::harness::against::stage::{Name, Stage, stage};
use crate::harness::case::forward::{Forward, GoldenFlaw, Relation, Validate, WholeSet};
use crate::harness::case::generate::{Generate, Throughput};
use crate::harness::case::step::Step;
use crate::harness::model::registry;
use crate::harness::run::case_run::words::plain;

/// What a model may give: the name of the check of its values.
const OUTPUTS: &[&str] = &["embedding", "token_states", "logits"];

const RAN: &str = "where it ran";

/// The ways through a step with the run's own checkpoint, which may be none.
pub(super) fn real() -> Vec<Stage> {
    let seen = ["embeddings", "embeddings against its golden", "cosines of all pairs", HELD, RAN];
    let also = seen.into_iter().chain(["related sentences lie closer than any others"]);
    vec![
        stage("no encoder was given with --model", vec![]),
        stage("run the checkpoint of --model on sentences", vec![])
            .also(also.map(Name::is))
            .also([Name::is("shape of embeddings")])
            .more(&["compare with what transformers gives"]),
    ]
}

/// The stage of a step that runs a model.
pub(super) fn of(step: &Step) -> Option<Stage> {
    Some(match step {
        Step::Forward(step) => {
            stage(format!("run {} on {} inputs", step.model, step.rows), forward(step))
                .also(["shape of ", "state "].map(Name::begins))
        }
        Step::RejectInput(step) => {
            let mut checks = refusal(&step.refused);
            checks.extend([Name::is(RAN), Name::is("rows, sound input")]);
            let input = plain(step.input);
            stage(format!("give an input that the model must refuse: {input}"), checks)
        }
        Step::Relate(step) => {
            let last = match step.by {
                Relation::Padding => Name::is("output with more padding"),
                Relation::Batching => Name::is("sentence 0 alone"),
                Relation::ChangedWeight => Name::begins("change by "),
                Relation::OtherMask | Relation::OtherTypes | Relation::OtherLastRow => {
                    Name::is("output for the other batch")
                }
                Relation::DoubledNorm | Relation::PermutedVocabulary | Relation::ExchangedHeads => {
                    Name::is("output of the changed model")
                }
            };
            stage(format!("relate two runs: {}", plain(step.by)), vec![Name::is(RAN), last]).also([
                Name::is(RAN),
                Name::begins("shape of "),
                Name::begins("sentence "),
            ])
        }
        Step::Validate(step) => stage(
            format!("validate {} with a golden, flaw: {}", step.model, plain(step.golden)),
            validated(step),
        ),
        Step::WholeSet(step) => {
            stage(format!("make the {} models", step.scale.name()), whole_set(step))
                .also([Name::begins("shape of ")])
                .more(&["load ", "ask what is held"])
        }
        Step::Generate(step) => {
            let also =
                ["shape of logits", "text of the tokens", "reason to stop", "answer"].map(Name::is);
            stage(format!("generate with {} from ", step.model), generated(step)).also(also)
        }
        Step::Sample(step) => stage(
            format!("sample answers of {} to ", step.model),
            vec![
                Name::is("tokens"),
                Name::is("answers of several seeds"),
                Name::begins("seed "),
                Name::begins("seed "),
                Name::is("how often tokens come"),
            ],
        ),
        Step::BitIdentical(step) => stage(
            format!("run {} and {} on the same input", step.model, step.to),
            vec![
                Name::is(RAN),
                Name::begins("tokens given to "),
                Name::is(RAN),
                Name::begins("tokens given to "),
                Name::is("logits of a batch"),
                Name::begins("shape of "),
                Name::is("logits of every step"),
                Name::is("tokens"),
            ],
        ),
        Step::Agree(step) => {
            let first = step.models.first().map(String::as_str).unwrap_or_default();
            let mut checks = vec![Name::Is(format!("tokens given to {first}"))];
            for name in step.models.iter().skip(1) {
                checks.push(Name::Is(format!("tokens given to {name}")));
                checks.push(Name::Is(format!("tokens of {name}, as of {first}")));
                checks.push(Name::Is(format!("logits of {name}, compared with those of {first}")));
                checks.push(Name::Is(format!("bytes held for {name}, as for {first}")));
            }
            stage(format!("ask {} the same: ", step.models.join(" and ")), checks)
                .also([Name::begins("shape of logits of ")])
        }
        Step::Drift(step) => stage(
            format!("compare {} with {}, unquantised", step.model, step.from),
            vec![
                Name::is("matrices compared with the unquantised"),
                Name::is(RAN),
                Name::is("shape of the logits"),
                Name::is("logits compared with the unquantised"),
            ],
        ),
        Step::StoredGolden(step) => stage(
            format!("compare {} with what transformers gives", step.model),
            vec![Name::begins("logits of "), Name::is("tokens of transformers")],
        )
        // Once for each prompt.
        .also([
            Name::is(RAN),
            Name::begins("logits of "),
            Name::is("tokens of transformers"),
        ]),
        Step::Throughput(step) => {
            stage(format!("time {} tokens of {}", step.tokens, step.model), timed(step))
                .also([Name::is("tokens")])
                .more(&["time "])
        }
        Step::Tamper(step) => stage(
            format!("write other weights into {} by CUDA IPC", step.model),
            vec![Name::is("kind of memory, by the driver"), Name::is("output before")],
        )
        .also([Name::is(RAN), Name::is("kind of memory, by the driver"), on_card()])
        .also(
            ["tokens given to ", "size of ", "shape of output ", "output with "].map(Name::begins),
        ),
        Step::Multiply(step) => stage(
            format!("multiply {} by {}", step.a, step.b),
            vec![
                Name::is("library mapped in the process"),
                Name::is("largest relative error against float64"),
            ],
        ),
        _ => return None,
    })
}

fn forward(step: &Forward) -> Vec<Name> {
    let mut checks = Vec::new();
    for time in 0..step.times {
        checks.extend([Name::is(RAN), Name::begins("shape of "), Name::OneOf(OUTPUTS)]);
        checks.extend(step.trace.then(|| Name::begins("state ")));
        checks.extend((time > 0).then(|| Name::is("the same input again")));
    }
    checks
}

fn validated(step: &Validate) -> Vec<Name> {
    if let Some(refused) = &step.refused {
        return refusal(refused);
    }
    let mut checks = vec![Name::is("values compared"), Name::is(RAN)];
    let moved = step.golden == GoldenFlaw::MovedInside;
    if moved {
        checks.push(Name::is("largest difference reported"));
        checks.push(Name::is("where the largest difference is"));
    }
    checks.extend(step.timed.then(|| Name::is("the loader's own time")));
    checks.extend(step.within_ms.map(|_| Name::is("time of the validation")));
    checks
}

fn whole_set(step: &WholeSet) -> Vec<Name> {
    let mut checks = Vec::new();
    for entry in registry::models().unwrap_or_default() {
        checks.extend([Name::is("digest"), Name::is(RAN)]);
        checks.push(Name::Is(format!("{} against its golden", entry.id)));
    }
    checks.push(Name::is("models held at once"));
    checks.extend(step.within_s.map(|_| Name::is("time of all thirteen")));
    checks.extend(step.mean_within_s.map(|_| Name::is("mean time of a load")));
    checks.push(Name::is(HELD));
    checks
}

fn generated(step: &Generate) -> Vec<Name> {
    let mut checks = Vec::new();
    for time in 0..step.times {
        if let Some(refused) = &step.refused {
            checks.extend(refusal(refused));
            continue;
        }
        checks.extend([
            Name::is(RAN),
            Name::is("number of tokens"),
            Name::is("tokens given to the model"),
            Name::is("tokens"),
        ]);
        checks.extend(step.varies.then(|| Name::is("sampled tokens")));
        checks.push(Name::is("reason to stop"));
        checks.extend(step.logits.then(|| Name::is("logits")));
        checks.extend((time > 0).then(|| Name::is("the same again")));
    }
    checks
}

fn timed(step: &Throughput) -> Vec<Name> {
    let mut checks = Vec::new();
    checks.extend(step.first_within_ms.map(|_| Name::is("time to the first token")));
    checks.extend(step.least_per_second.map(|_| Name::is("tokens")));
    let longer = step.longer_prompt.is_some() && step.most_exponent.is_some();
    checks.extend(longer.then(|| Name::begins("exponent of a token's time over ")));
    let compared = step.than.is_some() && step.least_times.is_some();
    checks.extend(compared.then(|| Name::begins("speed compared with ")));
    let beside = step.most_shortfall.is_some();
    checks.extend(beside.then(|| Name::is("rate compared with the GGUF runtime's")));
    checks.extend(step.least_busy.map(|_| Name::is("utilisation while generating")));
    checks
}
