//! Tests mutants that need a GPU as far as their lies show without one.

use std::time::{Duration, Instant};

use tempfile::{NamedTempFile, TempDir};

use crate::contract::generation::{Prompt, Sampling};
use crate::contract::reply::{Done, Reply};
use crate::contract::request::{Generate, Load, Request, Stream, Synchronize};
use crate::contract::{Code, Device, Loader};
use crate::loader::error::{LoadError, Result};
use crate::loader::infer::tests::decoder;
use crate::loader::remedies::device_and_memory::NO_DRIVER;
use crate::loader::{LoadDecisions, ReferenceLoader};
use crate::mutants::between::Between;
use crate::mutants::by_name;
use crate::mutants::device::{SilentGpu, SlowCopy};

fn make(name: &str) -> Box<dyn Loader + Send> {
    (by_name(name).expect("a mutant").make)()
}

#[test]
fn the_first_gpu_is_used_in_place_of_the_host() {
    let (cpu, third) = (Device::Cpu, Device::Cuda(3));
    assert_eq!(SilentGpu.device(cpu, Ok(())), Ok(Device::Cuda(0)));
    assert_eq!(SilentGpu.device(third, Ok(())), Ok(third));
    assert_eq!(SilentGpu.claimed_device(cpu, Device::Cuda(0)), cpu);
    let missing: Result<()> = Err(LoadError::header(NO_DRIVER, "no driver"));
    let error = SilentGpu.device(cpu, missing).expect_err("no device");
    assert_eq!(error.code(), Code::CudaUnavailable);
}

#[test]
fn a_synchronisation_is_told_as_done_for_any_device() {
    let asked = || Request::Synchronize(Synchronize { device: Device::Cuda(7) });
    let told = make("synchronized-anyway").answer(asked());
    assert_eq!(told, Ok(Reply::Synchronize(Done {})));
    assert!(ReferenceLoader::new().answer(asked()).is_err(), "there is no eighth device");
}

#[test]
fn copies_take_as_long_as_their_bytes_at_the_slow_rate() {
    let file = NamedTempFile::new().expect("a file");
    file.as_file().set_len(200_000_000).expect("long");
    let path = file.path().to_owned();
    let taken = |request: Request| {
        let began = Instant::now();
        // What is refused takes as long.
        let _refused = SlowCopy.answer(&mut ReferenceLoader::new(), request);
        began.elapsed()
    };
    let load = Load::plain(&path, Device::Cuda(0));
    assert!(taken(Request::Load(load)) >= Duration::from_millis(100));
    let (device, into) = (Device::Cpu, path.clone());
    let stream = Stream { device, path, rounds: 2, into };
    assert!(taken(Request::Stream(stream)) >= Duration::from_millis(400));
}

#[test]
fn answers_that_are_late_are_honest() {
    let folder = TempDir::new().expect("a folder");
    let load = decoder().save(folder.path());
    for (name, loading_ms, generating_ms) in [("slow-to-begin", 2000, 1000), ("slow-tokens", 0, 36)]
    {
        let mut late = make(name);
        let began = Instant::now();
        let Ok(Reply::Load(loaded)) = late.answer(Request::Load(load.clone())) else {
            panic!("not loaded");
        };
        assert!(began.elapsed() >= Duration::from_millis(loading_ms));
        let prompt = Prompt::Tokens(vec![3]);
        let (handle, sampling) = (loaded.handle, Sampling::GREEDY);
        let asked = Generate { handle, prompt, limit: 3, sampling, into: None };
        let began = Instant::now();
        let Ok(Reply::Generate(given)) = late.answer(Request::Generate(asked.clone())) else {
            panic!("no answer");
        };
        assert!(began.elapsed() >= Duration::from_millis(generating_ms), "{name}");
        let mut honest = ReferenceLoader::new();
        let handle = honest.load(load.clone()).expect("loads").handle;
        let wanted = honest.generate(Generate { handle, ..asked }).expect("generates");
        assert_eq!(given.tokens, wanted.tokens, "{name}");
    }
}

#[test]
fn a_generation_without_a_cache_gives_the_same_tokens() {
    let folder = TempDir::new().expect("a folder");
    let load = decoder().save(folder.path());
    let tokens = |mut loader: Box<dyn Loader + Send>| {
        let handle = loader.load(load.clone()).expect("loads").handle;
        let prompt = Prompt::Tokens(vec![3, 7]);
        let asked = Generate { handle, prompt, limit: 6, sampling: Sampling::GREEDY, into: None };
        loader.generate(asked).expect("generates").tokens
    };
    assert_eq!(tokens(make("quadratic-cache")), tokens(Box::<ReferenceLoader>::default()));
}
