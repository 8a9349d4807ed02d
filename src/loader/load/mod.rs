//! The one load path.
//!
//! Order: device, open, headers, reserve; then one pass over the data, in which it is read, hashed,
//! scanned for the gates, converted and placed; then the verdicts, in this order: files unchanged,
//! digests, gates. The data is read once, into memory that only this path sees, so the bytes that
//! were hashed and judged are those that lie in the model. Any failure drops the model's memory
//! before it is reported.
//!
//! Two modes differ in what is hashed. *Strict* hashes whole files, each on a thread of its own, as
//! fast as one SHA-256 stream goes. *Sealed* compares the header and every chunk of the data with a
//! pinned seal; on a device, the device hashes the chunks where they have landed ([`Landing`]).
//!
//! A file of another format takes the same way, strictly: only its front is read by rules of its own
//! ([`foreign`](super::format)).

pub mod device_pass;
pub mod host_pass;
pub mod memory_plan;
pub mod model;
pub mod times;
use std::thread;

use sha2::{Digest, Sha256};

use crate::contract::Phase;
use crate::contract::plan::LoadStep;
use crate::contract::request;
use crate::contract::{Code, Device};

use crate::gpu::DecoderForms;

use self::host_pass::Pass;
use self::model::Model;
use self::times::Watch;
use super::decisions::Steps;
use super::device::{Gpus, Landing, fault, forms, not_yet};
use super::error::{LoadError, Result};
use super::format::Tail;
use super::gates::Scan;
use super::memory::{Arena, Sink};
use super::open::files;
use super::open::files::Files;
use super::progress::Progress;
use super::read::digest;
use super::read::digest::hex;
use super::read::stream;
use super::read::stream::Hashing;
use super::seal::Seal;
use super::seal::compare;

/// Loads a file, or the shards that an index names.
///
/// # Errors
/// Every refusal of the contract's `load`. Nothing stays behind but what is kept for the next load:
/// device contexts and staging rings.
pub fn load(
    gpus: &mut Gpus,
    steps: &dyn Steps,
    request: &request::Load,
    progress: &Progress,
) -> Result<Model> {
    load_files(gpus, steps, request, progress).map_err(|error| match error.phase() {
        // Nothing is wrong with the file, and it was not looked at.
        Phase::Preflight => error,
        _ => error.path(&request.path),
    })
}

