//! Runs the suite on the reference loader first, and then on each mutant.

use std::time::Duration;

use crate::cli::display::Display;
use crate::cli::interrupt::{self, Watch};
use crate::cli::show::Show;
use crate::cli::weighing::{Embedded, Isolation, Weighing, begin};
use crate::cli::{CommandError, card};
use crate::contract::Device;
use crate::gpu;
use crate::harness::audit::Matrix;
use crate::harness::case::Case;
use crate::harness::manifest::Manifest;
use crate::harness::record::{CaseRecord, Health, Record};
use crate::harness::run::case_run::card::{CardCheck, CardWatch};
use crate::harness::run::case_run::setting::Setting;
use crate::harness::run::{Plan, Progress, Selection, Suite};
use crate::harness::scratch::Scratch;
use crate::mutants::{self, Mutant};

use super::reach::beyond;

/// The seed of an audit for which none is given.
const SEED: u64 = 0x5745_4947_4842_5249;

/// The suite, ready to run on mutants.
pub struct Auditor {
    /// Requirements and cases.
    pub embedded: Embedded,
    setting: Setting,
    selection: Selection,
    honest: Record,
    /// The same of the honest loader with a process for each rank, of the cases that have no object at the reference.
    with_ranks: Option<Record>,
    display: Display,
    watch: Option<Watch>,
    // Removed last.
    _scratch: Scratch,
}

impl Auditor {
    /// Runs the suite on the reference loader. A case that the reference loader does not pass
    /// cannot kill a mutant.
    ///
    /// # Errors
    /// Where the suite cannot be run at all.
    pub fn begin(weighing: &Weighing) -> Result<Self, CommandError> {
        Auditor::over(weighing, &[], Show::nothing(), None)
    }

    /// Does the same, but only with the cases that claim to kill one of these mutants, if `claims`
    /// names any and the selection names no case.
    pub(super) fn over(
        weighing: &Weighing,
        claims: &[String],
        show: Show,
        watch: Option<Watch>,
    ) -> Result<Self, CommandError> {
        let embedded = Embedded::read()?;
        let on_gpu = weighing.device.is_some_and(crate::contract::Device::is_gpu);
        let profile = embedded.profile(if on_gpu { "full" } else { "host" })?;
        // Mutants are this program, and a cell would keep them from some of their lies.
        let unbound = Weighing { isolation: Isolation::None, ..weighing.clone() };
        // A proof holds every time or is none: what chance makes is the same in every audit, unless a
        // seed is given.
        let unbound = Weighing { seed: unbound.seed.or(Some(SEED)), ..unbound };
        let (setting, scratch) = unbound.setting(profile)?;
        let mut selection = weighing.selection(&embedded)?;
        if selection.cases.is_empty() && selection.ids.is_empty() {
            let claiming = |case: &&Case| claims.iter().any(|name| case.kills.contains(name));
            selection.ids = embedded.cases.cases().iter().filter(claiming).map(Case::id).collect();
        }
        let display = Display::new(0, show);
        let honest = weigh(setting.clone(), &embedded, &selection, &display, Some("honest"));
        let honest = settled(watch.as_ref(), honest)?;
        well(setting.device, honest.parts.first().and_then(|part| part.health.as_ref()))?;
        let _scratch = scratch;
        let mut auditor = Auditor {
            embedded,
            setting,
            selection,
            honest,
            with_ranks: None,
            display,
            watch,
            _scratch,
        };
        let among = Matrix::without_object(&auditor.honest);
        if !among.is_empty() {
            auditor.display.turn_to("honest, with rank processes", among.len());
            let selection = Selection { among: Some(among), ..auditor.selection.clone() };
            let jobs = auditor.setting.jobs;
            auditor.with_ranks = Some(auditor.record(&mutants::HONEST, &selection, jobs)?);
        }
        Ok(auditor)
    }

