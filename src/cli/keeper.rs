//! Keeps what a run decides: in the journal, on the screen, and in a report even if a signal ends the
//! run.

use std::collections::{BTreeMap, BTreeSet};
use std::io::stdout;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::display::Display;
use super::fault::{Fault, print};
use super::interrupt::{self, Watch};
use super::run_folder::{Claim, RunFiles};
use super::show::{Show, Stream, say};
use super::{CommandError, exit};
use crate::harness::case::Case;
use crate::harness::record::journal::{Header, INTERRUPTED, Journal};
use crate::harness::record::{CaseRecord, Part, Record, Report};
use crate::harness::report::{Format, Titles, render, terminal, write_all};
use crate::harness::run::Progress;
use crate::harness::run::case_run::setting::quoted;
use crate::harness::{family, scratch};

/// How long the processes of an interrupted run may take to end by themselves.
const GRACE: Duration = Duration::from_secs(2);

/// How much later than a loader this process may get the signal that ends both.
const LAG: Duration = Duration::from_millis(200);

/// How the outcome of a run is told.
#[derive(Clone)]
pub struct Telling {
    /// Titles of the sections.
    pub titles: Titles,
    /// How much is shown.
    pub show: Show,
    /// Whether the report is printed as JSON.
    pub json: bool,
    /// Whether the summary lists every failed case.
    pub verbose: bool,
}

/// What is written down about a run.
pub struct Books {
    /// What was known when the run began.
    pub header: Header,
    /// The runs so far; the last one is going on.
    pub parts: Vec<Part>,
    /// What the runs before this one decided.
    pub earlier: Vec<CaseRecord>,
    /// The journal.
    pub journal: Journal,
    /// Where everything goes.
    pub files: RunFiles,
    /// Shows it.
    pub display: Arc<Display>,
}

struct Open {
    books: Books,
    /// What this run has decided.
    cases: Vec<CaseRecord>,
    began: Instant,
    /// Whether the journal could not be written at some time.
    journal_failed: bool,
}

/// Hears of every case, and watches for signals.
pub struct Keeper {
    shared: Arc<Shared>,
    watch: Watch,
}

struct Shared {
    telling: Telling,
    /// The lock file of the place where the run writes, which goes with it.
    lock: OnceLock<PathBuf>,
    /// `None` before the first case, and after the end.
    open: Mutex<Option<Open>>,
}

impl Keeper {
    /// Watches for signals. As long as nothing is scheduled, one of them only ends the processes and
    /// removes the scratch folders.
    ///
    /// # Errors
    /// If the signals cannot be caught.
    pub fn new(telling: Telling) -> Result<Self, CommandError> {
        let shared = Arc::new(Shared { telling, lock: OnceLock::new(), open: Mutex::default() });
        let of_watch = Arc::clone(&shared);
        let watch = interrupt::watch(move |signal| of_watch.interrupted(signal))
            .map_err(CommandError::harness)?;
        Ok(Keeper { shared, watch })
    }

    /// The run has claimed a place. After a signal the lock file goes too.
    pub fn holds(&self, claim: &Claim) {
        self.shared.lock.get_or_init(|| claim.path().to_owned());
    }

    /// The cases begin, once `make` has opened the books. A signal waits for it, so that a journal that
    /// was begun always has its report.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn begin(
        &self,
        make: impl FnOnce() -> Result<Books, CommandError>,
    ) -> Result<(), CommandError> {
        let mut open = self.shared.open();
        let (books, cases, began) = (make()?, Vec::new(), Instant::now());
        *open = Some(Open { books, cases, began, journal_failed: false });
        Ok(())
    }

    /// The run has ended: completes the journal, writes the reports and prints the summary. Returns
    /// the exit code. After a signal this does not return.
    ///
    /// # Errors
    /// If a report cannot be written.
    pub fn end(self, record: Record) -> Result<u8, CommandError> {
        self.watch.close();
        let Some(open) = self.shared.open().take() else {
            return Err(CommandError::harness("the run ended before it began"));
        };
        let Books { header, parts, earlier, mut journal, files, display } = open.books;
        display.end();
        let mut record = whole(record, &header, &parts, earlier);
        let journal_at = journal.path().display().to_string();
        if let Some(part) = record.parts.last_mut()
            && let Err(error) = journal.finish(part)
        {
            // Everything that it lacks is in the report.
            part.unjournalled = journal.lacking();
            say(&format!(
                "warning: the journal {journal_at} is not complete: it lacks {} decided cases: {error}",
                part.unjournalled
            ));
        }
        drop(journal);
        tell(record, &files, &self.shared.telling)
    }
}

