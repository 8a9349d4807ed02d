//! Edits of what a report says of itself: profile, suite, loader, run and machine.

use weighbridge::harness::record::health::{Health, Reading, State};
use weighbridge::harness::record::plan_part::{Ids, PlanPart};
use weighbridge::harness::record::seed::SEALED;
use weighbridge::harness::record::{Commitment, Part, Record, known};

use super::edit::How::Record as Rec;
use super::edit::{Edit, Mark, noticed, unnoticed};
use super::runs::Base::{Earned, Parts, Refuted};

const TOLD: &str = "the loader's own word";
const RUN: &str = "the run's own word";

/// Every edit of this kind.
pub fn edits() -> Vec<Edit> {
    [of_suite(), of_loader(), of_run(), of_plan(), of_known()].concat()
}

fn of_suite() -> Vec<Edit> {
    vec![
        noticed("profile host made full", Refuted, Rec(|it| it.subject.profile = "full".into())),
        noticed(
            "profile made a class",
            Refuted,
            Rec(|it| {
                it.subject.profile = "weights-host".into();
            }),
        ),
        noticed("class made another class", Earned, Rec(|it| it.subject.profile = "gguf".into())),
        noticed("class made a profile", Earned, Rec(|it| it.subject.profile = "host".into())),
        noticed(
            "profile that the suite does not have",
            Refuted,
            Rec(|it| {
                it.subject.profile = "gold".into();
            }),
        ),
        noticed("version of the suite", Earned, Rec(|it| it.subject.suite = "9.9.9".into())),
        noticed("commit", Earned, Rec(|it| it.subject.commit = "0".repeat(40))),
        noticed("digest of the spec", Earned, Rec(|it| it.subject.spec = "0".repeat(64))),
        noticed("digest of the cases", Earned, Rec(|it| it.subject.cases = "0".repeat(64))),
        noticed("digest of the fixtures", Earned, Rec(|it| it.subject.fixtures = "0".repeat(64))),
        Edit {
            kind: "digests of spec, cases and program, commit, and a failed requirement made a warning",
            of: Refuted,
            how: Rec(|it| {
                let subject = &mut it.subject;
                for digest in [&mut subject.spec, &mut subject.cases, &mut subject.binary] {
                    *digest = "0".repeat(64);
                }
                subject.commit = "0".repeat(40);
                it.requirements.iter_mut().for_each(|row| row.warning = true);
            }),
            mark: Mark::OtherSuite,
        },
        unnoticed(
            "digest of the judge's program",
            Earned,
            Rec(|it| it.subject.binary = "0".repeat(64)),
            "another build of the same suite has another digest",
        ),
    ]
}

fn of_loader() -> Vec<Edit> {
    vec![
        unnoticed("loader's name", Earned, Rec(|it| it.subject.loader = "other".into()), TOLD),
        unnoticed(
            "loader's version",
            Earned,
            Rec(|it| it.subject.loader_version = "9".into()),
            TOLD,
        ),
        unnoticed(
            "loader's command line",
            Earned,
            Rec(|it| part(it).command.push("-O".into())),
            RUN,
        ),
        unnoticed(
            "loader's environment",
            Earned,
            Rec(|it| {
                part(it).environment.insert("FAST".into(), "1".into());
            }),
            RUN,
        ),
        noticed(
            "capability of a tried case made unsupported",
            Earned,
            Rec(|it| {
                part(it).capabilities.insert("read".into(), "no: not yet".into());
            }),
        ),
        noticed(
            "capability of a tried case removed",
            Refuted,
            Rec(|it| {
                part(it).capabilities.remove("dtype.bf16");
            }),
        ),
        noticed(
            "feature of the class added",
            Earned,
            Rec(|it| {
                part(it).capabilities.insert("widen".into(), "yes".into());
            }),
        ),
        unnoticed(
            "feature withdrawn with all its cases",
            Earned,
            Rec(|it| {
                part(it).capabilities.insert("metadata".into(), "no: not yet".into());
                let table = it.classes.clone().expect("a table");
                let relies = |id: &str| {
                    let mut cases = table.cases();
                    cases.any(|(case, words)| case == id && words.contains(&"metadata"))
                };
                for row in &mut it.requirements {
                    row.cases.retain(|id| !relies(id));
                    row.in_profile &= !row.cases.is_empty();
                }
                it.cases.retain(|case| !relies(&case.id));
            }),
            TOLD,
        ),
        unnoticed(
            "capability beyond the class added",
            Earned,
            Rec(|it| {
                part(it).capabilities.insert("format.gguf".into(), "yes".into());
            }),
            "no case of this run tries it",
        ),
        noticed(
            "capability of an unsupported case made supported",
            Refuted,
            Rec(|it| {
                let case = it.cases.iter().find(|case| case.verdict.name() == "unsupported");
                let reason = case.and_then(|case| case.reason.clone()).expect("a reason");
                let name = reason.split(':').next().expect("a name").to_owned();
                part(it).capabilities.insert(name, "yes".into());
            }),
        ),
        noticed(
            "capability that the contract does not have",
            Earned,
            Rec(|it| {
                part(it).capabilities.insert("teleport".into(), "yes".into());
            }),
        ),
        noticed(
            "declaration in other words than a run's",
            Earned,
            Rec(|it| {
                part(it).capabilities.insert("teleport".into(), "certainly".into());
            }),
        ),
    ]
}

