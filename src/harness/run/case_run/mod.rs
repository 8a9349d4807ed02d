//! The run of one case: its files, its models, the recorded steps, and the requests to the loader.

pub mod ahead;
pub mod answer_file;
pub mod beside;
pub mod card;
pub mod case_end;
mod cell;
pub mod context;
pub mod files;
pub mod filled;
pub mod held;
mod left;
mod made;
pub mod model;
pub mod published_name_dir;
mod rest;
pub mod room;
mod second;
pub mod setting;
pub mod shared_models;
pub mod start;
pub mod view;
pub mod waiting;
pub mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

pub use self::case_end::{CaseEnd, failure_claim, oracle_fault, summary, verdict};
use self::context::RunContext;
use self::filled::Filled;
pub use self::held::{FixtureOnDisk, Model, Residues};
use self::model::PlacedModel;
use self::published_name_dir::PublishedNameDir;
use self::second::Second;
use crate::contract::reply::{Introduction, Reply};
use crate::contract::request::Request;
use crate::contract::{Capability, Class, Device, Failure};
use crate::gpu;
use crate::harness::case::{Case, Environment};
use crate::harness::client::memory::resident;
use crate::harness::client::{Bounds, Broken, Client, Exchange, Outcome};
use crate::harness::evidence::residue::Listing;
use crate::harness::evidence::untouched::Made;
use crate::harness::record::{Basis, Check, StepRecord};

/// A case in progress.
pub struct CaseRun<'a> {
    /// What all cases of the run share.
    pub context: &'a RunContext,
    /// The case.
    pub case: &'a Case,
    /// The loader's reply to `hello`.
    pub introduction: &'a Introduction,
    /// Files by name.
    pub files: BTreeMap<String, FixtureOnDisk>,
    /// Runnable models that the harness has written, by the name of their weight file.
    pub placed: BTreeMap<String, Arc<PlacedModel>>,
    /// Models that the loader has loaded, by name.
    pub loaded: BTreeMap<String, Model>,
    /// Handles of loaded models whose name a later load of the case has taken.
    pub replaced: Vec<u64>,
    /// Models that the loader has unloaded, by name.
    pub unloaded: BTreeMap<String, Model>,
    /// Models that the loader has refused, where the case leaves it the choice.
    pub refused: BTreeSet<String>,
    /// The folder of files that a loader must not recognise as the harness's.
    pub published_names: Option<PublishedNameDir>,
    /// Memory marks by name, in bytes.
    pub marks: BTreeMap<String, u64>,
    /// The highest host memory of any request, in bytes, since a step began to measure it. The client looks at
    /// each request by itself.
    pub highest: Option<u64>,
    /// What was there at each mark.
    pub residues: BTreeMap<String, Residues>,
    /// Device memory that the harness occupies.
    pub ballast: Option<Filled>,
    second: Option<Second>,
    /// Why a step found nothing to try. The case goes on, and is untested if it then holds.
    pub no_object: Option<String>,
    /// The steps so far.
    pub steps: Vec<StepRecord>,
    /// Time spent waiting for the loader.
    pub loader_time: Duration,
    /// Time spent on fixtures and bytes.
    pub evidence_time: Duration,
    /// Time spent making and writing files and models.
    pub fixture_time: Duration,
    /// Whether the process was asked for nothing but `hello` so far. Its first answer may take longer.
    pub fresh: bool,
    client: &'a mut dyn Client,
    folder: &'a Path,
    work: &'a Path,
    /// What lay in `folder` before the first step.
    noted: Listing,
    /// What the judge has made, where the loader could write to it.
    made: Option<Made>,
    /// What the harness has written there for the loader to read.
    inputs: Mutex<BTreeSet<PathBuf>>,
}

/// How many times the usual patience a process's first answer after `hello` may take.
const FIRST_ANSWER: u32 = 3;

