//! Mutants that leave something behind: a descriptor, a thread, a file beside the weights.

use std::fs::{self, File};
use std::path::Path;
use std::thread;

use crate::contract::Loader;
use crate::contract::request::{Format, Request};
use crate::loader::ReferenceLoader;
use crate::mutants::between::{Answer, Between, between};
use crate::mutants::mutant::Mutant;

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "descriptor-a-load",
        lie: "keeps the file of every load open",
        seen_in: "readers that hold a file for its map and forget it",
        needs_gpu: false,
        make: || between(Left::at_every_load(|left, path| left.open.extend(File::open(path)))),
    },
    Mutant {
        name: "descriptor-a-refusal",
        lie: "keeps the file of every refused load open",
        seen_in: "error paths that skip the clean-up",
        needs_gpu: false,
        make: || {
            let open = |left: &mut Left, path: &Path| left.open.extend(File::open(path));
            between(Left { refused: true, ..Left::at_every_load(open) })
        },
    },
    Mutant {
        name: "thread-a-load",
        lie: "starts a thread at every load that never ends",
        seen_in: "pools that are made for each call",
        needs_gpu: false,
        make: || {
            between(Left::at_every_load(|_, _| {
                thread::spawn(|| {
                    loop {
                        thread::park();
                    }
                });
            }))
        },
    },
    Mutant {
        name: "lock-beside-the-weights",
        lie: "leaves a lock file beside the weights",
        seen_in: "download tools",
        needs_gpu: false,
        make: || {
            between(Left::at_every_load(|_, path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                // In a folder that is read-only there is no lie.
                let _ = fs::write(path.with_file_name(format!(".{name}.lock")), "");
            }))
        },
    },
    Mutant {
        name: "cache-beside-the-weights",
        lie: "writes a folder with the parsed header beside the weights",
        seen_in: "readers that speed up the next start",
        needs_gpu: false,
        make: || {
            between(Left::at_every_load(|_, path| {
                let folder = path.with_file_name("__cache__");
                let _ =
                    fs::create_dir(&folder).and_then(|()| fs::write(folder.join("header"), "1"));
            }))
        },
    },
    Mutant {
        name: "file-touched",
        lie: "sets the time of the file that it loads, to know later when it was used",
        seen_in: "caches that remove what was used least",
        needs_gpu: false,
        make: || {
            between(Left::at_every_load(|_, path| {
                let file = File::options().append(true).open(path);
                let _ = file.and_then(|file| file.set_modified(std::time::SystemTime::now()));
            }))
        },
    },
    Mutant {
        name: "memory-a-forward",
        lie: "keeps a MiB of every forward pass",
        seen_in: "graphs that are recorded for every call",
        needs_gpu: false,
        make: || between(Hoard::of(|asked| matches!(asked, Request::Forward(_)))),
    },
    Mutant {
        name: "memory-a-generation",
        lie: "keeps the cache of every generation",
        seen_in: "servers that keep sequences for a later turn",
        needs_gpu: false,
        make: || between(Hoard::of(|asked| matches!(asked, Request::Generate(_)))),
    },
    Mutant {
        name: "memory-a-read",
        lie: "keeps a copy of what it writes back",
        seen_in: "buffers that only grow",
        needs_gpu: false,
        make: || between(Hoard::of(|asked| matches!(asked, Request::Read(_)))),
    },
    Mutant {
        name: "memory-a-gguf-load",
        lie: "does not free the blocks that it unpacked of a GGUF file",
        seen_in: "importers beside the path that frees",
        needs_gpu: false,
        make: || {
            between(Hoard::of(
                |asked| matches!(asked, Request::Load(load) if load.format == Format::Gguf),
            ))
        },
    },
    Mutant {
        name: "memory-a-sharded-load",
        lie: "frees the first of several files at the unload, and keeps a part of the others",
        seen_in: "owners of a list that free its head",
        needs_gpu: false,
        make: || {
            between(Hoard::of(|asked| {
                let index = |path: &Path| path.extension().is_some_and(|end| end == "json");
                matches!(asked, Request::Load(load) if index(&load.path))
            }))
        },
    },
    Mutant {
        name: "descriptor-a-forward",
        lie: "opens the input's file of every forward pass once more, and keeps it open",
        seen_in: "readers that map a file and forget it",
        needs_gpu: false,
        make: || between(Opener(|asked| matches!(asked, Request::Forward(_)), Vec::new())),
    },
    Mutant {
        name: "descriptor-a-generation",
        lie: "opens a file for the log of every generation, and keeps it open",
        seen_in: "servers that log every request to a file of its own",
        needs_gpu: false,
        make: || between(Opener(|asked| matches!(asked, Request::Generate(_)), Vec::new())),
    },
    Mutant {
        name: "descriptor-a-read",
        lie: "keeps every file open that it writes back",
        seen_in: "writers that are flushed and not closed",
        needs_gpu: false,
        make: || between(Opener(|asked| matches!(asked, Request::Read(_)), Vec::new())),
    },
    Mutant {
        name: "input-removed",
        lie: "removes the input's file after it was read",
        seen_in: "servers that clean up the uploads they were given",
        needs_gpu: false,
        make: || between(InputRemoved),
    },
];

/// What is done at a load, and what is held for ever.
struct Left {
    what: fn(&mut Left, &Path),
    /// Whether it is done at a load that is refused, and else at one that is not.
    refused: bool,
    open: Vec<File>,
}

impl Left {
    fn at_every_load(what: fn(&mut Left, &Path)) -> Left {
        Left { what, refused: false, open: Vec::new() }
    }
}

impl Between for Left {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let Request::Load(load) = &request else { return loader.answer(request) };
        let path = load.path.clone();
        let answer = loader.answer(request);
        if answer.is_err() == self.refused {
            (self.what)(self, &path);
        }
        answer
    }
}

/// Bytes that are kept of a request.
const SHARE: usize = 1 << 20;

/// Keeps memory of some requests.
struct Hoard {
    of: fn(&Request) -> bool,
    kept: Vec<Vec<u8>>,
}

impl Hoard {
    fn of(of: fn(&Request) -> bool) -> Hoard {
        Hoard { of, kept: Vec::new() }
    }
}

impl Between for Hoard {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        if (self.of)(&request) {
            // Written, so that the kernel really gives it.
            self.kept.push(vec![1; SHARE]);
        }
        loader.answer(request)
    }
}

/// Keeps a descriptor of some requests.
struct Opener(fn(&Request) -> bool, Vec<File>);

impl Between for Opener {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        if (self.0)(&request) {
            // Any file will do: the judge sees no more than that one is open.
            self.1.extend(File::open("/dev/null"));
        }
        loader.answer(request)
    }
}

struct InputRemoved;

impl Between for InputRemoved {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let input = match &request {
            Request::Forward(asked) => match &asked.input {
                crate::contract::inference::Input::File(path) => Some(path.clone()),
                crate::contract::inference::Input::Texts(_) => None,
            },
            _ => None,
        };
        let answer = loader.answer(request);
        // In a folder that is read-only there is no lie.
        input.iter().for_each(|path| drop(fs::remove_file(path)));
        answer
    }
}
