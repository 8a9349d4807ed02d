//! What follows from what was seen: one reading for each check. Nothing here asks the machine.

use super::limits;
use super::pace;
use super::seen::{Counters, Reach, Seen, Unread, unread};
use super::told::{Sight, told};
use crate::gpu::GpuError;
use crate::gpu::nvml::CardState;
use crate::harness::record::health::Reading;

const RESET: &str = "reset the card (`nvidia-smi --gpu-reset -i UUID` as root, with nothing running on it) or \
    restart the machine; if it comes back, have the card replaced";

const OTHERS: &str = "end the processes that hold the card (`nvidia-smi` lists them), or choose another card \
    with --device cuda:N";

/// Every reading.
pub fn all(seen: &Seen) -> Vec<Reading> {
    let mut all = without_room(seen);
    all.push(room(&seen.counters));
    all
}

/// Every reading but that of the free memory.
pub fn without_room(seen: &Seen) -> Vec<Reading> {
    let mut all = counted(&seen.counters);
    all.extend(pace::all(&seen.paces, confidential_is_on(&seen.counters), &seen.copy_gbps));
    all.push(canary(seen));
    all
}

/// The readings that need no work on the card.
pub fn counted(counters: &Counters) -> Vec<Reading> {
    vec![
        reached(&counters.reach),
        memory_errors(counters),
        pages(counters),
        rows(counters),
        xids(counters),
        confidential(counters),
    ]
}

/// Whether a card is there for driver and NVML. Catches a card that fell off the bus.
pub fn reached(reach: &Reach) -> Reading {
    let sight = match (&reach.driver, &reach.nvml) {
        (Err(error), _) | (Ok(()), Err(error)) => Err(error.clone()),
        (Ok(()), Ok(())) => Ok((true, "by driver and NVML".to_owned())),
    };
    told("card within reach", "by driver and NVML", "a lost card answers nothing", sight, RESET)
}

/// The driver lists a card and cannot open it: somebody else fills it, or it is at fault.
pub fn not_opened(error: &GpuError) -> Reading {
    let broken = Unread::Broken(error.to_string());
    if error.is_out_of_memory() {
        return told("free memory", "room for a context", "the driver", Err(broken), OTHERS);
    }
    reached(&Reach { driver: Err(broken), nvml: Ok(()) })
}

/// Uncorrected ECC errors. Catches memory that changes what is stored in it.
fn memory_errors(counters: &Counters) -> Reading {
    let sight = figure(counters, |state| &state.uncorrected_errors)
        .map(|count| (count == 0, count.to_string()));
    let source = "NVML's volatile ECC counter: such an error changed data since the last reset";
    told("uncorrected memory errors", "0", source, sight, RESET)
}

/// Pages that wait to be retired. Catches known-bad memory that is still in use (cards before Ampere).
fn pages(counters: &Counters) -> Reading {
    let word = |pending| if pending { "some wait" } else { "none waits" };
    let sight = figure(counters, |state| &state.pages_pending)
        .map(|pending| (!pending, word(pending).to_owned()));
    let source = "NVML: a page that waits to be retired is still in use";
    told("memory pages to retire", "none waits", source, sight, RESET)
}

/// Rows that wait to be replaced, or could not be. The same for Ampere and later.
fn rows(counters: &Counters) -> Reading {
    let sight = figure(counters, |state| &state.rows).map(|rows| {
        let word = match (rows.pending, rows.failed) {
            (false, false) => "none waits",
            (true, false) => "one waits for a reset",
            (_, true) => "one could not be replaced",
        };
        (!rows.pending && !rows.failed, word.to_owned())
    });
    let source = "NVML's row remapper: a faulty row is still in use";
    told("memory rows to replace", "none waits", source, sight, RESET)
}

