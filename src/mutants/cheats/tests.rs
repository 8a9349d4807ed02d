//! Tests the cheats that need a GPU, with a loader that takes host memory for a GPU's; and caches.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::answers::{Kept, Undead};
use super::elsewhere::{Decoy, HostComputes};
use crate::contract::generation::{Prompt, Sampling};
use crate::contract::inference::{Head, Input, OutputKind, Pooling};
use crate::contract::reply::{Done, Holdings, Loaded, Reply};
use crate::contract::request::{
    Export, Forward, Generate, Load, Read, Request, Stat, Unload, Validate,
};
use crate::contract::{Code, Device, Loader};
use crate::loader::ReferenceLoader;
use crate::loader::infer::tests::{decoder, le_bytes, save_batch};
use crate::mutants::between::{Answer, Between};
use crate::mutants::device::SilentCpu;

/// A loader that holds in host memory what is asked to be on a GPU, and names the GPU.
fn pretending() -> ReferenceLoader {
    ReferenceLoader::with_decisions(Box::new(SilentCpu))
}

fn load(lie: &mut dyn Between, loader: &mut ReferenceLoader, load: Load) -> Loaded {
    match lie.answer(loader, Request::Load(load)) {
        Ok(Reply::Load(loaded)) => loaded,
        other => panic!("{other:?}"),
    }
}

fn generate(handle: u64, limit: u32, into: Option<PathBuf>) -> Request {
    let prompt = Prompt::Tokens(vec![3, 7]);
    Request::Generate(Generate { handle, prompt, limit, sampling: Sampling::GREEDY, into })
}

/// A forward pass of two sentences, whose file is written to the folder.
fn forward(handle: u64, folder: &Path, into: &Path) -> Request {
    let input = folder.join("input");
    save_batch(&decoder().batch(), &input);
    Request::Forward(Forward { handle, input: Input::File(input), into: into.into(), trace: false })
}

fn code(answer: Answer) -> Result<Reply, Code> {
    answer.map_err(|failure| failure.code)
}

#[test]
fn what_is_held_on_the_card_is_computed_on_the_host() {
    let folder = TempDir::new().expect("a folder");
    let on_host = decoder().save(folder.path());
    let on_card = Load { device: Device::Cuda(0), ..on_host.clone() };
    let (mut loader, mut lie) = (pretending(), HostComputes::default());
    let honest = ReferenceLoader::new().load(on_host.clone()).expect("loads").handle;
    let loaded = load(&mut lie, &mut loader, on_card.clone());
    assert_eq!((loaded.device, loaded.handle), (Device::Cuda(0), honest));
    let handle = loaded.handle;
    // What the card holds is gone, and every answer comes nevertheless.
    loader.unload(Unload { handle }).expect("held");
    let Ok(Reply::Generate(generated)) = lie.answer(&mut loader, generate(handle, 4, None)) else {
        panic!("no answer");
    };
    assert_eq!((generated.device, generated.tokens.len()), (Device::Cuda(0), 4));
    let out = folder.path().join("out");
    let asked = forward(handle, folder.path(), &out);
    let Ok(Reply::Forward(forwarded)) = lie.answer(&mut loader, asked) else { panic!("no answer") };
    assert_eq!((forwarded.device, forwarded.output.kind()), (Device::Cuda(0), OutputKind::Logits));
    let bytes = fs::read(&out).expect("written");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let logits = &file.tensor("logits").expect("logits").data()[..11 * 4];
    let golden = |name: &str, values: &[u8]| {
        let path = folder.path().join(name);
        let count = (values.len() as u32 / 4).to_le_bytes();
        fs::write(&path, [&count, values].concat()).expect("written");
        path
    };
    let (input, golden) = (golden("test_input", &le_bytes(&[3.0])), golden("golden", logits));
    let asked = Validate { handle, input, golden, tolerance: 1e-5 };
    let Ok(Reply::Validate(validated)) = lie.answer(&mut loader, Request::Validate(asked)) else {
        panic!("no answer");
    };
    assert_eq!((validated.device, validated.values), (Device::Cuda(0), 11));
    let read = Read { handle, into: out, rank: None };
    assert_eq!(code(lie.answer(&mut loader, Request::Read(read))), Err(Code::UnknownHandle));

    let unload = Request::Unload(Unload { handle });
    assert_eq!(code(lie.answer(&mut loader, unload)), Err(Code::UnknownHandle));
    let after = lie.answer(&mut loader, generate(handle, 4, None));
    assert_eq!(code(after), Err(Code::UnknownHandle), "the host's copy is gone too");

    // Models of the host, and those that nobody runs, are left alone.
    for asked in [on_host, Load { inference: None, ..on_card }] {
        let handle = load(&mut lie, &mut loader, asked).handle;
        loader.unload(Unload { handle }).expect("held");
        let after = lie.answer(&mut loader, generate(handle, 4, None));
        assert_eq!(code(after), Err(Code::UnknownHandle));
    }
}

