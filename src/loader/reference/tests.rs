//! Tests of the contract's verbs on the CPU, and of the GPU verbs' errors without a GPU.

mod divided;
mod running;

use crate::contract::{Class, Code};
use std::path::PathBuf;

use crate::contract::capability::check_complete;
use crate::contract::request::DtypePolicy;
use crate::loader::load::tests::{F32_ONES, file_of, request};
use crate::loader::reference::*;

fn hello(loader: &mut ReferenceLoader) -> Introduction {
    loader.hello(Hello { protocol: PROTOCOL, nonce: "n".into(), scratch: PathBuf::new() }).unwrap()
}

#[test]
fn names_every_capability() {
    let mut loader = ReferenceLoader::new();
    let introduction = hello(&mut loader);
    assert_eq!(check_complete(&introduction.capabilities), Ok(()));
    assert_eq!(introduction.nonce, "n");
    let cuda = &introduction.capabilities[&Capability::DeviceCuda];
    assert!(cuda.supported);
    let wrong = Hello { protocol: 99, nonce: String::new(), scratch: PathBuf::new() };
    assert_eq!(loader.hello(wrong).unwrap_err().code, Code::InvalidRequest);
}

#[test]
fn loads_reads_and_unloads_on_the_host() {
    let file = file_of(&[("a.weight", "F32", &[3], &F32_ONES), ("e", "F16", &[0, 2], &[])]);
    let mut loader = ReferenceLoader::new();
    let loaded = loader.load(request(file.path())).unwrap();
    assert_eq!(loaded.device, Device::Cpu);
    assert_eq!(loaded.tensors.len(), 2);
    assert_eq!(loaded.gates.len(), 5);
    assert_eq!(loaded.file_bytes, file.as_file().metadata().unwrap().len());
    let holdings = loader.stat(Stat {}).unwrap();
    assert_eq!((holdings.models, holdings.host_bytes, holdings.device_bytes), (1, 12, 0));

    let out = tempfile::tempdir().unwrap();
    let into = out.path().join("back");
    let written =
        loader.read(Read { handle: loaded.handle, into: into.clone(), rank: None }).unwrap();
    let bytes = std::fs::read(&into).unwrap();
    assert_eq!(written.bytes, bytes.len() as u64);
    let back = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(back.tensor("a.weight").unwrap().data(), F32_ONES);
    assert_eq!(back.tensor("e").unwrap().shape(), [0, 2]);

    loader.unload(Unload { handle: loaded.handle }).unwrap();
    assert_eq!(loader.stat(Stat {}).unwrap(), Holdings::default());
    for code in [
        loader.unload(Unload { handle: loaded.handle }).unwrap_err().code,
        loader.read(Read { handle: loaded.handle, into, rank: None }).unwrap_err().code,
        loader.export(Export { handle: 77, rank: None }).unwrap_err().code,
    ] {
        assert_eq!(code, Code::UnknownHandle);
    }
}

#[test]
fn host_models_are_neither_exported_nor_multiplied() {
    let file = file_of(&[("a", "F32", &[1, 3], &F32_ONES), ("b", "F32", &[3, 1], &F32_ONES)]);
    let mut loader = ReferenceLoader::new();
    let handle = loader.load(Load { admit: false, ..request(file.path()) }).unwrap().handle;
    let export = loader.export(Export { handle, rank: None }).unwrap_err();
    assert_eq!((export.class, export.code), (Class::Unsupported, Code::UnsupportedCapability));
    let mut multiply = |a: &str, b: &str| {
        let (a, b, into) = (a.into(), b.into(), PathBuf::from("/nonexistent"));
        loader.multiply(Multiply { handle, a, b, into }).unwrap_err().code
    };
    assert_eq!(multiply("a", "b"), Code::UnsupportedCapability);
    assert_eq!(multiply("a", "c"), Code::UnknownTensor);
    assert_eq!(multiply("a", "a"), Code::InvalidRequest);
}

#[test]
fn cuda_fails_loudly_where_there_is_none() {
    if crate::gpu::device_count().is_ok_and(|count| count > 0) {
        return; // Device tests cover a machine that has one.
    }
    let file = file_of(&[("a.weight", "F32", &[3], &F32_ONES)]);
    let mut loader = ReferenceLoader::new();
    let failures = [
        loader.load(Load { device: Device::Cuda(0), ..request(file.path()) }).map(drop),
        loader.device(DeviceQuery { device: Device::Cuda(0), profile: None }).map(drop),
        loader.synchronize(Synchronize { device: Device::Cuda(0) }).map(drop),
    ];
    for failure in failures {
        let failure = failure.unwrap_err();
        assert_eq!(
            (failure.class, failure.phase, failure.code),
            (Class::Device, Phase::Preflight, Code::CudaUnavailable)
        );
        assert!(failure.message.starts_with("[EMB-E001] CUDA_UNAVAILABLE"), "{failure}");
        assert!(failure.actual.is_some() && failure.remedy.is_some());
    }
    assert_eq!(loader.stat(Stat {}).unwrap().models, 0);
}

#[test]
fn widened_models_are_read_back_widened() {
    let file = file_of(&[("h.weight", "BF16", &[3], &[0x80, 0x3f, 0, 0x40, 0xc0, 0x7f])]);
    let mut loader = ReferenceLoader::new();
    let load = Load { keep: DtypePolicy::F32, admit: false, ..request(file.path()) };
    let loaded = loader.load(load).unwrap();
    assert_eq!((loaded.tensors[0].stored, loaded.tensors[0].dtype), (DType::BF16, DType::F32));
    assert_eq!(loaded.tensors[0].bytes, 12);
    let out = tempfile::NamedTempFile::new().unwrap();
    loader.read(Read { handle: loaded.handle, into: out.path().into(), rank: None }).unwrap();
    let bytes = std::fs::read(out.path()).unwrap();
    let back = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let expected = [0x3f80_0000u32, 0x4000_0000, 0x7fc0_0000].map(u32::to_le_bytes).concat();
    assert_eq!(back.tensor("h.weight").unwrap().data(), expected);
}
#[test]
fn a_model_without_bytes_on_a_device_is_exported_without_blocks() {
    let file = file_of(&[("e", "F32", &[0, 2], &[]), ("f", "F32", &[2, 0], &[])]);
    let mut loader = ReferenceLoader::new();
    let handle = loader.load(request(file.path())).expect("loads").handle;
    let model = loader.models.get_mut(&handle).expect("held");
    model.memory = Memory::Device(crate::loader::memory::block::tests::empty(2));
    let exported = loader.export(Export { handle, rank: None }).expect("exported");
    let nothing =
        |name: &str| Placement { name: name.to_owned(), block: None, offset: 0, bytes: 0 };
    let wanted = Exported { blocks: Vec::new(), tensors: vec![nothing("e"), nothing("f")] };
    assert_eq!(exported, wanted);
    let held = loader.stat(Stat {}).expect("holdings");
    assert_eq!((held.models, held.host_bytes, held.device_bytes), (1, 0, 0));
    let product = probe::multiply(&crate::loader::memory::block::tests::empty(2), 0, 0, (1, 1, 1));
    let error = product.expect_err("no matrices");
    assert_eq!((error.code(), &*error.failure().message), {
        (Code::Internal, "matrices in an empty model")
    });
}
