//! How much a command shows while it works, and in which colours.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::time::Duration;

use clap::Args;

use crate::harness::record::Verdict;
use crate::harness::record::judge::Certificate;

/// How often a line of progress is written where no terminal shows it live.
const INTERVAL: Duration = Duration::from_secs(5);

/// How much is shown while a command works.
#[derive(Clone, Copy, Debug, Args)]
pub struct Show {
    /// Show no progress and no failures while it works, and no summary at the end. Errors are still
    /// shown, and so is what `--json` prints.
    #[arg(long, short)]
    pub quiet: bool,
    /// Show no progress. What is found is still shown as soon as it is known.
    #[arg(long)]
    pub no_progress: bool,
    /// Time between two lines of progress where there is no terminal.
    #[arg(skip = INTERVAL)]
    pub interval: Duration,
}

impl Default for Show {
    fn default() -> Self {
        Show { quiet: false, no_progress: false, interval: INTERVAL }
    }
}

impl Show {
    /// Nothing at all.
    pub fn nothing() -> Self {
        Show { quiet: true, ..Show::default() }
    }

    /// Whether progress is shown.
    pub fn progress(&self) -> bool {
        !self.quiet && !self.no_progress
    }

    /// Whether progress is shown live, on a terminal.
    pub fn live(&self) -> bool {
        self.progress() && stderr().is_terminal() && able()
    }

    /// Writes a line on stderr, unless the command is to be quiet.
    pub fn tell(&self, line: &str) {
        if !self.quiet {
            say(line);
        }
    }
}

/// Writes a line on stderr, also when the command is to be quiet.
pub fn say(line: &str) {
    // Who closed stderr does not want it.
    let _ = writeln!(stderr(), "{line}");
}

/// Whether the terminal can do more than print lines.
fn able() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A colour for text on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Good.
    Green,
    /// Open.
    Yellow,
    /// Bad.
    Red,
}

impl From<Verdict> for Colour {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Colour::Green,
            Verdict::Warning | Verdict::Unsupported | Verdict::Untested => Colour::Yellow,
            Verdict::Timeout | Verdict::Crash | Verdict::Fail | Verdict::Error => Colour::Red,
        }
    }
}

impl From<Certificate> for Colour {
    fn from(certificate: Certificate) -> Self {
        match certificate {
            Certificate::Corroborated => Colour::Green,
            // A part is no certificate, so it is not green.
            Certificate::PartHolds | Certificate::Incomplete | Certificate::Quarantined => {
                Colour::Yellow
            }
            Certificate::Refuted | Certificate::HarnessError => Colour::Red,
        }
    }
}

/// Where text goes.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// Whether text that goes there may have colours: on a terminal that can show them, unless the
    /// variable `NO_COLOR` is set and not empty.
    fn has_colours(self) -> bool {
        let terminal = match self {
            Stream::Out => stdout().is_terminal(),
            Stream::Err => stderr().is_terminal(),
        };
        terminal && able() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }

    /// The text in a colour, where this stream may have colours.
    pub fn paint(self, text: &str, colour: Colour) -> String {
        if self.has_colours() { painted(text, colour) } else { text.to_owned() }
    }

    /// The text with its last line in a colour.
    pub fn paint_last_line(self, text: &str, colour: Colour) -> String {
        let body = text.trim_end_matches('\n');
        let begin = body.rfind('\n').map_or(0, |at| at + 1);
        let (before, last, after) = (&text[..begin], &body[begin..], &text[body.len()..]);
        format!("{before}{}{after}", self.paint(last, colour))
    }
}

fn painted(text: &str, colour: Colour) -> String {
    let code = match colour {
        Colour::Green => 32,
        Colour::Yellow => 33,
        Colour::Red => 31,
    };
    format!("\x1b[1;{code}m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_wrap_the_words_and_nothing_else() {
        assert_eq!(painted("fail", Colour::from(Verdict::Fail)), "\x1b[1;31mfail\x1b[0m");
        assert_eq!(Colour::from(Verdict::Pass), Colour::Green);
        assert_eq!(Colour::from(Certificate::Incomplete), Colour::Yellow);
        // Tests have no terminal, so the text stays as it is.
        assert_eq!(Stream::Err.paint_last_line("a\nb\n", Colour::Red), "a\nb\n");
    }
}
