//! Other loaders, each a long-lived Python process that is asked to load, so that their rounds can
//! stand between our own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::child::Conversation;
use super::figures::Missing;
use super::place::Place;
use super::truth::Truth;
use crate::contract::Device;

/// What every peer runs.
const SCRIPT: &str = include_str!("peers.py");

/// A loader that can be asked.
#[derive(Debug)]
pub struct Known {
    /// Its name on the command line.
    pub name: &'static str,
    /// Name for the script, and how bytes travel, for each of its arms.
    arms: &'static [(&'static str, &'static str)],
}

/// Every peer there is.
pub const ALL: [Known; 5] = [
    Known {
        name: "safetensors",
        arms: &[(
            "safetensors",
            "load_file: one thread, mapped file, pinned copy of each tensor, blocking copies",
        )],
    },
    Known {
        name: "safetensors-prefetch",
        arms: &[(
            "safetensors-prefetch",
            "prefetch(threads=16), backend=pread: read into a pinned pool, asynchronous copies",
        )],
    },
    Known {
        name: "fastsafetensors",
        arms: &[(
            "fastsafetensors",
            "nogds, 16 threads: read into pinned buffers of 16 MiB, synchronous copies",
        )],
    },
    Known {
        name: "runai",
        arms: &[(
            "runai",
            "16 threads read into host memory, then a pinned copy of each tensor, then the device",
        )],
    },
    Known {
        name: "instanttensor",
        arms: &[
            (
                "instanttensor",
                "copy=True (default): mapped on memory file systems, else buffered reads; pinned \
                 ring, asynchronous copies, then a copy of each tensor on the device",
            ),
            (
                "instanttensor-views",
                "copy=False: as above without the copy on the device, into a buffer of the \
                 model's size, so that all tensors are held at the end",
            ),
        ],
    },
];

/// A peer as it was typed: `NAME` or `NAME@FOLDER`.
#[derive(Clone, Debug)]
pub struct Wanted {
    at: usize,
    folder: Option<PathBuf>,
    /// By name, not with all others.
    asked: bool,
}

impl Wanted {
    /// Every peer, from where Python looks anyway.
    pub fn all() -> Vec<Wanted> {
        (0..ALL.len()).map(|at| Wanted { at, folder: None, asked: false }).collect()
    }

    /// Whether both are of one name.
    pub fn is_same(&self, other: &Wanted) -> bool {
        self.at == other.at
    }
}

impl std::str::FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, folder) = match text.split_once('@') {
            Some((name, folder)) => (name, Some(PathBuf::from(folder))),
            None => (text, None),
        };
        if let Some(folder) = folder.as_ref().filter(|folder| !folder.is_dir()) {
            return Err(format!("{}: no such folder", folder.display()));
        }
        let at = ALL.iter().position(|known| known.name == name).ok_or_else(|| {
            let all: Vec<&str> = ALL.iter().map(|known| known.name).collect();
            format!("unknown peer: {name} (there are: {})", all.join(", "))
        })?;
        Ok(Wanted { at, folder, asked: true })
    }
}

/// A peer that runs.
pub struct Peer {
    /// Its arm's name, with its version.
    pub name: String,
    /// How bytes travel.
    pub how: &'static str,
    talk: Conversation,
}

/// What the script says first.
#[derive(Deserialize)]
#[serde(untagged)]
enum Greeting {
    Here { version: String, torch: String },
    Missing { missing: String },
    Failed { error: String },
}

/// What it says of a load.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Done { seconds: f64, bytes: u64, tensors: u64, device: String, checksum: u64 },
    Failed { error: String },
}

/// Starts the arms of a peer; those that cannot be had are listed with the reason.
pub fn start(
    wanted: &Wanted,
    python: &Path,
    device: Device,
    patience: Duration,
    missing: &mut Vec<Missing>,
) -> Vec<Peer> {
    let mut running = Vec::new();
    for (name, how) in ALL[wanted.at].arms {
        match begin(name, wanted.folder.as_deref(), python, device, patience) {
            Ok((talk, version)) => {
                running.push(Peer { name: format!("{name} {version}"), how, talk });
            }
            Err(why) => {
                missing.push(Missing { name: (*name).to_owned(), why, asked: wanted.asked })
            }
        }
    }
    running
}

fn begin(
    name: &str,
    folder: Option<&Path>,
    python: &Path,
    device: Device,
    patience: Duration,
) -> Result<(Conversation, String), String> {
    let device = device.to_string();
    let arguments = ["-c", SCRIPT, name, &device];
    let mut talk = Conversation::start(python, &arguments, folder, patience)?;
    match talk.hear()? {
        Greeting::Here { version, torch } => Ok((talk, format!("{version} (torch {torch})"))),
        Greeting::Missing { missing } => Err(format!("not installed: {missing}")),
        Greeting::Failed { error } => Err(error),
    }
}

