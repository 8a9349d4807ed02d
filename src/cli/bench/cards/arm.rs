//! One way to load over several devices: its loads, what is checked of them, and its figures.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::subject::{Limit, Subject, Way};
use crate::cli::bench::figures::{best as best_of, gbps, median};
use crate::cli::bench::peer::Peer;
use crate::cli::bench::truth::Truth;
use crate::cli::bench::turns::settle;
use crate::contract::plan::LoadTimes;
use crate::contract::reply::{Loaded, Reply};
use crate::contract::request::{Load, Read, Request, Unload};
use crate::contract::{Device, Loader};
use crate::harness::evidence::reads::read_by;
use crate::loader::ReferenceLoader;

/// One way to load, with so many devices.
#[derive(Debug, Default, Serialize)]
pub struct Arm {
    /// Its name.
    pub name: String,
    /// Whether it is this program's loader.
    pub own: bool,
    /// Number of devices.
    pub devices: usize,
    /// Seconds of each timed load.
    pub seconds: Vec<f64>,
    /// Bytes of the model over the shortest load.
    pub best_gbps: f64,
    /// The same over the median load.
    pub median_gbps: f64,
    /// Where the time of the shortest load went, as the loader reports it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<LoadTimes>,
    /// By what reading and copying at once reaches with as many devices; absent on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_reachable: Option<f64>,
    /// By the smaller limit of as many devices.
    pub of_limit: f64,
    /// Which of the two limits is smaller.
    pub bound: &'static str,
    /// Bytes that the loader's processes have read by system calls, by those of the model. What is read through a
    /// map of the file is not counted.
    pub read: f64,
    /// The time between the first and the last device to end its work, by the time of the load: the most of all
    /// timed loads. Absent if the loader did not tell it, and with one device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<f64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What each rank holds after a load to the host.
#[derive(Clone, Default)]
pub struct Wanted {
    /// The digest of what the bundled loader writes.
    digests: Vec<String>,
    /// The same to compare with what others write; empty where there are none.
    truths: Vec<Truth>,
}

impl Wanted {
    /// What so many ranks hold of which each holds the same.
    pub fn repeated(&self, count: usize) -> Wanted {
        Wanted {
            digests: vec![self.digests.clone(); count].concat(),
            truths: vec![self.truths.clone(); count].concat(),
        }
    }
}

/// What the ranks hold, by the way and the number of devices. Several arms share them.
pub type Known = BTreeMap<(Way, usize), Wanted>;

/// A loader that is measured.
pub enum Runner<'l> {
    /// The bundled one.
    Own(&'l mut ReferenceLoader),
    /// Another one, which writes back to this folder.
    Other(&'l mut Peer, &'l Path),
}

impl Runner<'_> {
    fn ask(&mut self, request: Request) -> Result<Reply, String> {
        match self {
            Runner::Own(loader) => loader.answer(request).map_err(|failure| failure.to_string()),
            Runner::Other(peer, _) => peer.ask(request).map(|(reply, _)| reply),
        }
    }

    fn family(&self) -> Vec<u32> {
        match self {
            Runner::Own(_) => vec![std::process::id()],
            Runner::Other(peer, _) => peer.family(),
        }
    }
}

impl Arm {
    /// An arm without loads.
    pub fn begin(name: String, own: bool, devices: usize, limit: &Limit) -> Arm {
        let bound = limit.bound().1;
        Arm { name, own, devices, bound, ..Arm::default() }
    }

    /// Its figures in one line.
    pub fn line(&self) -> String {
        let Arm { name, devices, best_gbps, median_gbps, .. } = self;
        match &self.error {
            Some(error) => format!("{name}, {devices} devices: {error}"),
            None => {
                format!("{name}, {devices} devices: {best_gbps:.1} GB/s, median {median_gbps:.1}")
            }
        }
    }

    /// Calculates what follows from the loads.
    pub fn sum_up(&mut self, bytes: u64, limit: &Limit) {
        let Some(best) = self.seconds.iter().copied().reduce(f64::min) else { return };
        self.best_gbps = gbps(bytes, best);
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        self.median_gbps = gbps(bytes, median(&sorted).unwrap_or(best));
        self.of_limit = self.best_gbps / limit.bound().0;
        self.of_reachable = best_of(&limit.together).map(|most| self.best_gbps / most.gbps);
    }
}

