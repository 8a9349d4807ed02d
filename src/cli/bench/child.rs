//! A peer's process: one line asked, one line of JSON answered, and an end to waiting.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;

/// Longest answer, in bytes: some hundred are usual.
const LONGEST: u64 = 64 << 10;

/// How long a killed process may take to die. More means that the kernel itself is waiting, for a
/// driver as a rule.
const DEATH: Duration = Duration::from_secs(10);

/// What is kept of the end of stderr, in bytes.
const TAIL: usize = 2 << 10;

/// A child that answers lines, ended at the latest when this is dropped.
pub struct Conversation {
    child: Child,
    stdin: Option<ChildStdin>,
    answers: Receiver<io::Result<String>>,
    words: Option<JoinHandle<Vec<u8>>>,
    patience: Duration,
}

impl Conversation {
    /// Starts `program` with these arguments, `folder` before all others that Python looks in.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(
        program: &Path,
        arguments: &[&str],
        folder: Option<&Path>,
        patience: Duration,
    ) -> Result<Conversation, String> {
        let mut command = Command::new(program);
        command.args(arguments);
        if let Some(folder) = folder {
            let others = std::env::var_os("PYTHONPATH").unwrap_or_default();
            let mut all = vec![folder.to_owned()];
            all.extend(std::env::split_paths(&others).filter(|path| !path.as_os_str().is_empty()));
            command
                .env("PYTHONPATH", std::env::join_paths(all).map_err(|error| error.to_string())?);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: what it starts ends with it.
        command.process_group(0);
        let say = |error: io::Error| format!("{} cannot be started: {error}", program.display());
        let mut child = command.spawn().map_err(say)?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (sender, answers) = sync_channel(1);
        let mut conversation = Conversation { child, stdin, answers, words: None, patience };
        let stdout = stdout.ok_or_else(|| "the child has no stdout".to_owned())?;
        let stderr = stderr.ok_or_else(|| "the child has no stderr".to_owned())?;
        conversation.words = Some(thread::Builder::new().spawn(move || tail(stderr)).map_err(say)?);
        let listen = move || {
            let mut lines = BufReader::new(stdout);
            // Whoever asked is gone, or there is nothing more to hear.
            while let Some(line) = line(&mut lines) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().spawn(listen).map_err(say)?;
        Ok(conversation)
    }

    /// Asks for one line of JSON.
    ///
    /// # Errors
    /// Why there is none; the child is then ended.
    pub fn ask<T: DeserializeOwned>(&mut self, question: &str) -> Result<T, String> {
        let asked = match &mut self.stdin {
            Some(stdin) => writeln!(stdin, "{question}").and_then(|()| stdin.flush()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        // Where the pipe is broken, the reason is on the other one.
        drop(asked);
        self.hear()
    }

    /// Hears one line of JSON.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub fn hear<T: DeserializeOwned>(&mut self) -> Result<T, String> {
        let why = match self.answers.recv_timeout(self.patience) {
            Ok(Ok(line)) => match serde_json::from_str(&line) {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    let shown = line.trim_end().chars().take(200);
                    let start: String = shown.flat_map(char::escape_debug).collect();
                    format!("answered something else than was asked for ({error}): {start}")
                }
            },
            Ok(Err(error)) => format!("its answer cannot be read: {error}"),
            Err(RecvTimeoutError::Timeout) => {
                let seconds = self.patience.as_secs_f64();
                self.end();
                return Err(format!("no answer within {seconds} seconds: killed"));
            }
            Err(RecvTimeoutError::Disconnected) => {
                let (status, words) = self.end();
                return Err(format!("ended ({status}) without an answer{words}"));
            }
        };
        let (_, words) = self.end();
        Err(why + &words)
    }

    /// Ends the child; returns how it ended and its last words.
    fn end(&mut self) -> (String, String) {
        self.stdin = None;
        let pid = Pid::from_raw(self.child.id().cast_signed());
        // One that has closed its stdout is given a moment to end by itself. It stays a zombie: as
        // long as it is one, no other group can get its number.
        wait_until(Duration::from_millis(200), || {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            !matches!(waitid(Id::Pid(pid), flags), Ok(WaitStatus::StillAlive) | Err(Errno::EINTR))
        });
        // The only failure is that nobody is left in the group.
        let _ = killpg(pid, Signal::SIGKILL);
        let mut status = None;
        wait_until(DEATH, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        let words = self.words.take();
        let Some(status) = status else {
            return ("it does not die".to_owned(), String::new());
        };
        let words = words.and_then(|words| words.join().ok()).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).trim().to_owned();
        let last = words.lines().last().map_or(String::new(), |line| format!("; stderr: {line}"));
        (describe(status), last)
    }
}

/// Asks again and again, at most so long, until it is so.
fn wait_until(most: Duration, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() && start.elapsed() < most {
        thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        if self.words.is_some() {
            self.end();
        }
    }
}

/// One line; `None` at the end.
fn line(lines: &mut BufReader<impl Read>) -> Option<io::Result<String>> {
    let mut line = String::new();
    match lines.by_ref().take(LONGEST).read_line(&mut line) {
        Ok(0) => None,
        Ok(_) => Some(Ok(line)),
        Err(error) => Some(Err(error)),
    }
}

/// Reads all and keeps the end.
fn tail(mut stream: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut piece = [0; 1024];
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        kept.extend_from_slice(&piece[..read]);
        let surplus = kept.len().saturating_sub(TAIL);
        kept.drain(..surplus);
    }
    kept
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(signal) => signal.as_str().to_owned(),
            Err(_) => format!("signal {signal}"),
        },
        (None, None) => "status unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn shell(script: &str, patience: u64) -> Conversation {
        let patience = Duration::from_millis(patience);
        Conversation::start(Path::new("sh"), &["-c", script], None, patience).unwrap()
    }

    #[test]
    fn asks_and_hears() {
        let mut echo = shell("while read a; do echo \"{\\\"a\\\": \\\"$a\\\"}\"; done", 5000);
        for word in ["one", "two"] {
            let answer: Value = echo.ask(word).unwrap();
            assert_eq!(answer["a"], word);
        }
    }

    #[test]
    fn says_how_it_went_wrong() {
        for (script, words) in [
            ("echo oops >&2; exit 3", &["exit code 3", "oops"][..]),
            ("kill -9 $$", &["SIGKILL"]),
            ("echo hello; cat", &["something else", "hello"]),
            ("printf '\\377\\n'; cat", &["cannot be read"]),
            ("head -c 200000 /dev/zero; cat", &["something else"]),
        ] {
            let why = shell(script, 5000).ask::<Value>("x").unwrap_err();
            assert!(words.iter().all(|word| why.contains(word)), "{script}: {why}");
        }
        let why = Conversation::start(Path::new("/no/such"), &[], None, Duration::ZERO);
        assert!(why.err().is_some_and(|why| why.contains("cannot be started")));
    }

    #[test]
    fn a_hanging_one_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", mark.display());
        let why = shell(&script, 700).ask::<Value>("x").unwrap_err();
        assert!(why.contains("killed"), "{why}");
        let pid: i32 = std::fs::read_to_string(&mark).unwrap().trim().parse().unwrap();
        for _ in 0..500 {
            // A zombie that nobody has collected yet is as good as gone.
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if stat.is_empty() || stat.contains(") Z ") {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the child's own child lives on");
    }
}
