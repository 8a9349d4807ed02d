//! Mutants whose process behaves badly towards its judge: it is another one in its next process, crashes or
//! talks when it is asked to go, or leaves processes and files behind.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::between::{Answer, Between, between};
use super::mutant::Mutant;
use crate::contract::reply::{Introduction, Reply};
use crate::contract::request::Request;
use crate::contract::{Capability, Loader};
use crate::loader::ReferenceLoader;

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "bye-unanswered",
        lie: "exits without an answer when it is asked to leave",
        seen_in: "servers that treat every end as the end of their input",
        needs_gpu: false,
        make: || between(Conduct { on_bye: || std::process::exit(0), ..HONEST }),
    },
    Mutant {
        name: "crash-at-bye",
        lie: "aborts after its answer to bye",
        seen_in: "loaders whose destructors free device memory twice",
        needs_gpu: false,
        make: || between(Conduct { at_end: || std::process::abort(), ..HONEST }),
    },
    Mutant {
        name: "error-at-bye",
        lie: "exits with status 1 after its answer to bye",
        seen_in: "interpreters that fail in their exit handlers",
        needs_gpu: false,
        make: || between(Conduct { at_end: || std::process::exit(1), ..HONEST }),
    },
    Mutant {
        name: "output-after-bye",
        lie: "writes a line to stdout after its answer to bye",
        seen_in: "profilers that print their summary at the end",
        needs_gpu: false,
        make: || between(Conduct { at_end: || println!("1 model, 0.2 s"), ..HONEST }),
    },
    Mutant {
        name: "child-left-behind",
        lie: "starts a process at each load and leaves it running",
        seen_in: "data loaders that do not stop their workers",
        needs_gpu: false,
        make: || between(Conduct { on_load: |_| child(), ..HONEST }),
    },
    Mutant {
        name: "daemon-left-behind",
        lie: "starts a process at each load that gives itself another parent and another group",
        seen_in: "servers that start a background service at first use",
        needs_gpu: false,
        make: || between(Conduct { on_load: |_| daemon(), ..HONEST }),
    },
    Mutant {
        name: "scratch-left",
        lie: "writes a temporary file at each load and does not remove it",
        seen_in: "converters that unpack a file before they read it",
        needs_gpu: false,
        make: || between(Conduct { on_load: |_| temporary(), ..HONEST }),
    },
    Mutant {
        name: "descriptor-per-load",
        lie: "opens each file once more and never closes it",
        seen_in: "loaders that map a file and forget the handle",
        needs_gpu: false,
        make: || between(Conduct { on_load: open_and_forget, ..HONEST }),
    },
    Mutant {
        name: "thread-per-load",
        lie: "starts a thread for each load that never ends",
        seen_in: "servers that make a pool for each model",
        needs_gpu: false,
        make: || between(Conduct { on_load: |_| thread(), ..HONEST }),
    },
    Mutant {
        name: "leak-in-child",
        lie: "starts a process for each load that holds sixteen megabytes as long as the loader lives",
        seen_in: "data loaders that keep a copy of each file in a worker",
        needs_gpu: false,
        make: || between(Conduct { on_load: |_| worker(), ..HONEST }),
    },
    Mutant {
        name: "version-by-process",
        lie: "says another version in each of its processes",
        seen_in: "builds that stamp the time of their start",
        needs_gpu: false,
        make: || between(Conduct { on_hello: version_by_process, ..HONEST }),
    },
    Mutant {
        name: "capability-withdrawn",
        lie: "declares digests at its first hello and withdraws them later",
        seen_in: "adapters that find out at their first failure what their library lacks",
        needs_gpu: false,
        make: || between(Conduct { on_hello: withdraw, ..HONEST }),
    },
    Mutant {
        name: "lock-beside-weights",
        lie: "leaves a lock file beside each file that it loads",
        seen_in: "download caches that lock what they read",
        needs_gpu: false,
        make: || between(Conduct { on_load: lock, ..HONEST }),
    },
];

/// What is done besides an honest answer.
struct Conduct {
    /// Gets the scratch folder.
    on_hello: fn(&Path, &mut Introduction),
    on_load: fn(&Path),
    on_bye: fn(),
    /// When the last answer is written.
    at_end: fn(),
}

const HONEST: Conduct =
    Conduct { on_hello: |_, _| {}, on_load: |_| {}, on_bye: || {}, at_end: || {} };

impl Between for Conduct {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        match &request {
            Request::Load(load) => (self.on_load)(&load.path),
            Request::Bye(_) => (self.on_bye)(),
            _ => {}
        }
        let scratch = match &request {
            Request::Hello(hello) => Some(hello.scratch.clone()),
            _ => None,
        };
        let mut answer = loader.answer(request);
        if let (Some(scratch), Ok(Reply::Hello(introduction))) = (&scratch, &mut answer) {
            (self.on_hello)(scratch, introduction);
        }
        answer
    }
}

impl Drop for Conduct {
    fn drop(&mut self) {
        (self.at_end)();
    }
}

/// How long what is left behind lives, in seconds, if nobody ends it.
const LIFE: &str = "600";

fn silent(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

// In all of these, a failure tells no lie: the mutant survives, and the audit fails.

fn child() {
    let _child = silent(Command::new("sleep").arg(LIFE)).spawn();
}

fn daemon() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "sleep \"$0\" &", LIFE]).process_group(0);
    let _status = silent(&mut shell).status();
}

fn open_and_forget(path: &Path) {
    // A path that is no regular file is left to the honest loader: opening a pipe may wait for ever.
    if fs::metadata(path).is_ok_and(|data| data.is_file()) {
        std::mem::forget(File::open(path));
    }
}

fn thread() {
    std::thread::spawn(|| {
        loop {
            std::thread::park();
        }
    });
}

/// Blocked as long as nobody reads what it writes, and ended with the loader.
fn worker() {
    let mut copy = Command::new("dd");
    copy.args(["if=/dev/zero", "bs=16M", "count=1"]);
    copy.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Ok(mut child) = copy.spawn() {
        // With its first byte it holds all of them.
        let _first = child.stdout.as_mut().map(|out| out.read_exact(&mut [0]));
        std::mem::forget(child);
    }
}

fn temporary() {
    let name = format!("unpacked-{:08x}", std::process::id());
    let _written = fs::write(std::env::temp_dir().join(name), "weights");
}

fn version_by_process(_scratch: &Path, introduction: &mut Introduction) {
    // In a namespace of its own, each process has the same id.
    introduction.version = format!("{}+{}", introduction.version, introduction.nonce);
}

/// All processes of a run have their folders in one.
fn withdraw(scratch: &Path, introduction: &mut Introduction) {
    let mark = scratch.parent().unwrap_or(scratch).join("greeted");
    if File::create_new(mark).is_err()
        && let Some(support) = introduction.capabilities.get_mut(&Capability::Digest)
    {
        (support.supported, support.reason) = (false, Some("not on this machine".to_owned()));
    }
}

fn lock(path: &Path) {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let _made = File::create(name);
}
