//! One case being tried: its files, its models, what was seen, and how it ends.

pub mod context;
pub mod files;
pub mod full_size;
pub mod model;
pub mod plain_folder;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use self::plain_folder::Shelf;
use super::{Lab, PlacedModel, step};
use crate::contract::reply::{Introduction, Loaded, Reply};
use crate::contract::request::{DtypePolicy, Request, Stat, Unload};
use crate::contract::{Class, Device, Failure};
use crate::gpu::Ballast;
use crate::harness::case::Case;
use crate::harness::client::{Bounds, Broken, Client, Exchange, Outcome};
use crate::harness::evidence::digest::mix;
use crate::harness::fixture::{Fixture, Truth};
use crate::harness::record::{Basis, Check, StepRecord, Verdict};

/// Why a case stopped before its last step.
#[derive(Debug)]
pub enum Stop {
    /// A check did not hold; it is the last one recorded.
    Failed,
    /// The process is lost.
    Broken(Broken),
    /// It cannot be tried here.
    Untested(String),
    /// The harness's own fault.
    Fault(String),
}

/// A file as it stands on disk.
#[derive(Clone)]
pub struct Placed {
    /// What it holds. Two paths may hold the same.
    pub fixture: Arc<Fixture>,
    /// Where.
    pub path: PathBuf,
}

impl Placed {
    /// The file's tensors.
    ///
    /// # Errors
    /// [`Stop::Fault`] where the case expects a file to load that is none: the case is wrong.
    pub fn tensors(&self) -> Result<&[Truth], Stop> {
        self.fixture
            .tensors
            .as_deref()
            .ok_or_else(|| Stop::Fault("the harness knows no tensors of this file".to_owned()))
    }

    /// A tensor's bytes as stored.
    pub fn stored(&self, truth: &Truth) -> &[u8] {
        &self.fixture.tensor_file()[truth.range.clone()]
    }
}

/// A model that the loader says it has loaded.
pub struct Model {
    /// Its handle.
    pub handle: u64,
    /// The file it came from, by the case's name.
    pub file: String,
    /// That file, as it was then.
    pub from: Placed,
    /// What it must hold now.
    pub keep: DtypePolicy,
    /// What the loader said of it.
    pub loaded: Loaded,
}

/// A case in progress.
pub struct Attempt<'a> {
    /// The run's shared part.
    pub lab: &'a Lab,
    /// The case.
    pub case: &'a Case,
    /// What the loader said of itself.
    pub introduction: &'a Introduction,
    /// Files by name.
    pub files: BTreeMap<String, Placed>,
    /// Models that can be run, by the name of their weight file.
    pub encoders: BTreeMap<String, PlacedModel>,
    /// Loaded models by name.
    pub models: BTreeMap<String, Model>,
    /// Models that were unloaded, by name.
    pub gone: BTreeMap<String, Model>,
    /// Where files lie that a loader is not to know as the harness's.
    pub shelf: Option<Shelf>,
    /// Memory marks by name, in bytes.
    pub marks: BTreeMap<String, u64>,
    /// Device memory that the harness takes away, and the bytes that it left.
    pub ballast: Option<(Ballast, u64)>,
    /// Everything seen so far.
    pub steps: Vec<StepRecord>,
    /// Time spent waiting for the loader.
    pub loader_time: Duration,
    /// Time spent on fixtures and bytes.
    pub evidence_time: Duration,
    client: &'a mut dyn Client,
    folder: &'a Path,
}

impl<'a> Attempt<'a> {
    /// Prepares an attempt; files are written by [`carry_out`](Self::carry_out).
    pub fn new(
        lab: &'a Lab,
        case: &'a Case,
        introduction: &'a Introduction,
        client: &'a mut dyn Client,
        folder: &'a Path,
    ) -> Self {
        Attempt {
            lab,
            case,
            introduction,
            files: BTreeMap::new(),
            encoders: BTreeMap::new(),
            models: BTreeMap::new(),
            gone: BTreeMap::new(),
            shelf: None,
            marks: BTreeMap::new(),
            ballast: None,
            steps: Vec::new(),
            loader_time: Duration::ZERO,
            evidence_time: Duration::ZERO,
            client,
            folder,
        }
    }

