//! Runs that are ended at many moments: nothing decided is lost, nothing is left behind, and the run
//! that goes on gives the report of one that was never interrupted.

mod program;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use program::{Ran, command, ran};
use tempfile::TempDir;
use weighbridge::harness::record::journal::{Chain, recover};
use weighbridge::harness::record::{CaseRecord, Record, Report, Stored, Verdict};

/// A short run of the host profile: it decides some hundred cases.
const SHORT: [&str; 15] = [
    "certify",
    "--profile",
    "host",
    "--case",
    "F-PARSE-041",
    "--case",
    "F-PARSE-043",
    "--case",
    "F-PARSE-044",
    "--case",
    "F-PARSE-045",
    "--seed",
    "7",
    "--jobs",
    "2",
];
/// Moments at which a run is ended, in decided cases.
const MOMENTS: [usize; 7] = [0, 1, 9, 20, 35, 50, 75];
/// How often a test looks.
const LOOK: Duration = Duration::from_millis(2);

/// A folder for one run, with a folder for temporary files and a loader that leaves a process behind.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("tmp")).expect("a folder");
        // The sleeper is in a session of its own, so that no signal to the loader's group reaches it.
        let script = "setsid sleep 9999 </dev/null >/dev/null 2>&1 &\nexec \"$0\" loader\n";
        let exe = env!("CARGO_BIN_EXE_weighbridge");
        let manifest = format!("name: sleepy\ncommand: [sh, -c, {script:?}, {exe:?}]\n");
        fs::write(folder.path().join("loader.yaml"), manifest).expect("a manifest");
        Place { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn journal(&self) -> PathBuf {
        self.at("run.journal.ndjson")
    }

    /// Starts the short run.
    fn start(&self) -> Child {
        self.begin(&SHORT)
    }

    /// Starts a run with these words.
    fn begin(&self, words: &[&str]) -> Child {
        let to = |name: &str| Stdio::from(File::create(self.at(name)).expect("a file"));
        let mut command = command(words);
        command.arg("--loader").arg(self.at("loader.yaml")).arg("--out").arg(self.at("run"));
        command.args(["--json"]).env("TMPDIR", self.at("tmp"));
        command.stdin(Stdio::null()).stdout(to("stdout")).stderr(to("stderr"));
        command.spawn().expect("the program was built for this test")
    }

    /// Goes on with the run.
    fn resume(&self) -> Ran {
        let mut command = command(&["certify", "--resume"]);
        command.arg(self.journal()).env("TMPDIR", self.at("tmp"));
        ran(&mut command)
    }

    /// Waits until the journal holds so many cases, or the run has ended.
    fn decided(&self, run: &mut Child, cases: usize) {
        loop {
            let bytes = fs::read(self.journal()).unwrap_or_default();
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
            if lines > cases || run.try_wait().expect("a child").is_some() {
                return;
            }
            thread::sleep(LOOK);
        }
    }

    fn report(&self) -> Report {
        match Stored::read(&self.at("run.json")) {
            Ok(Stored::Report(report)) => *report,
            other => panic!("no report: {other:?}"),
        }
    }

    /// What the journal says was decided.
    fn written(&self) -> Vec<CaseRecord> {
        let bytes = fs::read(self.journal()).expect("a journal");
        let cases = recover(&bytes).expect("a sound journal").record.cases;
        let open = |case: &CaseRecord| case.reason.as_deref() == Some("run was interrupted");
        cases.into_iter().filter(|case| !open(case)).collect()
    }

    /// Wants no scratch folder and no process of this place.
    fn is_tidy(&self) {
        let left: Vec<_> = fs::read_dir(self.at("tmp")).expect("a folder").flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(self.processes(), Vec::<u32>::new(), "processes are left behind");
    }

    /// Live processes that were started for this place.
    fn processes(&self) -> Vec<u32> {
        let of = |pid: u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let mark = format!("TMPDIR={}", self.at("tmp").display());
            let fits = |variable: &[u8]| variable.starts_with(mark.as_bytes());
            environment.split(|byte| *byte == 0).any(fits)
        };
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| of(*pid)).collect()
    }
}

fn send(run: &Child, signal: Signal) {
    kill(Pid::from_raw(run.id().cast_signed()), signal).expect("it is a child of this test");
}

fn verdicts(record: &Record) -> BTreeMap<String, Verdict> {
    record.cases.iter().map(|case| (case.id.clone(), case.verdict)).collect()
}

/// The report and exit code of a run that nobody interrupts.
fn whole() -> &'static (Report, Option<i32>) {
    static WHOLE: OnceLock<(Report, Option<i32>)> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let place = Place::new();
        let status = place.start().wait().expect("a child");
        place.is_tidy();
        (place.report(), status.code())
    })
}

