//! A second process of the loader, beside the one that a case is about: it is started in the cell of that one, asked,
//! and ended with the case.

use std::io;
use std::time::{Duration, Instant};

use super::second::{Arrived, Second, UnderWay};
use super::{CaseEnd, CaseRun, FIRST_ANSWER, view};
use crate::contract::reply::Reply;
use crate::contract::request;
use crate::contract::{Device, Failure};
use crate::harness::client::{Exchange, GOODBYE, Pipe};
use crate::harness::record::{Basis, Check};

/// What is checked of a process that was stopped.
const STANDS: &str = "the stopped process";

/// The answer to a request.
pub type Answer = Result<Reply, Failure>;

impl CaseRun<'_> {
    /// Starts the second process, unless there is one.
    ///
    /// # Errors
    /// [`CaseEnd::Broken`] if it does not start or does not answer as the first one did; untested, where the first one
    /// has no process, or its cell cannot be joined.
    pub fn start_beside(&mut self) -> Result<(), CaseEnd> {
        if self.second.is_some() {
            return Ok(());
        }
        let first = self.pid()?;
        let (setting, environment) = (&self.context.setting, self.case.environment);
        let mut spawn = setting.spawn_in(environment).map_err(CaseEnd::Untested)?;
        if let Some(cell) = &mut spawn.cell {
            let joined = cell.join(first);
            joined
                .map_err(|why| CaseEnd::Untested(format!("a cell that cannot be joined: {why}")))?;
        }
        let began = Instant::now();
        let client = Pipe::start(&spawn).map_err(CaseEnd::Broken)?;
        let greeted = setting.greet(Box::new(client), &spawn.scratch);
        self.loader_time += began.elapsed();
        self.context.waiting.spend(began.elapsed());
        let (client, introduction) =
            greeted.map_err(|unusable| CaseEnd::Broken(unusable.broken))?;
        let met = self.context.met(&introduction, view::lessens(environment));
        met.map_err(CaseEnd::Broken)?;
        self.second = Some(Second::new(client, introduction, spawn.scratch));
        Ok(())
    }

    /// Asks the second process for a load of a file of the case, and stops it when it has opened that, or a part of a
    /// load later. Returns the answer if it came before; a later attempt stops it sooner.
    ///
    /// # Errors
    /// [`CaseEnd::Broken`] if no valid answer came.
    pub fn ask_beside(
        &mut self,
        file: &str,
        load: &request::Load,
        attempt: u32,
    ) -> Result<Option<Answer>, CaseEnd> {
        if let Some(why) = self.context.waiting.over() {
            return Err(CaseEnd::Untested(why));
        }
        let setting = &self.context.setting;
        let bytes = self.file(file)?.fixture.bytes.len() as u64;
        let second = self.second.as_mut().ok_or_else(nobody)?;
        let client = second.client.take().ok_or_else(nobody)?;
        second.loads += u32::from(attempt == 0);
        let starts = if second.loads == 1 && attempt == 0 { FIRST_ANSWER } else { 1 };
        let patience = setting.patience * starts + Duration::from_micros(bytes / 10);
        let bounds = (patience, setting.manifest.memory_bytes());
        let (scratch, runs_for) = (&second.scratch, second.runs_for(attempt));
        let begun = UnderWay::begin(client, scratch, (load, file), bounds, runs_for);
        let under_way = second.under_way.insert(begun.map_err(fault)?);
        match under_way.stopped_or_answered()? {
            None => Ok(None),
            Some(arrived) => {
                second.under_way = None;
                self.arrived(arrived, Duration::ZERO).map(Some)
            }
        }
    }

    /// Lets the load that is under way go on, and waits for its answer. `None` if there is no such load.
    ///
    /// # Errors
    /// [`CaseEnd::Broken`] if no valid answer came.
    pub fn answer_beside(&mut self) -> Result<Option<(String, Device, Answer)>, CaseEnd> {
        let under_way = self.second.as_mut().and_then(|second| second.under_way.take());
        let Some(under_way) = under_way else { return Ok(None) };
        let stands = under_way.moved().map_or_else(|| Ok("it stands still".to_owned()), Err);
        let stood = under_way.go_on();
        let wanted = "it stands still until the judge lets it go on";
        let check = Check::judged(STANDS, wanted, stands, Basis::Observed);
        let arrived = under_way.answer()?;
        let answer = self.arrived(arrived, stood)?;
        self.check(check)?;
        let (file, device) = under_way.of;
        Ok(Some((file, device, answer)))
    }

    /// Takes an answer, before which the process stood still for so long.
    fn arrived(&mut self, (client, exchange): Arrived, stood: Duration) -> Result<Answer, CaseEnd> {
        let took = exchange.elapsed().saturating_sub(stood);
        let elapsed_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.context.waiting.spend(took);
        let second = self.second.as_mut().ok_or_else(nobody)?;
        (second.client, second.took) = (Some(client), took);
        self.answered(Exchange { elapsed_us, ..exchange })
    }

    /// Does something with the second process as if the case were about it. Its checks are those of the open step.
    ///
    /// # Errors
    /// Those of what is done, and a fault where there is no second process that can be asked.
    pub fn with_beside<T>(
        &mut self,
        does: impl FnOnce(&mut CaseRun<'_>) -> Result<T, CaseEnd>,
    ) -> Result<T, CaseEnd> {
        let mut second = self.second.take().ok_or_else(nobody)?;
        let Some(client) = second.client.as_deref_mut() else {
            self.second = Some(second);
            return Err(nobody());
        };
        let (introduction, work) = (&second.introduction, second.scratch.as_path());
        let mut other =
            CaseRun::new(self.context, self.case, introduction, client, self.folder, work);
        (other.files, other.placed) = (self.files.clone(), self.placed.clone());
        other.loaded = std::mem::take(&mut second.loaded);
        other.begin("");
        let done = does(&mut other);
        second.loaded = std::mem::take(&mut other.loaded);
        self.loader_time += other.loader_time;
        self.evidence_time += other.evidence_time;
        let checks = other.steps.drain(..).flat_map(|step| step.checks);
        if let Some(step) = self.steps.last_mut() {
            step.checks.extend(checks);
        }
        self.second = Some(second);
        done
    }

    /// Ends the second process, whatever it does. How it ends changes no verdict.
    pub fn end_beside(&mut self) {
        let Some(Second { client, under_way, .. }) = self.second.take() else { return };
        if let Some(under_way) = under_way {
            under_way.kill();
            under_way.go_on();
            let _ended = under_way.answer();
        }
        if let Some(client) = client {
            let _ending = client.end(GOODBYE);
        }
    }
}

fn fault(error: io::Error) -> CaseEnd {
    CaseEnd::Fault(format!("a second process: {error}"))
}

fn nobody() -> CaseEnd {
    CaseEnd::Fault("there is no second process that could be asked".to_owned())
}
