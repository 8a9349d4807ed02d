//! The pass over the data on the host: read, hash, scan, convert, place. Strict loads use it for
//! every device, and all loads into host memory use it.

mod file_pass;

use std::ops::Range;
use std::sync::Arc;
use std::thread;

use sha2::Digest;

use self::file_pass::FilePass;
use super::evidence::{FileEvidence, Hashed, PassInput};
use crate::loader::error::{LoadError, Result};
use crate::loader::memory::Arena;
use crate::loader::memory::sink::Sink;
use crate::loader::open::files::File;
use crate::loader::parallel::Divided;
use crate::loader::parallel::scatter::ScatterSink;
use crate::loader::read::stream;
use crate::loader::read::stream::Hashing;
use crate::loader::seal::Seal;

/// The pass over all files.
pub struct HostPass<'a> {
    input: &'a PassInput<'a>,
    seal: Option<Arc<Seal>>,
}

impl<'a> HostPass<'a> {
    /// Reads the seal, if the request has one.
    ///
    /// # Errors
    /// Those of the seal.
    pub fn new(input: &'a PassInput<'a>) -> Result<HostPass<'a>> {
        let seal = input.seal.map(|seal| Seal::read(seal, input.decisions)).transpose()?;
        Ok(HostPass { input, seal: seal.map(Arc::new) })
    }

    /// Processes every file, up to one file for each processor at the same time.
    ///
    /// # Errors
    /// Those of reading and of placing.
    pub fn run(&self, arena: &mut Arena<'_>) -> Result<Vec<FileEvidence>> {
        let width = thread::available_parallelism().map_or(1, usize::from);
        let (mut found, mut first) = (Vec::new(), 0);
        for group in self.input.files.chunks(width) {
            let parts: Vec<_> = group.iter().map(|file| file.part.clone()).collect();
            let mut sinks = match self.input.divided {
                None => arena.sinks(&parts)?,
                Some(divided) => {
                    scatter(divided, arena, self.input.files, first..first + group.len())?
                }
            };
            first += group.len();
            if let ([file], [sink]) = (group, sinks.as_mut_slice()) {
                found.push(self.stream_one(file, &mut **sink)?);
                continue;
            }
            let all: Vec<Result<FileEvidence>> = thread::scope(|scope| {
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

    fn stream_one(&self, file: &File, sink: &mut dyn Sink) -> Result<FileEvidence> {
        let PassInput { decisions, device, scan, progress, .. } = *self.input;
        let (mut whole, mut chunks) = (file.hasher.clone(), Vec::new());
        let hashing = match &self.seal {
            _ if !decisions.hashes() => Hashing::Nothing,
            Some(seal) => Hashing::Chunks(seal.chunk_bytes, &mut chunks),
            None => Hashing::Whole(&mut whole),
        };
        let mut pass = FilePass::new(&file.tensors, scan, decisions, device, sink);
        let mut tail = file.tail.clone();
        let see = |at, bytes: &[u8]| {
            if let Some(tail) = &mut tail {
                tail.take(bytes);
            }
            pass.take(at, bytes)
        };
        stream::read_all(&file.source, file.data.clone(), hashing, progress, see)?;
        let scans = pass.end();
        sink.finish()?;
        let hashed = match &self.seal {
            Some(seal) => Hashed::Chunks(Arc::clone(seal), chunks),
            None if decisions.hashes() => Hashed::Whole(whole.finalize().into()),
            None => Hashed::Nothing,
        };
        Ok(FileEvidence { hashed, scans, tail })
    }
}

/// Creates the sinks of some files of a divided model.
fn scatter<'s>(
    divided: &Divided,
    arena: &'s mut Arena<'_>,
    files: &[File],
    group: Range<usize>,
) -> Result<Vec<Box<dyn Sink + Send + 's>>> {
    let Arena::Divided(arena) = arena else {
        return Err(LoadError::internal("ranks without memory of their own"));
    };
    let parts = divided.ranks.iter().map(|rank| rank.files[group.clone()].to_vec());
    let sinks = arena.sinks(&parts.collect::<Vec<_>>())?;
    let mut first: usize = files[..group.start].iter().map(|file| file.tensors.len()).sum();
    let mut all: Vec<Box<dyn Sink + Send + 's>> = Vec::new();
    for (number, ranks) in group.zip(sinks) {
        let tensors = &files[number].tensors;
        all.push(Box::new(ScatterSink::new(divided, (number, first), tensors, ranks)));
        first += tensors.len();
    }
    Ok(all)
}