impl Peer {
    /// One load; returns its seconds, if what it left on the device is the file.
    ///
    /// # Errors
    /// Why there is no such figure.
    pub fn load(&mut self, place: &Place, truth: &Truth, device: Device) -> Result<f64, String> {
        let path = place.file.display().to_string();
        if path.contains('\n') {
            return Err("a path with a line break cannot be asked for".to_owned());
        }
        let answer = self.talk.ask(&format!("load {path}"));
        match answer.map_err(|why| place.without_folders(&why))? {
            Answer::Failed { error } => Err(place.without_folders(&error)),
            Answer::Done { seconds, bytes, tensors, device: at, checksum } => {
                if !(seconds.is_finite() && seconds > 0.0) {
                    return Err(format!("says that it took {seconds} s"));
                }
                if at != device.to_string() {
                    return Err(format!("left the tensors on {at}"));
                }
                if (bytes, tensors) != (truth.data_bytes, truth.tensors) {
                    return Err(format!(
                        "left {tensors} tensors of {bytes} bytes, the file has {} of {}",
                        truth.tensors, truth.data_bytes
                    ));
                }
                if checksum != truth.checksum {
                    return Err(format!(
                        "checksum differs: {checksum} on the device, {} in the file",
                        truth.checksum
                    ));
                }
                Ok(seconds)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_knows_every_arm() {
        for (name, _) in ALL.iter().flat_map(|known| known.arms) {
            assert!(SCRIPT.contains(&format!("    \"{name}\": (")), "{name}");
        }
    }

    #[test]
    fn names_are_checked() {
        assert!("instanttensor".parse::<Wanted>().is_ok());
        assert!("safetensors@/".parse::<Wanted>().is_ok_and(|wanted| wanted.folder.is_some()));
        let why = "safetensor".parse::<Wanted>().unwrap_err();
        assert!(why.contains("unknown peer: safetensor (") && why.contains("runai"), "{why}");
        assert!("runai@/no/such".parse::<Wanted>().unwrap_err().contains("no such folder"));
    }

    /// A stand-in for Python that answers each load with `answer`.
    fn fake(answer: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("python");
        let text = format!(
            "#!/bin/sh\necho '{{\"version\": \"1\", \"torch\": \"2\"}}'\n\
             while read line; do {answer}; done\n"
        );
        std::fs::write(&program, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        (folder, program)
    }

    /// What a load by such a peer comes to.
    fn load_by(answer: &str, patience: u64) -> Result<f64, String> {
        let (_folder, program) = fake(answer);
        let place = Place::new(&std::env::temp_dir()).unwrap_or_else(|stop| panic!("{stop:?}"));
        let truth = Truth {
            bytes: 100,
            data_bytes: 6,
            tensors: 2,
            checksum: 1_234,
            written: String::new(),
        };
        let (wanted, mut missing) = ("runai".parse().unwrap(), Vec::new());
        let patience = Duration::from_secs(patience);
        let mut peers = start(&wanted, &program, Device::Cpu, patience, &mut missing);
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!(peers[0].name, "runai 1 (torch 2)");
        peers[0].load(&place, &truth, Device::Cpu)
    }

    fn done(bytes: u64, tensors: u64, device: &str, checksum: u64, seconds: &str) -> String {
        format!(
            "echo '{{\"seconds\": {seconds}, \"bytes\": {bytes}, \"tensors\": {tensors}, \
             \"device\": \"{device}\", \"checksum\": {checksum}}}'"
        )
    }

    #[test]
    fn a_load_counts_only_where_the_file_arrived() {
        assert_eq!(load_by(&done(6, 2, "cpu", 1_234, "0.5"), 20), Ok(0.5));
        for (answer, word) in [
            (done(6, 2, "cpu", 1_235, "0.5"), "checksum differs"),
            (done(5, 2, "cpu", 1_234, "0.5"), "2 tensors of 5 bytes"),
            (done(6, 1, "cpu", 1_234, "0.5"), "1 tensors of 6 bytes"),
            (done(6, 2, "cuda:0", 1_234, "0.5"), "on cuda:0"),
            (done(6, 2, "cpu", 1_234, "0"), "took 0 s"),
            (done(6, 2, "cpu", 1_234, "-1"), "took -1 s"),
            ("echo '{\"error\": \"RuntimeError: no room\"}'".to_owned(), "no room"),
            ("echo '{\"seconds\": 0.5}'".to_owned(), "something else"),
            ("echo it broke >&2; exit 7".to_owned(), "it broke"),
            ("kill -SEGV $$".to_owned(), "SIGSEGV"),
        ] {
            let why = load_by(&answer, 20).unwrap_err();
            assert!(why.contains(word), "{answer}: {why}");
        }
        let why = load_by("sleep 60", 1).unwrap_err();
        assert!(why.contains("within 1 seconds"), "{why}");
    }
}