impl<'a> CaseRun<'a> {
    /// Prepares the run of a case. `place_files` writes its files.
    pub fn new(
        context: &'a RunContext,
        case: &'a Case,
        introduction: &'a Introduction,
        client: &'a mut dyn Client,
        folder: &'a Path,
        work: &'a Path,
    ) -> Self {
        CaseRun {
            context,
            case,
            introduction,
            files: BTreeMap::new(),
            placed: BTreeMap::new(),
            loaded: BTreeMap::new(),
            replaced: Vec::new(),
            unloaded: BTreeMap::new(),
            refused: BTreeSet::new(),
            published_names: None,
            marks: BTreeMap::new(),
            highest: None,
            residues: BTreeMap::new(),
            ballast: None,
            second: None,
            no_object: None,
            steps: Vec::new(),
            loader_time: Duration::ZERO,
            evidence_time: Duration::ZERO,
            fixture_time: Duration::ZERO,
            fresh: false,
            client,
            folder,
            work,
            noted: Listing::new(),
            made: None,
            inputs: Mutex::default(),
        }
    }

    /// The device that this case loads to, unless a step names another.
    pub fn device(&self) -> Device {
        self.context.setting.device
    }

    /// The device that a loaded model must run on: the one that its load named.
    pub fn device_of(&self, handle: u64) -> Device {
        let model = self.loaded.values().find(|model| model.handle == handle);
        model.map_or(self.device(), |model| model.asked)
    }

    /// The card, as the judge numbers it, that the loader means by the name of a device.
    ///
    /// # Errors
    /// Untested, where the cards cannot be counted.
    pub fn card(&self, device: Device) -> Result<Device, CaseEnd> {
        if self.case.environment == Environment::AsIs {
            return Ok(device);
        }
        let cards = gpu::device_count().map_err(|error| CaseEnd::Untested(error.to_string()))?;
        Ok(view::card(self.case.environment, device, cards))
    }

    /// Whether the loader says that it serves a capability.
    pub fn serves(&self, capability: Capability) -> bool {
        self.introduction.capabilities.get(&capability).is_some_and(|support| support.supported)
    }

    /// The loader's process id.
    ///
    /// # Errors
    /// Untested, where the loader runs in this process.
    pub fn pid(&self) -> Result<u32, CaseEnd> {
        self.client
            .pid()
            .ok_or_else(|| CaseEnd::Untested("needs the loader in its own process".to_owned()))
    }

    /// The process ids of the loader and of all that it has started, itself first.
    ///
    /// # Errors
    /// Untested, where the loader runs in this process.
    pub fn family(&self) -> Result<Vec<u32>, CaseEnd> {
        self.pid()?;
        Ok(self.client.family())
    }

