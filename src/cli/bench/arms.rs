//! Times every way to load, in rounds: each round runs every arm once, so that other work of the
//! machine affects all arms alike.

use std::time::Instant;

use super::cold;
use super::figures::{Arm, DIRECT, Limits, PEER_CLOCK, Reachable, Reached, TOGETHER};
use super::limits;
use super::ours::{Mode, Ours, Pin, Taken};
use super::peers::Other;
use super::place::Place;
use super::reachable::Together;
use super::truth::Truth;
use super::turns::{Rounds, settle, whose};
use crate::cli::steps::Steps;
use crate::contract::Device;
use crate::gpu;

/// What is the same for all arms.
pub struct Setting<'a> {
    /// The file.
    pub truth: &'a Truth,
    /// Its expected digests.
    pub pin: &'a Pin,
    /// The device to load to.
    pub device: Device,
    /// Timed loads of each arm.
    pub rounds: u32,
    /// Whether the gates run.
    pub gates: bool,
    /// Shows the current step, and each row as soon as it is known.
    pub steps: &'a Steps,
}

/// The loaders that are timed.
pub struct Field {
    /// The reference loader.
    pub ours: Ours,
    /// The peers that run.
    pub peers: Vec<Other>,
    /// What only reads and copies, while its arm is timed.
    pub together: Option<Together>,
}

#[derive(Clone, Copy)]
enum Runner {
    Own(Mode),
    Peer(usize),
    Direct(usize),
    Together,
}

/// Times every mode and every peer with the file in the page cache, until `end`. On a device an arm that does nothing
/// but read and copy has its turns too, so that it meets the machine in the state in which the loaders meet it.
pub fn warm(
    setting: &Setting<'_>,
    field: &mut Field,
    (place, end): (&Place, Option<Instant>),
    measured: &Limits,
) -> Vec<Arm> {
    let found = measured.reachable.iter().find(|found| found.file_system == place.label);
    let fastest = found.and_then(Reachable::best);
    let mut runners: Vec<Runner> = Mode::ALL.map(Runner::Own).to_vec();
    runners.extend(fastest.map(|_| Runner::Together));
    runners.extend((0..field.peers.len()).map(Runner::Peer));
    let mut arms: Vec<Arm> =
        runners.iter().map(|runner| begin(setting, field, *runner, (place, "warm"))).collect();
    if let Some(how) = fastest {
        let arm = &mut arms[Mode::ALL.len()];
        arm.how = format!(
            "{} threads, pieces of {} KiB, {} slots: read into pinned slots, and asynchronous copies to the device",
            how.threads,
            how.piece_bytes >> 10,
            how.slots
        );
        match together(setting.device, place, how) {
            Ok(together) => field.together = Some(together),
            Err(why) => arm.error = Some(why),
        }
    }
    let mut rounds = Rounds::until(end);
    for round in (0..=setting.rounds).take_while(|round| rounds.begins(*round)) {
        if let Err(error) = limits::warm(&place.file) {
            let why = place.without_folders(&error.to_string());
            arms.iter_mut().for_each(|arm| arm.error = Some(why.clone()));
            break;
        }
        for turn in 0..runners.len() {
            let at = whose(turn, round, runners.len());
            let arm = &mut arms[at];
            if arm.error.is_none() {
                say(setting, arm, round);
                // The first round sets up contexts, kernels and rings, and has its bytes read back.
                let taken = run(setting, field, runners[at], place, round == 0);
                note(arm, taken, round > 0);
                known(setting, arm, round);
            }
        }
    }
    field.together = None;
    arms
}

/// The threads and slots that were found to be the fastest.
fn together(device: Device, place: &Place, how: &Reached) -> Result<Together, String> {
    let Device::Cuda(ordinal) = device else { return Err("the host copies nothing".to_owned()) };
    let context = gpu::Context::open(ordinal).map_err(|error| error.to_string())?;
    Together::new(&[context], &place.file, how)
        .map_err(|error| place.without_folders(&error.to_string()))
}

