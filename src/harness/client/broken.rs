//! Every outcome that is not an answer: crashes, timeouts, exceeded limits, and lines that break
//! the protocol.

use serde::{Deserialize, Serialize};

use crate::contract::{Failure, PROTOCOL_CHANGES, PROTOCOL_GUIDE};

/// Why a loader gave no answer that can be judged.
///
/// The fields are for programs; the message is one line for users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Broken {
    /// The process could not be started.
    #[error("the loader could not be started: {why}")]
    NotStarted {
        /// The operating system's reason.
        why: String,
    },
    /// The process exited without an answer. In process, status 101 means a panic, as for a Rust
    /// program.
    #[error("the loader exited without an answer: status {code}")]
    Exited {
        /// Its exit status.
        code: i32,
    },
    /// A signal ended the process.
    #[error("the loader was killed by signal {name} ({signal})")]
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
    #[error("the loader closed its stdout but did not exit")]
    ClosedOutput,
    /// More output for one request than allowed.
    #[error("the loader wrote more than {limit} bytes for one request")]
    Flooded {
        /// The limit, in bytes.
        limit: u64,
    },
    /// A line longer than the protocol allows.
    #[error("the loader wrote a line longer than the protocol allows: more than {limit} bytes")]
    LineTooLong {
        /// The limit, in bytes.
        limit: u64,
    },
    /// More resident memory than allowed.
    #[error("the loader holds more host memory than allowed: {bytes} bytes (limit {limit})")]
    TooMuchMemory {
        /// Resident memory of the process, in bytes.
        bytes: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A line that breaks the protocol.
    #[error("not a line of the protocol ({why}; was it meant for stderr?): {line}")]
    Malformed {
        /// The line's beginning.
        line: String,
        /// What is wrong with it.
        why: String,
    },
    /// An answer to another request.
    #[error("answer to another request: id {found}, expected {expected}")]
    WrongId {
        /// The id sent.
        expected: u64,
        /// The id that came back.
        found: u64,
    },
    /// An answer to another verb.
    #[error("answer to another verb: {answered}, expected {asked}")]
    WrongVerb {
        /// The verb sent.
        asked: String,
        /// The verb that came back.
        answered: String,
    },
    /// Output while no request was open.
    #[error("output without a request (was it meant for stderr?): {line}")]
    Unsolicited {
        /// The beginning of the output.
        line: String,
    },
    /// The answer to `hello` has another nonce, so it may be a recorded answer.
    #[error("the answer to hello has another nonce: {found}, expected {expected}")]
    WrongNonce {
        /// The nonce sent.
        expected: String,
        /// The nonce that came back.
        found: String,
    },
    /// The loader speaks another protocol.
    #[error("{}", other_protocol(*.expected, *.found))]
    WrongProtocol {
        /// The harness's version.
        expected: u32,
        /// The loader's version.
        found: u32,
    },
    /// The answer to `hello` does not explain a capability that it names as unsupported.
    #[error("the answer to hello has no valid list of capabilities: {why}")]
    Capabilities {
        /// Which capability, and what is wrong.
        why: String,
    },
    /// The answer to `hello` is not that of the run's first process.
    #[error("the loader is another than at the run's first hello: {what}")]
    Changed {
        /// What is different.
        what: String,
    },
    /// The files of a case are not what the judge made.
    #[error("the loader changed the judge's files: {what}")]
    Tampered {
        /// What there is now.
        what: String,
    },
    /// The answer to `hello` has no loader name, or no version that identifies a build.
    #[error("the answer to hello does not identify the loader: {why}")]
    Identity {
        /// What is wrong.
        why: String,
    },
    /// The loader refused `hello` or `bye`, which every loader must serve.
    #[error("the loader refused {verb}: {failure}")]
    Refused {
        /// The verb.
        verb: String,
        /// The loader's failure.
        failure: Box<Failure>,
    },
    /// The judge was stopped by a signal while the loader ran.
    #[error(
        "the judge was stopped by a signal while this loader ran; it was continued, and the loader ended"
    )]
    StoppedJudge,
    /// The process did not exit after `bye`.
    #[error("the loader did not exit within {after_ms} ms after bye")]
    StillRunning {
        /// How long the judge waited, in milliseconds.
        after_ms: u64,
    },
    /// The process ended, but a descendant still holds its stdout open.
    #[error("the loader left a process behind that holds its stdout open")]
    LeftBehind,
    /// The judge could not send or receive. This says nothing about the loader.
    #[error("the exchange failed in the harness: {why}")]
    Exchange {
        /// The operating system's reason.
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

/// The two time limits of a request.
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
            Clock::Idle => "idle limit: no line, no progress",
        })
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It exited with this status.
    Code(i32),
    /// A signal ended it: number and name.
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