fn of_run() -> Vec<Edit> {
    vec![
        noticed("device cpu made cuda:0", Earned, Rec(|it| part(it).device = "cuda:0".into())),
        noticed("seed", Earned, Rec(|it| part(it).seed = "00000000deadbeef".into())),
        noticed("seed, and the seed in every command", Earned, Rec(other_seed)),
        unnoticed(
            "seed that was given, and the seed in every command",
            Refuted,
            Rec(other_seed),
            "what a seed gave is not in the report",
        ),
        noticed("salt of the seed", Earned, Rec(|it| commitment(it).salt = "0".repeat(64))),
        noticed("commitment to the seed", Earned, Rec(|it| commitment(it).sha256 = "0".repeat(64))),
        noticed("commitment to the seed removed", Earned, Rec(|it| part(it).commitment = None)),
        noticed(
            "seed that was given said to be secret",
            Refuted,
            Rec(|it| part(it).seed_given = false),
        ),
        noticed(
            "seed taken back",
            Earned,
            Rec(|it| {
                let secrets = part(it).secrets();
                (part(it).seed, commitment(it).salt) = (SEALED.into(), SEALED.into());
                for case in &mut it.cases {
                    *case = case.without_secrets(&secrets);
                }
            }),
        ),
        unnoticed(
            "seed, the seed in every command, and the commitment",
            Earned,
            Rec(|it| {
                other_seed(it);
                part(it).commitment = Some(Commitment::to("00000000deadbeef", &[0; 32]));
            }),
            "the commitment stands at the journal's beginning, which is another file",
        ),
        unnoticed(
            "seed and commitment made a seed that was given",
            Earned,
            Rec(|it| {
                other_seed(it);
                (part(it).commitment, part(it).seed_given) = (None, true);
            }),
            RUN,
        ),
        noticed("selection removed", Refuted, Rec(|it| part(it).selection = None)),
        noticed(
            "selection of another section",
            Refuted,
            Rec(|it| {
                part(it).selection = Some("--section IV".into());
            }),
        ),
        noticed(
            "selection of another case",
            Refuted,
            Rec(|it| {
                part(it).selection = Some("--case F-DTYPE-048".into());
            }),
        ),
        unnoticed(
            "what was synthetic",
            Earned,
            Rec(|it| {
                part(it).synthetic.push("and some more".into());
            }),
            RUN,
        ),
        noticed(
            "readings of a card in a run without one",
            Refuted,
            Rec(|it| {
                part(it).health = Some(Health {
                    before: vec![Reading {
                        what: "uncorrected memory errors".into(),
                        found: "3".into(),
                        limit: "0".into(),
                        source: "NVML's counter".into(),
                        state: State::Sick,
                        remedy: None,
                    }],
                    ..Health::default()
                });
            }),
        ),
        noticed("run removed", Parts, Rec(|it| drop(it.parts.pop()))),
        noticed("run repeated", Parts, Rec(|it| it.parts.push(it.parts[0].clone()))),
        unnoticed(
            "time of the run",
            Earned,
            Rec(|it| part(it).started = "2020-01-01T00:00:00Z".into()),
            RUN,
        ),
        unnoticed("duration of the run", Earned, Rec(|it| part(it).seconds = 0.5), RUN),
        unnoticed("processes, jobs and waiting", Earned, Rec(|it| part(it).processes += 1), RUN),
        unnoticed(
            "measurements",
            Earned,
            Rec(|it| {
                part(it).measured.insert("tokens a second".into(), 9e9);
            }),
            "they decide no verdict",
        ),
        unnoticed(
            "name of the GPU",
            Earned,
            Rec(|it| {
                part(it).machine.gpu = Some("NVIDIA H900".into());
            }),
            RUN,
        ),
        unnoticed(
            "UUID of the GPU",
            Earned,
            Rec(|it| {
                part(it).machine.gpu_uuid = Some("GPU-00112233-4455-6677-8899-aabbccddeeff".into());
            }),
            RUN,
        ),
        unnoticed(
            "GPU driver",
            Earned,
            Rec(|it| part(it).machine.driver = Some("999".into())),
            RUN,
        ),
        unnoticed(
            "why there is no GPU",
            Earned,
            Rec(|it| {
                part(it).machine.gpu_error = Some("none today".into());
            }),
            RUN,
        ),
        unnoticed("processor and cores", Earned, Rec(|it| part(it).machine.cores += 64), RUN),
        unnoticed("system", Earned, Rec(|it| part(it).machine.system = "Plan 9".into()), RUN),
        unnoticed("host memory", Earned, Rec(|it| part(it).machine.memory_bytes += 1), RUN),
    ]
}

