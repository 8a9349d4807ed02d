//! A whole run: from the first hello to a complete record.

mod blank;
mod demand;
pub mod fail_fast;
pub mod freeze;
pub mod obstacle;
pub mod plan;
mod prepare;
mod queue;
pub mod scheduler;
pub mod shard;
pub mod worker;

use std::collections::BTreeMap;
use std::time::Instant;

use self::plan::{Plan, Selection};
use self::scheduler::{Progress, weigh};
use self::worker::{Needs, Session};
use crate::contract::capability;
use crate::contract::reply::Introduction;
use crate::harness::case::read::CaseSet;
use crate::harness::class;
use crate::harness::client::Broken;
use crate::harness::evidence::program::Program;
use crate::harness::evidence::{build, machine};
use crate::harness::record::excuse::excuse;
use crate::harness::record::{self, Commitment, FORMAT, Isolation, Part, Record, Subject};
use crate::harness::run::case_run::context::RunContext;
use crate::harness::run::case_run::setting::Setting;
use crate::harness::run::case_run::start::Unusable;
use crate::harness::run::case_run::waiting::Waiting;
use crate::harness::spec::{Profile, Spec};

/// Everything a run is made of besides its [`Setting`].
#[derive(Clone, Copy)]
pub struct Suite<'a> {
    /// The requirements.
    pub spec: &'a Spec,
    /// The cases.
    pub cases: &'a CaseSet,
    /// Which requirements are asked for.
    pub profile: &'a Profile,
    /// Which of their cases are wanted.
    pub selection: &'a Selection,
}

/// A run after the first hello, with its plan.
pub struct Run<'a> {
    /// The run's shared part.
    pub context: RunContext,
    /// What will be tried.
    pub plan: Plan<'a>,
    /// The record, as yet without cases.
    pub record: Record,
    /// The process that has answered the first hello. It serves the first cases.
    first: Session,
    began: Instant,
}

impl<'a> Run<'a> {
    /// Starts the loader, sends `hello`, and plans the run.
    ///
    /// # Errors
    /// Why the loader cannot be tested at all: it does not start, or its reply to `hello` is not
    /// valid.
    pub fn begin(setting: Setting, suite: Suite<'a>) -> Result<Self, Broken> {
        let context = RunContext::new(setting);
        let first = Session::start(&context.setting, Needs::default()).map_err(|unusable| {
            let broken = with_stderr(unusable);
            match context.card.closed() {
                Some(why) => {
                    Broken::NotStarted { why: format!("{broken}; the card is sick: {why}") }
                }
                None => broken,
            }
        })?;
        let introduction = &first.introduction;
        context.met(introduction, false)?;
        let plan = Plan::new(suite.spec, suite.profile, suite.cases.cases(), suite.selection);
        let usual = || Waiting::usual(context.setting.patience, plan.scheduled.len());
        context.waiting.allow(context.setting.waiting.unwrap_or_else(usual));
        let record = Record {
            format: FORMAT.to_owned(),
            subject: subject(suite, introduction),
            parts: vec![part(&context, suite, introduction)],
            requirements: plan.requirements.clone(),
            cases: Vec::new(),
            classes: Some(class::table(suite.spec, suite.cases.cases())),
        };
        Ok(Run { context, plan, record, first, began: Instant::now() })
    }

    /// Tries every scheduled case.
    pub fn carry_out(mut self, progress: &dyn Progress) -> Record {
        let weighed = weigh(&self.context, &self.plan, self.first, progress);
        self.record.cases = weighed.cases;
        let measured = self.context.measured();
        if let Some(part) = self.record.parts.first_mut() {
            part.seconds = self.began.elapsed().as_secs_f64();
            part.processes = weighed.processes;
            part.waited_us = weighed.waited.as_micros() as u64;
            part.measured = measured;
            part.waiting = waited(&self.context);
            part.health = self.context.card.at_last();
        }
        excuse(&mut self.record.cases, &self.record.parts);
        self.record
    }
}

