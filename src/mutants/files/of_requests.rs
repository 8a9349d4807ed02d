//! Mutants that leave something behind of requests that others forget: refused ones, loads of documents and
//! seals, validations, passes that start a thread or write a file.

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::thread;

use nix::sys::mman::{MapFlags, ProtFlags, mmap};

use crate::contract::Loader;
use crate::contract::reply::Reply;
use crate::contract::request::{Format, Request};
use crate::loader::ReferenceLoader;
use crate::mutants::between::{Answer, Between, between};
use crate::mutants::mutant::Mutant;

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "descriptor-a-refused-request",
        lie: "keeps a descriptor of every forward pass and every generation that it refuses",
        seen_in: "error paths that skip the clean-up",
        needs_gpu: false,
        make: || between(After::new(|asked, answer| runs(asked) && answer.is_err(), open)),
    },
    Mutant {
        name: "memory-a-refused-request",
        lie: "keeps a MiB of every forward pass and every generation that it refuses",
        seen_in: "error paths that skip the clean-up",
        needs_gpu: false,
        make: || between(After::new(|asked, answer| runs(asked) && answer.is_err(), hold)),
    },
    Mutant {
        name: "memory-a-refused-load",
        lie: "keeps a MiB of every load that it refuses",
        seen_in: "error paths that skip the clean-up",
        needs_gpu: false,
        make: || between(After::new(|asked, answer| loads(asked) && answer.is_err(), hold)),
    },
    Mutant {
        name: "descriptor-a-seal",
        lie: "keeps the seal of every sealed load open",
        seen_in: "readers that hold a file for its map and forget it",
        needs_gpu: false,
        make: || between(After::new(|asked, _| sealed(asked), open)),
    },
    Mutant {
        name: "memory-a-seal",
        lie: "keeps a MiB of every sealed load",
        seen_in: "tables of digests that only grow",
        needs_gpu: false,
        make: || between(After::new(|asked, _| sealed(asked), hold)),
    },
    Mutant {
        name: "descriptor-a-validation",
        lie: "keeps the golden file of every validation open",
        seen_in: "readers that hold a file for its map and forget it",
        needs_gpu: false,
        make: || between(After::new(|asked, _| matches!(asked, Request::Validate(_)), open)),
    },
    Mutant {
        name: "memory-a-validation",
        lie: "keeps a MiB of every validation",
        seen_in: "golden values that are kept for a report",
        needs_gpu: false,
        make: || between(After::new(|asked, _| matches!(asked, Request::Validate(_)), hold)),
    },
    Mutant {
        name: "descriptor-a-document",
        lie: "keeps the configuration of every model that runs open",
        seen_in: "readers that hold a file for its map and forget it",
        needs_gpu: false,
        make: || between(After::new(|asked, _| documented(asked), open)),
    },
    Mutant {
        name: "memory-a-tokenizer",
        lie: "keeps a MiB of every tokenizer that it has loaded",
        seen_in: "tokenizers in a library of another language",
        needs_gpu: false,
        make: || between(After::new(|asked, _| tokenized(asked), hold)),
    },
    Mutant {
        name: "descriptor-an-apr-load",
        lie: "keeps every APR file that it has loaded open",
        seen_in: "importers beside the path that closes",
        needs_gpu: false,
        make: || between(After::new(|asked, _| of_format(asked, Format::Apr), open)),
    },
    Mutant {
        name: "memory-an-apr-load",
        lie: "keeps a MiB of every APR file that it has loaded",
        seen_in: "importers beside the path that frees",
        needs_gpu: false,
        make: || between(After::new(|asked, _| of_format(asked, Format::Apr), hold)),
    },
    Mutant {
        name: "thread-a-forward",
        lie: "starts a thread for every forward pass that never ends",
        seen_in: "pools that are made for each call",
        needs_gpu: false,
        make: || between(After::new(|asked, _| matches!(asked, Request::Forward(_)), start)),
    },
    Mutant {
        name: "thread-a-generation",
        lie: "starts a thread for every generation that never ends",
        seen_in: "streams of tokens that nobody reads to their end",
        needs_gpu: false,
        make: || between(After::new(|asked, _| matches!(asked, Request::Generate(_)), start)),
    },
    Mutant {
        name: "process-a-forward",
        lie: "starts a process for every forward pass and leaves it running",
        seen_in: "tokenizers with workers of their own",
        needs_gpu: false,
        make: || between(After::new(|asked, _| matches!(asked, Request::Forward(_)), work)),
    },
    Mutant {
        name: "file-a-forward",
        lie: "writes a temporary file at each forward pass and does not remove it",
        seen_in: "graphs that are dumped for debugging",
        needs_gpu: false,
        make: || between(After::new(|asked, _| matches!(asked, Request::Forward(_)), write)),
    },
    Mutant {
        name: "file-a-generation",
        lie: "writes a temporary file at each generation and does not remove it",
        seen_in: "servers that keep sequences on disk for a later turn",
        needs_gpu: false,
        make: || between(After::new(|asked, _| matches!(asked, Request::Generate(_)), write)),
    },
    Mutant {
        name: "file-beside-the-tokenizer",
        lie: "writes a parsed tokenizer beside the tokenizer that it loads",
        seen_in: "tokenizers that convert slow files to fast ones",
        needs_gpu: false,
        make: || between(BesideTokenizer),
    },
    Mutant {
        name: "map-a-load",
        lie: "keeps the file of every load mapped when its model is gone",
        seen_in: "tensors that keep the map of their file alive",
        needs_gpu: false,
        make: || between(Mapped),
    },
];