fn load_files(
    gpus: &mut Gpus,
    steps: &dyn Steps,
    request: &request::Load,
    progress: &Progress,
) -> Result<Model> {
    let mut watch = Watch::start();
    if request.seal.is_some() && !request.format.is_usual() {
        return Err(LoadError::unsupported(Phase::Request, "seals are for safetensors alone")
            .expected("a load without a seal", format!("{:?} with one", request.format))
            .remedy("pin the file by its SHA-256"));
    }
    let asked = request.expect_sha256.as_deref();
    let asked = asked.map(|text| digest::parse("expect_sha256", text)).transpose()?;
    let open = || Files::open(&request.path, request.format, steps, request.keep);
    // A model that cannot be run is found out before any device is touched.
    let early = match &request.inference {
        None => None,
        Some(inference) => {
            let files = open()?;
            let runnable = steps.model(inference, files.carried(), &files.tensors())?;
            if let Some(what) = not_yet(&runnable).filter(|_| request.device.is_gpu()) {
                return Err(LoadError::no_kernel(what));
            }
            Some((files, runnable))
        }
    };
    watch.lap(LoadStep::Parse);
    let opened = match request.device {
        Device::Cpu => Ok(()),
        Device::Cuda(ordinal) => gpus.context(ordinal).map(drop),
    };
    let device = steps.device(request.device, opened)?;
    watch.lap(LoadStep::Allocate);
    let (files, mut runnable) = match early {
        Some((files, runnable)) => (files, Some(runnable)),
        None => (open()?, None),
    };
    watch.lap(LoadStep::Parse);
    let planned = match &mut runnable {
        None => None,
        Some(runnable) => {
            let free = free(gpus, device)?;
            memory_plan::decide(runnable, device, files.arena_bytes(), free, steps)?
        }
    };
    let (plan, layout) = planned.map_or((None, None), |made| (Some(made.plan), made.layout));
    // Kernels take as long to compile as a model to load: they are made meanwhile.
    let compiling = match (device, &runnable) {
        (Device::Cuda(ordinal), Some(runnable)) => Some(compile(gpus, ordinal, forms(runnable))),
        _ => None,
    };
    progress.begin(files.data_bytes());
    let mut arena = Arena::reserve(gpus, device, files.arena_bytes(), layout)?;
    watch.lap(LoadStep::Allocate);
    // On a device, sealed bytes are checked where they land. Bytes that nobody checks take the same
    // way, so that what the check costs can be told.
    let lands = request.seal.is_some() || !steps.hashes() && request.format.is_usual();
    let (used, scans) = match &mut arena {
        Arena::Device(arena) if lands => {
            let landing = Landing {
                files: files.all(),
                steps,
                seal: request.seal.as_ref(),
                scan: request.admit,
                progress,
            };
            let landed = arena.land(&landing)?;
            unchanged(&files, steps)?;
            let digests = landed.iter().map(|file| file.digest.unwrap_or_default()).collect();
            (digests, landed.into_iter().flat_map(|file| file.scans).collect::<Vec<Scan>>())
        }
        arena => {
            let seal = request.seal.as_ref().map(|seal| Seal::read(seal, steps)).transpose()?;
            let (seal, scan) = (seal.as_ref(), request.admit);
            let mut found =
                Job { files: &files, steps, device, scan, seal, progress }.stream(arena)?;
            unchanged(&files, steps)?;
            let mut used: Vec<[u8; 32]> = Vec::new();
            for (file, found) in files.all().iter().zip(&mut found) {
                found.tail.take().map_or(Ok(()), Tail::check)?;
                used.push(match seal {
                    None => found.whole.clone().map_or([0; 32], |whole| whole.finalize().into()),
                    Some(seal) => compare::compare(file, seal, &found.chunks, steps, progress)?,
                });
            }
            (used, found.into_iter().flat_map(|found| found.scans).collect())
        }
    };
    let sha256 = steps.digest(&request.path, files.digest(&used));
    if let Some(asked) = asked
        && !steps.digests_match(&asked, &sha256)
    {
        return Err(LoadError::refused(Phase::Verify, Code::ChecksumMismatch, "SHA-256 differs")
            .expected(hex(&asked), hex(&sha256))
            .remedy("download the file again, or correct the digest asked for"));
    }
    watch.lap(LoadStep::ReadAndHash);
    let gates = if request.admit {
        let infos = files.all().iter().flat_map(|file| &file.tensors).map(|tensor| &tensor.info);
        steps.admit(&infos.zip(&scans).collect::<Vec<_>>())?
    } else {
        Vec::new()
    };
    watch.lap(LoadStep::CheckWeights);
    let (memory, transfer) = arena.finish()?;
    watch.lap(LoadStep::Copy);
    if let Some(compiling) = compiling {
        compiling.done()?;
    }
    steps.settle(&memory)?;
    watch.lap(LoadStep::Register);
    // The pass scans and places what it reads while it is being hashed.
    let beside = [LoadStep::CheckWeights, LoadStep::Copy];
    let beside = beside.into_iter().filter(|step| request.admit || *step == LoadStep::Copy);
    Ok(Model {
        asked: request.device,
        file_bytes: files.bytes(),
        sha256,
        metadata: files.metadata(),
        tensors: files.tensors(),
        gates,
        transfer,
        duration: watch.elapsed(),
        times: watch.times(beside.collect()),
        plan,
        runnable,
        runner: None,
        decoder: None,
        memory,
    })
}

/// Kernels being compiled beside a load. A load that is refused waits for them too: a process that ends
/// while the compiler works ends badly.
struct Compiling(Option<thread::JoinHandle<Result<()>>>);

impl Compiling {
    fn done(mut self) -> Result<()> {
        let lost = |_| Err(LoadError::internal("the compiling thread was lost"));
        self.0.take().map_or(Ok(()), |thread| thread.join().unwrap_or_else(lost))
    }
}

