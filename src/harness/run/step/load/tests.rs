//! Loads by a loader whose answers are made up: each wrong claim is named, and lost races are not held against it.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::contract::reply::{
    Done, Gate, GateReport, Holdings, Loaded, Reply, TensorEntry, Transfer,
};
use crate::contract::request::Request;
use crate::contract::{Capability, Class, Code, DType, Device, Failure, Phase};
use crate::harness::run::case_run::CaseEnd;
use crate::harness::run::trial::{self, Tried};

const FILE: &str = "{main: {tensors: [{name: w, dtype: F32, shape: [8]}]}, other: {tensors: [{name: w, dtype: F32, \
                    shape: [8]}]}}";

/// A right answer to a load of the file, but for its digest, which the judge alone knows.
fn sound(bytes: u64) -> Loaded {
    let dtype = DType::F32;
    let entry = TensorEntry { name: "w".into(), stored: dtype, dtype, shape: vec![8], bytes: 32 };
    Loaded::new(1, Device::Cpu, bytes, 32, vec![entry])
}

/// Carries out one load, which is answered in this way.
fn load(step: &str, answer: impl Fn(Loaded) -> Result<Reply, Failure> + Send + Sync) -> Tried {
    let case = trial::case(FILE, "{}", &format!("[{{load: {step}}}]"));
    trial::tried(
        &case,
        &Capability::ALL,
        |_| {},
        |request| match request {
            Request::Load(load) => {
                Some(answer(sound(std::fs::metadata(&load.path).expect("the file").len())))
            }
            _ => None,
        },
    )
}

#[test]
fn each_claim_is_compared_with_the_file() {
    type Lie = fn(&mut Loaded);
    let lies: [(&str, Lie, &str, &str); 11] = [
        ("device", |loaded| loaded.device = Device::Cuda(0), "device", "cuda:0"),
        ("sha256", |loaded| loaded.sha256 = Some("00".repeat(32)), "SHA-256 of the file", "0000"),
        ("sha256", |_| (), "SHA-256 of the file", "none"),
        ("table", |loaded| loaded.file_bytes -= 1, "size of the file", ""),
        ("table", |loaded| loaded.tensors.clear(), "table of 1 tensors", "0"),
        ("table", |loaded| loaded.tensors[0].shape = vec![4, 2], "table of 1 tensors", "[4, 2]"),
        ("metadata", |loaded| loaded.metadata = Some([].into()), "__metadata__", "{}"),
        ("held", |loaded| loaded.held_bytes = 31, "bytes held for the model", "31"),
        ("held", |loaded| loaded.held_bytes = 1 << 24, "bytes held for the model", "16777216"),
        ("transfer", |_| (), "transfer", "not reported"),
        ("streamed", |loaded| loaded.plan = None, "mode", ""),
    ];
    for (check, lie, what, told) in lies {
        let tried = load(&format!("{{expect: {{loaded: [{check}]}}}}"), |mut loaded| {
            lie(&mut loaded);
            Ok(Reply::Load(loaded))
        });
        let (broken, found) = tried.broken().unwrap_or_else(|| panic!("{check}: {}", tried.why()));
        assert!(broken.starts_with(what) && found.contains(told), "{check}: {broken}: {found}");
    }
    let sound = load("{expect: {loaded: [device, table, metadata, held]}}", |loaded| {
        Ok(Reply::Load(loaded))
    });
    assert!(sound.end.is_ok() && sound.broken().is_none(), "{:?}", sound.broken());
}

#[test]
fn a_transfer_is_pinned_asynchronous_and_by_small_buffers() {
    let right = Transfer { pinned: true, asynchronous: true, staging_bytes: 1 << 20, ..transfer() };
    for (said, told) in [
        (right.clone(), ""),
        (Transfer { pinned: false, ..right.clone() }, "not pinned, asynchronous"),
        (Transfer { asynchronous: false, ..right.clone() }, "pinned, not asynchronous"),
        (Transfer { staging_bytes: 1 << 30, ..right }, "1073741824 bytes of staging"),
    ] {
        let tried = load("{expect: {loaded: [transfer]}}", |mut loaded| {
            loaded.transfer = Some(said.clone());
            Ok(Reply::Load(loaded))
        });
        let found = tried.broken().map_or("", |(_, found)| found);
        assert_eq!(found.is_empty(), told.is_empty(), "{found}");
        assert!(found.contains(told), "{found}: {told}");
    }
}