/// Ends a run at a moment and goes on with it. Returns how it ended.
fn end_and_go_on(signal: Signal, moment: usize) -> (Place, ExitStatus) {
    let (uninterrupted, code) = whole();
    let place = Place::new();
    let mut run = place.start();
    place.decided(&mut run, moment);
    send(&run, signal);
    let status = run.wait().expect("a child");
    let written = place.written();
    assert!(written.len() >= moment, "{moment}: {}", written.len());
    if signal != Signal::SIGKILL {
        partial(&place, &written, signal, status);
    }
    let resumed = place.resume();
    assert_eq!(resumed.code, *code, "{moment}: {}", resumed.err);
    let report = place.report();
    assert_eq!(report.verify(), []);
    assert_eq!(report.record.parts.len(), 2);
    assert_eq!(verdicts(&report.record), verdicts(&uninterrupted.record), "at {moment}");
    assert_eq!(report.judgement.points, uninterrupted.judgement.points);
    assert_eq!(report.judgement.certificate, uninterrupted.judgement.certificate);
    let now: BTreeMap<&str, &CaseRecord> =
        report.record.cases.iter().map(|case| (case.id.as_str(), case)).collect();
    for case in &written {
        assert_eq!(now.get(case.id.as_str()), Some(&case), "decided before, and changed");
    }
    let later = report.record.cases.iter().filter(|case| case.part == 1).count();
    assert_eq!(later + written.len(), report.record.cases.len());
    let order = |record: &Record| -> Vec<String> {
        record.cases.iter().map(|case| case.id.clone()).collect()
    };
    assert_eq!(order(&report.record), order(&uninterrupted.record));
    place.is_tidy();
    (place, status)
}

/// What a run leaves after a signal that it can hear.
fn partial(place: &Place, written: &[CaseRecord], signal: Signal, status: ExitStatus) {
    let told = fs::read_to_string(place.at("stderr")).expect("stderr");
    assert_eq!(status.code(), Some(3), "{told}");
    assert!(told.contains(&format!("interrupted by {signal}: {} of ", written.len())), "{told}");
    assert!(told.contains("  IV Parsing: "), "{told}");
    let command = format!("weighbridge certify --resume {}", place.journal().display());
    assert!(told.contains(&command), "{told}");
    let report = place.report();
    assert_eq!(report.verify(), []);
    let (open, decided): (Vec<_>, Vec<_>) =
        report.record.cases.iter().partition(|case| case.verdict == Verdict::Untested);
    assert_eq!(decided.len(), written.len());
    let why = format!("run was interrupted by {signal}");
    assert!(open.iter().all(|case| case.reason.as_ref() == Some(&why)), "{why}");
    let printed = fs::read_to_string(place.at("stdout")).expect("stdout");
    let printed: Report = serde_json::from_str(&printed).expect("stdout is a report and no more");
    assert_eq!(printed, report);
    assert!(place.at("run.md").exists() && place.at("run.junit.xml").exists());
    place.is_tidy();
}

#[test]
fn sigterm_loses_nothing_and_leaves_nothing() {
    for moment in MOMENTS {
        end_and_go_on(Signal::SIGTERM, moment);
    }
}

/// A run that is ended before its first case is decided: in that case, while the loader is silent, or while the run
/// starts. It reports that nothing was decided, or had not begun. Nothing is left.
#[test]
fn sigterm_before_the_first_case_leaves_a_report_or_nothing() {
    let silent = || {
        let place = Place::new();
        // It greets, and answers no load.
        let exe = env!("CARGO_BIN_EXE_weighbridge");
        let manifest = format!("name: silent\ncommand: [{exe:?}, mutant, hang]\n");
        fs::write(place.at("loader.yaml"), manifest).expect("a manifest");
        place
    };
    let ended = |run: &mut Child| {
        send(run, Signal::SIGTERM);
        let began = Instant::now();
        let status = run.wait().expect("a child");
        assert!(began.elapsed() < Duration::from_secs(20), "it waits for the loader");
        status
    };
    let place = silent();
    let mut run = place.start();
    place.decided(&mut run, 0);
    let status = ended(&mut run);
    assert_eq!(place.written(), []);
    partial(&place, &[], Signal::SIGTERM, status);
    for wait in [0, 20, 100] {
        let place = silent();
        let mut run = place.start();
        thread::sleep(Duration::from_millis(wait));
        let status = ended(&mut run);
        match status.signal() {
            Some(_) => assert!(!place.at("run.json").exists(), "{wait} ms"),
            None => partial(&place, &[], Signal::SIGTERM, status),
        }
        place.is_tidy();
    }
}

