//! Made readings: each fault that a check is for, one at a time, on an otherwise healthy card.

use super::checks;
use super::seen::{Canary, Counters, Reach, Seen, Unread, at_rest, in_use, unread};
use crate::gpu::GpuError;
use crate::gpu::nvml::{CardPace, CardState, Confidential, Link, RemappedRows, Slowed};
use crate::harness::record::health::{Reading, State};

const GIB: u64 = 1 << 30;

fn healthy() -> Seen {
    let link = Link { generation: 5, width: 16, most_generation: 5, most_width: 16 };
    let pace = CardPace { slowed: Ok(Slowed::default()), clock: Ok((1980, 1980)), link: Ok(link) };
    let idle = CardPace {
        clock: Ok((210, 1980)),
        link: Ok(Link { generation: 1, ..link }),
        // A clock that is about to change is reported as slowed down.
        slowed: Ok(Slowed { hardware: true, ..Slowed::default() }),
    };
    Seen {
        counters: Counters {
            reach: Reach { driver: Ok(()), nvml: Ok(()) },
            state: Some(CardState {
                bus: Ok("00000000:3B:00.0".to_owned()),
                uncorrected_errors: Ok(0),
                pages_pending: Ok(false),
                rows: Ok(RemappedRows { pending: false, failed: false }),
                memory: Ok((79 * GIB, 80 * GIB)),
                processes: Ok(vec![(7, Some(GIB))]),
                confidential: Ok(Confidential { on: false, developer: false, ready: None }),
            }),
            // What programs cause, and what was long ago.
            log: Ok(vec![(5.0, 31), (90_000.0, 79)]),
            events: Some(vec![13]),
            own: 7,
        },
        paces: vec![idle, pace.clone(), pace],
        copy_gbps: Ok(54.7),
        canary: Ok(Canary { bytes: 512 << 20, wrong: 0, hashed: true }),
    }
}

fn state(seen: &mut Seen) -> &mut CardState {
    seen.counters.state.as_mut().unwrap()
}

/// The readings that are not healthy, of a healthy card that was changed.
fn after(change: impl FnOnce(&mut Seen)) -> Vec<Reading> {
    let mut seen = healthy();
    change(&mut seen);
    let all = checks::all(&seen);
    all.into_iter().filter(|reading| reading.state != State::Healthy).collect()
}

fn not_supported() -> GpuError {
    GpuError::refused("nvmlCall", "not available on the target device")
}

#[test]
fn a_healthy_card_has_only_healthy_readings() {
    assert_eq!(after(|_| ()), []);
    assert_eq!(checks::all(&healthy()).len(), 11);
}

type Fault = (&'static str, &'static str, fn(&mut Seen));

/// What is read, words of what is found, and the fault.
const FAULTS: &[Fault] = &[
    ("uncorrected memory errors", "2", |seen| state(seen).uncorrected_errors = Ok(2)),
    ("memory pages to retire", "some wait", |seen| state(seen).pages_pending = Ok(true)),
    ("memory rows to replace", "waits for a reset", |seen| {
        state(seen).rows = Ok(RemappedRows { pending: true, failed: false });
    }),
    ("memory rows to replace", "could not be replaced", |seen| {
        state(seen).rows = Ok(RemappedRows { pending: false, failed: true });
    }),
    ("Xid errors of the hardware", "79 (fallen off the bus)", |seen| {
        seen.counters.log = Ok(vec![(5.0, 79)]);
    }),
    ("Xid errors of the hardware", "48 (double-bit", |seen| {
        seen.counters.events = Some(vec![13, 48]);
    }),
    ("Xid errors of the hardware", "95 (uncontained", |seen| {
        seen.counters.log = Err("/dev/kmsg: Permission denied".to_owned());
        seen.counters.events = Some(vec![95]);
    }),
    ("confidential computing", "accepts no work", |seen| {
        let mode = Confidential { on: true, developer: false, ready: Some(false) };
        state(seen).confidential = Ok(mode);
    }),
    ("free memory", "pid 4242 with 76235669504 bytes", |seen| {
        state(seen).memory = Ok((8 * GIB - 1, 80 * GIB));
        state(seen).processes = Ok(vec![(7, Some(GIB)), (4242, Some(71 * GIB))]);
    }),
    ("slowed by the hardware", "slowdown, too hot", |seen| {
        let hot = Slowed { hardware: true, thermal: true, power_brake: false };
        seen.paces.iter_mut().for_each(|pace| pace.slowed = Ok(hot));
    }),
    ("slowed by the hardware", "power brake", |seen| {
        let brake = Slowed { power_brake: true, ..Slowed::default() };
        seen.paces.iter_mut().for_each(|pace| pace.slowed = Ok(brake));
    }),
    ("clock", "345 of 1980 MHz", |seen| {
        seen.paces.iter_mut().for_each(|pace| pace.clock = Ok((345, 1980)));
    }),
    // A quarter of the link at full width, and half of it on eight lanes or a generation less.
    ("copies to the device", "0.24 of the link", |seen| seen.copy_gbps = Ok(15.0)),
    ("copies to the device", "8 of 16 lanes", |seen| {
        let link = Link { generation: 5, width: 8, most_generation: 5, most_width: 16 };
        seen.paces.iter_mut().for_each(|pace| pace.link = Ok(link));
        seen.copy_gbps = Ok(27.0);
    }),
    ("copies to the device", "generation 4 of 5", |seen| {
        let link = Link { generation: 4, width: 16, most_generation: 5, most_width: 16 };
        seen.paces.iter_mut().for_each(|pace| pace.link = Ok(link));
        seen.copy_gbps = Ok(27.0);
    }),
    ("canary digest", "3 of 536870912 bytes' chunks differ", |seen| {
        seen.canary = Ok(Canary { bytes: 512 << 20, wrong: 3, hashed: true });
    }),
    ("canary digest", "CUDA_ERROR_ECC_UNCORRECTABLE", |seen| {
        seen.canary = Err(Unread::Broken("cuMemcpy: CUDA_ERROR_ECC_UNCORRECTABLE".to_owned()));
    }),
    ("card within reach", "GPU_IS_LOST", |seen| {
        seen.counters.reach.nvml = Err(Unread::Broken("GPU_IS_LOST".to_owned()));
    }),
    ("card within reach", "CUDA_ERROR_UNKNOWN", |seen| {
        seen.counters.reach.driver = Err(Unread::Broken("CUDA_ERROR_UNKNOWN".to_owned()));
    }),
];

