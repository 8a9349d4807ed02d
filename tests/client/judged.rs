//! The program `weighbridge certify`, weighing loaders that attack it: each must end with the right verdict, within
//! its time and memory, and nothing may be left. In namespaces, and where there are none and the loader has the
//! judge's own user, which is the most that it can have.
//!
//! | attack | what shows its end |
//! |---|---|
//! | journal, report and summary forged through `/proc/PPID/fd` and by their names | `writes_as_the_judge` |
//! | the judge ended by ptrace | `traces_the_judge` |
//! | the seed read from the journal, or from a command line | `looks_for_the_seed`, `the_seed_that_was_given` |
//! | an answer that is a FIFO: `read`, `forward` (once `embed`), `generate` | `answers_by_pipe`, `forward_by_pipe`, `generate_by_pipe` |
//! | the same of `multiply`, which needs a GPU | `an_answer_that_is_no_file_ends_the_case_at_once` in `run/step/device/multiply.rs`, with a loader that is made up |
//! | a link to `/dev/zero`, a sparse file | `answers_without_end`, `answers_with_a_sparse_file` |
//! | a fixture replaced by other bytes, a FIFO, a link, a sparse file; its folder replaced | `changes_its_file`, `puts_a_pipe`, `puts_an_endless_link`, `puts_an_endless_file`, `moves_the_folder`; `rewritten/...` where the judge writes there again |
//! | `held_bytes: 2^64-1` | `claims_all_memory` |
//! | SIGSTOP to the judge | `stops_the_judge`, and `a_judge_that_its_loader_stops_goes_on` in `tests/cell.rs` |
//! | answers at 0.9 of the patience | `dawdles` |
//! | a crash at every bye | `aborts_at_bye` |
//! | processes that survive | `leaves_a_daemon`; more in `conduct.rs` |
//! | a child with the memory | `child_eats_memory`; leaks of a child: mutants `leak-in-child`, `child-left-behind` |
//! | 37 names and versions; a capability withdrawn | `another_version`, `withdraws`; `another_name` in `conduct.rs` |
//! | secrets in the environment, also of `cli:` programs | `looks_for_secrets`, `the_environment_is_listed_not_inherited` in `client/spawn.rs` |
//! | programs that print 3 GB, and leave a process | `prints_without_end` |
//! | U+FFFE in a loader's string | `odd_characters` |
//! | a disk that is full | `full_disk.rs` |
//! | SIGTERM leaves scratch; two judges at one `--out` | `sigterm_loses_nothing_and_leaves_nothing`, `two_runs_never_write_the_same_file` in `tests/interrupted.rs` |
//! | a harness error outranks a refutation | `a_refutation_outranks_a_fault_of_the_harness` in `record/judge/tests.rs` |
//! | edits that `verify` misses | `tests/verify_edits.rs` |

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use nix::unistd::getuid;
use weighbridge::harness::cell::{Level, Wanted, find};
use weighbridge::harness::client::memory;
use weighbridge::harness::record::{CaseRecord, Report, Stored, Verdict};

use super::attacks::{FORGED, PREFIX, SECRET};
use super::same;

/// A case that reads every tensor back through a file.
const READ: &str = "F-PARSE-037::readme_tensors";
const FORWARD: &str = "ENC-001::bert_forms";
const GENERATE: &str = "F-QUAL-069::qwen2";
const FRESH: &str = "CONDUCT-005::another_process";
const WAITING: &str = "CONDUCT-007::at_the_end";
/// A case in which the judge writes to a file again and again.
const REWRITTEN: &str = "SEAL-003::flips_in_prefix";
const PRINTED: &str = "COMPLETE-016::shown_to_people";

/// Most memory of the judge's own process, in bytes. The suite alone takes a third of it.
const MEMORY: u64 = 256 << 20;

/// Longest time of a run. The longest of these waits ten seconds; a busy machine needs more.
const TIME: Duration = Duration::from_secs(120);

/// The user without rights, for a judge that is not root.
const NOBODY: u32 = 65_534;

