//! A weight loader of about a hundred lines as a starting point: host memory, one safetensors file,
//! read by the `safetensors` crate. It declares what it does not support, and a report shows that
//! as unsupported.

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensorError, SafeTensors};
use sha2::{Digest, Sha256};
use weighbridge::Loader;
use weighbridge::contract::capability::{Capability, declare};
use weighbridge::contract::reply::{Done, Holdings, Introduction, Loaded, TensorEntry, Written};
use weighbridge::contract::request::{DtypePolicy, Format, Hello, Load, Read, Stat, Unload};
use weighbridge::contract::{Class, Code, DType, Device, Failure, PROTOCOL, Phase};

/// Its capabilities.
const SERVED: [Capability; 9] = [
    Capability::DeviceCpu,
    Capability::FormatSafetensors,
    Capability::DtypeF32,
    Capability::DtypeF16,
    Capability::DtypeBf16,
    Capability::DtypeI64,
    Capability::Digest,
    Capability::Read,
    Capability::Stat,
];

/// Holds each file completely in memory.
#[derive(Default)]
pub struct PlainLoader {
    models: BTreeMap<u64, Vec<u8>>,
    last: u64,
}

impl Loader for PlainLoader {
    fn hello(&mut self, request: Hello) -> Result<Introduction, Failure> {
        Ok(Introduction {
            protocol: PROTOCOL,
            nonce: request.nonce,
            name: "plain-loader".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            capabilities: declare(&SERVED, |_| "not written yet"),
        })
    }

    fn load(&mut self, request: Load) -> Result<Loaded, Failure> {
        let plain = request.device == Device::Cpu
            && request.keep == DtypePolicy::Stored
            && request.format == Format::Safetensors
            && !request.admit;
        if !plain || request.seal.is_some() || request.inference.is_some() {
            return Err(Failure::unsupported(
                Phase::Request,
                "one safetensors file, as it is stored",
            ));
        }
        let refused = |phase, code, why: String| {
            Failure::new(Class::Refused, phase, code, why)
                .path(&request.path)
                .remedy("give a sound safetensors file")
        };
        let bytes = std::fs::read(&request.path).map_err(|error| {
            let code = match error.kind() {
                std::io::ErrorKind::NotFound => Code::NotFound,
                std::io::ErrorKind::IsADirectory => Code::NotAFile,
                _ => Code::Unreadable,
            };
            refused(Phase::Open, code, error.to_string()).expected("a readable file", error)
        })?;
        let table = SafeTensors::deserialize(&bytes).map_err(|error| {
            let (expected, found) = ("a sound header that covers the file", error.to_string());
            refused(Phase::Header, code_of(&error), found.clone()).expected(expected, found)
        })?;
        let tensors = table.iter().map(|(name, view)| {
            let dtype = held(view.dtype()).ok_or_else(|| {
                let why = format!("{name}: elements of {}", view.dtype());
                let failure = refused(Phase::Header, Code::UnsupportedDtype, why).tensor(name);
                failure.expected("F32, F16, BF16 or I64", view.dtype())
            })?;
            let shape = view.shape().iter().map(|&size| size as u64).collect();
            let (name, bytes) = (name.to_owned(), view.data().len() as u64);
            Ok(TensorEntry { name, stored: dtype, dtype, shape, bytes })
        });
        let tensors = tensors.collect::<Result<Vec<_>, Failure>>()?;
        let sha256 = hex(&Sha256::digest(&bytes));
        if let Some(expected) = request.expect_sha256.as_ref().filter(|wanted| **wanted != sha256) {
            let why = "other bytes than asked for".to_owned();
            let failure = refused(Phase::Verify, Code::ChecksumMismatch, why);
            return Err(failure.expected(expected, sha256));
        }
        self.last += 1;
        let file_bytes = bytes.len() as u64;
        self.models.insert(self.last, bytes);
        Ok(Loaded {
            sha256: Some(sha256),
            ..Loaded::new(self.last, Device::Cpu, file_bytes, file_bytes, tensors)
        })
    }

    fn read(&mut self, request: Read) -> Result<Written, Failure> {
        let bytes = self.models.get(&request.handle).ok_or_else(|| unknown(request.handle))?;
        std::fs::write(&request.into, bytes).map_err(|error| {
            Failure::new(Class::Resource, Phase::Read, Code::OutOfDisk, error.to_string())
        })?;
        Ok(Written { bytes: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) })
    }

    fn stat(&mut self, _request: Stat) -> Result<Holdings, Failure> {
        let host_bytes = self.models.values().map(|bytes| bytes.len() as u64).sum();
        Ok(Holdings { models: self.models.len() as u64, host_bytes, device_bytes: 0 })
    }

    fn unload(&mut self, request: Unload) -> Result<Done, Failure> {
        self.models.remove(&request.handle).map(|_| Done {}).ok_or_else(|| unknown(request.handle))
    }
}

fn unknown(handle: u64) -> Failure {
    let why = format!("no such model: {handle}");
    Failure::new(Class::Refused, Phase::Request, Code::UnknownHandle, why)
}

fn held(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        Dtype::I64 => Some(DType::I64),
        _ => None,
    }
}

/// The contract's code for an error of the crate.
fn code_of(error: &SafeTensorError) -> Code {
    match error {
        SafeTensorError::HeaderTooSmall => Code::TooShort,
        SafeTensorError::HeaderTooLarge => Code::HeaderTooLarge,
        SafeTensorError::InvalidHeaderLength => Code::HeaderTruncated,
        SafeTensorError::InvalidHeader(_) => Code::HeaderNotUtf8,
        SafeTensorError::MetadataIncompleteBuffer => Code::Truncated,
        SafeTensorError::InvalidOffset(_) => Code::Gap,
        SafeTensorError::TensorInvalidInfo => Code::SizeMismatch,
        SafeTensorError::ValidationOverflow => Code::SizeOverflow,
        _ => Code::HeaderNotJson,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
