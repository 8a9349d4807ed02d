//! `weighbridge bench load --devices`: loads of one model over several devices, divided and replicated, beside
//! the limits of the same run.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Instant;

use serde::Serialize;

use super::figures::{gbps, median};
use super::frame::Output;
use super::limits::{page_cache, warm, widths};
use super::ours::{Pin, Unhashed};
use super::place::Place;
use super::synthetic::Shape;
use super::truth::Truth;
use crate::cli::CommandError;
use crate::cli::stamp::Stamp;
use crate::cli::steps::Steps;
use crate::contract::inference::{Head, Inference};
use crate::contract::parallel::{Parallel, RankPlace};
use crate::contract::reply::Loaded;
use crate::contract::request::{Load, Read, Seal, Unload};
use crate::contract::{Device, Loader};
use crate::gpu;
use crate::harness::evidence::reads::read_by;
use crate::harness::report::text::Table;
use crate::loader::ReferenceLoader;

/// Format of the JSON.
const FORMAT: &str = "weighbridge.bench-cards/1";

/// The whole measurement.
#[derive(Debug, Serialize)]
pub struct Bench {
    format: &'static str,
    #[serde(flatten)]
    stamp: Stamp,
    seconds: f64,
    devices: Vec<String>,
    rounds: u32,
    synthetic: Vec<String>,
    model_bytes: u64,
    limits: Vec<Limit>,
    arms: Vec<Arm>,
}

/// What the machine reaches with so many devices.
#[derive(Clone, Copy, Debug, Serialize)]
struct Limit {
    devices: usize,
    /// GB/s from the page cache with all threads.
    page_cache: f64,
    /// GB/s of copies from pinned memory to all devices at once; absent on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    copies: Option<f64>,
}

impl Limit {
    /// The smaller of the two, and its name.
    fn bound(&self) -> (f64, &'static str) {
        match self.copies {
            Some(copies) if copies < self.page_cache => (copies, "copies"),
            _ => (self.page_cache, "page cache"),
        }
    }
}

/// One way to load, with so many devices.
#[derive(Debug, Serialize)]
struct Arm {
    name: &'static str,
    devices: usize,
    seconds: Vec<f64>,
    best_gbps: f64,
    median_gbps: f64,
    /// By the smaller limit of as many devices.
    of_limit: f64,
    bound: &'static str,
    /// Bytes that the process has read, by those of the model.
    read: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// How a model is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Divided,
    Replicated,
}

/// The digests of the ranks after a load to the host, by the way and the number of devices. Two arms share them.
type Known = BTreeMap<(Way, usize), Vec<String>>;

/// What is measured, in the order of the table.
const ARMS: [(&str, Way, bool); 4] = [
    ("sealed, divided", Way::Divided, true),
    ("unverified, divided", Way::Divided, false),
    ("sealed, replicated", Way::Replicated, true),
    ("unverified, replicated", Way::Replicated, false),
];

