//! A setting, a case, and a loader whose answers are made up, for the tests of this folder.

use std::path::Path;
use std::time::Duration;

use super::case_run::card::CardCheck;
use super::case_run::context::RunContext;
use super::case_run::room::Ledger;
use super::case_run::setting::{Reach, Setting};
use super::case_run::shared_models::SharedModels;
use super::case_run::{CaseEnd, CaseRun};
use super::step::carry_out;
use crate::contract::reply::{Done, Holdings, Introduction, Loaded, Reply};
use crate::contract::request::Request;
use crate::contract::{Capability, Device, Failure, Loader, PROTOCOL, Phase, capability};
use crate::harness::case::Case;
use crate::harness::cell::{Found as Isolation, Views};
use crate::harness::client::{Bounds, Client, Ending, Exchange, Outcome};
use crate::harness::manifest::Manifest;
use crate::harness::record::StepRecord;

/// A run of one worker on a loader in this process.
pub(super) fn setting(
    scratch: &Path,
    device: Device,
    make: fn() -> Box<dyn Loader + Send>,
) -> Setting {
    let exe = std::env::current_exe().unwrap();
    Setting {
        manifest: Manifest::own(&exe, "trial").unwrap(),
        profile: "host".to_owned(),
        asked: "--profile host".to_owned(),
        device,
        seed: 1,
        salt: None,
        scratch: scratch.to_owned(),
        shared_models: SharedModels::default(),
        ledger: Ledger::default(),
        checkpoint: None,
        gguf_runtime: None,
        jobs: 1,
        patience: Duration::from_secs(60),
        waiting: None,
        transcript: None,
        reach: Reach::InProcess(make),
        keeps_process: false,
        card: CardCheck::Skip,
        isolation: Isolation::default(),
        secret: Views::default(),
    }
}

/// A case by its text.
pub(super) fn case(files: &str, models: &str, steps: &str) -> Case {
    let text = format!(
        "requirement: OWN-1\nname: trial\ntries: Something.\nfiles: {files}\nmodels: {models}\nsteps: {steps}\n"
    );
    serde_yaml::from_str(&text).unwrap()
}

/// What a loader answers.
pub(super) type Answer = Result<Reply, Failure>;

/// How a case ended, and what it has recorded.
pub(super) struct Tried {
    pub(super) end: Result<(), CaseEnd>,
    pub(super) steps: Vec<StepRecord>,
}

impl Tried {
    /// The first check that does not hold: its name, and what was found.
    pub(super) fn broken(&self) -> Option<(&str, &str)> {
        let checks = self.steps.iter().flat_map(|step| &step.checks);
        checks
            .filter(|check| !check.held)
            .map(|check| (check.what.as_str(), check.found.as_str()))
            .next()
    }

    /// Why the case could not be tried, or what was wrong with the harness.
    pub(super) fn why(&self) -> &str {
        match &self.end {
            Err(CaseEnd::Untested(why) | CaseEnd::Fault(why)) => why,
            _ => "",
        }
    }
}

/// Carries out a case on a loader that declares what `served` says and answers as `answer` does; `None` for
/// a load of everything, a number of held models that is right, and nothing else.
pub(super) fn tried(
    case: &Case,
    served: &[Capability],
    change: impl FnOnce(&mut Setting),
    answer: impl FnMut(&Request) -> Option<Answer> + Send,
) -> Tried {
    with(case, served, change, answer, carry_out)
}

/// The same with something else in the place of the case's steps.
pub(super) fn with(
    case: &Case,
    served: &[Capability],
    change: impl FnOnce(&mut Setting),
    answer: impl FnMut(&Request) -> Option<Answer> + Send,
    does: impl FnOnce(&mut CaseRun<'_>) -> Result<(), CaseEnd>,
) -> Tried {
    let scratch = tempfile::tempdir().unwrap();
    let mut setting = setting(scratch.path(), Device::Cpu, || panic!("a loader was started"));
    change(&mut setting);
    let (folder, work) = (setting.cases().unwrap(), setting.work().unwrap());
    let context = RunContext::new(setting);
    let introduction = Introduction {
        protocol: PROTOCOL,
        nonce: String::new(),
        name: "made up".to_owned(),
        version: "1".to_owned(),
        capabilities: capability::declare(served, |_| "not in this test"),
    };
    let mut client = Scripted { answer, held: 0 };
    let mut run = CaseRun::new(&context, case, &introduction, &mut client, &folder, &work);
    let end = does(&mut run);
    Tried { end, steps: std::mem::take(&mut run.steps) }
}

/// Says that its process is this one.
struct Scripted<F> {
    answer: F,
    held: u64,
}

impl<F: FnMut(&Request) -> Option<Answer> + Send> Scripted<F> {
    fn usual(&mut self, request: &Request) -> Answer {
        match request {
            Request::Load(_) => {
                self.held += 1;
                Ok(Reply::Load(Loaded::new(self.held, Device::Cpu, 0, 0, Vec::new())))
            }
            Request::Unload(_) => {
                self.held = self.held.saturating_sub(1);
                Ok(Reply::Unload(Done {}))
            }
            Request::Stat(_) => {
                Ok(Reply::Stat(Holdings { models: self.held, host_bytes: 0, device_bytes: 0 }))
            }
            other => Err(Failure::unsupported(Phase::Request, other.verb())),
        }
    }
}

impl<F: FnMut(&Request) -> Option<Answer> + Send> Client for Scripted<F> {
    fn ask(&mut self, request: Request, _bounds: &Bounds) -> Exchange {
        let answer = (self.answer)(&request).unwrap_or_else(|| self.usual(&request));
        let outcome = answer.map_or_else(Outcome::Failure, Outcome::Reply);
        Exchange { outcome, elapsed_us: 0, peak_bytes: None }
    }

    fn ask_odd(&mut self, _request: serde_json::Value, _bounds: &Bounds) -> Exchange {
        let refused = Failure::unsupported(Phase::Request, "odd");
        Exchange { outcome: Outcome::Failure(refused), elapsed_us: 0, peak_bytes: None }
    }

    fn pid(&self) -> Option<u32> {
        Some(std::process::id())
    }

    fn family(&self) -> Vec<u32> {
        vec![std::process::id()]
    }

    fn stderr_tail(&self) -> String {
        String::new()
    }

    fn stderr_log(&self) -> Option<&Path> {
        None
    }

    fn spawn_to_hello(&self) -> Option<Duration> {
        None
    }

    fn leave(&mut self, _patience: Duration) -> Ending {
        Ending {
            complaint: None,
            answered: true,
            output: None,
            exit: None,
            elapsed_us: 0,
            left: None,
            stderr_bytes: 0,
            stderr_tail: String::new(),
        }
    }
}
