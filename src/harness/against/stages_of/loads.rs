//! Steps about loads, bytes and what is held.

use crate::contract::Device;
use crate::harness::against::refusal::{HELD, and_nothing_held, besides, refusal};
use crate::harness::against::stage::{Name, Stage, stage};
use crate::harness::case::divide::{Divide, DividedOutcome};
use crate::harness::case::expect::{LoadCheck, LoadOutcome};
use crate::harness::case::step::{Load, Step};
use crate::harness::run::case_run::words::wire;

/// What the last check of a comparison is called.
const BYTES: &str = " tensors, byte for byte, through ";

/// The same, also of the slices of a divided model.
const ANY_BYTES: &str = ", byte for byte, through ";

/// The ways through a load: it is served or refused, where the case allows both.
pub(super) fn load(step: &Load, device: Device) -> Vec<Stage> {
    let begins = match step.next_card {
        // Which card this is depends on how many there are.
        true => format!("load {} to ", step.file),
        false => format!("load {} to {}, ", step.file, step.device.unwrap_or(device)),
    };
    // Behind a refusal of which nobody can say whether it is wrong, nothing may be held.
    let more = [Name::Has(" gate"), Name::is(HELD)];
    let one = |checks: Vec<Name>| stage(begins.clone(), checks);
    let full = |checks: Vec<Name>| one(checks).also(more.clone());
    match &step.expect {
        LoadOutcome::Loaded(checks) => vec![full(loaded(step, checks))],
        LoadOutcome::Refused(refused) => {
            vec![one(and_nothing_held(refusal(refused))).also(besides(refused))]
        }
        LoadOutcome::Either(either) => {
            let also = besides(&either.refused);
            let refused = one(and_nothing_held(refusal(&either.refused))).also(also);
            let refused = Stage { refuses: Some(step.name.clone()), ..refused };
            vec![full(loaded(step, &either.loaded)), refused]
        }
        LoadOutcome::OneOf(_) => vec![
            one(vec![Name::is("answer"), Name::is(HELD)]),
            one(vec![Name::is("digest"), Name::Has(BYTES)]).also(fetched()),
        ],
    }
}

/// What is compared as the bytes of a model are fetched, of each block or once.
fn fetched() -> [Name; 4] {
    [
        Name::is("kind of memory, by the driver"),
        on_card(),
        Name::is("SHA-256 of the file written"),
        Name::is("size of the file written"),
    ]
}

/// What NVML tells of the card of exported memory.
pub(super) fn on_card() -> Name {
    Name::begins("memory of the loader on ")
}

fn loaded(step: &Load, asked: &[LoadCheck]) -> Vec<Name> {
    let mut checks = Vec::new();
    checks.extend(step.within_ms.map(|_| Name::is("time of the load")));
    checks.extend(step.least_gbps.map(|_| Name::is("rate of the load")));
    let times = asked.contains(&LoadCheck::Times);
    checks.extend(times.then(|| Name::is("the sum of the loader's own times")));
    checks.extend(step.shares_ms.keys().map(|share| Name::Is(format!("time of {}", wire(share)))));
    for check in asked {
        match check {
            LoadCheck::Device => checks.push(Name::is("device")),
            LoadCheck::Table => {
                checks.extend([Name::is("size of the file"), Name::begins("table of ")]);
            }
            LoadCheck::Sha256 => checks.push(Name::is("SHA-256 of the file")),
            LoadCheck::Metadata => checks.push(Name::is("__metadata__")),
            LoadCheck::Gates => checks.push(Name::Has(" gate")),
            LoadCheck::Held => checks.push(Name::is("bytes held for the model")),
            LoadCheck::Transfer => checks.push(Name::is("transfer")),
            LoadCheck::Plan => checks.extend([
                Name::is("bytes of weights"),
                Name::is("tokens planned for"),
                Name::begins("bytes of keys and values in "),
                Name::begins("bytes of weights on the device, "),
                Name::is("bytes held, and bytes planned"),
            ]),
            LoadCheck::Whole | LoadCheck::Streamed => checks.push(Name::is("mode")),
            LoadCheck::Unused => checks.push(Name::is("unused tensors")),
            // Compared before all others.
            LoadCheck::Times => {}
        }
    }
    checks
}