/// Times loads of a file that is not in the page cache: a plain direct read, which is the limit,
/// then sealed and strict loads, until `end`.
pub fn cold(
    setting: &Setting<'_>,
    field: &mut Field,
    (place, end): (&Place, Option<Instant>),
    measured: &Limits,
) -> Vec<Arm> {
    let found = measured.direct.iter().find(|found| found.file_system == place.label);
    let width = found.and_then(cold::best_width);
    let runners =
        [Runner::Direct(width.unwrap_or(1)), Runner::Own(Mode::Sealed), Runner::Own(Mode::Strict)];
    let mut arms = runners.map(|runner| begin(setting, field, runner, (place, "cold")));
    if let (Some(why), None) = (found.and_then(|found| found.skipped.as_ref()), width) {
        arms.iter_mut().for_each(|arm| arm.skipped = Some(why.clone()));
        return arms.to_vec();
    }
    // The rings were set up by the warm rounds.
    let mut rounds = Rounds::until(end);
    for round in (1..=setting.rounds).take_while(|round| rounds.begins(*round)) {
        for turn in 0..runners.len() {
            let at = whose(turn, round, runners.len());
            let arm = &mut arms[at];
            if arm.error.is_some() || arm.skipped.is_some() {
                continue;
            }
            say(setting, arm, round);
            match cold::drop_from_cache(place) {
                Ok(left) => arm.residual.extend(left),
                Err(why) => {
                    arm.skipped = Some(why);
                    continue;
                }
            }
            let taken = run(setting, field, runners[at], place, false);
            note(arm, taken, true);
            known(setting, arm, round);
        }
    }
    arms.to_vec()
}

fn begin(
    setting: &Setting<'_>,
    field: &Field,
    runner: Runner,
    (place, cache): (&Place, &'static str),
) -> Arm {
    let at = (place.label.as_str(), cache);
    match runner {
        Runner::Own(mode) => Arm {
            verifies: mode.verifies(setting.gates),
            how: mode.how(setting.device).to_owned(),
            checked: mode.checked(),
            ..Arm::begin(mode.name(), true, at)
        },
        Runner::Peer(index) => {
            let peer = &field.peers[index];
            Arm {
                how: peer.how.to_owned(),
                checked: "number and size of all tensors; every byte, as it was read back",
                clock: PEER_CLOCK,
                ..Arm::begin(&peer.name, false, at)
            }
        }
        Runner::Direct(threads) => Arm {
            how: format!("threads: {threads}, O_DIRECT, 4 MiB each, read and discarded"),
            checked: "its size",
            ..Arm::begin(DIRECT, false, at)
        },
        Runner::Together => Arm { checked: "its size", ..Arm::begin(TOGETHER, false, at) },
    }
}

fn say(setting: &Setting<'_>, arm: &Arm, round: u32) {
    let rounds = setting.rounds;
    setting
        .steps
        .step(&format!("{} {}, round {round}/{rounds}: {}", arm.file_system, arm.cache, arm.name));
}

/// Says what came of an arm: its first time, so that an interruption does not lose it, and its best one
/// when nothing more will come.
fn known(setting: &Setting<'_>, arm: &Arm, round: u32) {
    let best = arm.runs.iter().copied().min_by(f64::total_cmp);
    let rate = |seconds: f64| {
        format!("{seconds:.4} s, {:.2} GB/s", setting.truth.bytes as f64 / seconds / 1e9)
    };
    let what = match (&arm.error, best) {
        (Some(why), _) => format!("FAILED: {why}"),
        (None, Some(best)) if round == setting.rounds => format!("best {}", rate(best)),
        (None, Some(first)) if round == 1 => {
            format!("{}, the first of {}", rate(first), setting.rounds)
        }
        _ => return,
    };
    setting.steps.row(&format!("{} {}, {}: {what}", arm.file_system, arm.cache, arm.name));
}

fn run(
    setting: &Setting<'_>,
    field: &mut Field,
    runner: Runner,
    place: &Place,
    deep: bool,
) -> Result<Taken, String> {
    settle(setting.device, setting.truth.bytes);
    let plain =
        |seconds| Taken { seconds, host_peak: None, device: None, staging: None, times: None };
    match runner {
        Runner::Own(mode) => field.ours.load(mode, (place, setting.pin, setting.truth), deep),
        Runner::Peer(index) => {
            field.peers[index].load(place, setting.truth, setting.device).map(plain)
        }
        Runner::Direct(threads) => {
            let (bytes, seconds) = cold::direct_read(place, threads, u64::MAX)?;
            if bytes != setting.truth.bytes {
                return Err(format!("read {bytes} bytes of {}", setting.truth.bytes));
            }
            Ok(plain(seconds))
        }
        Runner::Together => {
            let together = field.together.as_ref().ok_or("not begun")?;
            together.all().map(plain).map_err(|error| place.without_folders(&error.to_string()))
        }
    }
}

fn note(arm: &mut Arm, taken: Result<Taken, String>, timed: bool) {
    match taken {
        Ok(taken) if timed => {
            if arm.runs.iter().all(|other| taken.seconds < *other) {
                arm.times = taken.times;
            }
            arm.runs.push(taken.seconds);
            arm.host_peak_bytes = arm.host_peak_bytes.max(taken.host_peak);
            arm.device_bytes = arm.device_bytes.max(taken.device);
            arm.staging_bytes = arm.staging_bytes.max(taken.staging);
        }
        Ok(_) => {}
        Err(why) => arm.error = Some(why),
    }
}
