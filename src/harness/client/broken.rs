//! Everything that is no answer: crashes, silence, floods, and lines the contract does not know.

use serde::{Deserialize, Serialize};

use crate::contract::{Failure, PROTOCOL_CHANGES, PROTOCOL_GUIDE};

/// Why a loader gave no answer that can be judged.
///
/// The fields are for programs; the message is one line for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Broken {
    /// The process could not be started.
    #[error("loader not started: {why}")]
    NotStarted {
        /// The system's reason.
        why: String,
    },
    /// The process ended by itself instead of answering. In process, 101 stands for a panic, as it
    /// does for a Rust program.
    #[error("loader exited without an answer: code {code}")]
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// A signal ended the process.
    #[error("loader killed by signal: {name} ({signal})")]
    Signalled {
        /// The signal's number.
        signal: i32,
        /// The signal's name.
        name: String,
    },
    /// No answer in time.
    #[error("no answer in time: {after_ms} ms ({clock})")]
    TimedOut {
        /// The bound that ran out, in milliseconds.
        after_ms: u64,
        /// Which bound that was.
        clock: Clock,
    },
    /// Standard output was closed while the process lived on.
    #[error("loader closed its stdout and lived on")]
    ClosedOutput,
    /// More output in answer to one request than allowed.
    #[error("loader wrote more than a request's answer may take: {limit} bytes")]
    Flooded {
        /// The bound, in bytes.
        limit: u64,
    },
    /// A line longer than the protocol allows.
    #[error("line longer than the protocol allows: {limit} bytes")]
    LineTooLong {
        /// The bound, in bytes.
        limit: u64,
    },
    /// More resident memory than allowed.
    #[error("loader holds more host memory than allowed: {bytes} bytes (limit {limit})")]
    TooMuchMemory {
        /// What the process held, in bytes.
        bytes: u64,
        /// The bound, in bytes.
        limit: u64,
    },
    /// A line that is no line of the protocol.
    #[error("not a line of the protocol ({why}; was it meant for stderr?): {line}")]
    Malformed {
        /// The line's beginning.
        line: String,
        /// What is wrong with it.
        why: String,
    },
    /// An answer to another request.
    #[error("answer to another request: id {found}, asked {expected}")]
    WrongId {
        /// The id sent.
        expected: u64,
        /// The id that came back.
        found: u64,
    },
    /// An answer to another verb.
    #[error("answer to another verb: {answered}, asked {asked}")]
    WrongVerb {
        /// The verb sent.
        asked: String,
        /// The verb that came back.
        answered: String,
    },
    /// Output while no request was open.
    #[error("output without a request (was it meant for stderr?): {line}")]
    Unsolicited {
        /// Its beginning.
        line: String,
    },
    /// The hello came back with another nonce: a recorded answer, or no answer to this hello.
    #[error("hello with another nonce: {found}, sent {expected}")]
    WrongNonce {
        /// The nonce sent.
        expected: String,
        /// The nonce that came back.
        found: String,
    },
    /// The loader speaks another protocol.
    #[error("{}", other_protocol(*.expected, *.found))]
    WrongProtocol {
        /// The version spoken here.
        expected: u32,
        /// The loader's.
        found: u32,
    },
    /// The hello leaves a capability out, or unexplained.
    #[error("hello with an incomplete list of capabilities: {why}")]
    Capabilities {
        /// Which one, and how.
        why: String,
    },
    /// The hello names no loader, or a branch instead of a version.
    #[error("hello without an identity: {why}")]
    Identity {
        /// What is missing.
        why: String,
    },
    /// A request that every loader must serve, `hello` or `bye`, was refused.
    #[error("{verb} refused: {failure}")]
    Refused {
        /// The verb.
        verb: String,
        /// The loader's words.
        failure: Box<Failure>,
    },
    /// The process went on living after `bye`.
    #[error("loader still running after bye: {after_ms} ms")]
    StillRunning {
        /// How long it was waited for, in milliseconds.
        after_ms: u64,
    },
    /// The process ended and a descendant still holds its stdout.
    #[error("loader left a process behind that holds its stdout")]
    LeftBehind,
    /// The judge could not send or receive; no verdict on the loader follows from it.
    #[error("exchange failed on the judge's side: {why}")]
    Exchange {
        /// The system's reason.
        why: String,
    },
}

/// What the author of a loader that speaks another protocol needs to know.
fn other_protocol(expected: u32, found: u32) -> String {
    let needed = format!("the loader speaks protocol {found}, and this judge needs {expected}");
    match found < expected {
        true => format!("{needed}: {PROTOCOL_CHANGES}; {PROTOCOL_GUIDE}"),
        false => format!("{needed}: use a judge that speaks {found}"),
    }
}

/// The two clocks of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// From the request to its answer.
    Deadline,
    /// From one line to the next.
    Idle,
}

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Clock::Deadline => "deadline",
            Clock::Idle => "no line, no progress",
        })
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal, with its number and name.
    Signal(i32, String),
}

impl From<Exit> for Broken {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Code(code) => Broken::Exited { code },
            Exit::Signal(signal, name) => Broken::Signalled { signal, name },
        }
    }
}

/// The beginning of a line, fit for a report: at most 120 characters, control characters escaped.
pub(super) fn excerpt(line: &[u8]) -> String {
    const CHARACTERS: usize = 120;
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let whole = String::from_utf8_lossy(&line[..line.len().min(4 * CHARACTERS)]);
    let mut characters = whole.chars();
    let mut text = String::new();
    for character in characters.by_ref().take(CHARACTERS) {
        match character {
            character if character.is_control() => text.extend(character.escape_default()),
            character => text.push(character),
        }
    }
    if characters.next().is_some() || line.len() > 4 * CHARACTERS {
        text.push_str(&format!(" ... ({} bytes)", line.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_printable() {
        assert_eq!(excerpt(b"Loading CUDA\n"), "Loading CUDA");
        assert_eq!(excerpt(b"a\x1b[31mb\n"), "a\\u{1b}[31mb");
        assert_eq!(excerpt(&[0xff, 0xfe]), "\u{fffd}\u{fffd}");
        let long = excerpt(&[b'x'; 5000]);
        assert!(long.starts_with("xxx") && long.ends_with(" ... (5000 bytes)"), "{long}");
        assert!(long.chars().count() < 150);
    }

    #[test]
    fn a_reason_is_one_line_and_survives_json() {
        let broken = Broken::TimedOut { after_ms: 300, clock: Clock::Deadline };
        assert_eq!(broken.to_string(), "no answer in time: 300 ms (deadline)");
        let text = serde_json::to_string(&broken).unwrap();
        assert_eq!(text, r#"{"kind":"timed_out","after_ms":300,"clock":"deadline"}"#);
        assert_eq!(serde_json::from_str::<Broken>(&text).unwrap(), broken);
    }
}
