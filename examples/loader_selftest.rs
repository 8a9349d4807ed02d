//! Tests the reference loader on a real device and stops at the first failed check.
//!
//! `cargo run --example loader_selftest`. Needs a CUDA device; prints a line for each check.

use std::path::{Path, PathBuf};
use std::time::Instant;

use weighbridge::contract::request::{
    DeviceQuery, DtypePolicy, Export, Format, HardwareProfile, Load, Multiply, Read, Stat, Stream,
    Synchronize, Unload,
};
use weighbridge::contract::{Class, Code, Device, Loader, Phase};
use weighbridge::loader::{
    CudaStorage, CudarGpuAllocator, GpuMemoryAllocator, ReferenceLoader, SafeTensorsCudaLoader,
    SafeTensorsCudaModel, SafeTensorsWeightLoader, WeightLoader, run_preflight_checks,
};

const GPU: Device = Device::Cuda(0);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let mut loader = ReferenceLoader::new();

    devices(&mut loader)?;

    // Odd offsets, several dtypes, a tensor without elements, one longer than a slot of the ring.
    let long: Vec<u8> =
        (0..6_000_001u32).flat_map(|n| ((n % 8191) as f32 + 0.5).to_le_bytes()).collect();
    let half: Vec<u8> = (0..7u16).flat_map(|n| (0x3c00 + n).to_le_bytes()).collect();
    let tensors: &[(&str, &str, &[u64], &[u8])] = &[
        ("half.weight", "F16", &[7], &half),
        ("empty", "BF16", &[0, 3], &[]),
        ("long.weight", "F32", &[6_000_001], &long),
        ("brain.weight", "BF16", &[1, 7], &half),
        ("scalar", "F32", &[], &[0, 0, 0x80, 0x7f]),
    ];
    write(&at("mixed"), tensors)?;
    let request = |path: &Path, keep: DtypePolicy, admit: bool| Load {
        path: path.into(),
        format: Format::Safetensors,
        device: GPU,
        keep,
        expect_sha256: None,
        seal: None,
        admit,
        inference: None,
        parallel: None,
    };
    let before = free(&mut loader)?;
    let start = Instant::now();
    let loaded = loader.load(request(&at("mixed"), DtypePolicy::Stored, false))?;
    println!("load {} bytes in {:?}: {:?}", loaded.file_bytes, start.elapsed(), loaded.transfer);
    assert_eq!((loaded.device, loaded.tensors.len()), (GPU, 5));
    loader.read(Read { handle: loaded.handle, into: at("back"), rank: None })?;
    let back = std::fs::read(at("back"))?;
    let back = safetensors::SafeTensors::deserialize(&back)?;
    for (name, _, _, data) in tensors {
        assert_eq!(back.tensor(name)?.data(), *data, "{name}");
    }
    println!("read back: every byte as in the file");

    let exported = loader.export(Export { handle: loaded.handle, rank: None })?;
    assert_eq!((exported.blocks.len(), exported.blocks[0].ipc.len()), (1, 128));
    assert_eq!(exported.blocks[0].bytes, loaded.held_bytes);
    assert!(exported.tensors.iter().any(|tensor| tensor.block.is_none()));
    println!("export: pointer {:#x}", exported.blocks[0].pointer);

    let wide = loader.load(request(&at("mixed"), DtypePolicy::F32, false))?;
    loader.read(Read { handle: wide.handle, into: at("wide"), rank: None })?;
    let bytes = std::fs::read(at("wide"))?;
    let wide_back = safetensors::SafeTensors::deserialize(&bytes)?;
    let expected: Vec<u8> = half.chunks(2).flat_map(|pair| [0, 0, pair[0], pair[1]]).collect();
    assert_eq!(wide_back.tensor("brain.weight")?.data(), expected);
    assert_eq!(wide_back.tensor("long.weight")?.data(), long);
    println!("widened: as the definition says");

    let refused = loader.load(request(&at("mixed"), DtypePolicy::Stored, true)).unwrap_err();
    assert_eq!((refused.phase, refused.code), (Phase::Admit, Code::NonFinite));
    let wrong = Load {
        expect_sha256: Some("0".repeat(64)),
        ..request(&at("mixed"), DtypePolicy::Stored, true)
    };
    assert_eq!(loader.load(wrong).unwrap_err().code, Code::ChecksumMismatch);
    for handle in [loaded.handle, wide.handle] {
        loader.unload(Unload { handle })?;
    }
    assert_eq!(loader.stat(Stat {})?.device_bytes, 0);
    for _ in 0..50 {
        let handle = loader.load(request(&at("mixed"), DtypePolicy::Stored, false))?.handle;
        loader.unload(Unload { handle })?;
    }
    let after = free(&mut loader)?;
    println!("free before first load {before}, after all unloads {after}");
    assert!(before.abs_diff(after) < 64 << 20, "memory left behind");

    out_of_memory(&mut loader, &at("huge"))?;
    products(&mut loader, &at("m"), &at("c"))?;

    loader.stream(Stream { device: GPU, path: at("mixed"), rounds: 1, into: at("travelled") })?;
    assert_eq!(std::fs::read(at("mixed"))?, std::fs::read(at("travelled"))?);
    loader.synchronize(Synchronize { device: GPU })?;
    println!("stream and synchronise: same bytes");

    views(&at("mixed"), &at("m"))?;
    if let Some(real) = std::env::args_os().nth(1) {
        let path = PathBuf::from(real);
        for _ in 0..3 {
            let start = Instant::now();
            let loaded = loader.load(request(&path, DtypePolicy::Stored, true))?;
            let seconds = start.elapsed().as_secs_f64();
            println!(
                "{}: {:.3} s, {:.2} GB/s",
                path.display(),
                seconds,
                loaded.file_bytes as f64 / seconds / 1e9
            );
            loader.unload(Unload { handle: loaded.handle })?;
        }
    }
    println!("all as it should be");
    Ok(())
}