/// Loads several times, after once that is not counted. Of that one, every rank is read back and compared with
/// a load into host memory, which `wanted` knows; not of this program's unverified loads.
pub fn measure(
    mut runner: Runner<'_>,
    request: &Load,
    subject: &Subject<'_>,
    (rounds, sealed): (u32, bool),
    (wanted, arm): (&Wanted, &mut Arm),
) -> Result<(), String> {
    for round in 0..=rounds {
        settle(request.device, subject.truth.bytes);
        let before = read_by(&runner.family()).unwrap_or(0);
        let start = Instant::now();
        let reply = runner.ask(Request::Load(request.clone()));
        let seconds = start.elapsed().as_secs_f64();
        let Reply::Load(loaded) = reply.map_err(|why| subject.place.without_folders(&why))? else {
            return Err("another reply than to a load".to_owned());
        };
        let read = read_by(&runner.family()).unwrap_or(0).saturating_sub(before);
        let mut checked = check(&loaded, subject, sealed);
        // The unverified load of this program takes the sealed load's path.
        let is_compared = sealed || matches!(runner, Runner::Other(..));
        if round == 0 && is_compared && checked.is_ok() {
            checked = compare(&mut runner, &loaded, wanted);
        }
        runner.ask(Request::Unload(Unload { handle: loaded.handle }))?;
        checked?;
        if round > 0 {
            if arm.seconds.iter().all(|other| seconds < *other) {
                arm.times.clone_from(&loaded.times);
            }
            arm.seconds.push(seconds);
            arm.read = read as f64 / subject.truth.bytes as f64;
            let all = [arm.spread, spread(&loaded, seconds)];
            arm.spread = all.into_iter().flatten().reduce(f64::max);
        }
    }
    Ok(())
}

/// The time between the first and the last device to end, by the time of the load.
fn spread(loaded: &Loaded, seconds: f64) -> Option<f64> {
    let busy: Option<Vec<u64>> = loaded.parts.iter().map(|part| part.busy_us).collect();
    let busy = busy.filter(|busy| busy.len() > 1)?;
    let (first, last) = (busy.iter().min()?, busy.iter().max()?);
    Some((last - first) as f64 / 1e6 / seconds)
}

/// Compares what each rank holds with a load to the host.
fn compare(runner: &mut Runner<'_>, loaded: &Loaded, wanted: &Wanted) -> Result<(), String> {
    let others = match &runner {
        Runner::Own(_) => None,
        Runner::Other(_, folder) => Some(folder.join("read-back.safetensors")),
    };
    for (at, part) in loaded.parts.iter().enumerate() {
        let into = others.clone().unwrap_or_else(|| "/dev/null".into());
        let read = Read { handle: loaded.handle, into, rank: Some(part.rank) };
        let Reply::Read(written) = runner.ask(Request::Read(read))? else {
            return Err("another reply than to a read".to_owned());
        };
        match &others {
            None if wanted.digests.get(at) == Some(&written.sha256) => {}
            None => {
                return Err("the ranks hold other bytes than after a load to the host".to_owned());
            }
            Some(file) => {
                let truth =
                    wanted.truths.get(at).ok_or("more ranks than after a load to the host")?;
                truth.holds_of(file).map_err(|why| format!("rank {}: {why}", part.rank))?;
            }
        }
    }
    match loaded.parts.len() == wanted.digests.len() {
        true => Ok(()),
        false => Err(format!("{} ranks", loaded.parts.len())),
    }
}

fn check(loaded: &Loaded, subject: &Subject<'_>, sealed: bool) -> Result<(), String> {
    if loaded.file_bytes != subject.truth.bytes {
        return Err(format!("{} bytes in place of {}", loaded.file_bytes, subject.truth.bytes));
    }
    if sealed && loaded.sha256.as_ref() != Some(&subject.pin.file) {
        return Err("the digest differs".to_owned());
    }
    Ok(())
}

/// What the ranks of a load hold in host memory. With a folder, also what others are compared with.
///
/// # Errors
/// Those of the load.
pub fn in_host_memory(request: &Load, folder: Option<&Path>) -> Result<Wanted, String> {
    let mut request = Load { device: Device::Cpu, ..request.clone() };
    let ranks = request.parallel.iter_mut().flat_map(|parallel| &mut parallel.ranks);
    ranks.for_each(|rank| rank.device = Device::Cpu);
    let mut loader = ReferenceLoader::new();
    let loaded = loader.load(request).map_err(|failure| failure.to_string())?;
    let mut wanted = Wanted::default();
    for part in &loaded.parts {
        let file = folder.map(|folder| folder.join("host.safetensors"));
        let into = file.clone().unwrap_or_else(|| "/dev/null".into());
        let read = Read { handle: loaded.handle, into, rank: Some(part.rank) };
        let written = loader.read(read).map_err(|failure| failure.to_string())?;
        wanted.digests.push(written.sha256);
        if let Some(file) = file {
            wanted.truths.push(Truth::of(&file).map_err(|error| error.message)?);
            std::fs::remove_file(&file).map_err(|error| error.to_string())?;
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_spread_needs_the_time_of_every_rank() {
        let part = |rank: u32, busy: Option<u64>| {
            let mut part = json!({"rank": rank, "device": "cpu", "held_bytes": 0, "tensors": []});
            if let Some(busy) = busy {
                part["busy_us"] = busy.into();
            }
            part
        };
        let of = |parts: &[serde_json::Value]| {
            let loaded = json!({
                "handle": 1, "device": "cpu", "file_bytes": 1, "held_bytes": 0, "tensors": [], "parts": parts,
            });
            spread(&serde_json::from_value(loaded).expect("an answer"), 2.0)
        };
        let told = [part(0, Some(1_500_000)), part(1, Some(1_000_000)), part(2, Some(1_900_000))];
        assert_eq!(of(&told), Some(0.45));
        assert_eq!(of(&told[..1]), None);
        assert_eq!(of(&[part(0, Some(1)), part(1, None)]), None);
    }
}
