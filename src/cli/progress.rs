//! Shows the progress of long work, on a terminal only.

use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::loader::progress::Progress;

/// How often the display moves.
const TICK: Duration = Duration::from_millis(80);

/// Does work, and meanwhile shows its bytes, its rate and the share verified on stderr, if that is
/// a terminal.
pub fn watched<T>(what: &'static str, progress: &Progress, work: impl FnOnce() -> T) -> T {
    if !stderr().is_terminal() {
        return work();
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // The work is also done if the display thread cannot be started.
        let watcher =
            thread::Builder::new().spawn_scoped(scope, || show(what, progress, &done)).ok();
        let result = work();
        done.store(true, Relaxed);
        if let Some(watcher) = watcher {
            watcher.thread().unpark();
        }
        result
    })
}

fn show(what: &'static str, progress: &Progress, done: &AtomicBool) {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:24} {bytes}/{total_bytes} {msg}")
    {
        bar.set_style(style);
    }
    bar.set_prefix(what);
    let start = Instant::now();
    while !done.load(Relaxed) {
        let now = progress.reading();
        bar.set_length(now.total);
        bar.set_position(now.read);
        let rate = now.read as f64 / start.elapsed().as_secs_f64() / 1e9;
        // The last chunk counts as a whole one.
        let verified = (now.verified * 100).checked_div(now.total).unwrap_or(0).min(100);
        bar.set_message(format!("{rate:.1} GB/s, {verified} % verified"));
        thread::park_timeout(TICK);
    }
    bar.finish_and_clear();
}