    /// From now on so many cases are tried on mutants.
    pub(super) fn turn_to_mutants(&self, cases: usize) {
        self.display.turn_to("mutants", cases);
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

    /// A matrix that has no mutants yet.
    pub fn baseline(&self) -> Matrix {
        let mut matrix = Matrix::new(&self.honest);
        if let Some(record) = &self.with_ranks {
            matrix.join(Matrix::new(record));
        }
        matrix
    }

    /// The number of cases that only the honest loader with a process for each rank passes.
    pub(super) fn with_rank_processes(&self) -> usize {
        self.with_ranks.as_ref().map_or(0, |record| Matrix::new(record).baseline.len())
    }

    /// Adds the record of a mutant to the matrix.
    pub fn add(&self, mutant: &Mutant, record: &Record, matrix: &mut Matrix) {
        let silent = mutant.is_silent();
        matrix.add((mutant.name, mutant.lie), silent, self.embedded.cases.cases(), record);
    }

    /// The cases for a mutant: all that were selected, or those that claim to refute it.
    pub(super) fn selection_for(&self, mutant: &Mutant, claimed: bool) -> Selection {
        if !claimed {
            return self.selection.clone();
        }
        let cases = self.embedded.cases.cases();
        let wanted = self.plan(&self.selection);
        let claims = cases.iter().filter(|case| case.kills.contains(mutant.name)).map(Case::id);
        let among = claims.filter(|id| wanted.contains(id)).collect();
        Selection { among: Some(among), ..self.selection.clone() }
    }

    /// The ids of the cases that a selection schedules.
    pub(super) fn plan(&self, selection: &Selection) -> Vec<String> {
        let cases = self.embedded.cases.cases();
        let Ok(profile) = self.embedded.profile(&self.setting.profile) else { return Vec::new() };
        let plan = Plan::new(&self.embedded.spec, profile, cases, selection);
        plan.scheduled.into_iter().map(Case::id).collect()
    }

    /// Worker processes at a time.
    pub(super) fn jobs(&self) -> usize {
        self.setting.jobs
    }

    /// Runs the selected cases on a mutant.
    ///
    /// # Errors
    /// Where the suite cannot be run on the mutant at all.
    pub(super) fn record(
        &self,
        mutant: &Mutant,
        selection: &Selection,
        jobs: usize,
    ) -> Result<Record, CommandError> {
        let exe = std::env::current_exe().map_err(CommandError::harness)?;
        // A mutant that hangs costs its patience three times. Every other one gets the patience of an
        // honest loader: if a busy machine made it late, it would look as if it was refuted.
        let longest = match (mutant.is_silent(), self.setting.device.is_gpu()) {
            (false, _) => Duration::MAX,
            (true, true) => Duration::from_secs(10),
            (true, false) => Duration::from_secs(2),
        };
        let setting = Setting {
            manifest: Manifest::builtin_mutant(&exe, mutant.name).map_err(CommandError::harness)?,
            patience: self.setting.patience.min(longest),
            jobs,
            keeps_process: true,
            // The honest run has read it, and it is read again after the last mutant.
            card: CardCheck::Skip,
            ..self.setting.clone()
        };
        let weighed = weigh(setting, &self.embedded, selection, &self.display, None);
        settled(self.watch.as_ref(), weighed)
    }

    /// Reads the card once more: what mutants did on a sick card shows nothing.
    ///
    /// # Errors
    /// Where it is sick.
    pub(super) fn card_is_well(&self) -> Result<(), CommandError> {
        let watch = CardWatch::begin(self.setting.device, self.setting.card);
        well(self.setting.device, watch.at_first().as_ref())
    }

    /// Those of the mutants that can be tested on this device. The matrix says why the others are left
    /// out.
    pub fn within_reach<'m>(
        &self,
        mutants: impl IntoIterator<Item = &'m Mutant>,
        matrix: &mut Matrix,
    ) -> Vec<&'m Mutant> {
        let (device, cases) = (self.setting.device, self.embedded.cases.cases());
        let cards = if device.is_gpu() { gpu::device_count().unwrap_or(0) } else { 0 };
        let mut reached = Vec::new();
        for mutant in mutants {
            match beyond(mutant, cases, device, cards) {
                None => reached.push(mutant),
                Some(why) => matrix.leave_out(mutant.name, mutant.lie, &why),
            }
        }
        reached
    }
}

fn well(device: Device, health: Option<&Health>) -> Result<(), CommandError> {
    match health {
        Some(health) if health.quarantined() => Err(card::quarantined(device, health)),
        _ => Ok(()),
    }
}

/// What was weighed. After a signal this does not return: what came then says nothing of the loader.
fn settled<T>(watch: Option<&Watch>, weighed: T) -> T {
    if let Some(watch) = watch.filter(|_| interrupt::ordered().is_some()) {
        watch.close();
    }
    weighed
}

/// Runs the suite on a loader. With a name, the display counts this loader's cases from now on.
fn weigh(
    setting: Setting,
    embedded: &Embedded,
    selection: &Selection,
    display: &Display,
    name: Option<&str>,
) -> Result<Record, CommandError> {
    let profile = embedded.profile(&setting.profile)?;
    let suite = Suite { spec: &embedded.spec, cases: &embedded.cases, profile, selection };
    let run = begin(setting, suite)?;
    if let Some(name) = name {
        display.turn_to(name, run.plan.scheduled.len());
    }
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
