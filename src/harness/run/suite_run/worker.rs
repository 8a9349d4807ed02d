//! A worker: it owns a loader process, replaces it when it is lost, and tries cases on it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::blank;
use super::obstacle::{lacks_runtime, obstacle};
use super::plan::{looks_back, needs_file_modes, needs_own_process, tries_a_hang};
use crate::contract::capability::{self, Capability};
use crate::contract::reply::{Introduction, Reply};
use crate::contract::request::{Request, Stat};
use crate::harness::case::step::Step;
use crate::harness::case::{Case, Environment};
use crate::harness::cell::AFTERMATH;
use crate::harness::client::{Bounds, Broken, Client, GOODBYE, InProcess, Outcome, Pipe};
use crate::harness::record::{CaseRecord, NOT_TRIED, Verdict};
use crate::harness::run::case_run::context::RunContext;
use crate::harness::run::case_run::setting::{Reach, Setting};
use crate::harness::run::case_run::start::Unusable;
use crate::harness::run::case_run::{CaseEnd, CaseRun, verdict, view};
use crate::harness::run::step;

/// Number of timeouts after which the run gives up on the loader. Each one takes the whole
/// patience, and the first one already decides the verdict. Cases that try a hang do not count.
const TIMEOUTS: u64 = 3;

/// What the workers of a run count together.
#[derive(Default)]
pub struct Tally {
    /// Processes started.
    pub processes: AtomicU64,
    timeouts: AtomicU64,
    failed_starts: AtomicU64,
}

/// A loader process that has answered `hello`.
pub struct Session {
    client: Box<dyn Client>,
    /// What it said.
    pub introduction: Introduction,
    environment: Environment,
    /// Whether it was asked for nothing but `hello` so far.
    fresh: bool,
    /// Its own folder.
    scratch: PathBuf,
}

/// What a case asks of the process that is started for it.
#[derive(Clone, Copy, Default)]
pub struct Needs {
    /// What it sees of the machine.
    pub environment: Environment,
    /// That file modes apply to it, also if root runs it.
    pub mode_counts: bool,
    /// That its end is looked at: what it has started gets a moment to end by itself.
    pub ends: bool,
}

impl Session {
    /// Starts the loader and sends `hello`.
    ///
    /// # Errors
    /// If it does not start, or its reply is not valid.
    pub fn start(setting: &Setting, for_case: Needs) -> Result<Session, Unusable> {
        let Needs { environment, mode_counts, ends } = for_case;
        let unusable = |broken| Unusable { broken, stderr: String::new() };
        let not_started = |why: String| unusable(Broken::NotStarted { why });
        let (client, scratch): (Box<dyn Client>, PathBuf) = match setting.reach {
            Reach::InProcess(make) => {
                let scratch = setting.work().map_err(|error| not_started(error.to_string()))?;
                (Box::new(InProcess::start(make()).map_err(unusable)?), scratch)
            }
            Reach::Process => {
                let mut spawn = setting.spawn_in(environment).map_err(not_started)?;
                spawn.mode_counts = mode_counts;
                spawn.aftermath = if ends { AFTERMATH } else { Duration::ZERO };
                (Box::new(Pipe::start(&spawn).map_err(unusable)?), spawn.scratch)
            }
        };
        let (client, introduction) = setting.greet(client, &scratch)?;
        Ok(Session { client, introduction, environment, fresh: true, scratch })
    }

    /// Whether it answers, and says that it holds no model.
    fn is_empty(&mut self) -> bool {
        let answer = self.client.ask(Request::Stat(Stat {}), &Bounds::within(GOODBYE));
        matches!(answer.outcome, Outcome::Reply(Reply::Stat(held)) if held.models == 0)
    }

    /// Ends the process: sends `bye` and expects exit code 0.
    ///
    /// # Errors
    /// How it ended instead.
    pub fn end(self) -> Result<(), Broken> {
        self.client.end(GOODBYE).complaint.map_or(Ok(()), Err)
    }
}

/// A loader process and the means to replace it.
pub struct Worker<'a> {
    context: &'a RunContext,
    tally: &'a Tally,
    session: Option<Session>,
}

