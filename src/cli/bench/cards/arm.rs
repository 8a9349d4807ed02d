//! One way to load over several devices: its loads, what is checked of them, and its figures.

use std::collections::BTreeMap;
use std::thread;
use std::time::Instant;

use serde::Serialize;

use super::{Limit, Subject, Way};
use crate::cli::bench::figures::{gbps, median};
use crate::contract::reply::Loaded;
use crate::contract::request::{Load, Read, Unload};
use crate::contract::{Device, Loader};
use crate::harness::evidence::reads::read_by;
use crate::loader::ReferenceLoader;

/// One way to load, with so many devices.
#[derive(Debug, Default, Serialize)]
pub struct Arm {
    /// Its name.
    pub name: &'static str,
    /// Number of devices.
    pub devices: usize,
    /// Seconds of each timed load.
    pub seconds: Vec<f64>,
    /// Bytes of the model over the shortest load.
    pub best_gbps: f64,
    /// The same over the median load.
    pub median_gbps: f64,
    /// By the smaller limit of as many devices.
    pub of_limit: f64,
    /// Which of the two limits is smaller.
    pub bound: &'static str,
    /// Bytes that the process has read, by those of the model.
    pub read: f64,
    /// The time between the first and the last device to end its work, by the time of the load: the most of all
    /// timed loads. Absent if the loader did not tell it, and with one device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<f64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The digests of the ranks after a load to the host, by the way and the number of devices. Two arms share them.
pub type Known = BTreeMap<(Way, usize), Vec<String>>;

impl Arm {
    /// An arm without loads.
    pub fn begin(name: &'static str, devices: usize, limit: Limit) -> Arm {
        let bound = limit.bound().1;
        Arm { name, devices, bound, ..Arm::default() }
    }

    /// Calculates what follows from the loads.
    pub fn sum_up(&mut self, bytes: u64, limit: Limit) {
        let Some(best) = self.seconds.iter().copied().reduce(f64::min) else { return };
        self.best_gbps = gbps(bytes, best);
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        self.median_gbps = gbps(bytes, median(&sorted).unwrap_or(best));
        self.of_limit = self.best_gbps / limit.bound().0;
    }
}

/// Loads several times, after once that is not counted. Of that one, every rank is read back and compared with
/// a load into host memory.
pub fn measure(
    loader: &mut ReferenceLoader,
    request: &Load,
    subject: &Subject<'_>,
    (rounds, sealed): (u32, bool),
    (wanted, arm): (&mut Vec<String>, &mut Arm),
) -> Result<(), String> {
    let own = [std::process::id()];
    for round in 0..=rounds {
        let before = read_by(&own).unwrap_or(0);
        let start = Instant::now();
        let loaded = loader
            .load(request.clone())
            .map_err(|failure| subject.place.without_folders(&failure.to_string()))?;
        let seconds = start.elapsed().as_secs_f64();
        let read = read_by(&own).unwrap_or(0).saturating_sub(before);
        let mut checked = check(&loaded, subject, sealed);
        if round == 0 && checked.is_ok() {
            checked = compare(loader, &loaded, request, wanted);
        }
        loader.unload(Unload { handle: loaded.handle }).map_err(|failure| failure.to_string())?;
        checked?;
        if round > 0 {
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

/// Compares what each rank holds with a load to the host, whose digests are made only once.
fn compare(
    loader: &mut ReferenceLoader,
    loaded: &Loaded,
    request: &Load,
    wanted: &mut Vec<String>,
) -> Result<(), String> {
    let (found, host) = thread::scope(|scope| {
        let host = wanted.is_empty().then(|| scope.spawn(|| in_host_memory(request)));
        let found = digests(loader, loaded);
        (found, host.map(|host| host.join()))
    });
    match host {
        None => {}
        Some(Ok(digests)) => *wanted = digests?,
        Some(Err(_)) => return Err("the load to the host panicked".to_owned()),
    }
    match found? == *wanted {
        true => Ok(()),
        false => Err("the ranks hold other bytes than after a load to the host".to_owned()),
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

/// The digest of what each rank holds.
fn digests(loader: &mut ReferenceLoader, loaded: &Loaded) -> Result<Vec<String>, String> {
    let read = |loader: &mut ReferenceLoader, rank| {
        let into = "/dev/null".into();
        let written = loader.read(Read { handle: loaded.handle, into, rank: Some(rank) });
        written.map(|written| written.sha256).map_err(|failure| failure.to_string())
    };
    loaded.parts.iter().map(|part| read(loader, part.rank)).collect()
}

/// The same of a load into host memory.
fn in_host_memory(request: &Load) -> Result<Vec<String>, String> {
    let mut request = Load { device: Device::Cpu, ..request.clone() };
    let ranks = request.parallel.iter_mut().flat_map(|parallel| &mut parallel.ranks);
    ranks.for_each(|rank| rank.device = Device::Cpu);
    let mut loader = ReferenceLoader::new();
    let loaded = loader.load(request).map_err(|failure| failure.to_string())?;
    digests(&mut loader, &loaded)
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