fn devices(loader: &mut ReferenceLoader) -> Result<(), Box<dyn std::error::Error>> {
    let info = loader.device(DeviceQuery { device: GPU, profile: None })?;
    println!("{info:?}");
    assert!(!info.name.is_empty() && info.total_bytes > info.free_bytes && info.count > 0);
    let none = loader.device(DeviceQuery { device: Device::Cuda(99), profile: None }).unwrap_err();
    println!("{none}");
    assert_eq!(
        (none.class, none.phase, none.code),
        (Class::Device, Phase::Preflight, Code::InvalidDevice)
    );
    let profile =
        |vram_bytes| HardwareProfile { name: "p".into(), compute_capability: (8, 0), vram_bytes };
    assert!(run_preflight_checks(0, &profile(1 << 30)).is_ok());
    let short = run_preflight_checks(0, &profile(1 << 60)).unwrap_err();
    assert_eq!(short.code(), Code::VramInsufficient);
    Ok(())
}

/// A sparse file larger than the device: refused before anything of it is read.
fn out_of_memory(
    loader: &mut ReferenceLoader,
    path: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let bytes = 1u64 << 40;
    let header =
        format!(r#"{{"w":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{bytes}]}}}}"#, bytes / 4);
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    std::fs::write(path, &file)?;
    std::fs::File::options().write(true).open(path)?.set_len(file.len() as u64 + bytes)?;
    let load = Load {
        path: path.into(),
        format: Format::Safetensors,
        device: GPU,
        keep: DtypePolicy::Stored,
        expect_sha256: None,
        seal: None,
        admit: false,
        inference: None,
        parallel: None,
    };
    let failure = loader.load(load).unwrap_err();
    println!("{failure}");
    assert_eq!(
        (failure.class, failure.phase, failure.code),
        (Class::Resource, Phase::Alloc, Code::OutOfDeviceMemory)
    );
    assert_eq!(failure.requested_bytes, Some(bytes));
    assert!(failure.available_bytes.is_some_and(|free| free > 0 && free < bytes));
    Ok(())
}

fn products(
    loader: &mut ReferenceLoader,
    path: &Path,
    into: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let floats =
        |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let (a, b) = (floats(&[1., 2., 3., 4., 5., 6.]), floats(&[1., 0., 2., 1., 0., 3.]));
    write(path, &[("a", "F32", &[2, 3], &a), ("b", "F32", &[3, 2], &b)])?;
    let load = Load {
        path: path.into(),
        format: Format::Safetensors,
        device: GPU,
        keep: DtypePolicy::Stored,
        expect_sha256: None,
        seal: None,
        admit: true,
        inference: None,
        parallel: None,
    };
    let handle = loader.load(load)?.handle;
    loader.multiply(Multiply { handle, a: "a".into(), b: "b".into(), into: into.into() })?;
    let bytes = std::fs::read(into)?;
    let c = safetensors::SafeTensors::deserialize(&bytes)?;
    assert_eq!(c.tensor("c")?.shape(), [2, 2]);
    assert_eq!(c.tensor("c")?.data(), floats(&[5., 11., 14., 23.]));
    loader.unload(Unload { handle })?;
    println!("multiply: right");
    Ok(())
}

fn views(mixed: &Path, sound: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let tensors = SafeTensorsCudaLoader::new(0)?.load(mixed)?;
    assert_eq!(tensors["scalar"].to_host()?, [0, 0, 0x80, 0x7f], "infinity survives transfer");
    assert!(SafeTensorsCudaModel::from_safetensors(mixed, 0).is_err(), "and is not admitted");
    let model = SafeTensorsCudaModel::from_safetensors(sound, 0)?;
    assert!(model.tensor("a").is_some_and(|tensor| tensor.as_device_ptr().is_some()));
    let loader = SafeTensorsWeightLoader::new();
    let digest = loader.compute_checksum(sound)?;
    let weights = loader.load_weights("m", sound, Some(&digest), 0)?;
    assert_eq!(weights.result.gpu_ptr, weights.tensors["a"].as_device_ptr());
    assert!(loader.load_weights("m", sound, Some(&[0; 32]), 0).is_err());
    assert_eq!(
        CudaStorage::from_slice(&[1.5, -2.0], 0)?.to_host()?,
        [0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0]
    );
    let mut allocator = CudarGpuAllocator::new(0)?;
    let pointer = allocator.allocate(1024)?;
    allocator.copy_to_device(pointer, &[7; 1024])?;
    assert!(allocator.copy_to_device(pointer, &[7; 1025]).is_err());
    assert_eq!(allocator.total_allocated(), 1024);
    allocator.free(pointer)?;
    assert!(allocator.free(pointer).is_err() && allocator.available_memory()? > 0);
    assert_eq!(allocator.allocate(1 << 45).unwrap_err().code(), Code::OutOfDeviceMemory);
    println!("views: as documented");
    Ok(())
}

fn free(loader: &mut ReferenceLoader) -> Result<u64, Box<dyn std::error::Error>> {
    Ok(loader.device(DeviceQuery { device: GPU, profile: None })?.free_bytes)
}

fn write(path: &Path, tensors: &[(&str, &str, &[u64], &[u8])]) -> std::io::Result<()> {
    let (mut members, mut data) = (Vec::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let begin = data.len();
        data.extend_from_slice(bytes);
        members.push(format!(
            r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{begin},{}]}}"#,
            data.len()
        ));
    }
    let header = format!("{{{}}}", members.join(","));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(&data);
    std::fs::write(path, file)
}
