//! Tests what becomes of failures, and what is refused without a reason.

use tempfile::TempDir;

use crate::contract::Code;
use crate::contract::generation::{Prompt, Sampling};
use crate::contract::inference::Input;
use crate::contract::request::{
    Export, Forward, Generate, Load, Multiply, Read, Stat, Unload, Validate,
};
use crate::loader::load::tests::{F32_ONES, file_of, raw, request};
use crate::mutants::refusals::*;

#[test]
fn a_failure_becomes_an_empty_success() {
    let folder = TempDir::new().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let (mut loader, mut lie) = (ReferenceLoader::new(), Swallowed::default());
    let mut told = |request: Request| lie.answer(&mut loader, request);
    let load = |path| Request::Load(Load::plain(path, Device::Cuda(3)));
    for number in 1..=2 {
        let wanted = Loaded::new(NOTHING + number, Device::Cuda(3), 0, 0, Vec::new());
        assert_eq!(told(load(at("missing"))), Ok(Reply::Load(wanted)));
    }
    let (handle, into, device) = (77, at("out"), Device::Cuda(3));
    let empty = Written { bytes: 0, sha256: digest::hex(&Sha256::digest([])) };
    let read = Read { handle, into: into.clone(), rank: None };
    assert_eq!(told(Request::Read(read)), Ok(Reply::Read(empty.clone())));
    assert!(std::fs::read(&into).expect("written").is_empty());
    let multiply = Multiply { handle, a: "a".into(), b: "b".into(), into: into.clone() };
    assert_eq!(told(Request::Multiply(multiply)), Ok(Reply::Multiply(empty.clone())));
    assert_eq!(told(Request::Unload(Unload { handle })), Ok(Reply::Unload(Done {})));
    let input = Input::Texts(Vec::new());
    let forward = Forward { handle, input, into: into.clone(), trace: false };
    let output = Output::Embedding { shape: [0, 0] };
    let wanted = Forwarded { written: empty.clone(), device, output, elapsed_us: None };
    assert_eq!(told(Request::Forward(forward)), Ok(Reply::Forward(wanted)));
    let validate = Validate { handle, input: at("in"), golden: at("golden"), tolerance: 0.0 };
    let (values, max_difference, index) = (0, 0.0, 0);
    let wanted = Validated { values, max_difference, index, device, elapsed_us: None };
    assert_eq!(told(Request::Validate(validate)), Ok(Reply::Validate(wanted)));
    for (into, written) in [(None, None), (Some(into), Some(empty))] {
        let prompt = Prompt::Tokens(vec![1]);
        let asked = Generate { handle, prompt, limit: 1, sampling: Sampling::GREEDY, into };
        let Ok(Reply::Generate(generated)) = told(Request::Generate(asked)) else {
            panic!("no answer");
        };
        assert_eq!((generated.tokens, generated.stop), (Vec::new(), Stop::Limit));
        assert_eq!((generated.device, generated.written), (device, written));
    }
    let export = told(Request::Export(Export { handle, rank: None }));
    assert_eq!(export.map_err(|failure| failure.code), Err(Code::UnknownHandle));
    let Ok(Reply::Stat(held)) = told(Request::Stat(Stat {})) else { panic!("no answer") };
    assert_eq!(held.models, 0, "what succeeds is told as it is");
}

#[test]
fn valid_files_are_refused() {
    let make = |name: &str| (crate::mutants::by_name(name).expect("a mutant").make)();
    let tensor = |name, shape, bytes| file_of(&[(name, "F32", shape, bytes)]);
    let long = format!("{{\"__metadata__\":{{\"a\":\"{}\"}}}}", "x".repeat(MOST));
    let halves = [0, 0, 0, 0x3f].repeat(3);
    for (name, file) in [
        ("empties-refused", raw("{}", &[])),
        ("empties-refused", tensor("e", &[0, 2], &[])),
        ("headers-bounded", raw(&long, &[])),
        ("gates-too-strict", tensor("norm.weight", &[3], &halves)),
        ("gates-too-strict", tensor("x.bias", &[1], &F32_ONES[..4])),
    ] {
        let asked = request(file.path());
        assert!(ReferenceLoader::new().load(asked.clone()).is_ok(), "{name}");
        let failure = make(name).answer(Request::Load(asked)).expect_err(name);
        let wanted = if name == "gates-too-strict" { Code::Density } else { Code::InvalidHeader };
        assert_eq!(failure.code, wanted, "{name}");
    }
    let plain = tensor("w", &[3], &F32_ONES);
    for name in ["empties-refused", "headers-bounded", "gates-too-strict"] {
        assert!(make(name).answer(Request::Load(request(plain.path()))).is_ok(), "{name}");
    }
}