fn transfer() -> Transfer {
    serde_json::from_value(serde_json::json!({
        "pinned": true, "asynchronous": true, "bytes": 32, "staging_bytes": 0, "copy_us": 0, "alloc_us": 0,
    }))
    .expect("a transfer")
}

#[test]
fn a_gate_that_did_not_look_at_everything_is_named() {
    let report = |gate, checked| GateReport { gate, checked, elements: 8, exempt: 0 };
    for (gates, told) in [
        (Vec::new(), "the gate did not run"),
        (
            vec![report(Gate::Density, 0), report(Gate::NonFinite, 0)],
            "0 tensors and 8 elements checked",
        ),
    ] {
        let tried = load("{expect: {loaded: [gates]}}", |mut loaded| {
            loaded.gates.clone_from(&gates);
            Ok(Reply::Load(loaded))
        });
        let (what, found) = tried.broken().expect("a gate");
        assert!(what.ends_with(" gate") && found.contains(told), "{what}: {found}");
    }
}

#[test]
fn what_was_to_be_refused_and_is_loaded_is_a_failure_and_so_is_the_other_way() {
    let refused = "{expect: {refused: {class: refused, code: [not_found]}}}";
    let tried = load(refused, |loaded| Ok(Reply::Load(loaded)));
    assert_eq!(tried.broken(), Some(("answer", "loaded")));
    let failure = Failure::new(Class::Refused, Phase::Open, Code::NotFound, "no such file");
    let tried = load("{expect: {loaded: []}}", |_| Err(failure.clone()));
    let (what, found) = tried.broken().expect("a refusal");
    assert!(what == "answer" && found.contains("not_found"), "{what}: {found}");
    let one_of = "{expect: {one_of: [file_changed]}}";
    let tried = load(one_of, |_| Err(failure.clone()));
    assert!(
        tried.broken().is_some_and(|(what, found)| what == "answer" && found.contains("not_found"))
    );
    // An answer to another request is no answer.
    let tried = load("{expect: {loaded: []}}", |_| Ok(Reply::Unload(Done {})));
    assert_eq!(tried.why(), "a unload reply to load");
}

/// The loader never opens the file, so no change of it is ever seen.
#[test]
fn a_load_that_ends_before_its_file_changes_is_tried_again_and_then_left_untested() {
    for change in ["cut", "{replace: other}"] {
        let (loads, unloads) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let step =
            format!("[{{load: {{meanwhile: {change}, expect: {{one_of: [file_changed]}}}}}}]");
        let tried = trial::tried(
            &trial::case(FILE, "{}", &step),
            &Capability::ALL,
            |_| {},
            |request| {
                let counter = match request {
                    Request::Load(_) => &loads,
                    Request::Unload(_) => &unloads,
                    _ => return None,
                };
                counter.fetch_add(1, Ordering::Relaxed);
                None
            },
        );
        assert!(matches!(tried.end, Err(CaseEnd::Untested(_))), "{:?}", tried.broken());
        assert!(tried.why().contains("8 times out of 8; run the case again"), "{}", tried.why());
        assert_eq!((loads.into_inner(), unloads.into_inner()), (8, 8));
    }
}

#[test]
fn what_is_said_to_be_held_is_compared() {
    let stat = "[{load: {expect: {loaded: []}}}, {stat: {models: 1, bytes_of: [model]}}]";
    let says = |models, host_bytes| {
        trial::tried(
            &trial::case(FILE, "{}", stat),
            &Capability::ALL,
            |_| {},
            move |request| match request {
                Request::Stat(_) => {
                    Some(Ok(Reply::Stat(Holdings { models, host_bytes, device_bytes: 0 })))
                }
                _ => None,
            },
        )
    };
    assert_eq!(says(1, 32).broken(), None);
    assert_eq!(says(2, 32).broken(), Some(("models", "2")));
    assert_eq!(says(1, 31).broken(), Some(("bytes held", "31")));
}
