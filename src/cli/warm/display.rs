//! Showing a warm start: a bar for each model on a terminal while it goes on, elsewhere a line for each
//! model when it is warm; and a table at the end.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::seen::{Seen, ended};
use crate::cli::show::Show;
use crate::cli::stamp::Stamp;
use crate::loader::warm::{Board, Phase};

/// How often the display moves.
const TICK: Duration = Duration::from_millis(80);

/// A running display. It ends when it is dropped.
pub struct Display {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Display {
    /// Shows a board on stderr.
    pub fn of(board: &Arc<Board>, show: Show) -> Display {
        let done = Arc::new(AtomicBool::new(false));
        // Drawn before the models load: a start that ends before the display moves has shown them, too.
        let bars = show.live().then(|| Bars::of(board));
        let (board, flag) = (Arc::clone(board), Arc::clone(&done));
        let watch = move || match bars {
            Some(bars) => bars.watch(&board, &flag),
            None => super::lines::write(&board, &flag, show, &|line| show.tell(line)),
        };
        let thread = (!show.quiet).then(|| std::thread::spawn(watch));
        Display { done, thread }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.done.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the display must not affect the command.
            let _ = thread.join();
        }
    }
}

/// A bar for each model.
struct Bars {
    /// Keeps the bars in one place on the terminal.
    _all: MultiProgress,
    bars: Vec<ProgressBar>,
}

impl Bars {
    fn of(board: &Board) -> Bars {
        let all = MultiProgress::new();
        let bars: Vec<ProgressBar> = board
            .statuses()
            .iter()
            .map(|status| {
                let bar = all.add(ProgressBar::new(status.file_bytes));
                let template = "{prefix:>5} {bar:24} {bytes:>10}/{total_bytes:10} {msg}";
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style);
                }
                bar.with_prefix(status.id.clone()).with_message(word(&status.phase))
            })
            .collect();
        for bar in &bars {
            bar.tick();
        }
        Bars { _all: all, bars }
    }

    fn watch(self, board: &Board, done: &AtomicBool) {
        loop {
            for (at, (status, bar)) in board.statuses().iter().zip(&self.bars).enumerate() {
                let read = board.progress(at).map_or(0, |progress| progress.reading().read);
                bar.set_position(if ended(&status.phase) { status.file_bytes } else { read });
                bar.set_message(word(&status.phase));
            }
            if done.load(Relaxed) {
                break;
            }
            std::thread::sleep(TICK);
        }
        for bar in self.bars {
            bar.finish_and_clear();
        }
    }
}

fn word(phase: &Phase) -> &'static str {
    match phase {
        Phase::Pending => "pending",
        Phase::Loading => "loading",
        Phase::Validating => "validating",
        Phase::Warm => "warm",
        Phase::Failed { .. } => "failed",
        Phase::Released => "released",
    }
}

/// The final state as a table.
pub fn table(stamp: &Stamp, seen: &Seen, took: Duration) -> String {
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((plan, board)) = &*seen else { return String::new() };
    let mut text = format!("warm     {}\nmachine  {}\n\n", stamp.origin(), stamp.place());
    text += &format!(
        "{:<5} {:>13} {:>8} {:>7} {:>9} {:>10}  sha256\n",
        "model", "bytes", "load s", "GB/s", "valid. ms", "max diff"
    );
    let statuses = board.statuses();
    for status in &statuses {
        let rate = status.file_bytes as f64 / status.load_seconds.max(1e-9) / 1e9;
        text += &format!(
            "{:<5} {:>13} {:>8.3} {:>7.2} {:>9.2} {:>10.1e}  {}\n",
            status.id,
            status.file_bytes,
            status.load_seconds,
            rate,
            status.validate_seconds * 1e3,
            status.max_difference.unwrap_or(f32::NAN),
            &status.sha256[..status.sha256.len().min(16)],
        );
    }
    let longest = statuses
        .iter()
        .map(|status| (status.load_seconds + status.validate_seconds, &status.id))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((seconds, id)) = longest {
        let why = if plan.mode() == "sealed" { "" } else { "; a file's SHA-256 uses one thread" };
        text += &format!("longest: {id}, {seconds:.3} s{why}\n");
    }
    let bytes: u64 = statuses.iter().map(|status| status.file_bytes).sum();
    text + &format!(
        "{} models warm on {} ({}), {}: {} bytes in {:.3} s, {:.2} GB/s, every byte hashed\n",
        statuses.len(),
        plan.device,
        plan.device_name,
        plan.mode(),
        bytes,
        took.as_secs_f64(),
        bytes as f64 / took.as_secs_f64() / 1e9
    )
}