    /// The case's folder for files and models.
    pub fn folder(&self) -> &'a Path {
        self.folder
    }

    /// The case's folder for what the loader writes.
    pub fn work(&self) -> &'a Path {
        self.work
    }

    /// A fresh path for what the loader writes.
    pub fn scratch_file(&self) -> PathBuf {
        self.work.join(format!("{:016x}", rand::random::<u64>()))
    }

    /// Does work of the harness on fixtures and bytes, and adds its time to `evidence_time`.
    pub fn gathering<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let begin = Instant::now();
        let result = work(self);
        self.evidence_time += begin.elapsed();
        result
    }

    /// Times the making of files and models.
    pub fn making<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let begin = Instant::now();
        let result = work(self);
        self.fixture_time += begin.elapsed();
        result
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// [`CaseEnd::Broken`] if no valid answer came.
    pub fn ask(&mut self, request: Request, bytes: u64) -> Result<Result<Reply, Failure>, CaseEnd> {
        if let Some(why) = self.context.waiting.over() {
            return Err(CaseEnd::Untested(why));
        }
        // Many loaders import their library at the first request.
        let starts = if std::mem::take(&mut self.fresh) { FIRST_ANSWER } else { 1 };
        // Any usable loader reads much more than ten megabytes a second.
        let of_file = Duration::from_micros(bytes / 10);
        let bounds = self.bounds(self.context.setting.patience * starts + of_file);
        let exchange = self.client.ask(request, &bounds);
        self.context.waiting.spend(exchange.elapsed().saturating_sub(of_file));
        self.answered(exchange)
    }

    /// Sends JSON that is not a request of the protocol.
    ///
    /// # Errors
    /// [`CaseEnd::Broken`] if no valid answer came.
    pub fn ask_odd(&mut self, request: Value) -> Result<Result<Reply, Failure>, CaseEnd> {
        let bounds = self.bounds(self.context.setting.patience);
        let exchange = self.client.ask_odd(request, &bounds);
        self.context.waiting.spend(exchange.elapsed());
        self.answered(exchange)
    }

    fn bounds(&self, patience: Duration) -> Bounds {
        let mut bounds = Bounds::within(patience);
        bounds.memory_bytes = self.context.setting.manifest.memory_bytes();
        // Where the loader runs in this process, nothing tells its memory.
        if let Some(mib) = self.case.memory_mib
            && let Some(held) = self.client.pid().and_then(|pid| resident(pid).ok())
        {
            let most = held.saturating_add(mib << 20);
            bounds.memory_bytes = Some(bounds.memory_bytes.map_or(most, |limit| limit.min(most)));
        }
        bounds
    }

    fn answered(&mut self, exchange: Exchange) -> Result<Result<Reply, Failure>, CaseEnd> {
        self.loader_time += exchange.elapsed();
        if let Some((highest, peak)) = self.highest.as_mut().zip(exchange.peak_bytes) {
            *highest = peak.max(*highest);
        }
        match exchange.outcome {
            Outcome::Reply(reply) => Ok(Ok(reply)),
            Outcome::Failure(failure) => Ok(Err(failure)),
            Outcome::Broken(Broken::Exchange { why }) => Err(CaseEnd::Fault(why)),
            Outcome::Broken(broken) => Err(CaseEnd::Broken(broken)),
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

    /// Records what the loader claimed.
    pub fn claim(&mut self, claim: Value) {
        if let Some(step) = self.steps.last_mut() {
            step.claim = Some(claim);
        }
    }

    /// Records a check; the case ends at the first that does not hold, unless that is policy alone: then it
    /// goes on, and fails at its end.
    ///
    /// # Errors
    /// [`CaseEnd::Failed`].
    pub fn check(&mut self, check: Check) -> Result<(), CaseEnd> {
        let goes_on = check.held || check.policy;
        if let Some(step) = self.steps.last_mut() {
            step.checks.push(check);
        }
        if goes_on { Ok(()) } else { Err(CaseEnd::Failed) }
    }

    /// Records that a request which had to succeed did not.
    pub fn unexpected(&mut self, wanted: &str, failure: &Failure) -> CaseEnd {
        self.claim(failure_claim(failure));
        let found = match failure.class {
            Class::Unsupported => "declared in the hello, and not served".to_owned(),
            _ => summary(failure),
        };
        match self.check(Check::broken("answer", wanted, found, Basis::Observed)) {
            Ok(()) => CaseEnd::Fault("a broken check held".to_owned()),
            Err(stop) => stop,
        }
    }

    /// Records that a file was refused which had to load, or of which nobody can say whether it had to.
    pub fn not_loaded(&mut self, file: &str, failure: &Failure) -> CaseEnd {
        match self.placed.get(file).and_then(|model| model.left_open(failure)) {
            None => self.unexpected("loaded", failure),
            Some(why) => self.not_decided(why, failure),
        }
    }

    /// Records a refusal of which nobody can say whether it is wrong. Nothing may be left of the load.
    pub fn not_decided(&mut self, why: String, failure: &Failure) -> CaseEnd {
        self.claim(failure_claim(failure));
        self.check_nothing_left().err().unwrap_or(CaseEnd::Untested(why))
    }

    /// The file of this name.
    ///
    /// # Errors
    /// [`CaseEnd::Fault`] if the case has none. Reading the case file already refuses such a case.
    pub fn file(&self, name: &str) -> Result<&FixtureOnDisk, CaseEnd> {
        self.files
            .get(name)
            .ok_or_else(|| CaseEnd::Fault(format!("no such file in the case: {name}")))
    }

    /// The model of this name.
    ///
    /// # Errors
    /// [`CaseEnd::Fault`] where no step has loaded it.
    pub fn model(&self, name: &str) -> Result<&Model, CaseEnd> {
        self.loaded.get(name).ok_or_else(|| CaseEnd::Fault(format!("no such model loaded: {name}")))
    }

    /// The runnable model of this weight file.
    ///
    /// # Errors
    /// [`CaseEnd::Fault`] where the case has made none.
    pub fn placed_model(&self, file: &str) -> Result<&PlacedModel, CaseEnd> {
        self.placed
            .get(file)
            .map(Arc::as_ref)
            .ok_or_else(|| CaseEnd::Fault(format!("no model that can be run: {file}")))
    }

    /// The seed of something in this case, by its name.
    pub fn seed(&self, name: &str) -> u64 {
        self.context.setting.seed_of(self.case, name)
    }
}
