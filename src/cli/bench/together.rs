//! Threads that do the same work at the same time, and how long they take.

use std::io;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

/// Tries of each measurement; the best counts, since a limit is what can be reached.
pub const TRIES: usize = 3;

/// Seconds from the moment when the first thread begins to that when the last one ends.
pub fn side_by_side(
    threads: usize,
    work: impl Fn(usize) -> io::Result<()> + Sync,
) -> io::Result<f64> {
    let gate = Barrier::new(threads);
    thread::scope(|scope| {
        let (gate, work) = (&gate, &work);
        let all: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    gate.wait();
                    // Each thread takes its own times, because a watching thread might wake up too
                    // late.
                    let start = Instant::now();
                    work(thread).map(|()| (start, Instant::now()))
                })
            })
            .collect();
        let mut span: Option<(Instant, Instant)> = None;
        for thread in all {
            let joined = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let (start, end) = joined?;
            let (first, last) = span.unwrap_or((start, end));
            span = Some((first.min(start), last.max(end)));
        }
        Ok(span.map_or(0.0, |(first, last)| (last - first).as_secs_f64()))
    })
}
