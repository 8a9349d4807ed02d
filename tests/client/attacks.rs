//! What loaders do to their judge, each in one way. Where an attack is to let a lie pass, the fake is honest once the
//! attack has succeeded and refuses the file otherwise, so its verdict tells which it was.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::{Value, json};
use weighbridge::contract::request::Request;
use weighbridge::contract::{Class, Code, Failure, Phase};

use super::hostile;

/// The variable of the manifest that holds the prefix of the judge's reports.
pub const PREFIX: &str = "PREFIX";

/// A variable of the judge's own environment.
pub const SECRET: &str = "WEIGHBRIDGE_TEST_SECRET";

/// What a forger would like its judge to say.
pub const FORGED: &str = "host profile corroborated: 160 of 160 requirements hold";

/// The refusal of an attacker whose attack has failed; `None` where it has succeeded, or the mode is no such attack.
pub fn failed(mode: &str, request: &Request) -> Option<Failure> {
    let Request::Load(_) = request else { return None };
    let done = match mode {
        "looks_for_the_seed" => look_for_the_seed(),
        "looks_for_secrets" => look_for_secrets(),
        "traces_the_judge" => trace(),
        "stops_the_judge" => stop(),
        "writes_as_the_judge" => write_as_the_judge(),
        _ => return None,
    };
    let why = format!("the attack failed: {}", done.err()?);
    Some(Failure::new(Class::Refused, Phase::Open, Code::InvalidRequest, &why))
}

/// What an attacker does between its honest answer and saying it. In a cell most of it is not possible.
pub fn before_answer(mode: &str, request: &Request) {
    let _refused = match (mode, request) {
        ("forward_by_pipe", Request::Forward(forward)) => {
            hostile::written("answers_by_pipe", &forward.into)
        }
        ("generate_by_pipe", Request::Generate(generate)) => match &generate.into {
            Some(into) => hostile::written("answers_by_pipe", into),
            None => Ok(()),
        },
        (_, Request::Load(load)) => at_file(mode, &load.path),
        _ => Ok(()),
    };
}

/// Puts something else in the place of what the judge has made.
fn at_file(mode: &str, path: &Path) -> io::Result<()> {
    match mode {
        "changes_its_file" => {
            let mut bytes = fs::read(path)?;
            bytes.iter_mut().last().into_iter().for_each(|byte| *byte ^= 1);
            fs::write(path, bytes)
        }
        "puts_a_pipe" => {
            fs::remove_file(path)?;
            Ok(mkfifo(path, Mode::S_IRWXU)?)
        }
        "puts_an_endless_link" => {
            fs::remove_file(path)?;
            symlink("/dev/zero", path)
        }
        "puts_an_endless_file" => File::options().write(true).open(path)?.set_len(1 << 39),
        "moves_the_folder" => {
            let folder = path.parent().unwrap_or(path);
            let aside = folder.with_extension("aside");
            fs::rename(folder, &aside)?;
            symlink(&aside, folder)
        }
        "fills_the_disk" | "fills_the_disk_and_fails" => fill(mode),
        _ => Ok(()),
    }
}

/// Fills the disk of the judge's reports at the third load of a process.
fn fill(mode: &str) -> io::Result<()> {
    static LOADS: AtomicU64 = AtomicU64::new(0);
    if LOADS.fetch_add(1, Ordering::Relaxed) < 2 {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).open(prefix().with_extension("fill"))?;
    for size in [1 << 20, 1 << 12, 1] {
        let piece = vec![b'x'; size];
        while file.write_all(&piece).is_ok() {}
    }
    if mode == "fills_the_disk_and_fails" {
        std::process::abort();
    }
    Ok(())
}

/// The load's reply of a loader that claims to hold all memory that there could be.
pub fn holds_everything(honest: &str) -> String {
    let mut line: Value = serde_json::from_str(honest).unwrap_or_default();
    line["reply"]["load"]["held_bytes"] = json!(u64::MAX);
    format!("{line}\n")
}

