//! The suite over one loader after another: the honest one first, then those that lie.

use std::time::Duration;

use crate::cli::CommandError;
use crate::cli::display::Display;
use crate::cli::interrupt::{self, Watch};
use crate::cli::show::Show;
use crate::cli::weighing::{Embedded, Weighing};
use crate::harness::audit::Matrix;
use crate::harness::case::Case;
use crate::harness::manifest::Manifest;
use crate::harness::record::{CaseRecord, Record};
use crate::harness::run::case_run::setting::Setting;
use crate::harness::run::{Progress, Run, Selection, Suite};
use crate::harness::scratch::Scratch;
use crate::mutants::Mutant;

/// The suite, ready to be tried on loaders that lie.
pub struct Auditor {
    /// Requirements and cases.
    pub embedded: Embedded,
    setting: Setting,
    selection: Selection,
    honest: Record,
    display: Display,
    watch: Option<Watch>,
    // Removed last.
    _scratch: Scratch,
}

impl Auditor {
    /// Weighs the honest reference: what it does not pass, no mutant can be killed by.
    ///
    /// # Errors
    /// Where the suite cannot be run at all.
    pub fn begin(weighing: &Weighing) -> Result<Self, CommandError> {
        Auditor::over(weighing, &[], Show::nothing(), None)
    }

    /// The same over no more than the cases that claim to kill one of these mutants, if any is named and
    /// no case was asked for.
    pub(super) fn over(
        weighing: &Weighing,
        claims: &[String],
        show: Show,
        watch: Option<Watch>,
    ) -> Result<Self, CommandError> {
        let embedded = Embedded::read()?;
        let on_gpu = weighing.device.is_some_and(crate::contract::Device::is_gpu);
        let profile = embedded.profile(if on_gpu { "full" } else { "host" })?;
        let (setting, scratch) = weighing.setting(profile)?;
        let mut selection = weighing.selection(&embedded)?;
        if selection.cases.is_empty() && selection.ids.is_empty() {
            let claiming = |case: &&Case| claims.iter().any(|name| case.kills.contains(name));
            selection.ids = embedded.cases.cases().iter().filter(claiming).map(Case::id).collect();
        }
        let display = Display::new(0, show);
        let honest = weigh(setting.clone(), &embedded, &selection, (&display, "honest"));
        let honest = settled(watch.as_ref(), honest)?;
        let _scratch = scratch;
        Ok(Auditor { embedded, setting, selection, honest, display, watch, _scratch })
    }

    /// Says a line, once it is known.
    pub(super) fn tell(&self, line: &str) {
        self.display.line(line);
    }

    /// The last mutant was tried. After a signal this does not return.
    pub(super) fn end(&self) {
        self.display.end();
        if let Some(watch) = &self.watch {
            watch.close();
        }
    }

    /// A matrix without mutants yet.
    pub fn baseline(&self) -> Matrix {
        Matrix::new(&self.honest)
    }

    /// Weighs a mutant and adds what came of it.
    ///
    /// # Errors
    /// Where the mutant cannot be weighed at all.
    pub fn try_mutant(
        &self,
        mutant: &Mutant,
        claimed: bool,
        matrix: &mut Matrix,
    ) -> Result<(), CommandError> {
        if let Some(why) = self.beyond_reach(mutant) {
            matrix.leave_out(mutant.name, mutant.lie, why);
            return Ok(());
        }
        let cases = self.embedded.cases.cases();
        let exe = std::env::current_exe().map_err(CommandError::harness)?;
        let longest = Duration::from_secs(if self.setting.device.is_gpu() { 10 } else { 2 });
        let setting = Setting {
            manifest: Manifest::builtin_mutant(&exe, mutant.name).map_err(CommandError::harness)?,
            // A mutant that hangs costs this much three times.
            patience: self.setting.patience.min(longest),
            ..self.setting.clone()
        };
        let selection = if claimed {
            let claims = cases.iter().filter(|case| case.kills.contains(mutant.name));
            let (cases, ids) = (Vec::new(), claims.map(|case| case.id()).collect());
            Selection { cases, ids, ..self.selection.clone() }
        } else {
            self.selection.clone()
        };
        let weighed = weigh(setting, &self.embedded, &selection, (&self.display, mutant.name));
        let record = settled(self.watch.as_ref(), weighed)?;
        matrix.add(mutant.name, mutant.lie, cases, &record);
        Ok(())
    }

    /// Why a mutant tells no lie here, if so.
    pub fn beyond_reach(&self, mutant: &Mutant) -> Option<&'static str> {
        (mutant.needs_gpu && !self.setting.device.is_gpu()).then_some("its lie is about GPU memory")
    }
}

/// What was weighed. After a signal this does not return: what came then says nothing of the loader.
fn settled<T>(watch: Option<&Watch>, weighed: T) -> T {
    if let Some(watch) = watch.filter(|_| interrupt::ordered().is_some()) {
        watch.close();
    }
    weighed
}

fn weigh(
    setting: Setting,
    embedded: &Embedded,
    selection: &Selection,
    (display, name): (&Display, &str),
) -> Result<Record, CommandError> {
    let profile = embedded.profile(&setting.profile)?;
    let suite = Suite { spec: &embedded.spec, cases: &embedded.cases, profile, selection };
    let run = Run::begin(setting, suite).map_err(|broken| {
        CommandError::harness(format!("the loader cannot be tested: {broken}"))
    })?;
    display.turn_to(name, run.plan.scheduled.len());
    Ok(run.carry_out(&Counted(display)))
}

/// Shows how many cases are done. That a mutant fails is no news.
struct Counted<'a>(&'a Display);

impl Progress for Counted<'_> {
    fn began(&self, case: &Case) {
        self.0.began(&case.id());
    }

    fn decided(&self, case: &CaseRecord) {
        self.0.counted(case);
    }

    fn stopped(&self) -> bool {
        interrupt::ordered().is_some()
    }
}