    /// Writes the files, does the steps, and cleans up.
    pub fn carry_out(&mut self) -> Result<(), Stop> {
        let done = self
            .place_files()
            .and_then(|()| self.case.steps.iter().try_for_each(|each| step::carry_out(self, each)));
        self.ballast = None;
        match done {
            Err(Stop::Broken(broken)) => Err(Stop::Broken(broken)),
            done => {
                // Whatever the case left loaded must not weigh on the next one.
                let cleaned = self.unload_rest();
                done.and(cleaned)
            }
        }
    }

    /// The device that this case loads to, unless a step names another.
    pub fn device(&self) -> Device {
        self.lab.setting.device
    }

    /// The loader's process id.
    ///
    /// # Errors
    /// Untested, where the loader runs in this process.
    pub fn pid(&self) -> Result<u32, Stop> {
        self.client
            .pid()
            .ok_or_else(|| Stop::Untested("needs the loader in a process of its own".to_owned()))
    }

    /// The case's folder.
    pub fn folder(&self) -> &'a Path {
        self.folder
    }

    /// A fresh path in the case's folder.
    pub fn scratch_file(&self) -> PathBuf {
        self.folder.join(format!("{:016x}", rand::random::<u64>()))
    }

    /// Times the harness's own work in proportion to the case's data.
    pub fn gathering<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let begin = Instant::now();
        let result = work(self);
        self.evidence_time += begin.elapsed();
        result
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// [`Stop::Broken`] where none came that the protocol knows.
    pub fn ask(&mut self, request: Request, bytes: u64) -> Result<Result<Reply, Failure>, Stop> {
        // Ten megabytes a second is far below any loader worth weighing.
        let patience = self.lab.setting.patience + Duration::from_micros(bytes / 10);
        let bounds = self.bounds(patience);
        let exchange = self.client.ask(request, &bounds);
        self.answered(exchange)
    }

    /// Sends JSON that is no request.
    ///
    /// # Errors
    /// [`Stop::Broken`] where no answer came that the protocol knows.
    pub fn ask_odd(&mut self, request: Value) -> Result<Result<Reply, Failure>, Stop> {
        let bounds = self.bounds(self.lab.setting.patience);
        let exchange = self.client.ask_odd(request, &bounds);
        self.answered(exchange)
    }

    fn bounds(&self, patience: Duration) -> Bounds {
        let mut bounds = Bounds::within(patience);
        bounds.memory_bytes = self.lab.setting.manifest.memory_bytes();
        bounds
    }

    fn answered(&mut self, exchange: Exchange) -> Result<Result<Reply, Failure>, Stop> {
        self.loader_time += exchange.elapsed();
        match exchange.outcome {
            Outcome::Reply(reply) => Ok(Ok(reply)),
            Outcome::Failure(failure) => Ok(Err(failure)),
            Outcome::Broken(Broken::Exchange { why }) => Err(Stop::Fault(why)),
            Outcome::Broken(broken) => Err(Stop::Broken(broken)),
        }
    }

    /// Opens a step in the record.
    pub fn begin(&mut self, does: impl Into<String>) {
        self.steps.push(StepRecord {
            does: does.into(),
            claim: None,
            checks: Vec::new(),
            elapsed_us: 0,
        });
    }

    /// Keeps what the loader claimed.
    pub fn claim(&mut self, claim: Value) {
        if let Some(step) = self.steps.last_mut() {
            step.claim = Some(claim);
        }
    }

    /// Records a check; the case ends at the first that does not hold.
    ///
    /// # Errors
    /// [`Stop::Failed`].
    pub fn check(&mut self, check: Check) -> Result<(), Stop> {
        let held = check.held;
        if let Some(step) = self.steps.last_mut() {
            step.checks.push(check);
        }
        if held { Ok(()) } else { Err(Stop::Failed) }
    }

    /// Records that a request which had to succeed did not.
    pub fn unexpected(&mut self, wanted: &str, failure: &Failure) -> Stop {
        self.claim(failure_claim(failure));
        let found = match failure.class {
            Class::Unsupported => "declared in the hello, and not served".to_owned(),
            _ => summary(failure),
        };
        match self.check(Check::of("answer", wanted, found, false, Basis::Observed)) {
            Ok(()) => Stop::Fault("a broken check held".to_owned()),
            Err(stop) => stop,
        }
    }

    /// The file of this name.
    ///
    /// # Errors
    /// [`Stop::Fault`] where the case has none; reading a case file refuses that already.
    pub fn file(&self, name: &str) -> Result<&Placed, Stop> {
        self.files.get(name).ok_or_else(|| Stop::Fault(format!("no such file in the case: {name}")))
    }

    /// The model of this name.
    ///
    /// # Errors
    /// [`Stop::Fault`] where no step has loaded it.
    pub fn model(&self, name: &str) -> Result<&Model, Stop> {
        self.models.get(name).ok_or_else(|| Stop::Fault(format!("no such model loaded: {name}")))
    }

    /// The seed of something in this case, by its name.
    pub fn seed(&self, name: &str) -> u64 {
        let run = self.lab.setting.seed.to_le_bytes();
        mix(&[&run, self.case.id().as_bytes(), name.as_bytes()])
    }

    fn unload_rest(&mut self) -> Result<(), Stop> {
        let handles: Vec<u64> = self.models.values().map(|model| model.handle).collect();
        self.models.clear();
        for handle in handles {
            // A refusal here is some other case's business: this one is decided.
            let _refused = self.ask(Request::Unload(Unload { handle }), 0)?;
        }
        Ok(())
    }

    /// Asks for the holdings and wants just the models of this case there.
    ///
    /// # Errors
    /// [`Stop::Failed`] where more or fewer are held.
    pub fn check_nothing_left(&mut self) -> Result<(), Stop> {
        let held = match self.ask(Request::Stat(Stat {}), 0)? {
            Ok(Reply::Stat(held)) => held.models,
            Ok(other) => return Err(Stop::Fault(format!("a {} reply to stat", other.verb()))),
            Err(failure) => return Err(self.unexpected("still answering", &failure)),
        };
        let expected = self.models.len() as u64;
        self.check(Check::equal("models held afterwards", expected, held, Basis::Declared))
    }
}