/// Starts the loader, hears its reply to `hello`, and ends it.
///
/// # Errors
/// Why the loader cannot be tested at all.
pub fn meet(setting: &Setting) -> Result<Introduction, Broken> {
    let session = Session::start(setting, Needs::default()).map_err(with_stderr)?;
    let introduction = session.introduction.clone();
    // How the process ends is tested by a case.
    let _ending = session.end();
    Ok(introduction)
}

/// A loader that fails at hello has usually written the reason to stderr only.
fn with_stderr(Unusable { broken, stderr }: Unusable) -> Broken {
    match stderr.trim() {
        "" => broken,
        told => Broken::NotStarted { why: format!("{broken}; stderr: {told}") },
    }
}

/// The loader's command line, without the local path of this binary.
fn command(setting: &Setting) -> Vec<String> {
    let mut words = setting.manifest.written.command.clone();
    if std::env::current_exe().is_ok_and(|exe| exe == setting.manifest.program)
        && let Some(program) = words.first_mut()
    {
        "weighbridge".clone_into(program);
    }
    words
}

fn subject(suite: Suite<'_>, introduction: &Introduction) -> Subject {
    Subject {
        loader: introduction.name.clone(),
        loader_version: introduction.version.clone(),
        suite: env!("CARGO_PKG_VERSION").to_owned(),
        commit: build::COMMIT.to_owned(),
        binary: build::binary_digest(),
        spec: suite.spec.digest().to_owned(),
        cases: suite.cases.digest().to_owned(),
        fixtures: crate::harness::fixture::embedded_digest(),
        profile: suite.profile.name.clone(),
    }
}

/// How long the run has waited for the loader so far.
fn waited(context: &RunContext) -> Option<record::Waiting> {
    let (budget, spent) = (context.waiting.budget()?, context.waiting.spent());
    Some(record::Waiting { budget: budget.as_secs_f64(), spent: spent.as_secs_f64() })
}

fn part(context: &RunContext, suite: Suite<'_>, introduction: &Introduction) -> Part {
    let setting = &context.setting;
    let capabilities = introduction
        .capabilities
        .iter()
        .map(|(capability, support)| {
            let word = match (&support.supported, &support.reason) {
                (true, _) => "yes".to_owned(),
                (false, Some(reason)) => format!("no: {reason}"),
                (false, None) => "no".to_owned(),
            };
            (capability::name(*capability), word)
        })
        .collect();
    let seed = format!("{:016x}", setting.seed);
    Part {
        started: build::now(),
        seconds: 0.0,
        commitment: setting.salt.map(|salt| Commitment::to(&seed, &salt)),
        seed_given: setting.salt.is_none(),
        seed,
        device: setting.device.to_string(),
        selection: suite.selection.typed(),
        machine: machine::describe(setting.device),
        synthetic: vec![match &setting.checkpoint {
            Some(path) => format!(
                "every file but the checkpoint {} is made from the seed",
                path.file_name().unwrap_or(path.as_os_str()).display()
            ),
            None => "every file is made from the seed, except the bundled checkpoint: it is fixed"
                .to_owned(),
        }],
        capabilities,
        command: command(setting),
        environment: setting
            .manifest
            .written
            .environment
            .iter()
            .map(|(name, value)| {
                (name.clone(), value.clone().unwrap_or_else(|| "(removed)".into()))
            })
            .collect::<BTreeMap<_, _>>(),
        processes: 0,
        jobs: setting.jobs as u64,
        waited_us: 0,
        measured: BTreeMap::new(),
        plan: None,
        health: context.card.at_first(),
        known: None,
        isolation: Some(Isolation {
            level: setting.isolation.level().to_string(),
            missing: setting.isolation.missing.clone(),
        }),
        unjournalled: 0,
        program: context.program().map(Program::digests).unwrap_or_default(),
        waiting: waited(context),
        journal: None,
    }
}