impl Progress for Keeper {
    fn began(&self, case: &Case) {
        if let Some(open) = self.shared.open().as_ref() {
            open.books.display.began(&case.id());
        }
    }

    fn decided(&self, case: &CaseRecord) {
        if names_a_signal(case) {
            // A scheduler ends all processes of a job, and may reach the loader first.
            std::thread::sleep(LAG);
        }
        // After a signal nothing is decided: the case may have failed because its loader was ended.
        if interrupt::ordered().is_some() {
            return;
        }
        let mut open = self.shared.open();
        let Some(open) = open.as_mut() else { return };
        if let Err(error) = open.books.journal.case(case)
            && !std::mem::replace(&mut open.journal_failed, true)
        {
            open.books.display.line(&format!(
                "warning: {error}\n  the run goes on; what the journal lacks is kept, and goes into \
                 the report"
            ));
        }
        let part = open.books.parts.last();
        let secrets = part.map(Part::secrets).unwrap_or_default();
        // A loader may read what is written to a file.
        open.books.display.decided(&case.without_secrets(&secrets));
        open.cases.push(case.clone());
    }

    fn stopped(&self) -> bool {
        interrupt::ordered().is_some()
    }
}

/// Whether a case failed because a signal ended a process that whoever ends a job may have sent.
fn names_a_signal(case: &CaseRecord) -> bool {
    let sent = |text: &str| interrupt::SIGNALS.iter().any(|signal| text.contains(signal.as_str()));
    case.verdict.refutes() && case.reason.as_deref().is_some_and(sent)
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the run's processes, and meanwhile writes down what was decided. Returns the exit code.
    fn interrupted(&self, signal: &str) -> u8 {
        // From here on nothing more is decided.
        let open = self.open().take();
        let code = std::thread::scope(|scope| {
            scope.spawn(end_processes);
            match open {
                Some(open) => open.interrupted(signal, &self.telling),
                None => {
                    say(&format!(
                        "interrupted by {signal} before a case began: nothing new is decided"
                    ));
                    exit::INCOMPLETE
                }
            }
        });
        remove_scratch();
        if let Some(lock) = self.lock.get() {
            // A lock file that stays holds nothing.
            let _ = std::fs::remove_file(lock);
        }
        code
    }
}

/// Ends every process that this one has started.
pub fn end_processes() {
    let own = std::process::id();
    let find = || {
        let for_scratch = scratch::of_this_process();
        let started = for_scratch.iter().flat_map(|folder| family::started_for(folder));
        family::descendants(own).into_iter().chain(started).collect::<BTreeSet<u32>>()
    };
    family::end(&find, GRACE);
}

/// Removes the scratch folders of this process.
pub fn remove_scratch() {
    for folder in scratch::of_this_process() {
        scratch::remove(&folder);
    }
}

impl Open {
    fn interrupted(self, signal: &str, telling: &Telling) -> u8 {
        let Books { header, mut parts, earlier, journal, files, display } = self.books;
        display.end();
        let own = parts.len() - 1;
        parts[own].seconds = self.began.elapsed().as_secs_f64();
        let journal_at = quoted(journal.path());
        if let Err(error) = journal.leave(&mut parts[own]) {
            say(&format!("warning: the journal {journal_at} lacks cases: {error}"));
        }
        let now = self.cases.into_iter().map(|case| CaseRecord { part: own, ..case });
        let decided: Vec<CaseRecord> = earlier.into_iter().chain(now).collect();
        let missing = missing(&header, &decided, &telling.titles);
        let (count, of) = (decided.len(), header.scheduled.len());
        let order: Vec<String> = header.scheduled.iter().map(|case| case.id.clone()).collect();
        let mut record = header.unfinished(parts, decided, &format!("{INTERRUPTED} by {signal}"));
        sort(&mut record.cases, &order);
        let code = tell(record, &files, telling).unwrap_or_else(CommandError::tell);
        say(&format!(
            "interrupted by {signal}: {count} of {of} cases are decided, {} are not:\n{missing}to go \
             on: weighbridge certify --resume {journal_at}",
            of - count
        ));
        // A certificate does not depend on rules of warning severity; an interrupted run is none.
        if code == exit::CORROBORATED { exit::INCOMPLETE } else { code }
    }
}

