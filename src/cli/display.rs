//! Shows how far a run has come: live on a terminal, elsewhere a line every few seconds; and each
//! failure when it happens.

use std::collections::BTreeMap;
use std::io::{Write, stderr};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::show::{Show, Stream};
use crate::harness::record::{CaseRecord, Verdict};
use crate::harness::report::first_failure;
use crate::harness::report::text::{cut, plain};

/// How often a live display moves.
const TICK: Duration = Duration::from_millis(200);
/// So many failures are shown in full; those after them get a line each.
const IN_FULL: u64 = 10;
/// How many characters of a failure's reason fit into its line.
const REASON: usize = 160;

/// Where text is written.
type Sink = Box<dyn Fn(&str) + Send + Sync>;

/// A display of one run. It ends when it is dropped.
pub struct Display {
    inner: Arc<Inner>,
    ticker: Option<JoinHandle<()>>,
}

struct Inner {
    show: Show,
    bar: Option<ProgressBar>,
    sink: Sink,
    began: Instant,
    seen: Mutex<Seen>,
    changed: Condvar,
}

/// What is known of the run.
#[derive(Default)]
struct Seen {
    what: String,
    total: u64,
    done: u64,
    failed: u64,
    running: BTreeMap<String, Instant>,
    closed: bool,
}

impl Display {
    /// A display for so many cases, on stderr.
    pub fn new(cases: usize, show: Show) -> Self {
        let stderr: Sink = Box::new(|text| {
            // Who closed stderr does not want it.
            let _ = stderr().write_all(text.as_bytes());
        });
        Display::with_sink(cases, show, show.live(), stderr)
    }

    fn with_sink(cases: usize, show: Show, live: bool, sink: Sink) -> Self {
        let bar = live.then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(cases as u64), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        let inner = Arc::new(Inner {
            show,
            bar,
            sink,
            began: Instant::now(),
            seen: Mutex::new(Seen { total: cases as u64, ..Seen::default() }),
            changed: Condvar::new(),
        });
        // A run that ends before the display moves has shown one, too.
        inner.draw(&inner.seen());
        let of_thread = Arc::clone(&inner);
        let ticker = show.progress().then(|| {
            // Without a thread to show it, the run goes on all the same.
            std::thread::Builder::new().spawn(move || of_thread.tick()).ok()
        });
        Display { inner, ticker: ticker.flatten() }
    }

    /// Names what is tested from now on, with so many cases.
    pub fn turn_to(&self, what: &str, cases: usize) {
        let mut seen = self.inner.seen();
        what.clone_into(&mut seen.what);
        (seen.total, seen.done, seen.failed) = (cases as u64, 0, 0);
        seen.running.clear();
    }

    /// A case begins.
    pub fn began(&self, case: &str) {
        self.inner.seen().running.insert(case.to_owned(), Instant::now());
    }

    /// A case is decided.
    pub fn decided(&self, case: &CaseRecord) {
        let failed = self.inner.decided(case);
        if let Some(number) = failed.filter(|_| !self.inner.show.quiet) {
            self.inner.write(&failure(case, number));
        }
    }

    /// A case is decided, and how it failed is not shown.
    pub fn counted(&self, case: &CaseRecord) {
        self.inner.decided(case);
    }

    /// Writes a line without disturbing a live display.
    pub fn line(&self, line: &str) {
        if !self.inner.show.quiet {
            self.inner.write(&format!("{line}\n"));
        }
    }

    /// Clears the display.
    pub fn end(&self) {
        self.inner.seen().closed = true;
        self.inner.changed.notify_all();
        if let Some(bar) = &self.inner.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.end();
        if let Some(ticker) = self.ticker.take() {
            // A display that was lost takes nothing with it.
            let _ = ticker.join();
        }
    }
}

impl Inner {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a case. Returns how many have failed by now if it is one of them.
    fn decided(&self, case: &CaseRecord) -> Option<u64> {
        let mut seen = self.seen();
        seen.running.remove(&case.id);
        seen.done += 1;
        if !case.verdict.refutes() && case.verdict != Verdict::Error {
            return None;
        }
        seen.failed += 1;
        Some(seen.failed)
    }

