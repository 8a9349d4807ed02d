//! `weighbridge bench load --devices`: loads of one model over several devices, divided and replicated, beside
//! the limits of the same run.

mod arm;
mod figures;
mod subject;
mod table;

use std::collections::btree_map::Entry;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use self::arm::{Arm, Known, Runner, in_host_memory, measure};
use self::figures::{Bench, FORMAT};
pub use self::subject::Subject;
use self::subject::{Limit, Way};
use super::frame::Output;
use super::limits::{page_cache, warm, widths};
use super::ours::Unhashed;
use super::peer::Peer;
use super::place::usual_folder;
use super::reachable;
use super::turns::settle;
use crate::cli::CommandError;
use crate::cli::stamp::Stamp;
use crate::cli::steps::Steps;
use crate::contract::inference::{Compute, Head, Inference};
use crate::contract::parallel::{Parallel, RankPlace};
use crate::contract::request::{Load, Seal};
use crate::contract::{Capability, Device};
use crate::gpu;
use crate::harness::manifest::Manifest;
use crate::harness::scratch::Scratch;
use crate::loader::ReferenceLoader;

/// The bundled loader's arms, in the order of the table.
const ARMS: [(&str, Way, bool); 4] = [
    ("sealed, divided", Way::Divided, true),
    ("unverified, divided", Way::Divided, false),
    ("sealed, replicated", Way::Replicated, true),
    ("unverified, replicated", Way::Replicated, false),
];

/// Other loaders, and how long to wait for their answers.
pub struct Others<'a> {
    /// Their manifests.
    pub manifests: &'a [PathBuf],
    /// Longest wait.
    pub patience: Duration,
}

/// Refuses a card that is named twice. Host memory may be.
///
/// # Errors
/// Which one.
pub fn check_devices(devices: &[Device]) -> Result<(), CommandError> {
    let twice = |(at, device): (usize, &Device)| device.is_gpu() && devices[..at].contains(device);
    match devices.iter().enumerate().find(|one| twice(*one)) {
        None => Ok(()),
        Some((_, device)) => {
            Err(CommandError::usage(format!("--devices: {device} is named twice")))
        }
    }
}

/// Measures, prints the table and writes the JSON.
///
/// # Errors
/// Where a device or the model cannot be used.
pub fn run(
    (devices, rounds): (&[Device], u32),
    subject: &Subject<'_>,
    others: &Others<'_>,
    (output, out): (&Output, &mut dyn Write),
) -> Result<bool, CommandError> {
    let (start, stamp) = (Instant::now(), Stamp::now(devices[0]));
    let steps = Steps::new(output.show);
    let config = subject.place.file.with_file_name("config.json");
    std::fs::write(&config, subject.shape.config().to_string()).map_err(CommandError::harness)?;
    let failed = |error: String| CommandError::harness(format!("the machine's limits: {error}"));
    let mut loaders = [ReferenceLoader::new(), ReferenceLoader::with_decisions(Box::new(Unhashed))];
    let mut others = others.start()?;
    let folder = Scratch::new_in(&usual_folder()).map_err(CommandError::harness)?;
    let written = (!others.is_empty()).then(|| folder.path());
    warm(&subject.place.file).map_err(CommandError::harness)?;
    let (mut limits, mut arms) = (Vec::new(), Vec::new());
    let mut known = Known::new();
    for count in counts(devices.len()) {
        steps.step(&format!("limits of {count} devices"));
        settle(devices[0], subject.truth.bytes);
        let limit = limit(&devices[..count], &subject.place.file).map_err(failed)?;
        let own = ARMS.map(|(name, way, sealed)| (name.to_owned(), way, Some(sealed), 0));
        let beside = others.iter().enumerate().flat_map(|(at, (name, _))| {
            [(Way::Divided, "divided"), (Way::Replicated, "replicated")]
                .map(|(way, word)| (format!("{name}, {word}"), way, None, at))
        });
        let all: Vec<_> = own.into_iter().chain(beside).collect();
        for (name, way, sealed, at) in all {
            if way == Way::Replicated && count == 1 {
                continue;
            }
            steps.step(&format!("{name}, {count} devices"));
            let verified = sealed == Some(true);
            let request = request(subject, &config, &devices[..count], way, verified);
            let mut arm = Arm::begin(name, sealed.is_some(), count, &limit);
            if let Some(one) = known.get(&(Way::Divided, 1)).filter(|_| way == Way::Replicated) {
                let all = one.repeated(count);
                known.entry((way, count)).or_insert(all);
            }
            let wanted = match known.entry((way, count)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let host = in_host_memory(&request, written);
                    place.insert(host.map_err(CommandError::harness)?)
                }
            };
            let runner = match sealed {
                Some(sealed) => Runner::Own(&mut loaders[usize::from(!sealed)]),
                None => Runner::Other(&mut others[at].1, folder.path()),
            };
            let how = (rounds, verified);
            arm.error = measure(runner, &request, subject, how, (wanted, &mut arm)).err();
            arm.sum_up(subject.truth.bytes, &limit);
            steps.row(&arm.line());
            arms.push(arm);
        }
        limits.push(limit);
    }
    steps.end();
    let bench = Bench {
        format: FORMAT,
        stamp,
        seconds: start.elapsed().as_secs_f64(),
        devices: devices.iter().map(Device::to_string).collect(),
        rounds,
        synthetic: vec![subject.shape.describe()],
        model_bytes: subject.truth.bytes,
        limits,
        arms,
    };
    output.tell(&bench, &table::render(&bench), out)?;
    Ok(bench.arms.iter().all(|arm| arm.error.is_none()))
}

