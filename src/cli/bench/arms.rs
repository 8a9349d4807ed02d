//! Times every way to load, in rounds: each round runs every arm once, so that other work of the
//! machine affects all arms alike.

use std::time::Instant;

use super::cold;
use super::figures::{Arm, DIRECT, Limits, PEER_CLOCK};
use super::limits;
use super::ours::{Mode, Ours, Pin, Taken};
use super::peers::Other;
use super::place::Place;
use super::truth::Truth;
use crate::cli::steps::Steps;
use crate::contract::Device;

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
}

#[derive(Clone, Copy)]
enum Runner {
    Own(Mode),
    Peer(usize),
    Direct(usize),
}

/// Decides whether another round of loads begins.
struct Rounds {
    end: Option<Instant>,
    began: Instant,
}

impl Rounds {
    fn until(end: Option<Instant>) -> Rounds {
        Rounds { end, began: Instant::now() }
    }

    /// Whether this round begins: the first timed one does, and others that should end in time if they take as long as
    /// the one before.
    fn begins(&mut self, round: u32) -> bool {
        let (now, last) = (Instant::now(), self.began.elapsed());
        self.began = now;
        round <= 1 || self.end.is_none_or(|end| now + last <= end)
    }
}

/// Times every mode and every peer with the file in the page cache, until `end`.
pub fn warm(
    setting: &Setting<'_>,
    field: &mut Field,
    place: &Place,
    end: Option<Instant>,
) -> Vec<Arm> {
    let mut runners: Vec<Runner> = Mode::ALL.map(Runner::Own).to_vec();
    runners.extend((0..field.peers.len()).map(Runner::Peer));
    let mut arms: Vec<Arm> =
        runners.iter().map(|runner| begin(setting, field, *runner, (place, "warm"))).collect();
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
    arms
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

/// The arm that has this turn. Each round begins with another arm, and every second round goes
/// backwards. Otherwise a disk that is fast for a limited time would favour the arm after a slow
/// reader.
fn whose(turn: usize, round: u32, arms: usize) -> usize {
    let turn = if round.is_multiple_of(2) { turn } else { arms - 1 - turn };
    (turn + round as usize) % arms
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn everybody_has_a_turn_each_round() {
        for arms in 1..9 {
            for round in 0..9 {
                let all: BTreeSet<usize> = (0..arms).map(|turn| whose(turn, round, arms)).collect();
                assert_eq!(all.len(), arms);
            }
        }
        assert_ne!(whose(0, 1, 3), whose(0, 2, 3));
    }

    #[test]
    fn one_timed_round_begins_at_least_and_none_that_would_be_late() {
        let hour = std::time::Duration::from_secs(3600);
        let count = |end| {
            let mut rounds = Rounds::until(end);
            (0..=5).take_while(|round| rounds.begins(*round)).count()
        };
        let now = Instant::now();
        assert_eq!(count(Some(now)), 2, "the untimed one, and one more");
        assert_eq!([count(None), count(Some(now + hour))], [6, 6]);
        // The round before took longer than what is left.
        let began = now.checked_sub(hour * 2);
        let mut rounds = Rounds { end: Some(now + hour), began: began.unwrap_or(now) };
        assert!(began.is_none() || !rounds.begins(2));
    }
}