/// How a loader is kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// In namespaces.
    Cell,
    /// In none, with the judge's own user.
    SameUser,
}

/// What a run ends with.
type Ends = (i32, Verdict, &'static str);

/// An attack: the fake's mode, the cases that are tried, and what the last of them and the run end with, in a cell
/// and without.
struct Attack {
    mode: &'static str,
    cases: &'static [&'static str],
    /// More lines of the manifest.
    manifest: &'static str,
    /// More words of the command line.
    words: &'static [&'static str],
    ends: [Ends; 2],
}

const fn attack(mode: &'static str, case: &'static [&'static str], ends: Ends) -> Attack {
    Attack { mode, cases: case, manifest: "", words: &[], ends: [ends, ends] }
}

const REFUTED: i32 = 1;
/// Of a run of few cases, if they passed.
const INCOMPLETE: i32 = 3;

const FAILED: Ends = (REFUTED, Verdict::Fail, "the attack failed");
const SOUND: Ends = (INCOMPLETE, Verdict::Pass, "");
const ANOTHER: Ends = (REFUTED, Verdict::Crash, "another than at the run's first hello");

const fn fails(said: &'static str) -> Ends {
    (REFUTED, Verdict::Fail, said)
}

/// Changes the judge's files where it can.
const fn tampers(mode: &'static str, case: &'static [&'static str], said: &'static str) -> Attack {
    Attack { ends: [SOUND, (REFUTED, Verdict::Crash, said)], ..attack(mode, case, SOUND) }
}

const ATTACKS: &[Attack] = &[
    attack("true", &[READ], SOUND),
    attack("looks_for_the_seed", &[READ], FAILED),
    attack("looks_for_secrets", &[READ], FAILED),
    attack("traces_the_judge", &[READ], FAILED),
    attack("writes_as_the_judge", &[READ], FAILED),
    Attack {
        ends: [FAILED, (REFUTED, Verdict::Crash, "the judge was stopped by a signal")],
        ..attack("stops_the_judge", &[READ], FAILED)
    },
    attack("answers_by_pipe", &[READ], fails("no regular file")),
    attack("answers_without_end", &[READ], fails("reached by a link")),
    attack("answers_with_a_sparse_file", &[READ], fails("where at most")),
    attack("forward_by_pipe", &[FORWARD], fails("no regular file")),
    attack("generate_by_pipe", &[GENERATE], fails("no regular file")),
    attack("claims_all_memory", &[READ], fails("18446744073709551615")),
    Attack {
        words: &["--patience", "1", "--waiting", "4", "--jobs", "1"],
        ..attack("dawdles", &[READ, FRESH, GENERATE, WAITING], fails("expected at most 4"))
    },
    attack("aborts_at_bye", &["CONDUCT-001::with_a_model"], fails("SIGABRT")),
    attack("leaves_a_daemon", &["CONDUCT-002::with_a_model"], fails("1 (sleep)")),
    Attack {
        manifest: "memory_limit_mb: 150\n",
        ..attack(
            "child_eats_memory",
            &[READ],
            (REFUTED, Verdict::Crash, "more host memory than allowed"),
        )
    },
    attack("another_version", &[READ, FRESH], ANOTHER),
    attack("withdraws", &[READ, FRESH], ANOTHER),
    attack("odd_characters", &[READ], SOUND),
    Attack { manifest: "PRINTS", ..attack("true", &[PRINTED], fails("wrote")) },
    tampers("changes_its_file", &[READ], "is another than the judge has written"),
    tampers("puts_a_pipe", &[READ], "is a pipe"),
    tampers("puts_an_endless_link", &[READ], "is a link to /dev/zero"),
    tampers("puts_an_endless_file", &[READ], "is another than the judge has written"),
    tampers("moves_the_folder", &[READ], "is a link to"),
    tampers("puts_a_pipe", &[REWRITTEN], "is a pipe"),
    tampers("puts_an_endless_link", &[REWRITTEN], "is a link to /dev/zero"),
    tampers("moves_the_folder", &[REWRITTEN], "is a link to"),
];

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for way in [Way::Cell, Way::SameUser] {
        // In a cell the judge's files are not written to, whoever writes there again.
        let tried = |attack: &&Attack| way == Way::SameUser || attack.cases != [REWRITTEN];
        for attack in ATTACKS.iter().filter(tried) {
            let name = match (attack.cases, attack.manifest) {
                ([case], _) if *case == REWRITTEN => format!("rewritten/{}", attack.mode),
                (_, "PRINTS") => "prints_without_end".to_owned(),
                _ => attack.mode.to_owned(),
            };
            trials
                .push(Trial::test(format!("judged/{way:?}/{name}"), move || attacked(attack, way)));
        }
    }
    trials.push(Trial::test("judged/the_seed_that_was_given", given_seed));
    trials
}

fn attacked(attack: &Attack, way: Way) -> Result<(), Failed> {
    let Some(place) = Place::new(way)? else { return Ok(()) };
    let run = place.run(attack)?;
    let (code, verdict, said) = attack.ends[way as usize];
    let id = attack.cases.last().copied().unwrap_or_default();
    let case = run.report.record.cases.iter().find(|case| case.id == id).ok_or("no such case")?;
    if (run.code, case.verdict) != (Some(code), verdict) || !told(case)?.contains(said) {
        let found = (run.code, case, run.err);
        return Err(format!("expected {code}, {verdict:?}, {said:?}, found {found:?}").into());
    }
    same(run.report.verify(), vec![])?;
    let isolation = run.report.record.parts[0].isolation.as_ref().map(|it| it.level.as_str());
    same(isolation, Some(if way == Way::Cell { "namespaces" } else { "process" }))?;
    same(run.out.contains(FORGED), false)?;
    let junit = fs::read_to_string(place.at("out/run.junit.xml"))?;
    same(junit.contains(['\u{fffe}', '\u{0}', '\u{1b}']) || junit.contains(FORGED), false)?;
    place.is_tidy()
}

/// The same loader that finds no secret seed finds one that was given, where it can see the judge's files.
fn given_seed() -> Result<(), Failed> {
    let Some(place) = Place::new(Way::SameUser)? else { return Ok(()) };
    let words = &["--seed", "0x0123456789abcdef"];
    let run = place.run(&Attack { words, ..attack("looks_for_the_seed", &[READ], SOUND) })?;
    same((run.code, run.report.record.parts[0].seed_given), (Some(INCOMPLETE), true))
}

fn told(case: &CaseRecord) -> Result<String, Failed> {
    Ok(serde_json::to_string(case)?)
}

/// How a run ended.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
    report: Report,
}

