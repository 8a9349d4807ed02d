//! Tests the layer before a loader.

use std::path::PathBuf;

use crate::contract::generation::{Prompt, Sampling};
use crate::contract::inference::Input;
use crate::contract::request::{
    Bye, DeviceQuery, Export, Forward, Generate, Multiply, Read, Stream, Synchronize, Validate,
};
use crate::contract::{Code, Device, PROTOCOL};
use crate::loader::infer::tests::decoder;
use crate::mutants::between::*;

/// Answers `stat` alone, and leaves the rest to the loader.
struct Seven;

impl Between for Seven {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        match request {
            Request::Stat(_) => Ok(Reply::Stat(Holdings { models: 7, ..Holdings::default() })),
            request => loader.answer(request),
        }
    }
}

#[test]
fn every_request_passes_the_lie_and_every_method_is_the_loaders() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let mut placed = between(Seven);
    let Ok(Reply::Load(loaded)) = placed.answer(Request::Load(decoder().save(folder.path())))
    else {
        panic!("not loaded");
    };
    let told = placed.answer(Request::Stat(Stat {}));
    assert_eq!(told, Ok(Reply::Stat(Holdings { models: 7, ..Holdings::default() })));
    // The methods of the trait answer without the lie.
    assert_eq!(placed.stat(Stat {}).map(|held| held.models), Ok(1));
    let hello = Hello { protocol: PROTOCOL, nonce: "n".to_owned(), scratch: PathBuf::new() };
    let introduction = placed.hello(hello).expect("an introduction");
    assert_eq!((introduction.nonce.as_str(), introduction.protocol), ("n", PROTOCOL));
    let again = placed.load(decoder().save(folder.path())).expect("loads");
    assert_eq!(again.handle, loaded.handle + 1);
    assert_eq!(placed.unload(Unload { handle: loaded.handle }), Ok(Done {}));
    let twice = placed.unload(Unload { handle: loaded.handle });
    assert_eq!(twice.map_err(|failure| failure.code), Err(Code::UnknownHandle));
}

#[test]
fn a_handle_is_found_and_may_be_changed_where_a_verb_has_one() {
    let (path, device) = (PathBuf::new(), Device::Cpu);
    let (into, input, golden) = (path.clone(), path.clone(), path.clone());
    let prompt = Prompt::Tokens(Vec::new());
    let sampling = Sampling::GREEDY;
    for mut request in [
        Request::Read(Read { handle: 5, into: path.clone(), rank: None }),
        Request::Export(Export { handle: 5, rank: None }),
        Request::Unload(Unload { handle: 5 }),
        Request::Multiply(Multiply {
            handle: 5,
            a: String::new(),
            b: String::new(),
            into: path.clone(),
        }),
        Request::Forward(Forward { handle: 5, input: Input::Texts(vec![]), into, trace: false }),
        Request::Validate(Validate { handle: 5, input, golden, tolerance: 0.0 }),
        Request::Generate(Generate { handle: 5, prompt, limit: 1, sampling, into: None }),
    ] {
        let verb = request.verb();
        let found = handle(&mut request).expect(verb);
        assert_eq!(std::mem::replace(found, 6), 5, "{verb}");
        assert_eq!(handle(&mut request).copied(), Some(6), "{verb}");
    }
    let hello = Hello { protocol: PROTOCOL, nonce: String::new(), scratch: path.clone() };
    for mut request in [
        Request::Hello(hello),
        Request::Device(DeviceQuery { device, profile: None }),
        Request::Load(Load::plain("", device)),
        Request::Stat(Stat {}),
        Request::Synchronize(Synchronize { device }),
        Request::Stream(Stream { device, path: path.clone(), rounds: 1, into: path }),
        Request::Bye(Bye {}),
    ] {
        let verb = request.verb();
        assert_eq!(handle(&mut request), None, "{verb}");
    }
}
