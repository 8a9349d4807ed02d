//! Tests the lies of this file on what a GPU would have told.

use std::sync::Mutex;

use tempfile::TempDir;

use crate::contract::DType;
use crate::contract::plan::LoadStep;
use crate::contract::request::{HardwareProfile, Load};
use crate::gpu::Piece;
use crate::loader::error::LoadError;
use crate::loader::format::safetensors::Header;
use crate::loader::infer::tests::decoder;
use crate::loader::remedies::device_and_memory::{
    BELOW_COMPUTE_CAPABILITY, BELOW_MEMORY, NO_SUCH_DEVICE,
};
use crate::mutants::planning::*;

fn card() -> DeviceInfo {
    DeviceInfo {
        device: Device::Cuda(1),
        name: "a card".to_owned(),
        compute_capability: Some((9, 0)),
        total_bytes: 1000,
        free_bytes: 900,
        uuid: Some("GPU-1".to_owned()),
        count: 2,
    }
}

fn query(device: Device) -> DeviceQuery {
    DeviceQuery { device, profile: None }
}

fn missing() -> LoadError {
    LoadError::header(NO_SUCH_DEVICE.about(["0"]), "no such device")
}

#[test]
fn only_a_profile_that_is_not_met_is_ignored() {
    let profile =
        HardwareProfile { name: "p".to_owned(), compute_capability: (9, 0), vram_bytes: u64::MAX };
    let asked = DeviceQuery { device: Device::Cpu, profile: Some(profile) };
    for cause in [BELOW_COMPUTE_CAPABILITY, BELOW_MEMORY] {
        let refused = Err(LoadError::header(cause, "too little"));
        let told = Unchecked.device_info(&asked, refused).expect("the host itself");
        assert_eq!((told.device, told.compute_capability), (Device::Cpu, None));
    }
    assert_eq!(Unchecked.device_info(&asked, Err(missing())), Err(missing()));
    assert_eq!(Unchecked.device_info(&asked, Ok(card())), Ok(card()));
}

#[test]
fn cards_are_invented_and_the_host_is_not() {
    for found in [Ok(card()), Err(missing())] {
        let told = Eight.device_info(&query(Device::Cuda(5)), found).expect("a card");
        assert_eq!((told.device, told.count), (Device::Cuda(5), 8));
        assert_eq!((told.compute_capability, told.total_bytes), (Some((7, 0)), 16 << 30));
    }
    let host = query(Device::Cpu);
    let told = Brochure.device_info(&query(Device::Cuda(1)), Ok(card()));
    assert_eq!(told, Ok(DeviceInfo { total_bytes: 80_000_000_000, ..card() }));
    assert_eq!(Brochure.device_info(&query(Device::Cuda(1)), Err(missing())), Err(missing()));
    for lie in [&Eight as &dyn LoadDecisions, &Brochure] {
        assert_eq!(lie.device_info(&host, Ok(card())), Ok(card()));
        assert_eq!(lie.device_info(&host, Err(missing())), Err(missing()));
    }
}

/// Refuses every load with this error.
struct Refusing(Mutex<LoadError>);

impl LoadDecisions for Refusing {
    fn header(&self, _text: &[u8]) -> Result<Header> {
        Err(self.0.lock().expect("held by nobody").clone())
    }
}

#[test]
fn memory_that_ran_out_is_told_as_almost_enough() {
    let folder = TempDir::new().expect("a folder");
    let load = decoder().save(folder.path());
    let told = |error: LoadError| {
        let decisions = Refusing(Mutex::new(error));
        let mut loader = ReferenceLoader::with_decisions(Box::new(decisions));
        let failure = Guessed.answer(&mut loader, Request::Load(load.clone()));
        let failure = failure.expect_err("a refusal");
        (failure.code, failure.requested_bytes, failure.available_bytes)
    };
    let wanted = (Code::OutOfDeviceMemory, Some(1000), Some(990));
    assert_eq!(told(LoadError::out_of_device_memory("cuda:0", 1000, 10)), wanted);
    let wanted = (Code::OutOfHostMemory, Some(1000), Some(10));
    assert_eq!(told(LoadError::out_of_host_memory(1000, 10)), wanted);
    let mut honest = ReferenceLoader::new();
    assert!(Guessed.answer(&mut honest, Request::Load(load)).is_ok());
}

#[test]
fn plans_and_residencies_are_not_those_that_were_made() {
    let made = MemoryPlan {
        mode: Residency::Streamed,
        weights_bytes: 1000,
        device_bytes: 500,
        tokens: 32,
        cache_dtype: DType::F32,
        cache_bytes: 7,
        workspace_bytes: 9,
    };
    let fifth = MemoryPlan { cache_bytes: 100, workspace_bytes: 100, ..made };
    assert_eq!(RuleOfThumb.plan(made), fifth);
    assert_eq!(Unsaid.plan(made), MemoryPlan { mode: Residency::Whole, ..made });
    for mode in [Residency::Whole, Residency::Streamed] {
        for fits in [Residency::Whole, Residency::Streamed] {
            assert_eq!(Always(mode).residency(fits), mode);
        }
    }
}

#[test]
fn the_last_streamed_layer_is_not_copied_or_not_run() {
    let piece = Piece { from: 0, to: 64, bytes: 16 };
    let needed =
        Layout { resident: vec![piece], layers: vec![vec![piece], vec![piece]], bytes: 80 };
    let mut model = decoder().runnable().expect("a sound model");
    let layers = |model: &RunnableModel| model.parts.body.as_ref().expect("a body").layers.len();
    let stale = Stale.streamed(&mut model, needed.clone());
    assert_eq!(stale, Layout { layers: vec![vec![piece], Vec::new()], ..needed.clone() });
    assert_eq!(layers(&model), 2, "it still runs");
    assert_eq!(Skipped.streamed(&mut model, needed.clone()), needed);
    assert_eq!(layers(&model), 1);
    assert_eq!(Stale.streamed(&mut model, Layout::default()), Layout::default());
}

#[test]
fn unused_tensors_and_times_are_the_same_for_every_load() {
    let load = |make: fn() -> Box<dyn Loader + Send>, further: bool| {
        let folder = TempDir::new().expect("a folder");
        let mut model = decoder();
        if further {
            model.add("stray.weight", &[2, 2]);
        }
        let load: Load = model.save(folder.path());
        make().load(load).expect("loads")
    };
    let make = |name: &str| crate::mutants::by_name(name).expect("a mutant").make;
    for further in [false, true] {
        assert_eq!(load(make("unused-unsaid"), further).unused, Some(Vec::new()));
        let head = Some(vec!["lm_head.weight".to_owned()]);
        assert_eq!(load(make("unused-made-up"), further).unused, head);
        let times = load(make("times-made-up"), further).times.expect("times");
        let told = times.each().map(|(_, time)| time);
        assert_eq!(told, [100_000, 10_000, 200_000, 100_000, 800_000, 10_000]);
        assert_eq!(times.overlapped, [LoadStep::Copy], "the rest is told as it was");
    }
}
