//! Other loaders. Each is a long-lived process, so that its rounds can alternate with those of the
//! bundled loader.

use std::path::PathBuf;

use super::figures::Missing;
use super::peer::{LOADERS, Peer, Python, other, own_seconds};
use super::place::{Place, usual_folder};
use super::truth::Truth;
use crate::contract::Device;
use crate::contract::reply::{Loaded, Reply};
use crate::contract::request::{Load, Read, Request, Unload};
use crate::harness::scratch::Scratch;

/// A loader that can be measured.
#[derive(Debug)]
pub struct Known {
    /// Its name on the command line.
    pub name: &'static str,
    /// For each of its arms: the name for the adapter, and how the bytes are moved.
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
    /// Whether it was named on the command line, not added by `--peers`.
    asked: bool,
}

impl Wanted {
    /// Every peer, from Python's own search path.
    pub fn all() -> Vec<Wanted> {
        (0..ALL.len()).map(|at| Wanted { at, folder: None, asked: false }).collect()
    }

    /// Whether both have the same name.
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

/// A running loader.
pub struct Other {
    /// Its arm's name, with its version.
    pub name: String,
    /// How the bytes are moved.
    pub how: &'static str,
    peer: Peer,
    /// In memory if there is such a folder, because writing to a disk would slow down the next
    /// timed load.
    memory: Scratch,
}

/// Starts the arms of a peer. Those that cannot be started go to `missing` with the reason.
pub fn start(
    wanted: &Wanted,
    device: Device,
    python: Python<'_>,
    missing: &mut Vec<Missing>,
) -> Vec<Other> {
    let mut running = Vec::new();
    let python = Python { folder: wanted.folder.as_deref(), ..python };
    for (name, how) in ALL[wanted.at].arms {
        match Other::start(name, how, device, python) {
            Ok(other) => running.push(other),
            Err(why) => {
                missing.push(Missing { name: (*name).to_owned(), why, asked: wanted.asked })
            }
        }
    }
    running
}

impl Other {
    fn start(
        name: &str,
        how: &'static str,
        device: Device,
        python: Python<'_>,
    ) -> Result<Other, String> {
        let peer = Peer::start(LOADERS, &[name, &device.to_string()], python)?;
        let memory = Scratch::new_in(&usual_folder()).map_err(|error| error.to_string())?;
        Ok(Other { name: format!("{name} {}", peer.hello.version), how, peer, memory })
    }

    /// One load. Returns its seconds, if the tensors on the device are those of the file.
    ///
    /// # Errors
    /// Why the load failed, or how the result differs from the file.
    pub fn load(&mut self, place: &Place, truth: &Truth, device: Device) -> Result<f64, String> {
        self.try_load(place, truth, device).map_err(|why| place.without_folders(&why))
    }

    fn try_load(&mut self, place: &Place, truth: &Truth, device: Device) -> Result<f64, String> {
        let loaded = self.peer.ask(Request::Load(Load::plain(&place.file, device)))?;
        let (Reply::Load(loaded), trip) = loaded else { return Err(other(&loaded.0)) };
        let seconds = own_seconds(loaded.times.as_ref().map(|times| times.sum_us()), trip)?;
        check(&loaded, truth, device)?;
        let into = self.memory.path().join("read-back.safetensors");
        self.peer.ask(Request::Read(Read {
            handle: loaded.handle,
            into: into.clone(),
            rank: None,
        }))?;
        truth.holds_of(&into)?;
        std::fs::remove_file(&into).map_err(|error| error.to_string())?;
        self.peer.ask(Request::Unload(Unload { handle: loaded.handle }))?;
        Ok(seconds)
    }
}

/// Compares the reply with what is known of the file.
fn check(loaded: &Loaded, truth: &Truth, device: Device) -> Result<(), String> {
    if loaded.device != device {
        return Err(format!("left the tensors on {}", loaded.device));
    }
    let bytes: u64 = loaded.tensors.iter().map(|tensor| tensor.bytes).sum();
    let tensors = loaded.tensors.len() as u64;
    if (bytes, tensors) == (truth.data_bytes, truth.tensors) {
        return Ok(());
    }
    Err(format!(
        "left {tensors} tensors of {bytes} bytes, the file has {} of {}",
        truth.tensors, truth.data_bytes
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_adapter_knows_every_arm() {
        for (name, _) in ALL.iter().flat_map(|known| known.arms) {
            assert!(LOADERS.1.contains(&format!("    \"{name}\": (")), "{name}");
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
}