/// Xid errors of the hardware, from the kernel log and from NVML's events. Catches what the driver saw and
/// no counter keeps.
fn xids(counters: &Counters) -> Reading {
    let recent = counters.log.as_ref().map(|log| {
        log.iter().filter(|(ago, _)| *ago <= limits::LOG_SECONDS).map(|(_, xid)| *xid).collect()
    });
    let logged: Vec<u64> = recent.clone().unwrap_or_default();
    let events = counters.events.as_deref().unwrap_or_default();
    let mut faults: Vec<String> = Vec::new();
    for xid in logged.iter().chain(events) {
        if let Some(text) = limits::hardware_xid(*xid) {
            let fault = format!("{xid} ({text})");
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
    }
    let sight = match (faults.is_empty(), &recent) {
        (false, _) => Ok((false, faults.join(", "))),
        (true, Ok(recent)) => Ok((true, format!("none of {} in the log", recent.len()))),
        (true, Err(why)) => Err(Unread::Unknown(match counters.events {
            Some(_) => format!("none while the run listened; nothing is known of earlier: {why}"),
            None => (*why).clone(),
        })),
    };
    let source = "kernel log of the last hour and NVML's events; kinds by NVIDIA's Xid catalogue";
    told("Xid errors of the hardware", "none", source, sight, RESET)
}

/// Confidential computing: on, a card must accept work.
fn confidential(counters: &Counters) -> Reading {
    let sight = figure(counters, |state| &state.confidential).map(|mode| {
        let word = match (mode.on, mode.ready, mode.developer) {
            (false, ..) => "off",
            (true, Some(false), _) => "on, and the card accepts no work",
            (true, _, true) => "on, in the mode for developers, which protects nothing",
            (true, _, false) => "on: every copy is encrypted",
        };
        (!mode.on || mode.ready != Some(false), word.to_owned())
    });
    let remedy = "let the card accept work (`nvidia-smi conf-compute -srs 1` as root)";
    told("confidential computing", "off, or ready", "NVML's system settings", sight, remedy)
}

/// Free memory. Catches other processes, which would fail a loader's allocations.
fn room(counters: &Counters) -> Reading {
    let mut least = limits::NEEDED;
    let sight = figure(counters, |state| &state.memory).map(|(free, total)| {
        least = least.min((total as f64 * limits::SMALL_CARD) as u64);
        let mut found = format!("{free} bytes");
        if let Some(others) = others(counters) {
            found.push_str(&format!("; other processes: {others}"));
        }
        (free >= least, found)
    });
    let limit = format!("at least {least} bytes");
    told("free memory", &limit, "the largest loads of the suite", sight, OTHERS)
}

/// Other processes on the card, each with its bytes; nothing if there is none or NVML does not say.
fn others(counters: &Counters) -> Option<String> {
    let all = counters.state.as_ref()?.processes.as_ref().ok()?;
    let others = all.iter().filter(|(pid, _)| *pid != counters.own);
    let one = |(pid, bytes): &(u32, Option<u64>)| match bytes {
        Some(bytes) => format!("pid {pid} with {bytes} bytes"),
        None => format!("pid {pid}"),
    };
    Some(others.map(one).collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
}

/// The canary. Catches memory, copies or multiprocessors that change data and report nothing.
fn canary(seen: &Seen) -> Reading {
    let sight = seen.canary.clone().map(|canary| {
        let how = if canary.hashed { "hashed by the device" } else { "read back" };
        let found = format!("{} of {} bytes' chunks differ, {how}", canary.wrong, canary.bytes);
        (canary.wrong == 0, found)
    });
    let source = "known patterns in device memory, against the host's SHA-256";
    told("canary digest", "no chunk differs", source, sight, RESET)
}

fn confidential_is_on(counters: &Counters) -> bool {
    figure(counters, |state| &state.confidential).is_ok_and(|mode| mode.on)
}

/// A figure of NVML's state, or why it is missing.
fn figure<T: Copy>(
    counters: &Counters,
    of: impl Fn(&CardState) -> &Result<T, GpuError>,
) -> Sight<T> {
    match (&counters.state, &counters.reach.nvml) {
        (Some(state), _) => of(state).as_ref().map(|value| *value).map_err(unread),
        // The loss itself is one reading, not six.
        (None, Err(Unread::Unknown(why) | Unread::Broken(why))) => {
            Err(Unread::Unknown(why.clone()))
        }
        (None, Ok(())) => Err(Unread::Unknown("NVML gave no state".to_owned())),
    }
}
