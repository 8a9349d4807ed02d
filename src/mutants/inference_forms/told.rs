//! Mutants whose answer is right, and which tell something wrong about it.

use crate::contract::Loader;
use crate::contract::reply::Reply;
use crate::contract::request::Request;
use crate::loader::ReferenceLoader;
use crate::mutants::between::{Answer, Between, between};
use crate::mutants::mutant::Mutant;

/// The mutants of this file.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "sizes-of-values",
        lie: "tells of a file's size without its header",
        seen_in: "sizes that are computed from a shape",
        needs_gpu: false,
        make: || between(Told(sizes)),
    },
    Mutant {
        name: "time-in-nanoseconds",
        lie: "tells of nanoseconds where microseconds are asked for",
        seen_in: "clocks of another unit",
        needs_gpu: false,
        make: || between(Told(times)),
    },
    Mutant {
        name: "difference-elsewhere",
        lie: "tells of the place behind the one where a golden differs most",
        seen_in: "indices that begin with one",
        needs_gpu: false,
        make: || {
            between(Told(|reply| {
                if let Reply::Validate(validated) = reply {
                    validated.index += 1;
                }
            }))
        },
    },
];

/// Changes what a reply tells.
struct Told(fn(&mut Reply));

impl Between for Told {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let mut reply = loader.answer(request)?;
        (self.0)(&mut reply);
        Ok(reply)
    }
}

fn sizes(reply: &mut Reply) {
    let written = match reply {
        Reply::Read(written) => Some(written),
        Reply::Forward(forwarded) => Some(&mut forwarded.written),
        Reply::Generate(generated) => generated.written.as_mut(),
        _ => None,
    };
    if let Some(written) = written {
        written.bytes -= written.bytes.min(96);
    }
}

fn times(reply: &mut Reply) {
    let elapsed = match reply {
        Reply::Forward(forwarded) => forwarded.elapsed_us.as_mut(),
        Reply::Generate(generated) => generated.elapsed_us.as_mut(),
        _ => None,
    };
    if let Some(elapsed) = elapsed {
        *elapsed *= 1000;
    }
}