/// A program of the loader's that starts another one, and prints without an end.
pub fn print_without_end() -> io::Result<()> {
    let mut sleeper = Command::new("setsid");
    sleeper.args(["sleep", "60"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _started = sleeper.spawn();
    let piece = vec![b'x'; 1 << 20];
    loop {
        io::stdout().write_all(&piece)?;
    }
}

/// What the judge's reports are called, which a loader would have to guess.
fn prefix() -> PathBuf {
    std::env::var_os(PREFIX).unwrap_or_default().into()
}

fn journal() -> PathBuf {
    prefix().with_extension("journal.ndjson")
}

/// The process ids of this loader's judge: those that were started to write at its prefix.
fn judges() -> Vec<u32> {
    let wanted = prefix().into_os_string().into_encoded_bytes();
    let fits = |pid: &u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == wanted)
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(fits).collect()
}

fn judge() -> Result<u32, String> {
    judges().first().copied().ok_or_else(|| "the judge is not to be seen".to_owned())
}

/// Sixteen hex digits where a seed would stand, in the journal or in a command line.
fn look_for_the_seed() -> Result<(), String> {
    let mut texts = vec![fs::read(journal()).unwrap_or_default()];
    for pid in judges() {
        texts.push(fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default());
        for number in 0..64 {
            // A pipe or a terminal would wait.
            let path = format!("/proc/{pid}/fd/{number}");
            if fs::metadata(&path).is_ok_and(|data| data.is_file() && data.len() < 64 << 20) {
                texts.push(fs::read(path).unwrap_or_default());
            }
        }
    }
    let length = texts.iter().map(Vec::len).sum::<usize>();
    let is_seed = |at: &[u8]| at.len() >= 16 && at[..16].iter().all(u8::is_ascii_hexdigit);
    let follows = |text: &Vec<u8>, word: &str| {
        let places = text.windows(word.len()).enumerate().filter(|(_, it)| *it == word.as_bytes());
        places.map(|(at, _)| &text[at + word.len()..]).any(is_seed)
    };
    let words = ["\"seed\":\"", "--seed 0x", "--seed\0"];
    let found = texts.iter().any(|text| words.iter().any(|word| follows(text, word)));
    found.then_some(()).ok_or(format!("no seed in {length} bytes"))
}

fn look_for_secrets() -> Result<(), String> {
    let mut pids = judges();
    pids.extend([std::process::id(), std::os::unix::process::parent_id(), 1]);
    let holds = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|one| one.starts_with(SECRET.as_bytes()))
    };
    pids.iter().any(holds).then_some(()).ok_or_else(|| "no secret".to_owned())
}

fn trace() -> Result<(), String> {
    let judge = Pid::from_raw(judge()?.cast_signed());
    // SAFETY: this request takes no address of this process.
    let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, judge.as_raw(), 0, 0) };
    (seized == 0).then_some(()).ok_or_else(|| io::Error::last_os_error().to_string())
}

fn stop() -> Result<(), String> {
    let judge = Pid::from_raw(judge()?.cast_signed());
    kill(judge, Signal::SIGSTOP).map_err(|error| error.to_string())?;
    sleep(Duration::from_secs(60));
    Ok(())
}

/// Writes to whatever the judge has open, and to its files by their names.
fn write_as_the_judge() -> Result<(), String> {
    for pid in judges() {
        for number in 0..64 {
            let path = PathBuf::from(format!("/proc/{pid}/fd/{number}"));
            if fs::metadata(&path).is_ok() {
                let _refused = append(&path);
            }
        }
    }
    let _refused = append(&journal());
    for ending in ["json", "md", "junit.xml"] {
        let _refused = fs::write(prefix().with_extension(ending), FORGED);
    }
    // What it has written there must not decide.
    Err("this loader loads nothing".to_owned())
}

fn append(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // A pipe that is full would wait.
    let options = std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options.append(true).open(path)?.write_all(format!("{FORGED}\n").as_bytes())
}
