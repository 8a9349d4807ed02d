//! Lies about refusing: what cannot be done is said to be done, what is sound is turned away, and a request
//! is read as it suits.

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
use crate::contract::{Code, Device, Loader, Phase};
use crate::loader::error::{LoadError, Result};
use crate::loader::format::safetensors;
use crate::loader::format::safetensors::{Header, TensorInfo};
use crate::loader::gates;
use crate::loader::gates::Scan;
use crate::loader::read::digest;
use crate::loader::{LoadDecisions, ReferenceLoader};

/// These mutants.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "errors-swallowed",
        lie: "says that all went well where it did not, and has nothing to show",
        seen_in: "programs that log an error and go on",
        needs_gpu: false,
        make: || between(Swallowed::default()),
    },
    Mutant {
        name: "gates-too-strict",
        lie: "holds norms, biases and scalars to what is wanted of weights, and takes one zero for many",
        seen_in: "gates whose limits were set on one model",
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
        lie: "refuses headers beyond a size of its own",
        seen_in: "readers with a buffer for the header",
        needs_gpu: false,
        make: || reference(Bounded),
    },
    Mutant {
        name: "requests-read-leniently",
        lie: "reads what it knows of a request and does not mind the rest",
        seen_in: "servers that ignore fields they do not know",
        needs_gpu: false,
        make: lenient::make,
    },
];

/// What a mutant reads its requests from, given where they come from.
pub(super) fn input(mutant: &Mutant, from: impl BufRead + 'static) -> Box<dyn BufRead> {
    match mutant.name == lenient::NAME {
        true => Box::new(BufReader::new(lenient::Lenient::new(from))),
        false => Box::new(from),
    }
}

/// Handles of models that were never loaded begin here.
const NOTHING: u64 = 1 << 40;

/// Every failure made a success without content.
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

/// An empty file where results were wanted.
fn nothing(path: &Path) -> Written {
    // Where it cannot be written, the judge finds no file, which is as false.
    let _ = std::fs::write(path, []);
    Written { bytes: 0, sha256: digest::hex(&Sha256::digest([])) }
}

/// No zero at all, in whatever tensor, and a norm like that of weights.
struct TooStrict;

impl LoadDecisions for TooStrict {
    fn admit(&self, tensors: &[(&TensorInfo, &Scan)]) -> Result<Vec<GateReport>> {
        for (tensor, scan) in tensors {
            let sparse = scan.zeros() > 0 || scan.elements() == 0;
            let odd = scan.norm() <= 1.0 || scan.norm() >= 1e4 || !scan.varies();
            if sparse || odd {
                let why = format!("tensor {}: not what a weight looks like", tensor.name);
                return Err(LoadError::refused(Phase::Admit, Code::Density, why));
            }
        }
        gates::run(tensors.iter().copied(), |gate: Gate, tensor, scan| {
            self.judge(gate, tensor, scan)
        })
    }
}

/// Nothing is no model.
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

/// Longest header that it reads, in bytes.
const MOST: usize = 1 << 20;

/// A bound where the format has another.
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
    LoadError::header(Code::InvalidHeader, why)
}