#[test]
fn another_copy_is_shown_than_the_one_that_computes() {
    let folder = TempDir::new().expect("a folder");
    let on_host = decoder().save(folder.path());
    let on_card = Load { device: Device::Cuda(0), ..on_host.clone() };
    let (mut loader, mut lie) = (pretending(), Decoy::default());
    let handle = load(&mut lie, &mut loader, on_card.clone()).handle;
    let models = |answer: Answer| match answer {
        Ok(Reply::Stat(Holdings { models, device_bytes, .. })) => (models, device_bytes),
        other => panic!("{other:?}"),
    };
    assert_eq!(models(lie.answer(&mut loader, Request::Stat(Stat {}))), (1, 0));
    assert_eq!(models(loader.answer(Request::Stat(Stat {}))), (2, 0), "in truth");
    // The copy that is shown is the one that was loaded last.
    let shown = handle + 1;
    loader.unload(Unload { handle: shown }).expect("held");
    let into = folder.path().join("out");
    let read = |handle| Request::Read(Read { handle, into: into.clone(), rank: None });
    let export = Request::Export(Export { handle, rank: None });
    assert_eq!(code(lie.answer(&mut loader, read(handle))), Err(Code::UnknownHandle));
    assert_eq!(code(lie.answer(&mut loader, export)), Err(Code::UnknownHandle));
    assert!(lie.answer(&mut loader, generate(handle, 2, None)).is_ok(), "the other computes");
    let unload = Request::Unload(Unload { handle });
    assert_eq!(code(lie.answer(&mut loader, unload)), Err(Code::UnknownHandle));

    let (mut loader, mut lie) = (pretending(), Decoy::default());
    let handle = load(&mut lie, &mut loader, on_card.clone()).handle;
    let unload = Request::Unload(Unload { handle });
    assert_eq!(lie.answer(&mut loader, unload), Ok(Reply::Unload(Done {})));
    assert_eq!(models(loader.answer(Request::Stat(Stat {}))), (0, 0), "both are freed");
    for asked in [on_host, Load { inference: None, ..on_card }] {
        let before = models(loader.answer(Request::Stat(Stat {}))).0;
        let handle = load(&mut lie, &mut loader, asked).handle;
        assert_eq!(models(loader.answer(Request::Stat(Stat {}))).0, before + 1, "no second copy");
        assert!(lie.answer(&mut loader, read(handle)).is_ok());
    }
}

#[test]
fn answers_are_kept_by_what_their_key_holds() {
    let folder = TempDir::new().expect("a folder");
    let logits = decoder().save(folder.path());
    let mut pooled = logits.clone();
    if let Some(inference) = &mut pooled.inference {
        inference.head = Head::pooled(Pooling::LastToken);
    }
    let kind = |answer: Answer| match answer {
        Ok(Reply::Forward(forwarded)) => forwarded.output.kind(),
        other => panic!("{other:?}"),
    };
    for (mut lie, second) in
        [(Kept::by_digest(), OutputKind::Logits), (Kept::by_everything(), OutputKind::Embedding)]
    {
        let mut loader = ReferenceLoader::new();
        let into = folder.path().join("out");
        let first = load(&mut lie, &mut loader, logits.clone()).handle;
        let asked = forward(first, folder.path(), &into);
        assert_eq!(kind(lie.answer(&mut loader, asked.clone())), OutputKind::Logits);
        let written = fs::read(&into).expect("written");
        fs::remove_file(&into).expect("removed");
        let limited = |limit| generate(first, limit, None);
        assert!(lie.answer(&mut loader, limited(2)).is_ok());
        loader.unload(Unload { handle: first }).expect("held");
        assert_eq!(kind(lie.answer(&mut loader, asked)), OutputKind::Logits, "from the cache");
        assert_eq!(fs::read(&into).expect("written again"), written);
        assert!(lie.answer(&mut loader, limited(2)).is_ok(), "from the cache");
        let other = lie.answer(&mut loader, limited(3));
        assert_eq!(code(other), Err(Code::UnknownHandle), "another question");

        let other = load(&mut lie, &mut loader, pooled.clone()).handle;
        let asked = forward(other, folder.path(), &into);
        assert_eq!(kind(lie.answer(&mut loader, asked.clone())), second);
        let unload = Request::Unload(Unload { handle: other });
        assert_eq!(lie.answer(&mut loader, unload), Ok(Reply::Unload(Done {})));
        let kept = lie.answer(&mut loader, asked).is_ok();
        assert_eq!(kept, second == OutputKind::Logits, "only one forgets what is unloaded");
    }
}

#[test]
fn a_model_that_is_told_as_unloaded_still_answers() {
    let folder = TempDir::new().expect("a folder");
    let (mut loader, mut lie) = (ReferenceLoader::new(), Undead::default());
    let handle = load(&mut lie, &mut loader, decoder().save(folder.path())).handle;
    let unload = || Request::Unload(Unload { handle });
    assert_eq!(lie.answer(&mut loader, unload()), Ok(Reply::Unload(Done {})));
    assert_eq!(
        lie.answer(&mut loader, Request::Stat(Stat {})),
        Ok(Reply::Stat(Holdings::default()))
    );
    assert!(lie.answer(&mut loader, generate(handle, 2, None)).is_ok());
    let strange = Request::Unload(Unload { handle: 77 });
    assert_eq!(code(lie.answer(&mut loader, strange)), Err(Code::UnknownHandle));
    assert_eq!(lie.answer(&mut loader, unload()), Ok(Reply::Unload(Done {})), "in truth");
    assert_eq!(loader.stat(Stat {}), Ok(Holdings::default()));
}
