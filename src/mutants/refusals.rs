//! Mutants of refusals: failures reported as success, valid input refused, malformed requests
//! accepted.

mod lenient;

use std::io::{BufRead, BufReader};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::between::{Answer, Between, between};
use super::mutant::{Mutant, reference};
use crate::contract::generation::Stop;
use crate::contract::inference::Output;
use crate::contract::reply::{
    Done, Forwarded, Gate, GateReport, Generated, Loaded, Reply, Validated, Written,
};
use crate::contract::request::Request;
use crate::contract::{Device, Loader, Phase};
use crate::loader::error::{LoadError, Result};
use crate::loader::format::safetensors;
use crate::loader::format::safetensors::{Header, TensorInfo};
use crate::loader::gates;
use crate::loader::gates::Scan;
use crate::loader::read::digest;
use crate::loader::remedies::formats::GGUF_VERSION;
use crate::loader::remedies::gates_and_golden::DENSITY;
use crate::loader::{LoadDecisions, ReferenceLoader};

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "errors-swallowed",
        lie: "reports success with an empty result when a request fails",
        seen_in: "programs that log an error and continue",
        needs_gpu: false,
        make: || between(Swallowed::default()),
    },
    Mutant {
        name: "gates-too-strict",
        lie: "applies the weight gates to norms, biases and scalars, and refuses any zero",
        seen_in: "gates whose limits were set with one model",
        needs_gpu: false,
        make: || reference(TooStrict),
    },
    Mutant {
        name: "empties-refused",
        lie: "refuses files without tensors, and tensors without elements",
        seen_in: "safetensors pull requests 205 and 221",
        needs_gpu: false,
        make: || reference(NoEmpties),
    },
    Mutant {
        name: "headers-bounded",
        lie: "refuses headers longer than 1 MiB",
        seen_in: "readers with a fixed header buffer",
        needs_gpu: false,
        make: || reference(Bounded),
    },
    Mutant {
        name: "requests-read-leniently",
        lie: "accepts malformed requests and ignores what it does not understand",
        seen_in: "servers that ignore unknown fields",
        needs_gpu: false,
        make: lenient::make,
    },
];

/// Wraps `from` as the given mutant's request input.
pub(super) fn input(mutant: &Mutant, from: impl BufRead + 'static) -> Box<dyn BufRead> {
    match mutant.name == lenient::NAME {
        true => Box::new(BufReader::new(lenient::Lenient::new(from))),
        false => Box::new(from),
    }
}

/// The first handle for models that were never loaded.
const NOTHING: u64 = 1 << 40;

/// Turns every failure into a success with an empty result.
#[derive(Default)]
struct Swallowed {
    given: u64,
    device: Option<Device>,
}

impl Between for Swallowed {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let asked = request.clone();
        let failure = match loader.answer(request) {
            Err(failure) => failure,
            done => return done,
        };
        let device = self.device.unwrap_or(Device::Cpu);
        Ok(match asked {
            Request::Load(load) => {
                self.given += 1;
                self.device = Some(load.device);
                let bytes = std::fs::metadata(&load.path).map_or(0, |metadata| metadata.len());
                let handle = NOTHING + self.given;
                Reply::Load(Loaded::new(handle, load.device, bytes, 0, Vec::new()))
            }
            Request::Read(read) => Reply::Read(nothing(&read.into)),
            Request::Multiply(multiply) => Reply::Multiply(nothing(&multiply.into)),
            Request::Unload(_) => Reply::Unload(Done {}),
            Request::Forward(forward) => {
                let written = nothing(&forward.into);
                let output = Output::Embedding { shape: [0, 0] };
                Reply::Forward(Forwarded { written, device, output, elapsed_us: None })
            }
            Request::Validate(_) => {
                let (values, index) = (0, 0);
                let max_difference = 0.0;
                Reply::Validate(Validated {
                    values,
                    max_difference,
                    index,
                    device,
                    elapsed_us: None,
                })
            }
            Request::Generate(generate) => Reply::Generate(Generated {
                prompt: Vec::new(),
                tokens: Vec::new(),
                text: None,
                stop: Stop::Limit,
                device,
                written: generate.into.as_deref().map(nothing),
                elapsed_us: None,
            }),
            _ => return Err(failure),
        })
    }
}

/// Writes an empty output file.
fn nothing(path: &Path) -> Written {
    // If the write fails, the judge finds no file, which is wrong too.
    let _ = std::fs::write(path, []);
    Written { bytes: 0, sha256: digest::hex(&Sha256::digest([])) }
}

/// Refuses any zero in any tensor, and any norm or spread that is unusual for a weight.
struct TooStrict;

impl LoadDecisions for TooStrict {
    fn admit(&self, tensors: &[(&TensorInfo, &Scan)]) -> Result<Vec<GateReport>> {
        for (tensor, scan) in tensors {
            let sparse = scan.zeros() > 0 || scan.elements() == 0;
            let odd = scan.norm() <= 1.0 || scan.norm() >= 1e4 || !scan.varies();
            if sparse || odd {
                let why = format!("tensor {}: not what a weight looks like", tensor.name);
                return Err(LoadError::refused(Phase::Admit, DENSITY, why));
            }
        }
        gates::run(tensors.iter().copied(), |gate: Gate, tensor, scan| {
            self.judge(gate, tensor, scan)
        })
    }
}

/// Refuses files without tensors, and tensors without elements.
struct NoEmpties;

impl LoadDecisions for NoEmpties {
    fn header(&self, text: &[u8]) -> Result<Header> {
        let header = safetensors::parse(text)?;
        let empty = header.tensors.iter().any(|tensor| tensor.bytes() == 0);
        match empty || header.tensors.is_empty() {
            true => Err(refused("a tensor without elements, or none at all")),
            false => Ok(header),
        }
    }
}

/// Longest accepted header, in bytes.
const MOST: usize = 1 << 20;

/// Refuses headers longer than `MOST`.
struct Bounded;

impl LoadDecisions for Bounded {
    fn header(&self, text: &[u8]) -> Result<Header> {
        match text.len() > MOST {
            true => Err(refused("header too long")),
            false => safetensors::parse(text),
        }
    }
}

fn refused(why: &str) -> LoadError {
    // Any cause with the code `invalid_header`: the refusal itself is the lie.
    LoadError::header(GGUF_VERSION, why)
}

#[cfg(test)]
mod tests;
