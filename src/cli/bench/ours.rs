//! Runs the reference loader in this process, in each of its modes, and checks its replies.

use std::path::PathBuf;
use std::time::Instant;

use super::place::Place;
use super::truth::Truth;
use crate::contract::plan::LoadTimes;
use crate::contract::reply::Loaded;
use crate::contract::request::{DtypePolicy, Format, Load, Read, Seal, Unload};
use crate::contract::{Device, Loader};
use crate::gpu;
use crate::harness::evidence::memory::{begin_peak, peak};
use crate::loader::{LoadDecisions, ReferenceLoader};

/// How much is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Whole-file SHA-256 of the bytes that are used.
    Strict,
    /// SHA-256 of every chunk against a pinned seal.
    Sealed,
    /// The sealed load's path with nothing hashed.
    Unverified,
}

impl Mode {
    /// Every mode, in the order of the table.
    pub const ALL: [Mode; 3] = [Mode::Strict, Mode::Sealed, Mode::Unverified];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Strict => "strict",
            Mode::Sealed => "sealed",
            Mode::Unverified => "unverified",
        }
    }

    /// What it verifies.
    pub const fn verifies(self, gates: bool) -> &'static str {
        match (self, gates) {
            (Mode::Strict, true) => "file SHA-256, gates",
            (Mode::Strict, false) => "file SHA-256",
            (Mode::Sealed, true) => "chunk SHA-256, gates",
            (Mode::Sealed, false) => "chunk SHA-256",
            (Mode::Unverified, _) => "header only",
        }
    }

    /// What is checked of each load, outside the timed part.
    pub const fn checked(self) -> &'static str {
        match self {
            Mode::Strict | Mode::Sealed => "its digest; once, every byte read back",
            Mode::Unverified => "its sizes; once, every byte read back",
        }
    }

    /// How the bytes are moved.
    pub const fn how(self, device: Device) -> &'static str {
        match (self, device) {
            (Mode::Strict, Device::Cpu) => {
                "a thread reads, one hashes, one scans and places in host memory"
            }
            (Mode::Sealed, Device::Cpu) => {
                "a thread reads, several hash chunks, one scans and places in host memory"
            }
            (Mode::Unverified, Device::Cpu) => "a thread reads, one places in host memory",
            (Mode::Strict, Device::Cuda(_)) => {
                "a thread reads, one hashes, one scans and fills a pinned ring; asynchronous copies"
            }
            (Mode::Sealed, Device::Cuda(_)) => {
                "up to 12 threads read into pinned rings; asynchronous copies to the final \
                 place; there the device hashes chunks, and counts for the gates"
            }
            (Mode::Unverified, Device::Cuda(_)) => {
                "the sealed load's threads, rings and copies; nothing hashed or counted"
            }
        }
    }
}

/// Hashes nothing. Everything else is as in the reference loader.
pub(super) struct Unhashed;

impl LoadDecisions for Unhashed {
    fn hashes(&self) -> bool {
        false
    }
}

/// The loader in all modes.
pub struct Ours {
    honest: ReferenceLoader,
    unhashed: ReferenceLoader,
    device: Device,
    /// Kept open, so that the driver's state is not set up again for each query of free memory.
    context: Option<gpu::Context>,
    gates: bool,
}

/// What one load took.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Seconds.
    pub seconds: f64,
    /// Peak host memory above the resident memory before, in bytes; absent if the model itself is
    /// in host memory.
    pub host_peak: Option<u64>,
    /// Device memory in bytes, as the driver counts it.
    pub device: Option<u64>,
    /// Staging memory in bytes, as the loader reports it.
    pub staging: Option<u64>,
    /// Where the time went, as the loader reports it.
    pub times: Option<LoadTimes>,
}

impl Ours {
    /// A loader without models. The caller has checked that the device exists.
    pub fn new(device: Device, gates: bool) -> Ours {
        let unhashed = ReferenceLoader::with_decisions(Box::new(Unhashed));
        let context = match device {
            Device::Cpu => None,
            Device::Cuda(ordinal) => gpu::Context::open(ordinal).ok(),
        };
        Ours { honest: ReferenceLoader::new(), unhashed, device, context, gates }
    }

    /// Free device memory, in bytes.
    fn free(&self) -> Option<u64> {
        let (free, _) = self.context.as_ref()?.memory().ok()?;
        Some(free as u64)
    }