/// A folder for one run: its reports, its temporary files and its loader's manifest.
struct Place {
    folder: tempfile::TempDir,
    way: Way,
}

impl Place {
    /// `None` where this machine does not allow it: that is said on stderr.
    fn new(way: Way) -> Result<Option<Place>, Failed> {
        let (judge, loader) = (judge(), std::env::current_exe()?);
        let why = match way {
            Way::Cell => {
                let found = find(Wanted::Namespaces, judge, false, &[]);
                (found.level() < Level::Namespaces).then_some(found.missing)
            }
            Way::SameUser => (getuid().is_root() && ![judge, &loader].iter().all(|it| is_open(it)))
                .then(|| "no other user can read this program".to_owned()),
        };
        if let Some(why) = why {
            eprintln!("not tried, {way:?}: {why}");
            return Ok(None);
        }
        let place = Place { folder: tempfile::tempdir()?, way };
        for folder in ["", "tmp", "out", "loader"] {
            let folder = place.at(folder);
            fs::create_dir_all(&folder)?;
            if place.user().is_some() {
                chown(&folder, place.user(), place.user())?;
            }
        }
        Ok(Some(place))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Root would give its loader another user.
    fn user(&self) -> Option<u32> {
        (self.way == Way::SameUser && getuid().is_root()).then_some(NOBODY)
    }

    fn manifest(&self, attack: &Attack) -> Result<PathBuf, Failed> {
        let exe = std::env::current_exe()?.display().to_string();
        let command = serde_json::to_string(&[&exe, "fake", attack.mode, "real"])?;
        let prefix = serde_json::to_string(&self.at("out/run"))?;
        let more = match attack.manifest {
            "PRINTS" => {
                let words = serde_json::to_string(&[&exe, "print"])?;
                format!("cli: {{inspect: {words}, validate: {words}}}\n")
            }
            more => more.to_owned(),
        };
        let path = self.at("loader/manifest.yaml");
        let text =
            format!("name: fake\ncommand: {command}\nenvironment: {{{PREFIX}: {prefix}}}\n{more}");
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Runs the judge to its end, and looks at its memory meanwhile.
    fn run(&self, attack: &Attack) -> Result<Ran, Failed> {
        let mut command = Command::new(judge());
        command.args(["certify", "--profile", "host", "--no-progress"]);
        command.args(["--isolation", if self.way == Way::Cell { "require" } else { "process" }]);
        command.arg("--loader").arg(self.manifest(attack)?).arg("--out").arg(self.at("out/run"));
        command.args(attack.cases.iter().flat_map(|case| ["--case", case]));
        command.args(attack.words);
        self.start(command)
    }

    fn start(&self, mut command: Command) -> Result<Ran, Failed> {
        let (out, err) = (self.at("stdout"), self.at("stderr"));
        command.current_dir(self.folder.path());
        command.env("TMPDIR", self.at("tmp")).env(SECRET, "hunter2").stdin(Stdio::null());
        command.stdout(fs::File::create(&out)?).stderr(fs::File::create(&err)?);
        if let Some(user) = self.user() {
            command.uid(user).gid(user);
        }
        let mut judge = command.spawn()?;
        let (code, peak) = watched(&mut judge)?;
        let (out, err) = (fs::read_to_string(out)?, fs::read_to_string(err)?);
        if peak > MEMORY {
            return Err(format!("the judge held {peak} bytes").into());
        }
        match Stored::read(&self.at("out/run.json")) {
            Ok(Stored::Report(report)) => Ok(Ran { code, out, err, report: *report }),
            other => Err(format!("no report: {other:?}: {err}").into()),
        }
    }

    /// Nothing is left: no process, no scratch, no lock.
    fn is_tidy(&self) -> Result<(), Failed> {
        let names = |folder: &str| -> Result<Vec<String>, Failed> {
            let entries = fs::read_dir(self.at(folder))?.flatten();
            let mut names: Vec<String> =
                entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            Ok(names)
        };
        same(names("tmp")?, vec![])?;
        same(
            names("out")?,
            ["run.journal.ndjson", "run.json", "run.junit.xml", "run.md"].map(Into::into).into(),
        )?;
        same(self.processes(), vec![])
    }

    /// Live processes that were started for this place.
    fn processes(&self) -> Vec<u32> {
        let mark = format!("TMPDIR={}", self.at("tmp").display());
        let of = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|one| one.starts_with(mark.as_bytes()))
        };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| of(pid) && super::lives(*pid)).collect()
    }
}

fn judge() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_weighbridge"))
}

/// Exit code and most memory of a judge, which is ended if it takes too long.
fn watched(judge: &mut Child) -> Result<(Option<i32>, u64), Failed> {
    let (began, mut peak) = (Instant::now(), 0);
    loop {
        peak = peak.max(memory::peak(judge.id()).unwrap_or(0));
        if let Some(status) = judge.try_wait()? {
            return Ok((status.code(), peak));
        }
        if began.elapsed() > TIME {
            judge.kill()?;
            judge.wait()?;
            return Err("the judge did not end".into());
        }
        sleep(Duration::from_millis(5));
    }
}

/// Whether every user can read a file and reach it.
fn is_open(file: &Path) -> bool {
    let has = |path: &Path, bits: u32| {
        fs::metadata(path).is_ok_and(|data| data.permissions().mode() & bits == bits)
    };
    has(file, 0o5) && file.ancestors().skip(1).all(|folder| has(folder, 0o1))
}
