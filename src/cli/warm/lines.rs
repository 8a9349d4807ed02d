//! A warm start in lines, where there is no terminal: each model when it has ended, and how far all of
//! them have come every few seconds.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::seen::ended;
use crate::cli::show::Show;
use crate::loader::warm::{Board, Phase, Status};

/// How often the board is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Writes lines until the start is done, and then what came last.
pub(super) fn write(board: &Board, done: &AtomicBool, show: Show, write: &dyn Fn(&str)) {
    let began = Instant::now();
    let (mut last, mut told) = (began, vec![false; board.statuses().len()]);
    loop {
        // Looked at before the board, so that nothing that came before the end is missed.
        let over = done.load(Relaxed);
        let statuses = board.statuses();
        for (status, told) in statuses.iter().zip(&mut told) {
            if ended(&status.phase) && !std::mem::replace(told, true) {
                write(&row(status));
            }
        }
        if over {
            return;
        }
        if show.progress() && last.elapsed() >= show.interval {
            last = Instant::now();
            let read = (0..statuses.len()).filter_map(|at| board.progress(at));
            let read: u64 = read.map(|progress| progress.reading().read).sum();
            write(&format!(
                "{:.0} s: {} of {} models have ended, {read} bytes read",
                began.elapsed().as_secs_f64(),
                told.iter().filter(|told| **told).count(),
                told.len()
            ));
        }
        std::thread::sleep(LOOK.min(show.interval));
    }
}

fn row(status: &Status) -> String {
    match &status.phase {
        Phase::Failed { error } => format!("{}: failed: {error}", status.id),
        Phase::Released => format!("{}: released", status.id),
        _ => format!(
            "{}: warm, {} bytes in {:.3} s",
            status.id,
            status.file_bytes,
            status.load_seconds + status.validate_seconds
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_model_gets_a_line_when_it_ends() {
        let board = Board::new([("A".to_owned(), 5), ("B".to_owned(), 7)]);
        board.set(1, |status| status.phase = Phase::Warm);
        let (told, done) = (Mutex::new(Vec::new()), AtomicBool::new(false));
        let show = Show { interval: Duration::ZERO, ..Show::default() };
        write(&board, &done, show, &|line| {
            let mut told = told.lock().unwrap();
            told.push(line.to_owned());
            board.set(0, |status| status.phase = Phase::Failed { error: "no room".to_owned() });
            done.store(told.len() > 1, Relaxed);
        });
        let told = told.into_inner().unwrap();
        assert_eq!(told[0], "B: warm, 7 bytes in 0.000 s");
        assert!(told[1].ends_with("1 of 2 models have ended, 0 bytes read"), "{told:?}");
        assert_eq!(told[2], "A: failed: no room");
    }
}