impl Drop for Compiling {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // What it came to is told by whoever needs the kernels.
            let _ended = thread.join();
        }
    }
}

/// Compiles what running a model will need, beside the load. Whoever asks next finds it done.
fn compile(gpus: &Gpus, ordinal: u32, decoder: Option<DecoderForms>) -> Compiling {
    let mut gpus = gpus.sibling();
    Compiling(Some(thread::spawn(move || {
        gpus.runner(ordinal)?;
        decoder.map_or(Ok(()), |forms| gpus.decoder(ordinal, &forms).map(drop))
    })))
}

/// Device memory that is free now, in bytes; nothing of the host.
fn free(gpus: &mut Gpus, device: Device) -> Result<Option<u64>> {
    let Device::Cuda(ordinal) = device else { return Ok(None) };
    let memory = gpus.context(ordinal)?.memory();
    let (free, _) = memory.map_err(|error| fault(ordinal, Phase::Alloc, &error))?;
    Ok(Some(free as u64))
}

fn unchanged(files: &Files, steps: &dyn Steps) -> Result<()> {
    files.all().iter().try_for_each(|file| steps.unchanged(&file.source))
}

/// What the pass found of one file.
#[derive(Default)]
struct Found {
    /// The whole file's hash, where that was asked for.
    whole: Option<Sha256>,
    /// The digests of its data's chunks, where they were.
    chunks: Vec<[u8; 32]>,
    /// What the gates need to know of its tensors.
    scans: Vec<Scan>,
    /// The sum that it ends in, where its format has one.
    tail: Option<Tail>,
}

/// The pass over all data.
struct Job<'a> {
    files: &'a Files,
    steps: &'a dyn Steps,
    device: Device,
    scan: bool,
    seal: Option<&'a Seal>,
    progress: &'a Progress,
}

impl Job<'_> {
    /// Streams every file through the host, as many side by side as there are processors.
    fn stream(&self, arena: &mut Arena<'_>) -> Result<Vec<Found>> {
        let width = thread::available_parallelism().map_or(1, usize::from);
        let mut found = Vec::new();
        for group in self.files.all().chunks(width) {
            let parts: Vec<_> = group.iter().map(|file| file.part.clone()).collect();
            let mut sinks = arena.sinks(&parts)?;
            if let ([file], [sink]) = (group, sinks.as_mut_slice()) {
                found.push(self.stream_one(file, &mut **sink)?);
                continue;
            }
            let all: Vec<Result<Found>> = thread::scope(|scope| {
                let threads: Vec<_> = group
                    .iter()
                    .zip(&mut sinks)
                    .map(|(file, sink)| {
                        let work = move || {
                            let done = self.stream_one(file, &mut **sink);
                            done.map_err(|error| error.path(file.source.path()))
                        };
                        thread::Builder::new()
                            .name("load".into())
                            .spawn_scoped(scope, work)
                            .map_err(|error| stream::no_thread(&error))
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.and_then(stream::join)).collect()
            });
            for one in all {
                found.push(one?);
            }
        }
        Ok(found)
    }

    fn stream_one(&self, file: &files::File, sink: &mut dyn Sink) -> Result<Found> {
        let mut found = Found { tail: file.tail.clone(), ..Found::default() };
        let hashing = match self.seal {
            _ if !self.steps.hashes() => Hashing::Nothing,
            Some(seal) => Hashing::Chunks(seal.chunk_bytes, &mut found.chunks),
            None => Hashing::Whole(found.whole.insert(file.hasher.clone())),
        };
        let mut pass = Pass::new(&file.tensors, self.scan, self.steps, self.device, sink);
        let tail = &mut found.tail;
        let see = |at, bytes: &[u8]| {
            if let Some(tail) = tail {
                tail.take(bytes);
            }
            pass.take(at, bytes)
        };
        stream::read_all(&file.source, file.data.clone(), hashing, self.progress, see)?;
        found.scans = pass.end();
        sink.finish()?;
        Ok(found)
    }
}

#[cfg(test)]
pub(in crate::loader) mod tests;
