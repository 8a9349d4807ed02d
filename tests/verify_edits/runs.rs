//! The runs whose reports are edited: the loader that `init python` writes, sound and with one fault.

#[path = "files.rs"]
pub mod files;

use std::fs;
use std::path::{Path, PathBuf};

use weighbridge::harness::record::{Report, Stored};

use super::program::weighbridge;

/// A run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Base {
    /// The sound loader earns a class.
    Earned,
    /// The faulty loader is refuted in one section of a profile, with a list of known failures.
    Refuted,
    /// The same, ended by the first refutation.
    Stopped,
    /// Two parts of a plan, merged.
    Parts,
}

impl Base {
    /// Every one.
    pub const ALL: [Base; 4] = [Base::Earned, Base::Refuted, Base::Stopped, Base::Parts];

    const fn name(self) -> &'static str {
        match self {
            Base::Earned => "earned",
            Base::Refuted => "refuted",
            Base::Stopped => "stopped",
            Base::Parts => "parts",
        }
    }
}

const KNOWN: &str = "- match: F-DTYPE-048\n  check: byte for byte\n  reason: BF16 comes out reversed\n  link: \
                     https://example.org/1\n  owner: weights team\n  until: 2999-12-31\n";

/// The reports of every run.
pub struct Runs {
    folder: tempfile::TempDir,
}

impl Runs {
    /// Makes these runs.
    pub fn new(wanted: &[Base]) -> Runs {
        let runs = Runs { folder: tempfile::tempdir().expect("a folder") };
        let (sound, faulty) = (runs.skeleton("sound"), runs.skeleton("faulty"));
        let loader = faulty.join("loader.py");
        let text = fs::read_to_string(&loader).expect("the loader");
        let right = "data[tensor.begin:tensor.end])";
        let wrong = "data[tensor.begin:tensor.end][::-1] if tensor.dtype == 'BF16' else \
                     data[tensor.begin:tensor.end])";
        assert!(text.contains(right), "{text}");
        fs::write(&loader, text.replace(right, wrong)).expect("writable");
        let known = runs.beside("known.yaml");
        fs::write(&known, KNOWN).expect("writable");
        for base in wanted {
            runs.make(*base, &sound, &faulty, &known);
        }
        runs
    }

    fn make(&self, base: Base, sound: &Path, faulty: &Path, known: &str) {
        let section = |more: &[&'static str]| -> Vec<&'static str> {
            [&["--profile", "host", "--section", "V"][..], more].concat()
        };
        match base {
            // Its seed is secret until its end.
            Base::Earned => self.run(sound, "earned", &["--class", "weights-host"], 0),
            Base::Refuted => {
                let words: Vec<&str> = [&section(&[])[..], &["--known", known]].concat();
                self.certify(faulty, "refuted", &words, 1);
            }
            Base::Stopped => self.certify(faulty, "stopped", &section(&["--fail-fast"]), 1),
            Base::Parts => {
                self.certify(sound, "first", &section(&["--shard", "1/2"]), 3);
                self.certify(sound, "second", &section(&["--shard", "2/2"]), 3);
                let (first, second) = (self.beside("first.json"), self.beside("second.json"));
                let words = ["merge", &first, &second, "--out", &self.beside("parts")];
                let merged = weighbridge(&words);
                assert_eq!(merged.code, Some(3), "{}{}", merged.out, merged.err);
            }
        }
    }

    fn skeleton(&self, name: &str) -> PathBuf {
        let into = self.folder.path().join(name);
        let written = weighbridge(&["init", "python", &into.display().to_string()]);
        assert_eq!(written.code, Some(0), "{}", written.err);
        into
    }

    fn certify(&self, loader: &Path, name: &str, words: &[&str], code: i32) {
        self.run(loader, name, &[&["--seed", "7"], words].concat(), code);
    }

    fn run(&self, loader: &Path, name: &str, words: &[&str], code: i32) {
        let (manifest, out) = (loader.join("manifest.yaml"), self.beside(name));
        let manifest = manifest.display().to_string();
        let plain = ["certify", "--loader", &manifest, "--out", &out];
        let ran = weighbridge(&[&plain[..], &["--jobs", "2", "--no-progress"], words].concat());
        assert_eq!(ran.code, Some(code), "{name}: {}{}", ran.out, ran.err);
    }

    /// The path of a file in the folder of the runs.
    pub fn beside(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The path of a run's report.
    pub fn path(&self, base: Base) -> String {
        self.beside(&format!("{}.json", base.name()))
    }

    /// A run's report.
    pub fn report(&self, base: Base) -> Report {
        match Stored::read(self.path(base).as_ref()).expect("a report") {
            Stored::Report(report) => *report,
            other => panic!("no report: {other:?}"),
        }
    }

    /// A run's journal.
    pub fn journal(&self, base: Base) -> String {
        let path = self.beside(&format!("{}.journal.ndjson", base.name()));
        fs::read_to_string(path).expect("a journal")
    }
}
