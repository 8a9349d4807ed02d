//! Templates, tokenizers and documents of strangers end within bounds of memory and time, in the loader and
//! in the judge. An allocator that counts holds each of them to the bound.

mod apart;
mod documents;
mod templates;
mod tokenizers;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The system's allocator, which counts.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let now = NOW.fetch_add(size, Ordering::Relaxed) + size;
        PEAK.fetch_max(now, Ordering::Relaxed);
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One measurement at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Most memory that one of them may take, in bytes, and most time of processors.
const MOST: usize = 1 << 30;
const LONGEST: Duration = Duration::from_secs(30);

/// What was not as it must be, all of it.
#[derive(Default)]
pub struct Faults(Vec<String>);

impl Faults {
    /// Runs something, which must stay within the bounds of memory and of time.
    pub fn bounded<T>(&mut self, name: &str, run: impl FnOnce() -> T) -> T {
        let (done, grown, took) = measured(name, run);
        self.unless(grown <= MOST, || format!("{name}: {} MiB", grown >> 20));
        self.unless(took <= LONGEST, || format!("{name}: {took:?}"));
        done
    }

    /// Notes a fault, unless something holds.
    pub fn unless(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.0.push(fault());
        }
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        assert!(self.0.is_empty() || std::thread::panicking(), "{}", self.0.join("\n"));
    }
}

/// Runs something within the bounds of memory and of time.
pub fn bounded<T>(name: &str, run: impl FnOnce() -> T) -> T {
    Faults::default().bounded(name, run)
}

/// Runs something alone, and measures its memory and its time.
fn measured<T>(name: &str, run: impl FnOnce() -> T) -> (T, usize, Duration) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let begun = processor_time();
    let done = run();
    let took = processor_time().saturating_sub(begun);
    let grown = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    if std::env::var_os("BOUNDS_SHOWN").is_some() {
        eprintln!("{name}: {} MiB, {took:?}", grown >> 20);
    }
    (done, grown, took)
}

/// Processor time of this program, which other programs do not lengthen.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("the system tells it");
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // User and system time, in hundredths of a second.
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}