#[test]
fn each_fault_is_found_by_its_own_check_and_has_a_remedy() {
    for (what, found, fault) in FAULTS {
        let readings = after(fault);
        let [reading] = readings.as_slice() else { panic!("{what}, {found}: {readings:?}") };
        assert_eq!((reading.what.as_str(), reading.state), (*what, State::Sick));
        assert!(reading.found.contains(found), "{what}: {} lacks {found}", reading.found);
        assert!(!reading.limit.is_empty() && !reading.source.is_empty(), "{what}");
        assert!(reading.remedy.as_ref().is_some_and(|text| text.len() > 20), "{what}");
    }
}

/// A figure that is missing is neither healthy nor sick.
#[test]
fn what_cannot_be_read_is_said_so() {
    type Without = (&'static str, fn(&mut Seen));
    let missing: &[Without] = &[
        ("uncorrected memory errors", |s| state(s).uncorrected_errors = Err(not_supported())),
        ("memory pages to retire", |s| state(s).pages_pending = Err(not_supported())),
        ("memory rows to replace", |s| state(s).rows = Err(not_supported())),
        ("confidential computing", |s| state(s).confidential = Err(not_supported())),
        ("free memory", |s| state(s).memory = Err(not_supported())),
        ("Xid errors of the hardware", |s| s.counters.log = Err("/dev/kmsg: denied".to_owned())),
        ("clock", |s| s.paces.iter_mut().for_each(|pace| pace.clock = Err(not_supported()))),
        ("slowed by the hardware", |s| {
            s.paces.iter_mut().for_each(|pace| pace.slowed = Err(not_supported()));
        }),
        ("copies to the device", |s| {
            s.paces.iter_mut().for_each(|pace| pace.link = Err(not_supported()));
        }),
        ("canary digest", |s| s.canary = Err(Unread::Unknown("no room".to_owned()))),
    ];
    for (what, change) in missing {
        let readings = after(change);
        let [reading] = readings.as_slice() else { panic!("{what}: {readings:?}") };
        assert_eq!((reading.what.as_str(), reading.state), (*what, State::NotReadable));
        assert!(reading.remedy.is_none() && !reading.found.is_empty(), "{what}");
    }
}

/// A machine without NVML's figures has nothing sick about it.
#[test]
fn a_card_that_nvml_does_not_know_is_not_sick() {
    let readings = after(|seen| {
        seen.counters.state = None;
        seen.counters.reach.nvml = Err(Unread::Unknown("LIBRARY_NOT_FOUND".to_owned()));
        seen.paces.clear();
    });
    assert_eq!(readings.len(), 9);
    assert!(readings.iter().all(|reading| reading.state == State::NotReadable));
}

/// What looks like a fault and is none.
#[test]
fn honest_machines_are_not_quarantined() {
    let healthy_too: &[fn(&mut Seen)] = &[
        // Eight cards that copy at once.
        |seen| seen.copy_gbps = Ok(25.0),
        // A bus that reports a lower generation, and copies as fast as the higher one.
        |seen| {
            let link = Link { generation: 4, width: 16, most_generation: 5, most_width: 16 };
            seen.paces.iter_mut().for_each(|pace| pace.link = Ok(link));
        },
        // Confidential computing, ready.
        |seen| {
            let mode = Confidential { on: true, developer: false, ready: Some(true) };
            state(seen).confidential = Ok(mode);
            seen.copy_gbps = Ok(4.0);
        },
        // A power cap.
        |seen| seen.paces.iter_mut().for_each(|pace| pace.clock = Ok((1200, 1980))),
        // A small card that is empty.
        |seen| state(seen).memory = Ok((5 * GIB, 6 * GIB)),
        // Another process that leaves enough.
        |seen| state(seen).processes = Ok(vec![(4242, None)]),
    ];
    for (index, change) in healthy_too.iter().enumerate() {
        assert_eq!(after(change), [], "number {index}");
    }
}

/// A loader that takes its memory away under the harness must not be taken for a sick card.
#[test]
fn after_a_loaders_work_only_the_drivers_word_blames_the_card() {
    let error = GpuError::refused("cuMemcpyDtoH_v2", "an illegal memory access was encountered");
    assert!(matches!(at_rest(&error), Unread::Broken(_)));
    assert!(matches!(in_use(&error), Unread::Unknown(_)));
    let mut lost = GpuError::refused("nvmlDeviceGetHandleByUUID", "the device fell off the bus");
    assert!(matches!(unread(&lost), Unread::Unknown(_)));
    lost.name = "GPU_IS_LOST".to_owned();
    assert!(matches!(unread(&lost), Unread::Broken(_)));
}

#[test]
fn what_a_run_itself_holds_is_not_asked_after_it() {
    let mut seen = healthy();
    state(&mut seen).memory = Ok((0, 80 * GIB));
    let sick = |readings: Vec<Reading>| readings.iter().any(|one| one.state == State::Sick);
    assert!(sick(checks::all(&seen)));
    assert!(!sick(checks::without_room(&seen)));
}