impl<'a> Worker<'a> {
    /// A worker without a process yet.
    pub fn new(context: &'a RunContext, tally: &'a Tally) -> Self {
        Worker { context, tally, session: None }
    }

    /// The same with a process that no case has used yet.
    pub fn with(self, session: Option<Session>) -> Self {
        Worker { session, ..self }
    }

    /// Tries one case and records it, whatever happens.
    pub fn try_case(&mut self, case: &Case) -> CaseRecord {
        let begin = Instant::now();
        let mut record = blank::record(case, &self.context.setting);
        let given_up = || self.given_up().filter(|_| !looks_back(case));
        let setting = &self.context.setting;
        let no_runtime = || lacks_runtime(case).filter(|_| setting.gguf_runtime.is_none());
        let why = obstacle(case, setting.device).or_else(no_runtime).or_else(given_up);
        if let Some(why) = why {
            (record.verdict, record.reason) = (Verdict::Untested, Some(why));
            return record;
        }
        match self.session_for(case) {
            Err(Start::Untested(why)) => {
                (record.verdict, record.reason) = (Verdict::Untested, Some(why));
            }
            Err(Start::Broken(broken)) => {
                self.tally.failed_starts.fetch_add(1, Ordering::Relaxed);
                let (verdict, why) = verdict(&CaseEnd::Broken(broken), &[]);
                (record.verdict, record.reason) = (verdict, Some(format!("at hello: {why}")));
            }
            Ok(session) => self.run(case, session, &mut record),
        }
        self.context.card.after_case(&mut record);
        record.elapsed_us = begin.elapsed().as_micros() as u64;
        record
    }

    /// Ends the process: sends `bye` and expects exit code 0.
    ///
    /// # Errors
    /// How it ended instead.
    pub fn end(&mut self) -> Result<(), Broken> {
        self.session.take().map_or(Ok(()), Session::end)
    }

    fn run(&mut self, case: &Case, mut session: Session, record: &mut CaseRecord) {
        // What was declared once must hold, whatever a later process says.
        let declared = self.context.first_hello().unwrap_or(&session.introduction);
        if let Some(why) = undeclared(case, declared, self.context) {
            (record.verdict, record.reason) = (Verdict::Unsupported, Some(why));
            self.session = Some(session);
            return;
        }
        let setting = &self.context.setting;
        let make = |folder: io::Result<PathBuf>, mode| {
            let made = tempfile::tempdir_in(folder?)?;
            // The loader may be another user.
            fs::set_permissions(made.path(), fs::Permissions::from_mode(mode))?;
            Ok::<_, io::Error>(made)
        };
        let folders = make(setting.cases(), 0o755)
            .and_then(|folder| Ok((folder, make(Ok(session.scratch.clone()), 0o777)?)));
        let (folder, work) = match folders {
            Ok(folders) => folders,
            Err(error) => {
                let scratch = self.context.setting.scratch.display();
                (record.verdict, record.reason) = (
                    Verdict::Error,
                    Some(format!("cannot make the case's folder in {scratch}: {error}")),
                );
                self.session = Some(session);
                return;
            }
        };
        let Session { client, introduction, fresh, .. } = &mut session;
        let mut case_run = CaseRun::new(
            self.context,
            case,
            introduction,
            client.as_mut(),
            folder.path(),
            work.path(),
        );
        case_run.fresh = *fresh;
        let done = step::carry_out(&mut case_run);
        record.file_bytes =
            case_run.files.values().map(|placed| placed.fixture.bytes.len() as u64).sum();
        case_run.tidy();
        *fresh = case_run.fresh;
        record.steps = std::mem::take(&mut case_run.steps);
        record.loader_us = case_run.loader_time.as_micros() as u64;
        record.evidence_us = case_run.evidence_time.as_micros() as u64;
        record.fixture_us = case_run.fixture_time.as_micros() as u64;
        if let Err(stop) = &done {
            let (verdict, reason) = verdict(stop, &record.steps);
            if verdict == Verdict::Timeout && !tries_a_hang(case) {
                self.tally.timeouts.fetch_add(1, Ordering::Relaxed);
            }
            (record.verdict, record.reason) = (verdict, Some(reason));
            record.stderr = Some(session.client.stderr_tail()).filter(|text| !text.is_empty());
        } else if record.steps.iter().all(|step| step.checks.is_empty()) {
            // A case without a check proves nothing, so it must not pass.
            (record.verdict, record.reason) =
                (Verdict::Error, Some("the case checks nothing".to_owned()));
        }
        // A process that failed a case may be in any state. A process that sees other GPUs
        // cannot run other cases.
        let goes_on = match &done {
            Ok(()) => true,
            Err(CaseEnd::Failed) => self.context.setting.keeps_process && session.is_empty(),
            Err(_) => false,
        };
        if goes_on && !needs_own_process(case) {
            self.session = Some(session);
        } else {
            // How the process ends does not change the verdict. What it has left ends too.
            let _ending = session.end();
        }
    }