/// The verdict and reason that a stop comes to.
pub fn verdict(stop: &Stop, steps: &[StepRecord]) -> (Verdict, String) {
    match stop {
        Stop::Failed => {
            let broken = steps.iter().flat_map(|step| &step.checks).find(|check| !check.held);
            let reason = broken.map_or_else(
                || "a check did not hold".to_owned(),
                |check| {
                    format!("{}: expected {}, found {}", check.what, check.expected, check.found)
                },
            );
            (Verdict::Fail, reason)
        }
        Stop::Broken(broken) => {
            let verdict = if matches!(broken, Broken::TimedOut { .. }) {
                Verdict::Timeout
            } else {
                Verdict::Crash
            };
            (verdict, broken.to_string())
        }
        Stop::Untested(why) => (Verdict::Untested, why.clone()),
        Stop::Fault(why) => (Verdict::Error, why.clone()),
    }
}

/// A failure in one line.
pub fn summary(failure: &Failure) -> String {
    format!(
        "{:?}/{:?}/{}: {}",
        failure.class,
        failure.phase,
        failure.code.name(),
        failure.message.lines().next().unwrap_or_default()
    )
}

/// A failure as it is kept in the record.
pub fn failure_claim(failure: &Failure) -> Value {
    serde_json::to_value(failure).unwrap_or(Value::Null)
}