fn of_plan() -> Vec<Edit> {
    vec![
        noticed("number of a part", Parts, Rec(|it| plan(it).shard = 2)),
        unnoticed(
            "how many parts there are",
            Parts,
            Rec(|it| {
                for part in &mut it.parts {
                    part.plan.as_mut().expect("a plan").of = 3;
                }
            }),
            "a missing part may be empty; the certificate is incomplete at best",
        ),
        noticed("plan's digest in one part", Parts, Rec(|it| plan(it).digest = "0".repeat(64))),
        unnoticed(
            "plan's digest in every part",
            Parts,
            Rec(|it| {
                for part in &mut it.parts {
                    part.plan.as_mut().expect("a plan").digest = "0".repeat(64);
                }
            }),
            "the plan is another file",
        ),
        noticed(
            "canaries removed",
            Parts,
            Rec(|it| {
                for part in &mut it.parts {
                    part.plan.as_mut().expect("a plan").canaries.clear();
                }
            }),
        ),
        noticed("cases of a part", Parts, Rec(|it| plan(it).own = Ids::of([]))),
        noticed(
            "cases of the plan",
            Parts,
            Rec(|it| {
                for part in &mut it.parts {
                    part.plan.as_mut().expect("a plan").all = Ids::of(["F-DTYPE-048::bf16"]);
                }
            }),
        ),
        noticed(
            "one part removed, and the plan said to have one",
            Parts,
            Rec(|it| {
                it.parts.pop();
                it.cases.retain(|case| case.part == 0);
                (plan(it).of, plan(it).shard) = (1, 1);
            }),
        ),
        noticed(
            "case moved to the other part",
            Parts,
            Rec(|it| {
                let canaries = plan(it).canaries.clone();
                let own = |id: &String| !canaries.contains(id);
                let case = it.cases.iter_mut().find(|case| case.part == 0 && own(&case.id));
                case.expect("a case").part = 1;
            }),
        ),
    ]
}

fn of_known() -> Vec<Edit> {
    vec![
        noticed(
            "known failure's last day",
            Refuted,
            Rec(|it| {
                list(it).entries[0].until = "2999-11-30".into();
            }),
        ),
        noticed("known failure removed", Refuted, Rec(|it| list(it).entries.clear())),
        noticed("known failures' digest", Refuted, Rec(|it| list(it).digest = "0".repeat(64))),
        noticed(
            "known failure for everything",
            Refuted,
            Rec(|it| {
                let mut entries = list(it).entries.clone();
                entries[0].pattern = "*".into();
                *list(it) = known::List::of(entries);
            }),
        ),
        unnoticed(
            "known failure's last day, with its digest",
            Refuted,
            Rec(|it| {
                let mut entries = list(it).entries.clone();
                entries[0].until = "2999-11-30".into();
                *list(it) = known::List::of(entries);
            }),
            "the list is the team's own file",
        ),
        unnoticed(
            "known failures removed with their list",
            Refuted,
            Rec(|it| {
                part(it).known = None;
            }),
            "the list is the team's own file",
        ),
    ]
}

fn other_seed(record: &mut Record) {
    let old = std::mem::replace(&mut part(record).seed, "00000000deadbeef".into());
    for case in &mut record.cases {
        case.repeat = case.repeat.replace(&old, "00000000deadbeef");
    }
}

fn commitment(record: &mut Record) -> &mut Commitment {
    part(record).commitment.as_mut().expect("a commitment")
}

fn part(record: &mut Record) -> &mut Part {
    &mut record.parts[0]
}

fn plan(record: &mut Record) -> &mut PlanPart {
    record.parts[0].plan.as_mut().expect("a plan")
}

fn list(record: &mut Record) -> &mut known::List {
    record.parts[0].known.as_mut().expect("a list")
}
