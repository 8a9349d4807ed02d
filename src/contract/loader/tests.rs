//! Tests what the trait answers for a loader that serves only what it must.

use std::path::PathBuf;

use crate::contract::generation::{Prompt, Sampling};
use crate::contract::inference::{Head, Inference, Input};
use crate::contract::loader::*;
use crate::contract::request::Bye;
use crate::contract::{Capabilities, Class, Code, Device, PROTOCOL};

/// Serves what every loader must serve, each verb with an answer of its own.
struct Least;

impl Loader for Least {
    fn hello(&mut self, Hello { protocol, nonce, .. }: Hello) -> Result<Introduction, Failure> {
        let (name, version) = ("least".to_owned(), "1".to_owned());
        let capabilities = Capabilities::default();
        Ok(Introduction { protocol, nonce, name, version, capabilities })
    }

    fn load(&mut self, request: Load) -> Result<Loaded, Failure> {
        Ok(Loaded::new(7, request.device, 100, 50, Vec::new()))
    }

    fn stat(&mut self, _: Stat) -> Result<Holdings, Failure> {
        Ok(Holdings { models: 1, ..Holdings::default() })
    }

    fn unload(&mut self, request: Unload) -> Result<Done, Failure> {
        match request.handle {
            7 => Ok(Done {}),
            handle => {
                let message = format!("no model {handle}");
                Err(Failure::new(Class::Refused, Phase::Request, Code::UnknownHandle, message))
            }
        }
    }
}

/// The requests that a loader need not serve: in which phase each is refused, and what is told.
fn optional() -> [(Request, Phase, &'static str); 9] {
    let (handle, device, into) = (7, Device::Cpu, PathBuf::from("out"));
    let path = into.clone();
    let multiply = Multiply { handle, a: "a".to_owned(), b: "b".to_owned(), into: path.clone() };
    let forward =
        Forward { handle, input: Input::File(path.clone()), into: path.clone(), trace: false };
    let validate = Validate { handle, input: path.clone(), golden: path.clone(), tolerance: 0.0 };
    let generate = Generate {
        handle,
        prompt: Prompt::Tokens(vec![1]),
        limit: 1,
        sampling: Sampling::GREEDY,
        into: None,
    };
    let stream = Stream { device, path, rounds: 1, into: into.clone() };
    [
        (
            Request::Device(DeviceQuery { device, profile: None }),
            Phase::Preflight,
            "this loader does not describe devices",
        ),
        (
            Request::Read(Read { handle, into, rank: None }),
            Phase::Read,
            "this loader does not read tensors back",
        ),
        (
            Request::Export(Export { handle, rank: None }),
            Phase::Read,
            "this loader does not export device memory",
        ),
        (
            Request::Synchronize(Synchronize { device }),
            Phase::Request,
            "this loader does not synchronise on request",
        ),
        (Request::Stream(stream), Phase::Request, "this loader does not create streams on request"),
        (Request::Multiply(multiply), Phase::Infer, "this loader does not multiply matrices"),
        (Request::Forward(forward), Phase::Infer, "this loader does not run models"),
        (Request::Validate(validate), Phase::Infer, "this loader does not validate models"),
        (Request::Generate(generate), Phase::Infer, "this loader does not generate"),
    ]
}

#[test]
fn a_verb_that_is_not_served_is_refused_as_unsupported() {
    for (request, phase, message) in optional() {
        let verb = request.verb();
        let failure = Least.answer(request).expect_err(verb);
        let found = (failure.class, failure.phase, failure.code, failure.message.as_str());
        assert_eq!(found, (Class::Unsupported, phase, Code::UnsupportedCapability, message));
        assert!(failure.remedy.is_some(), "{verb}");
    }
}

#[test]
fn another_way_to_compute_is_refused_and_not_ignored() {
    let load = |compute| {
        let head = Head::Logits {};
        let inference = Inference {
            config: None,
            tokenizer: None,
            template: None,
            generation: None,
            head,
            compute,
        };
        Request::Load(Load { inference: Some(inference), ..Load::plain("m", Device::Cpu) })
    };
    assert!(Least.answer(load(Compute::Exact)).is_ok());
    let failure = Least.answer(load(Compute::Bf16)).expect_err("it does not round");
    let found = (failure.class, failure.phase, failure.code);
    assert_eq!(found, (Class::Unsupported, Phase::Request, Code::UnsupportedCapability));
    assert_eq!(failure.actual.as_deref(), Some("bf16"));
}

#[test]
fn each_verb_is_answered_by_its_own_method() {
    let hello = Hello { protocol: PROTOCOL, nonce: "n".to_owned(), scratch: PathBuf::new() };
    let introduction = Least.hello(hello.clone()).expect("an introduction");
    assert_eq!(Least.answer(Request::Hello(hello)), Ok(Reply::Hello(introduction)));
    let loaded = Loaded::new(7, Device::Cuda(1), 100, 50, Vec::new());
    let load = Request::Load(Load::plain("file", Device::Cuda(1)));
    assert_eq!(Least.answer(load), Ok(Reply::Load(loaded)));
    let held = Holdings { models: 1, ..Holdings::default() };
    assert_eq!(Least.answer(Request::Stat(Stat {})), Ok(Reply::Stat(held)));
    let unload = |handle| Least.answer(Request::Unload(Unload { handle }));
    assert_eq!(unload(7), Ok(Reply::Unload(Done {})));
    assert_eq!(unload(8).map_err(|failure| failure.code), Err(Code::UnknownHandle));
    assert_eq!(Least.answer(Request::Bye(Bye {})), Ok(Reply::Bye(Done {})));
}