fn runs(asked: &Request) -> bool {
    matches!(asked, Request::Forward(_) | Request::Generate(_))
}

fn loads(asked: &Request) -> bool {
    matches!(asked, Request::Load(_))
}

fn sealed(asked: &Request) -> bool {
    matches!(asked, Request::Load(load) if load.seal.is_some())
}

fn documented(asked: &Request) -> bool {
    matches!(asked, Request::Load(load) if load.inference.is_some())
}

fn tokenized(asked: &Request) -> bool {
    let named = |load: &crate::contract::request::Load| {
        load.inference.as_ref().is_some_and(|inference| inference.tokenizer.is_some())
    };
    matches!(asked, Request::Load(load) if named(load))
}

fn of_format(asked: &Request, format: Format) -> bool {
    matches!(asked, Request::Load(load) if load.format == format)
}

/// What is kept for ever.
#[derive(Default)]
struct Kept {
    open: Vec<File>,
    bytes: Vec<Vec<u8>>,
}

/// Does something after some answers.
struct After {
    when: fn(&Request, &Answer) -> bool,
    what: fn(&mut Kept),
    kept: Kept,
}

impl After {
    fn new(when: fn(&Request, &Answer) -> bool, what: fn(&mut Kept)) -> After {
        After { when, what, kept: Kept::default() }
    }
}

impl Between for After {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let asked = request.clone();
        let answer = loader.answer(request);
        if (self.when)(&asked, &answer) {
            (self.what)(&mut self.kept);
        }
        answer
    }
}

fn open(kept: &mut Kept) {
    // Any file will do: the judge sees no more than that one is open.
    kept.open.extend(File::open("/dev/null"));
}

fn hold(kept: &mut Kept) {
    // Written, so that the kernel really gives it.
    kept.bytes.push(vec![1; 1 << 20]);
}

fn start(_kept: &mut Kept) {
    thread::spawn(|| {
        loop {
            thread::park();
        }
    });
}

fn work(_kept: &mut Kept) {
    let quiet = || Stdio::null();
    let child = Command::new("sleep").arg("600").stdin(quiet()).stdout(quiet()).spawn();
    std::mem::forget(child);
}

fn write(_kept: &mut Kept) {
    let name = format!("graph-{:016x}", rand::random::<u64>());
    let _written = fs::write(std::env::temp_dir().join(name), "graph");
}

struct BesideTokenizer;

impl Between for BesideTokenizer {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        if let Request::Load(load) = &request
            && let Some(path) = load.inference.as_ref().and_then(|all| all.tokenizer.as_ref())
        {
            // In a folder that is read-only there is no lie.
            let _written = fs::write(path.with_extension("cache"), "fast");
        }
        loader.answer(request)
    }
}

struct Mapped;

impl Between for Mapped {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let path = match &request {
            Request::Load(load) => Some(load.path.clone()),
            _ => None,
        };
        let reply = loader.answer(request)?;
        if let (Reply::Load(_), Some(file)) = (&reply, path.and_then(|path| File::open(path).ok()))
        {
            let (read, private) = (ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE);
            // SAFETY: the kernel chooses the place, and nothing reads the map.
            let _kept = unsafe { mmap(None, NonZeroUsize::MIN, read, private, &file, 0) };
        }
        Ok(reply)
    }
}