/// The ways through a load that is divided over ranks. Ranks in turn repeat all checks but the last. One in which a
/// rank is lost may be refused.
pub(super) fn divided(step: &Divide) -> Vec<Stage> {
    let Divide { file, tp, pp, replicas, .. } = step;
    let begins = format!("divide {file} over tp {tp}, pp {pp}, replicas {replicas}");
    let reads = step.reads.then(|| Name::begins("bytes read beyond "));
    let each = [
        Name::is("ranks and their devices"),
        Name::is("size of the file"),
        Name::begins("table of "),
        Name::begins("slices of rank "),
        Name::begins("bytes held by rank "),
        Name::is("bytes held by all ranks"),
    ];
    let all = [Name::is("what the ranks say they hold")];
    let held: Vec<Name> = reads.clone().into_iter().chain(each.clone()).chain(all).collect();
    let full = |checks: Vec<Name>| {
        stage(begins.clone(), checks).also(reads.clone()).also(each.clone()).also(fetched())
    };
    match (&step.expect, step.lose) {
        (DividedOutcome::Refused(refused), _) => {
            let checks = and_nothing_held(refusal(refused));
            vec![stage(begins, checks).also(besides(refused))]
        }
        (DividedOutcome::Held, None) => vec![full(held)],
        (DividedOutcome::Held, Some(lose)) => {
            let left = lose.ends().then(|| Name::is("processes of ranks that are left"));
            // Only where a request for a rank was refused, the other processes must be gone.
            let of_ranks = left.clone().filter(|_| !lose.in_load());
            let served = full(held.into_iter().chain([Name::is(HELD)]).collect());
            let served = served.also(of_ranks).also([Name::begins("answer for rank ")]);
            let refused = [Name::is("answer"), Name::is(HELD)].into_iter().chain(left);
            let refused = lose.in_load().then(|| full(refused.collect()));
            std::iter::once(served).chain(refused).map(|way| way.more(&["lose a rank"])).collect()
        }
    }
}

/// Other steps about what is loaded.
pub(super) fn of(step: &Step) -> Option<Stage> {
    Some(match step {
        Step::Compare(step) => {
            let begins = format!("fetch every byte of {} and compare", step.model);
            // A divided model has one such check for each rank.
            let ranks = Name::begins("slices of rank ");
            stage(begins, vec![Name::Has(ANY_BYTES)]).also(fetched()).also([ranks])
        }
        Step::LoadBeside(step) => stage(
            format!("load {} in a second process to ", step.file),
            vec![Name::is("the load of the second process")],
        )
        .also([Name::is(HELD)]),
        Step::CompareBeside(_) => {
            let checks = vec![Name::is("device"), Name::Has(BYTES)];
            let answered = [Name::is("the stopped process"), Name::is(HELD)];
            stage("compare what the second process holds", checks).also(fetched()).also(answered)
        }
        Step::Poke(step) => stage(
            format!("write into {} by CUDA IPC, ", step.model),
            vec![
                Name::is("kind of memory, by the driver"),
                Name::begins("size of "),
                Name::is("SHA-256 of the file written"),
                Name::is("what the loader reads"),
            ],
        )
        .also(fetched()),
        Step::Flips(step) => {
            stage(format!("load {}, ", step.file), vec![Name::is("loads refused"), Name::is(HELD)])
        }
        Step::Stat(step) => {
            let mut checks = vec![Name::is("models")];
            let bytes = !step.bytes_of.is_empty() || step.models == 0;
            checks.extend(bytes.then(|| Name::is("bytes held")));
            stage("ask what is held", checks)
        }
        Step::Unload(step) => stage(format!("unload {}", step.model), vec![Name::is(HELD)]),
        Step::Write(step) => {
            stage(format!("write {} over the path of {}", step.from, step.over), vec![])
        }
        Step::Remove(step) => stage(format!("remove {} from the disk", step.file), vec![]),
        Step::UseAfterUnload(step) => stage(
            format!("send every request for {}, ", step.model),
            and_nothing_held(refusal(&step.refused)),
        )
        .also(refusal(&step.refused)),
        Step::MalformedRequest(step) => stage(
            format!("send a request that is not part of the contract: {}", step.request),
            and_nothing_held(refusal(&step.refused)),
        ),
        _ => return None,
    })
}