/// A model on a file system, and what is known of it.
pub struct Subject<'a> {
    /// Where it is.
    pub place: &'a Place,
    /// Its digests.
    pub pin: &'a Pin,
    /// Its contents.
    pub truth: &'a Truth,
    /// What it is.
    pub shape: Shape,
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
    output: &Output,
    out: &mut dyn Write,
) -> Result<bool, CommandError> {
    let (start, stamp) = (Instant::now(), Stamp::now(devices[0]));
    let steps = Steps::new(output.show);
    let config = subject.place.file.with_file_name("config.json");
    std::fs::write(&config, subject.shape.config().to_string()).map_err(CommandError::harness)?;
    let failed = |error: String| CommandError::harness(format!("the machine's limits: {error}"));
    let mut loaders = [ReferenceLoader::new(), ReferenceLoader::with_decisions(Box::new(Unhashed))];
    warm(&subject.place.file).map_err(CommandError::harness)?;
    let (mut limits, mut arms) = (Vec::new(), Vec::new());
    let mut known = Known::new();
    for count in counts(devices.len()) {
        steps.step(&format!("limits of {count} devices"));
        let limit = limit(&devices[..count], &subject.place.file).map_err(failed)?;
        limits.push(limit);
        for (name, way, sealed) in ARMS {
            if way == Way::Replicated && count == 1 {
                continue;
            }
            steps.step(&format!("{name}, {count} devices"));
            let request = request(subject, &config, &devices[..count], way, sealed);
            let loader = &mut loaders[usize::from(!sealed)];
            let mut arm = Arm {
                name,
                devices: count,
                seconds: Vec::new(),
                best_gbps: 0.0,
                median_gbps: 0.0,
                of_limit: 0.0,
                bound: limit.bound().1,
                read: 0.0,
                error: None,
            };
            let wanted = known.entry((way, count)).or_default();
            let measured = measure(loader, &request, subject, (rounds, sealed), (wanted, &mut arm));
            arm.error = measured.err();
            arm.sum_up(subject.truth.bytes, limit);
            arms.push(arm);
        }
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
    output.tell(&bench, &render(&bench), out)?;
    Ok(bench.arms.iter().all(|arm| arm.error.is_none()))
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
    let copies = match cards.is_empty() {
        true => None,
        false => Some(gpu::copy_limit_at_once(&cards).map_err(|error| error.to_string())?),
    };
    Ok(Limit { devices: devices.len(), page_cache, copies })
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
    };
    Load {
        seal: sealed.then_some(seal),
        inference: Some(inference),
        parallel: Some(Parallel { tp, pp: 1, replicas, ranks: ranks.collect() }),
        ..Load::plain(subject.place.file.clone(), devices[0])
    }
}

/// Loads several times, after once that is not counted. Of that one, every rank is read back and compared with
/// a load into host memory.
fn measure(
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
        }
    }
    Ok(())
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

impl Arm {
    fn sum_up(&mut self, bytes: u64, limit: Limit) {
        let Some(best) = self.seconds.iter().copied().reduce(f64::min) else { return };
        self.best_gbps = gbps(bytes, best);
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        self.median_gbps = gbps(bytes, median(&sorted).unwrap_or(best));
        self.of_limit = self.best_gbps / limit.bound().0;
    }
}

fn render(bench: &Bench) -> String {
    let mut table = Table::new(2, ["", ""]);
    table.row(["bench load --devices".to_owned(), bench.stamp.origin()]);
    table.row(["machine".to_owned(), bench.stamp.place()]);
    table.row(["model".to_owned(), format!("{} bytes", bench.model_bytes)]);
    table.row(["devices".to_owned(), bench.devices.join(", ")]);
    let loads = format!("{} timed after one untimed, whose ranks are read back", bench.rounds);
    table.row(["loads".to_owned(), loads]);
    let mut text = table.text();
    text += "\nlimits, in GB/s (10^9 bytes a second)\n";
    let mut table = Table::new(1, ["devices", "page cache", "copies to all"]);
    for limit in &bench.limits {
        let copies = limit.copies.map_or("none".to_owned(), |rate| format!("{rate:.1}"));
        table.row([limit.devices.to_string(), format!("{:.1}", limit.page_cache), copies]);
    }
    text += &table.text();
    text += "\nloads; GB/s count the bytes of the model once\n";
    let head = ["way", "bounded by", "devices", "best s", "GB/s", "median", "of limit", "read"];
    let mut table = Table::new(2, head);
    for arm in &bench.arms {
        let best = arm.seconds.iter().copied().fold(f64::INFINITY, f64::min);
        match &arm.error {
            Some(error) => table.sentence([arm.name.to_owned(), error.clone()]),
            None => table.row([
                arm.name.to_owned(),
                arm.bound.to_owned(),
                arm.devices.to_string(),
                format!("{best:.3}"),
                format!("{:.1}", arm.best_gbps),
                format!("{:.1}", arm.median_gbps),
                format!("{:.2}", arm.of_limit),
                format!("{:.3}", arm.read),
            ]),
        }
    }
    text += &table.text();
    for line in &bench.synthetic {
        text += &format!("\nsynthetic: {line}\n");
    }
    text
}