#[test]
fn sigint_loses_nothing_and_leaves_nothing() {
    // What follows a signal is the same as behind SIGTERM, so three moments show it.
    for moment in [3, 23, 78] {
        end_and_go_on(Signal::SIGINT, moment);
    }
}

#[test]
fn kill_9_loses_nothing_and_the_next_run_tidies_up() {
    for moment in MOMENTS.map(|moment| moment + 5) {
        let (place, status) = end_and_go_on(Signal::SIGKILL, moment);
        assert_eq!(status.signal(), Some(9));
        let again = place.resume();
        assert_eq!(again.code, Some(2), "{}", again.err);
        assert!(again.err.contains("is complete"), "{}", again.err);
    }
}

/// A seed that nobody gave is told at the end of a run, also at an early one, and never before. The run that goes
/// on has another one. A run that is killed tells nothing, and loses only its seed.
#[test]
fn a_secret_seed_is_told_at_the_end_and_not_before() {
    let words = ["certify", "--profile", "host", "--case", "F-PARSE-037", "--jobs", "1"];
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let place = Place::new();
        let mut run = place.begin(&words);
        place.decided(&mut run, 3);
        let during = fs::read_to_string(place.journal()).expect("a journal");
        send(&run, signal);
        run.wait().expect("a child");
        let resumed = place.resume();
        assert_eq!(resumed.code, Some(3), "{}", resumed.err);
        let report = place.report();
        assert_eq!(report.verify(), []);
        assert_eq!(Record::read(&place.journal()).expect("a journal").verify(), []);
        let [first, second] = report.record.parts.as_slice() else { panic!("two runs") };
        assert_eq!(first.is_sealed(), signal == Signal::SIGKILL);
        assert_ne!(first.seed, second.seed);
        let before = first.commitment.as_ref().expect("a commitment");
        assert!(during.contains(&before.sha256) && during.contains("--seed 0xsealed"));
        if signal == Signal::SIGTERM {
            assert!(!during.contains(&first.seed) && !during.contains(&before.salt));
        }
        for case in &report.record.cases {
            let part = &report.record.parts[case.part];
            let named = case.repeat.contains(&format!(" --seed 0x{}", part.seed));
            assert_eq!(named, !part.is_sealed(), "{}", case.repeat);
            assert!(!case.repeat.contains("sealed"), "{}", case.repeat);
        }
        place.is_tidy();
    }
}

#[test]
fn a_run_may_die_more_than_once() {
    let place = Place::new();
    let mut run = place.start();
    place.decided(&mut run, 5);
    send(&run, Signal::SIGKILL);
    run.wait().expect("a child");
    let mut second = command(&["certify", "--quiet", "--resume"]);
    second.arg(place.journal()).env("TMPDIR", place.at("tmp"));
    let mut second = second.spawn().expect("it starts");
    place.decided(&mut second, 30);
    send(&second, Signal::SIGKILL);
    second.wait().expect("a child");
    let out = place.at("elsewhere");
    let mut third = command(&["certify", "--resume"]);
    third.arg(place.journal()).arg("--out").arg(&out).env("TMPDIR", place.at("tmp"));
    let third = ran(&mut third);
    assert_eq!(third.code, whole().1, "{}", third.err);
    let record = Record::read(&place.at("elsewhere.json")).expect("a report");
    assert_eq!(record.parts.len(), 3);
    assert_eq!(verdicts(&record), verdicts(&whole().0.record));
    let journal = Record::read(&place.at("elsewhere.journal.ndjson")).expect("a journal");
    assert_eq!((&journal.parts, verdicts(&journal)), (&record.parts, verdicts(&record)));
    place.is_tidy();
}