    fn given_up(&self) -> Option<String> {
        if let Some(why) = self.context.card.closed() {
            return Some(format!("{NOT_TRIED}the card is quarantined ({why})"));
        }
        if let Some(why) = self.context.waiting.over() {
            return Some(why);
        }
        if self.tally.timeouts.load(Ordering::Relaxed) >= TIMEOUTS {
            return Some(format!("{NOT_TRIED}the loader did not answer in time {TIMEOUTS} times"));
        }
        // An audit tries each case that claims a mutant, also one that lies at every hello.
        let gives_up = !self.context.setting.keeps_process;
        (gives_up && self.tally.failed_starts.load(Ordering::Relaxed) >= 2)
            .then(|| format!("{NOT_TRIED}the loader failed at hello twice"))
    }

    fn session_for(&mut self, case: &Case) -> Result<Session, Start> {
        let changed = case.environment != Environment::AsIs;
        if let Some(session) = self.session.take() {
            if session.environment == case.environment && !needs_own_process(case) {
                return Ok(session);
            }
            // A separate case tests the orderly end.
            let _ending = session.end();
        }
        let setting = &self.context.setting;
        if matches!(setting.reach, Reach::InProcess(_)) {
            if changed && setting.device.is_gpu() {
                return Err(Start::Untested("GPUs can only be hidden from a process".to_owned()));
            }
            if needs_file_modes(case) {
                let why = "file modes can only be enforced for a loader in its own process";
                return Err(Start::Untested(why.to_owned()));
            }
        }
        let began = Instant::now();
        let needs = Needs {
            environment: case.environment,
            mode_counts: needs_file_modes(case),
            ends: case.flat_steps().iter().any(|step| matches!(step, Step::Leave(_))),
        };
        let session = Session::start(setting, needs);
        self.context.waiting.spend(began.elapsed());
        let session = session.map_err(|unusable| Start::Broken(unusable.broken))?;
        self.tally.processes.fetch_add(1, Ordering::Relaxed);
        if let Err(broken) =
            self.context.met(&session.introduction, view::lessens(case.environment))
        {
            let _ending = session.end();
            return Err(Start::Broken(broken));
        }
        self.tally.failed_starts.store(0, Ordering::Relaxed);
        Ok(session)
    }
}

enum Start {
    Untested(String),
    Broken(Broken),
}

/// The first capability that the case needs and the loader does not support, with its reason. One that the
/// hello leaves out is not claimed.
fn undeclared(case: &Case, introduction: &Introduction, context: &RunContext) -> Option<String> {
    let mut required = case.relies(context.checkpoint(case)).on(context.setting.device);
    if context.own_head(case) {
        required.insert(Capability::ModelHeadDim);
    }
    required.into_iter().find_map(|needed| {
        let reason = match introduction.capabilities.get(&needed) {
            Some(support) if support.supported => return None,
            Some(support) => support.reason.as_deref().unwrap_or("no reason given"),
            None => "not claimed",
        };
        Some(format!("{}: {reason}", capability::name(needed)))
    })
}

#[cfg(test)]
mod tests;
