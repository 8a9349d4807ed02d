//! Showing how far long work on bytes has come: live on a terminal, elsewhere a line every few
//! seconds.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::show::{Show, say};
use crate::loader::progress::Reading;

/// How often the display moves.
const TICK: Duration = Duration::from_millis(80);

/// Does work, and meanwhile shows its bytes, its rate and the share verified on stderr.
pub fn watched<T>(
    what: &'static str,
    show: Show,
    reading: &(dyn Fn() -> Reading + Sync),
    work: impl FnOnce() -> T,
) -> T {
    if !show.progress() {
        return work();
    }
    let end = End::default();
    thread::scope(|scope| {
        let display = || match show.live() {
            true => live(what, reading, &end),
            false => lines(what, reading, show.interval, &end, &|line| {
                say(line);
            }),
        };
        // Without a thread to show it, the work is done all the same.
        let _watcher = thread::Builder::new().spawn_scoped(scope, display).ok();
        let result = work();
        end.come();
        result
    })
}

/// Tells the display that the work has ended.
#[derive(Default)]
struct End {
    come: Mutex<bool>,
    changed: Condvar,
}

impl End {
    fn come(&self) {
        *self.come.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits for the end, or for so long. Returns whether it has come.
    fn within(&self, time: Duration) -> bool {
        let come = self.come.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(come, time, |come| !*come);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

fn live(what: &'static str, reading: &dyn Fn() -> Reading, end: &End) {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:24} {bytes}/{total_bytes} {msg}")
    {
        bar.set_style(style);
    }
    bar.set_prefix(what);
    let start = Instant::now();
    loop {
        let now = reading();
        bar.set_length(now.total);
        bar.set_position(now.read);
        bar.set_message(rate(now, start.elapsed()));
        if end.within(TICK) {
            break;
        }
    }
    bar.finish_and_clear();
}

fn lines(
    what: &str,
    reading: &dyn Fn() -> Reading,
    interval: Duration,
    end: &End,
    write: &dyn Fn(&str),
) {
    let start = Instant::now();
    while !end.within(interval) {
        let (now, time) = (reading(), start.elapsed());
        let of = if now.total > 0 { format!(" of {}", now.total) } else { String::new() };
        write(&format!(
            "{what}, {:.0} s: {}{of} bytes, {}",
            time.as_secs_f64(),
            now.read,
            rate(now, time)
        ));
    }
}

fn rate(now: Reading, time: Duration) -> String {
    let rate = format!("{:.1} GB/s", now.read as f64 / time.as_secs_f64() / 1e9);
    match now.verified {
        0 => rate,
        // The last chunk counts as a whole one.
        verified => {
            let share = (verified * 100).checked_div(now.total).unwrap_or(0).min(100);
            format!("{rate}, {share} % verified")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_how_far_it_is_until_the_work_ends() {
        let (end, told) = (End::default(), Mutex::new(Vec::new()));
        let reading = || Reading { total: 10, read: 5, verified: 5 };
        lines("sealing", &reading, Duration::from_millis(1), &end, &|line| {
            told.lock().unwrap().push(line.to_owned());
            end.come();
        });
        let told = told.into_inner().unwrap();
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("sealing, 0 s: 5 of 10 bytes, "), "{}", told[0]);
        assert!(told[0].ends_with("50 % verified"), "{}", told[0]);
    }
}