/// How many cases are missing of which section, a line each.
fn missing(header: &Header, decided: &[CaseRecord], titles: &Titles) -> String {
    let decided: BTreeSet<&str> = decided.iter().map(|case| case.id.as_str()).collect();
    let sections: BTreeMap<&str, &str> =
        header.requirements.iter().map(|row| (row.id.as_str(), row.section.as_str())).collect();
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for case in header.scheduled.iter().filter(|case| !decided.contains(case.id.as_str())) {
        let section = sections.get(case.requirement.as_str()).copied().unwrap_or_default();
        match counts.iter_mut().find(|(key, _)| *key == section) {
            Some((_, count)) => *count += 1,
            None => counts.push((section, 1)),
        }
    }
    let line = |(key, count): (&str, usize)| {
        let title = titles.get(key).map(String::as_str).unwrap_or_default();
        format!("  {key} {title}: {count}\n")
    };
    counts.into_iter().map(line).collect()
}

/// The record of all runs of this journal.
fn whole(record: Record, header: &Header, parts: &[Part], earlier: Vec<CaseRecord>) -> Record {
    let own = parts.len() - 1;
    let mut record = record;
    for case in &mut record.cases {
        case.part += own;
    }
    record.parts = parts[..own].iter().cloned().chain(record.parts).collect();
    record.cases.extend(earlier);
    let order: Vec<String> = header.scheduled.iter().map(|case| case.id.clone()).collect();
    sort(&mut record.cases, &order);
    record
}

fn sort(cases: &mut [CaseRecord], order: &[String]) {
    let place: BTreeMap<&str, usize> =
        order.iter().enumerate().map(|(at, id)| (id.as_str(), at)).collect();
    cases.sort_by_key(|case| place.get(case.id.as_str()).copied().unwrap_or(usize::MAX));
}

/// Writes the reports, prints the summary, and turns the certificate into an exit code.
fn tell(record: Record, files: &RunFiles, telling: &Telling) -> Result<u8, CommandError> {
    let Telling { titles, show, json, verbose } = telling;
    let report = Report::of(record);
    let code = exit::of_run(&report.judgement);
    let (written, code) = match write_all(&report, titles, &files.prefix).map_err(Fault::from) {
        Ok(written) => (written, code),
        // The error names a copy of the report, if there is one. A refutation outranks a fault of the judge.
        Err(fault) => {
            say(&format!("error: {fault}"));
            (Vec::new(), if code == exit::REFUTED { code } else { fault.exit_code() })
        }
    };
    if *json {
        let text = render(&report, titles, Format::Json).map_err(Fault::from)?;
        print(&mut stdout(), &text)?;
    } else if !show.quiet {
        print(&mut stdout(), &in_terminal(&report, titles, *verbose, &written)?)?;
    }
    Ok(code)
}

/// A report as a terminal shows it, with the files that it was written to.
///
/// # Errors
/// If it cannot be rendered.
pub fn in_terminal(
    report: &Report,
    titles: &Titles,
    verbose: bool,
    written: &[PathBuf],
) -> Result<String, Fault> {
    let text = terminal::summary(report, titles, verbose);
    let mut text = Stream::Out.paint_last_line(&text, report.judgement.certificate.into());
    for path in written {
        text.push_str(&format!("wrote {}\n", path.display()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::{Verdict, sample};

    #[test]
    fn a_signal_is_known_by_its_name() {
        let ended = "the loader was killed by signal SIGTERM (15)";
        assert!(names_a_signal(&sample::because("A-001::x", Verdict::Crash, ended)));
        let own = "the loader was killed by signal SIGSEGV (11)";
        assert!(!names_a_signal(&sample::because("A-001::x", Verdict::Crash, own)));
        assert!(!names_a_signal(&sample::passed("A-001::x", 1)));
    }

    #[test]
    fn cases_come_back_in_the_order_of_the_plan() {
        let mut cases = vec![sample::passed("B-001::x", 1), sample::passed("A-001::x", 1)];
        sort(&mut cases, &["A-001::x".to_owned(), "B-001::x".to_owned()]);
        assert_eq!(cases[0].id, "A-001::x");
    }
}
