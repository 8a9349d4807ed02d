//! A loader with a process for each rank of a divided load, and lies about a rank whose process is lost.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::rank_process::{Lost, RankProcess, wait_for_any};
use crate::contract::parallel::Parallel;
use crate::contract::reply::{Done, Loaded, Reply, Written};
use crate::contract::request::{Export, Load, Read, Request};
use crate::contract::{Capability, Class, Code, Failure, Loader, Phase};
use crate::loader::ReferenceLoader;
use crate::loader::read::digest;
use crate::mutants::between::{Answer, Between, handle};

/// The first handle of divided models. Those of whole ones are far below.
const FIRST: u64 = 1 << 40;
/// How long an impatient loader waits for a rank, in milliseconds.
const IMPATIENCE: u16 = 500;

/// What is wrong where a rank is lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    /// Nothing.
    Nothing,
    /// Its bytes are those of its neighbour.
    OfNeighbour,
    /// Its bytes are zeros.
    Zeros,
    /// It is waited for without end.
    Waited,
    /// The loader ends with it.
    EndsLoader,
    /// No other model can be divided afterwards.
    ForGood,
    /// The processes of the other ranks go on.
    LeftRunning,
    /// A load in which it was lost is told as done.
    ToldAsLoaded,
    /// The model is never given up.
    Kept,
    /// The request is blamed for it.
    Blamed,
    /// One that is only slow is taken for its neighbour.
    NotWaited,
}

/// A divided model: its processes, none where one of them was lost.
struct Model {
    ranks: Vec<RankProcess>,
    held_bytes: u64,
}

/// The loader.
pub(super) struct Apart {
    lie: Lie,
    models: BTreeMap<u64, Model>,
    last: u64,
    has_lost: bool,
}

impl Apart {
    pub(super) fn new(lie: Lie) -> Self {
        Apart { lie, models: BTreeMap::new(), last: FIRST, has_lost: false }
    }

    fn load(&mut self, load: &Load, parallel: &Parallel) -> Answer {
        if self.lie == Lie::ForGood && self.has_lost {
            return Err(internal(Phase::Copy, "a rank was lost before"));
        }
        let mut ranks = Vec::new();
        for place in &parallel.ranks {
            let started = RankProcess::start(place.rank);
            let mut process = started.map_err(|error| internal(Phase::Copy, &error.to_string()))?;
            let alone = Parallel { ranks: vec![*place], ..parallel.clone() };
            let own = Load { device: place.device, parallel: Some(alone), ..load.clone() };
            // A process that is lost already is noticed when it does not answer.
            let _lost = process.send(Request::Load(own));
            ranks.push(process);
        }
        let mut loaded: Vec<Option<Loaded>> = Vec::new();
        let limit = self.limit();
        if limit.is_some() {
            // Opening a card alone may take longer than the limit: only who is slower than another one is late.
            wait_for_any(&mut ranks);
        }
        for process in &mut ranks {
            match process.answer(limit) {
                Ok(Ok(Reply::Load(one))) => {
                    process.handle = one.handle;
                    loaded.push(Some(one));
                }
                Ok(Ok(other)) => return Err(internal(Phase::Copy, other.verb())),
                Ok(Err(failure)) => return Err(failure),
                Err(Lost::Ended) if self.lie == Lie::ToldAsLoaded => loaded.push(None),
                Err(Lost::Late) => loaded.push(None),
                Err(Lost::Ended) => {
                    let rank = process.rank;
                    return Err(self.lost(rank, ranks));
                }
            }
        }
        let Some(first) = loaded.iter().flatten().next().cloned() else {
            return Err(internal(Phase::Copy, "every rank was lost"));
        };
        let told = loaded.into_iter().zip(&ranks).flat_map(|(one, process)| {
            let mut parts = one.unwrap_or_else(|| first.clone()).parts;
            parts.iter_mut().for_each(|part| part.rank = process.rank);
            parts
        });
        let parts: Vec<_> = told.collect();
        let held_bytes = parts.iter().map(|part| part.held_bytes).sum();
        self.last += 1;
        self.models.insert(self.last, Model { ranks, held_bytes });
        Ok(Reply::Load(Loaded { handle: self.last, held_bytes, parts, ..first }))
    }

    /// A rank's handles. A loader that lies about a lost one does so where its bytes are read.
    fn export(&mut self, export: &Export) -> Answer {
        let rank = export.rank.unwrap_or_default();
        let Some(model) = self.models.get_mut(&export.handle) else {
            return Err(unknown(export.handle));
        };
        let Some(process) = model.ranks.iter_mut().find(|process| process.rank == rank) else {
            return Err(self.ended(rank));
        };
        let asked = Export { handle: process.handle, rank: Some(rank) };
        match process.ask(Request::Export(asked), None) {
            Ok(answer) => answer,
            Err(_) => {
                let ranks = std::mem::take(&mut model.ranks);
                Err(self.lost(rank, ranks))
            }
        }
    }