    /// Times one load, checks the result, and unloads the model. `deep` also reads every byte back.
    ///
    /// # Errors
    /// Why the load failed, or how the result differs from the file.
    pub fn load(
        &mut self,
        mode: Mode,
        (place, pin, truth): (&Place, &Pin, &Truth),
        deep: bool,
    ) -> Result<Taken, String> {
        let request = self.request(mode, place, pin);
        let (device, gates) = (self.device, self.gates);
        let free_before = self.free();
        let loader = match mode {
            Mode::Unverified => &mut self.unhashed,
            _ => &mut self.honest,
        };
        let resident = begin_peak(&[std::process::id()]).ok();
        let start = Instant::now();
        let loaded = loader.load(request);
        let seconds = start.elapsed().as_secs_f64();
        let peak = peak(&[std::process::id()]).ok();
        let free_after = self.free();
        let taken = free_before.zip(free_after).map(|(before, after)| before.saturating_sub(after));
        let loader = match mode {
            Mode::Unverified => &mut self.unhashed,
            _ => &mut self.honest,
        };
        let loaded = loaded.map_err(|failure| place.without_folders(&failure.to_string()))?;
        let checked = check(&loaded, mode, pin, truth, (device, gates))
            .and_then(|()| if deep { read_back(loader, &loaded, truth) } else { Ok(()) });
        let released = loader.unload(Unload { handle: loaded.handle });
        released.map_err(|failure| failure.to_string())?;
        checked?;
        Ok(Taken {
            seconds,
            host_peak: peak
                .zip(resident)
                .filter(|_| device.is_gpu())
                .map(|(peak, resident)| peak.saturating_sub(resident)),
            device: taken,
            staging: loaded.transfer.map(|transfer| transfer.staging_bytes),
            times: loaded.times,
        })
    }

    fn request(&self, mode: Mode, place: &Place, pin: &Pin) -> Load {
        let seal = Seal { path: place.seal.clone(), sha256: pin.seal.clone() };
        Load {
            path: place.file.clone(),
            format: Format::Safetensors,
            device: self.device,
            keep: DtypePolicy::Stored,
            expect_sha256: (mode == Mode::Strict).then(|| pin.file.clone()),
            seal: (mode == Mode::Sealed).then_some(seal),
            admit: self.gates && mode != Mode::Unverified,
            parallel: None,
            inference: None,
        }
    }
}

/// The digests of the file, known before it is loaded.
#[derive(Clone, Debug)]
pub struct Pin {
    /// SHA-256 of the file.
    pub file: String,
    /// SHA-256 of its seal.
    pub seal: String,
}

/// Compares the reply with what is known of the file.
fn check(
    loaded: &Loaded,
    mode: Mode,
    pin: &Pin,
    truth: &Truth,
    (device, gates): (Device, bool),
) -> Result<(), String> {
    let bytes: u64 = loaded.tensors.iter().map(|tensor| tensor.bytes).sum();
    let found = (loaded.device, loaded.tensors.len() as u64, bytes, loaded.file_bytes);
    let wanted = (device, truth.tensors, truth.data_bytes, truth.bytes);
    if found != wanted {
        let told = |(device, tensors, bytes, file): (Device, u64, u64, u64)| {
            format!("{tensors} tensors, {bytes} bytes, on {device}, of a file of {file} bytes")
        };
        return Err(format!("loaded {} in place of {}", told(found), told(wanted)));
    }
    if mode == Mode::Unverified {
        return Ok(());
    }
    if loaded.sha256.as_ref() != Some(&pin.file) {
        let found = loaded.sha256.as_deref().unwrap_or("none");
        return Err(format!("digest differs: {found} in place of {}", pin.file));
    }
    if gates && loaded.gates.is_empty() {
        return Err("the gates did not run".to_owned());
    }
    Ok(())
}

/// Lets the loader write all tensors to `/dev/null`, and compares the digest that it reports.
fn read_back(loader: &mut ReferenceLoader, loaded: &Loaded, truth: &Truth) -> Result<(), String> {
    let read = Read { handle: loaded.handle, into: PathBuf::from("/dev/null"), rank: None };
    let written = loader.read(read).map_err(|failure| failure.to_string())?;
    if written.sha256 == truth.written {
        return Ok(());
    }
    Err(format!("bytes read back differ: {} in place of {}", written.sha256, truth.written))
}