    fn write(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| (self.sink)(text)),
            None => (self.sink)(text),
        }
    }

    fn tick(&self) {
        let pause = if self.bar.is_some() { TICK } else { self.show.interval };
        let mut seen = self.seen();
        loop {
            (seen, _) = self
                .changed
                .wait_timeout_while(seen, pause, |seen| !seen.closed)
                .unwrap_or_else(PoisonError::into_inner);
            if seen.closed {
                return;
            }
            if self.bar.is_some() {
                self.draw(&seen);
            } else {
                let line = seen.line(self.began.elapsed());
                drop(seen);
                self.write(&line);
                seen = self.seen();
            }
        }
    }

    /// Moves the live display, if there is one.
    fn draw(&self, seen: &Seen) {
        if let Some(bar) = &self.bar {
            bar.set_length(seen.total);
            bar.set_position(seen.done);
            bar.set_message(seen.live());
        }
    }
}

impl Seen {
    /// The case that has run longest, and for how long.
    fn longest(&self) -> Option<(&str, Duration)> {
        let oldest = self.running.iter().min_by_key(|(_, began)| **began);
        oldest.map(|(case, began)| (case.as_str(), began.elapsed()))
    }

    fn left(&self) -> u64 {
        self.total.saturating_sub(self.done)
    }

    fn longest_in_words(&self) -> String {
        let Some((case, time)) = self.longest() else { return String::new() };
        format!("; longest running: {case}, {:.1} s", time.as_secs_f64())
    }

    /// What a live display says beside its bar.
    fn live(&self) -> String {
        let what = if self.what.is_empty() { "" } else { "  " };
        let (failed, longest) = (self.failed, self.longest_in_words());
        format!("{}{what}{failed} failed, {} left{longest}", self.what, self.left())
    }

    /// A line of progress.
    fn line(&self, time: Duration) -> String {
        let what = if self.what.is_empty() { String::new() } else { format!("{}: ", self.what) };
        format!(
            "{what}{:.0} s: {} of {} done, {} failed, {} left{}\n",
            time.as_secs_f64(),
            self.done,
            self.total,
            self.failed,
            self.left(),
            self.longest_in_words()
        )
    }
}

/// What is shown of the failure with this number.
fn failure(case: &CaseRecord, number: u64) -> String {
    let verdict = case.verdict.name();
    let painted = Stream::Err.paint(verdict, case.verdict.into());
    if number <= IN_FULL {
        let text = first_failure(case);
        let head = format!("{}: ", plain(&case.id));
        return match text.strip_prefix(&format!("{head}{verdict}")) {
            Some(rest) => format!("{head}{painted}{rest}"),
            None => text,
        };
    }
    let reason = cut(&plain(case.reason.as_deref().unwrap_or_default()), REASON);
    format!("{}: {painted}: {reason}\n", plain(&case.id))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::harness::record::sample;

    fn display(show: Show, cases: usize) -> (Display, mpsc::Receiver<String>) {
        let (sender, receiver) = mpsc::channel();
        let sender = Mutex::new(sender);
        let sink: Sink = Box::new(move |text| {
            let _ = sender.lock().unwrap().send(text.to_owned());
        });
        (Display::with_sink(cases, show, false, sink), receiver)
    }

    #[test]
    fn lines_tell_what_is_done_and_what_runs_longest() {
        let show = Show { interval: Duration::from_millis(1), ..Show::default() };
        let (display, lines) = display(show, 3);
        display.began("A-001::slow");
        display.began("B-002::other");
        display.decided(&sample::passed("B-002::other", 1));
        let wanted = "1 of 3 done, 0 failed, 2 left; longest running: A-001::slow, ";
        // The ticker may have written lines before the case was decided.
        let found = lines.iter().find(|line| line.contains("1 of 3"));
        assert!(found.as_deref().is_some_and(|line| line.contains(wanted)), "{found:?}");
    }

    #[test]
    fn every_failure_is_shown_and_the_first_ones_in_full() {
        let show = Show { no_progress: true, ..Show::default() };
        let (display, lines) = display(show, 20);
        for _ in 0..IN_FULL + 2 {
            display.decided(&sample::because("A-001::x", Verdict::Fail, "too much"));
        }
        drop(display);
        let lines: Vec<String> = lines.iter().collect();
        assert_eq!(lines.len() as u64, IN_FULL + 2);
        assert!(lines[0].starts_with("A-001::x: fail\n") && lines[0].contains("repeat"));
        assert_eq!(lines[IN_FULL as usize], "A-001::x: fail: too much\n");
    }

    #[test]
    fn a_quiet_display_shows_nothing() {
        let show = Show { quiet: true, interval: Duration::from_millis(1), ..Show::default() };
        let (display, lines) = display(show, 2);
        display.decided(&sample::because("A-001::x", Verdict::Fail, "too much"));
        display.line("a line");
        drop(display);
        assert_eq!(lines.iter().count(), 0);
    }
}