    fn read(&mut self, read: &Read) -> Answer {
        let rank = read.rank.unwrap_or_default();
        let limit = self.limit();
        let Some(model) = self.models.get_mut(&read.handle) else {
            return Err(unknown(read.handle));
        };
        let Some(at) = model.ranks.iter().position(|process| process.rank == rank) else {
            return Err(self.ended(rank));
        };
        match ask_to_read(&mut model.ranks[at], read, limit) {
            Ok(answer) => answer,
            Err(lost)
                if lost == Lost::Late || matches!(self.lie, Lie::OfNeighbour | Lie::Zeros) =>
            {
                let next = (at + 1) % model.ranks.len();
                let answer = ask_to_read(&mut model.ranks[next], read, None);
                let answer = answer.map_err(|_| internal(Phase::Read, "two ranks are lost"))??;
                Ok(if self.lie == Lie::Zeros { zeroed(answer, &read.into) } else { answer })
            }
            Err(_) => {
                let ranks = std::mem::take(&mut model.ranks);
                Err(self.lost(rank, ranks))
            }
        }
    }

    /// How long a rank is waited for, in milliseconds.
    fn limit(&self) -> Option<u16> {
        (self.lie == Lie::NotWaited).then_some(IMPATIENCE)
    }

    /// The failure for a lost rank. All processes of its model end.
    fn lost(&mut self, rank: u32, ranks: Vec<RankProcess>) -> Failure {
        self.has_lost = true;
        match self.lie {
            Lie::Waited => loop {
                std::thread::park();
            },
            Lie::EndsLoader => std::process::exit(1),
            Lie::LeftRunning => ranks.into_iter().for_each(std::mem::forget),
            _ => drop(ranks),
        }
        self.ended(rank)
    }

    fn ended(&self, rank: u32) -> Failure {
        let failure = internal(Phase::Read, &format!("the process of rank {rank} has ended"));
        match self.lie {
            Lie::Blamed => Failure { class: Class::Refused, code: Code::InvalidRequest, ..failure },
            _ => failure,
        }
    }

    fn unload(&mut self, handle: u64) -> Answer {
        let lost = self.models.get(&handle).is_some_and(|model| model.ranks.is_empty());
        if self.lie == Lie::Kept && lost {
            return Err(internal(Phase::Request, "a rank was lost"));
        }
        self.models.remove(&handle).ok_or_else(|| unknown(handle))?;
        Ok(Reply::Unload(Done {}))
    }
}

impl Between for Apart {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        match &request {
            Request::Load(load) if load.parallel.is_some() => {
                let parallel = load.parallel.clone().unwrap_or_else(|| unreachable!("it is there"));
                return self.load(load, &parallel);
            }
            Request::Read(read) if read.handle > FIRST => return self.read(read),
            Request::Export(export) if export.handle > FIRST => return self.export(export),
            Request::Unload(unload) if unload.handle > FIRST => return self.unload(unload.handle),
            _ => {}
        }
        if handle(&mut request).is_some_and(|handle| *handle > FIRST) {
            return Err(Failure::unsupported(Phase::Request, "no process has the whole model"));
        }
        let mut reply = loader.answer(request)?;
        match &mut reply {
            Reply::Hello(introduction) => {
                if let Some(runs) = introduction.capabilities.get_mut(&Capability::ParallelRun) {
                    (runs.supported, runs.reason) =
                        (false, Some("the ranks exchange nothing".to_owned()));
                }
            }
            Reply::Stat(held) => {
                held.models += self.models.len() as u64;
                held.host_bytes += self.models.values().map(|model| model.held_bytes).sum::<u64>();
            }
            _ => {}
        }
        Ok(reply)
    }
}

fn ask_to_read(process: &mut RankProcess, read: &Read, limit: Option<u16>) -> Result<Answer, Lost> {
    let (handle, rank) = (process.handle, Some(process.rank));
    process.ask(Request::Read(Read { handle, into: read.into.clone(), rank }), limit)
}

/// A file with zeros for all data. If it cannot be changed, the answer stays.
fn zeroed(answer: Reply, path: &Path) -> Reply {
    let change = || {
        let mut file = std::fs::read(path).ok()?;
        let length = u64::from_le_bytes(*file.first_chunk::<8>()?) as usize;
        file.get_mut(8 + length..)?.fill(0);
        std::fs::write(path, &file).ok()?;
        let sha256 = digest::hex(&Sha256::digest(&file));
        Some(Reply::Read(Written { bytes: file.len() as u64, sha256 }))
    };
    change().unwrap_or(answer)
}

fn internal(phase: Phase, what: &str) -> Failure {
    Failure::new(Class::Internal, phase, Code::Internal, what)
        .expected("an answer of every rank", what)
        .remedy("Load the model again.")
}

fn unknown(handle: u64) -> Failure {
    let words = format!("no loaded model has this handle: {handle}");
    Failure::new(Class::Refused, Phase::Request, Code::UnknownHandle, words)
        .expected("a handle of a loaded model", handle)
        .remedy("Load the model first.")
}
