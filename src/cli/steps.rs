//! Shows the steps of a measurement while it goes on, and each result as soon as it is known.
//!
//! Nothing moves beside a step: a display that draws while something is timed would cost it time.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::show::{Show, say};

/// The steps of one measurement.
pub struct Steps {
    show: Show,
    bar: Option<ProgressBar>,
    /// When the last line was written, where there is no terminal.
    told: Mutex<Option<Instant>>,
}

impl Steps {
    /// Shows steps on stderr.
    pub fn new(show: Show) -> Self {
        let bar = show.live().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{elapsed} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Steps { show, bar, told: Mutex::new(None) }
    }

    /// A step begins. Without a terminal, it gets a line if the last line is some seconds old.
    pub fn step(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
            bar.tick();
        } else if self.show.progress() && self.is_due() {
            self.write(what);
        }
    }

    /// A result is known.
    pub fn row(&self, text: &str) {
        if !self.show.quiet {
            match &self.bar {
                Some(bar) => bar.suspend(|| self.write(text)),
                None => self.write(text),
            }
        }
    }

    /// Clears the display.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn is_due(&self) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told.is_none_or(|last| last.elapsed() >= self.show.interval);
        if due {
            *told = Some(Instant::now());
        }
        due
    }

    fn write(&self, line: &str) {
        say(line);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_is_due_at_first_and_then_after_the_interval() {
        let steps = Steps::new(Show::default());
        assert!(steps.is_due() && !steps.is_due());
        let steps = Steps::new(Show { interval: Duration::ZERO, ..Show::default() });
        assert!(steps.is_due() && steps.is_due());
    }
}