impl Others<'_> {
    /// Starts them, each with its name and version.
    fn start(&self) -> Result<Vec<(String, Peer)>, CommandError> {
        let start = |path: &PathBuf| {
            let usage = |why: &dyn Display| {
                CommandError::usage(format!("--beside: {}: {why}", path.display()))
            };
            let manifest = Manifest::load(path).map_err(|error| usage(&error))?;
            let peer = Peer::of_manifest(&manifest, self.patience).map_err(|why| usage(&why))?;
            let told = peer.hello.capabilities.get(&Capability::Parallel);
            match told.is_some_and(|support| support.supported) {
                true => Ok((format!("{} {}", peer.hello.name, peer.hello.version), peer)),
                false => Err(usage(&"the loader does not serve parallel")),
            }
        };
        self.manifests.iter().map(start).collect()
    }
}

/// 1, 2, 4 and so on, up to the number of devices. Few models divide over other numbers of ranks.
fn counts(devices: usize) -> impl Iterator<Item = usize> {
    (0..).map(|power| 1 << power).take_while(move |count| *count <= devices)
}

fn limit(devices: &[Device], file: &Path) -> Result<Limit, String> {
    let threads = widths().last().copied().unwrap_or(1);
    let page_cache = page_cache(file, threads).map_err(|error| error.to_string())?;
    let cards: Vec<u32> = devices
        .iter()
        .filter_map(|device| match device {
            Device::Cpu => None,
            Device::Cuda(ordinal) => Some(*ordinal),
        })
        .collect();
    if cards.is_empty() {
        return Ok(Limit {
            devices: devices.len(),
            page_cache,
            copies: None,
            together: Vec::new(),
        });
    }
    let copies = Some(gpu::copy_limit_at_once(&cards).map_err(|error| error.to_string())?);
    let contexts: Result<Vec<_>, _> = cards.iter().map(|card| gpu::Context::open(*card)).collect();
    let contexts = contexts.map_err(|error| error.to_string())?;
    let together = reachable::measure(&contexts, file).map_err(|error| error.to_string())?;
    Ok(Limit { devices: devices.len(), page_cache, copies, together })
}

fn request(
    subject: &Subject<'_>,
    config: &Path,
    devices: &[Device],
    way: Way,
    sealed: bool,
) -> Load {
    let count = devices.len() as u32;
    let ranks = (0..).zip(devices).map(|(rank, device)| RankPlace { rank, device: *device });
    let (tp, replicas) = match way {
        Way::Divided => (count, 1),
        Way::Replicated => (1, count),
    };
    let seal = Seal { path: subject.place.seal.clone(), sha256: subject.pin.seal.clone() };
    let inference = Inference {
        config: Some(config.to_owned()),
        tokenizer: None,
        template: None,
        generation: None,
        head: Head::Logits {},
        compute: Compute::Exact,
    };
    Load {
        seal: sealed.then_some(seal),
        inference: Some(inference),
        parallel: Some(Parallel { tp, pp: 1, replicas, ranks: ranks.collect() }),
        ..Load::plain(subject.place.file.clone(), devices[0])
    }
}