#[test]
fn only_the_same_run_is_gone_on_with() {
    let place = Place::new();
    let mut run = place.start();
    place.decided(&mut run, 3);
    send(&run, Signal::SIGKILL);
    run.wait().expect("a child");
    let refused = |words: &[&str]| {
        let ran = place.resume();
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        for word in words.iter().chain(&["remedy"]) {
            assert!(ran.err.contains(word), "no {word:?} in {}", ran.err);
        }
    };
    let held = File::open(place.journal()).expect("a journal");
    held.lock().expect("a lock");
    refused(&["another run is writing"]);
    drop(held);
    let journal = fs::read_to_string(place.journal()).expect("a journal");
    let manifest = fs::read_to_string(place.at("loader.yaml")).expect("a manifest");
    fs::write(place.at("loader.yaml"), format!("{manifest}environment: {{A: b}}\n")).expect("text");
    refused(&["cannot be resumed", "environment"]);
    fs::write(place.at("loader.yaml"), format!("{manifest}\n# changed\n")).expect("text");
    refused(&["cannot be resumed", "manifest or program was changed"]);
    fs::write(place.at("loader.yaml"), manifest).expect("text");
    let other = journal.replacen("\"binary\":\"", "\"binary\":\"0", 1);
    fs::write(place.journal(), &other).expect("text");
    refused(&["damaged journal", "the chain is broken"]);
    fs::write(place.journal(), chained_again(&other)).expect("text");
    refused(&["cannot be resumed", "binary: 0"]);
    fs::write(place.journal(), &journal[..journal.len() / 9]).expect("text");
    refused(&["damaged journal"]);
    fs::write(place.journal(), "{}").expect("text");
    refused(&["no journal"]);
    fs::write(place.journal(), journal).expect("text");
    let ran = ran(command(&["certify", "--seed", "3", "--resume"]).arg(place.journal()));
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("cannot be used with"), "{}", ran.err);
    assert_eq!(place.resume().code, whole().1);
    place.is_tidy();
}

/// The lines of a journal with a chain that fits them.
fn chained_again(text: &str) -> Vec<u8> {
    let mut chain = Chain::default();
    let bare = |line: &str| line.split(",\"chain\":\"").next().map(|open| format!("{open}}}"));
    text.lines().filter_map(bare).flat_map(|line| chain.add(&line)).collect()
}

#[test]
fn two_runs_never_write_the_same_file() {
    let place = Place::new();
    let mut first = place.start();
    place.decided(&mut first, 0);
    let mut second = command(&SHORT);
    let second = ran(second.arg("--out").arg(place.at("run")).env("TMPDIR", place.at("tmp")));
    assert_eq!(second.code, Some(2), "{}", second.err);
    assert!(second.err.contains("another run is writing"), "{}", second.err);
    assert_eq!(first.wait().expect("a child").code(), whole().1);
    assert_eq!(verdicts(&place.report().record), verdicts(&whole().0.record));
}

#[test]
fn each_run_has_a_folder_of_its_own() {
    let place = Place::new();
    let one = ["certify", "--profile", "host", "--case", "F-PARSE-036::readme_smallest"];
    let mut reports = Vec::new();
    let latest = place.at("target/weighbridge/latest");
    for _ in 0..2 {
        let ran = ran(command(&one).current_dir(place.folder.path()));
        assert_eq!(ran.code, Some(3), "{}", ran.err);
        let report = Record::read(&latest.join("report.json")).expect("a report");
        let line = ran.out.lines().find_map(|line| line.strip_prefix("wrote "));
        let line = line.expect("the path is told");
        assert!(line.starts_with("target/weighbridge/runs/"), "{line}");
        assert_eq!(Record::read(&place.at(line)).expect("a report"), report);
        reports.push(line.to_owned());
    }
    assert_ne!(reports[0], reports[1]);
    for name in ["report.md", "report.junit.xml", "journal.ndjson"] {
        assert!(latest.join(name).is_file(), "{name}");
    }
    assert_ne!(Path::new(&reports[0]).parent(), Path::new(&reports[1]).parent());
}

/// A command without a journal says what a signal left undone.
#[test]
fn a_seal_that_is_cut_short_is_not_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = folder.path().join("model.safetensors");
    // Sparse, and long enough to be hashed for many seconds.
    let data = 64u64 << 30;
    let header =
        format!("{{\"w\":{{\"dtype\":\"U8\",\"shape\":[{data}],\"data_offsets\":[0,{data}]}}}}");
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    fs::write(&model, &bytes).expect("a file");
    let file = File::options().write(true).open(&model).expect("the file");
    file.set_len(bytes.len() as u64 + data).expect("a sparse file");
    let told = folder.path().join("told");
    let mut sealing = command(&["seal"]);
    sealing.arg(&model).stderr(File::create(&told).expect("a file")).stdout(Stdio::null());
    let mut sealing = sealing.spawn().expect("weighbridge");
    let said = || fs::read_to_string(&told).unwrap_or_default();
    while said().is_empty() {
        assert!(sealing.try_wait().expect("a child").is_none(), "it ended too early: {}", said());
        thread::sleep(LOOK);
    }
    send(&sealing, Signal::SIGTERM);
    assert_eq!(sealing.wait().expect("a child").code(), Some(3));
    assert!(said().contains("interrupted by SIGTERM: no seal was written"), "{}", said());
    let left = fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(left, 2, "only the model and what was said");
}
