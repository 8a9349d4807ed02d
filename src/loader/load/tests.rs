//! Tests of the whole load path on the host: which files are accepted, which are refused, and in
//! which order the checks run.

use std::io::Write;
use std::path::Path;

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::contract::request::{DtypePolicy, Format, Load};
use crate::contract::{Class, Code, Device, Phase};
use crate::loader::decisions::{Honest, LoadDecisions};
use crate::loader::device::Gpus;
use crate::loader::error::Result;
use crate::loader::format::safetensors;
use crate::loader::format::safetensors::{Header, TensorInfo};
use crate::loader::load::load;
use crate::loader::load::model::Model;
use crate::loader::memory::ALIGNMENT;
use crate::loader::memory::sink::Sink;
use crate::loader::progress::Progress;
use crate::loader::read::digest::{hex, of_file};

/// 1.0, 2.0, 3.0.
pub const F32_ONES: [u8; 12] = [0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40];

/// Writes a file with these tensors (name, dtype, shape, data), without gaps.
pub fn file_of(tensors: &[(&str, &str, &[u64], &[u8])]) -> NamedTempFile {
    let (mut members, mut data) = (Vec::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let begin = data.len();
        data.extend_from_slice(bytes);
        members.push(format!(
            r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{begin},{}]}}"#,
            data.len()
        ));
    }
    raw(&format!("{{{}}}", members.join(",")), &data)
}

/// A file with this header text and data.
pub fn raw(header: &str, data: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.write_all(data).unwrap();
    file
}

/// A load into host memory, with admission and nothing else.
pub fn request(path: &Path) -> Load {
    Load {
        path: path.into(),
        format: Format::Safetensors,
        device: Device::Cpu,
        keep: DtypePolicy::Stored,
        expect_sha256: None,
        seal: None,
        admit: true,
        parallel: None,
        inference: None,
    }
}

fn load_with(decisions: &dyn LoadDecisions, request: &Load) -> Result<Model> {
    load(&mut Gpus::default(), decisions, request, &Progress::default())
}

fn code(request: &Load) -> (Phase, Code) {
    let error = load_with(&Honest, request).unwrap_err();
    assert!(error.failure().path.is_some(), "{error}");
    (error.phase(), error.code())
}

/// Values that pass every gate.
fn sound(count: usize) -> Vec<u8> {
    (0..count).flat_map(|at| (at as f32 + 0.5).to_le_bytes()).collect()
}

#[test]
fn keeps_bytes_across_chunks_at_any_offset() {
    let long = sound(700_001);
    let odd: Vec<u8> = (50..64u8).collect();
    for shift in [1usize, 2, 3] {
        // The header's length shifts the data, and the BF16 tensor shifts the next one.
        let pad = " ".repeat(shift);
        let header = format!(
            r#"{{"h":{{"dtype":"BF16","shape":[7],"data_offsets":[0,14]}},"w":{{"dtype":"F32","shape":[700001],"data_offsets":[14,{}]}}}}{pad}"#,
            14 + long.len()
        );
        let file = raw(&header, &[odd.clone(), long.clone()].concat());
        let model = load_with(&Honest, &request(file.path())).unwrap();
        assert_eq!(model.read(model.tensor("h").unwrap()).unwrap(), odd);
        assert_eq!(model.read(model.tensor("w").unwrap()).unwrap(), long);
        assert_eq!(model.sha256, of_file(file.path()).unwrap());
        assert!(model.tensors.iter().all(|tensor| tensor.offset % ALIGNMENT == 0));
        let widened = Load { keep: DtypePolicy::F32, ..request(file.path()) };
        let model = load_with(&Honest, &widened).unwrap();
        let expected: Vec<u8> = odd.chunks(2).flat_map(|pair| [0, 0, pair[0], pair[1]]).collect();
        assert_eq!(model.read(model.tensor("h").unwrap()).unwrap(), expected);
        assert_eq!(model.read(model.tensor("w").unwrap()).unwrap(), long);
    }
}

#[test]
fn reports_the_digest_of_the_file_and_compares_it() {
    let file = file_of(&[("w", "F32", &[3], &F32_ONES)]);
    let digest = hex(&Sha256::digest(std::fs::read(file.path()).unwrap()));
    let mut asking = Load { expect_sha256: Some(digest.clone()), ..request(file.path()) };
    assert_eq!(hex(&load_with(&Honest, &asking).unwrap().sha256), digest);
    for position in [0, 63] {
        // One wrong digit at either end: a comparison of only a part of the digest would miss one
        // of them.
        let mut wrong = digest.clone().into_bytes();
        wrong[position] = if wrong[position] == b'0' { b'1' } else { b'0' };
        asking.expect_sha256 = String::from_utf8(wrong).ok();
        assert_eq!(code(&asking), (Phase::Verify, Code::ChecksumMismatch), "digit {position}");
    }
    for wrong in ["", "zz", &"A".repeat(64), &digest[1..]] {
        asking.expect_sha256 = Some(wrong.to_string());
        assert_eq!(code(&asking), (Phase::Request, Code::InvalidRequest), "{wrong}");
    }
}

#[test]
fn refuses_in_the_order_of_the_path() {
    let nan = f32::NAN.to_le_bytes();
    let file = file_of(&[("w", "F32", &[2], &[nan, 1f32.to_le_bytes()].concat())]);
    let plain = request(file.path());
    assert_eq!(code(&plain), (Phase::Admit, Code::NonFinite));
    let other = Load { expect_sha256: Some("0".repeat(64)), ..plain.clone() };
    assert_eq!(code(&other), (Phase::Verify, Code::ChecksumMismatch), "digest before gates");
    let kept = load_with(&Honest, &Load { admit: false, ..plain }).unwrap();
    assert_eq!(kept.read(&kept.tensors[0]).unwrap()[..4], nan, "transfer keeps every bit");
    assert!(kept.gates.is_empty());

    let unheld = raw(r#"{"w":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}"#, &[1; 8]);
    assert_eq!(code(&request(unheld.path())), (Phase::Header, Code::UnsupportedDtype));
    let short = raw(r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, &[1; 7]);
    assert_eq!(code(&request(short.path())), (Phase::Header, Code::Truncated));
    assert_eq!(code(&request(Path::new("/nonexistent/x"))), (Phase::Open, Code::NotFound));
    let empty = NamedTempFile::new().unwrap();
    assert_eq!(code(&request(empty.path())), (Phase::Header, Code::TooShort));
}

#[test]
fn an_empty_model_loads() {
    let file = raw("{}", &[]);
    let model = load_with(&Honest, &request(file.path())).unwrap();
    assert_eq!((model.tensors.len(), model.memory.bytes()), (0, 0));
    assert!(model.gates.iter().all(|gate| gate.checked == 0 && gate.exempt == 0));
}

/// Decisions with some methods replaced, as code outside the loader may do.
#[derive(Default)]
struct Replaced {
    accept_layout: bool,
    drop_bytes: bool,
    round_down: bool,
}

impl LoadDecisions for Replaced {
    fn layout(&self, header: &Header, data_bytes: u64) -> Result<()> {
        if self.accept_layout { Ok(()) } else { safetensors::layout::check(header, data_bytes) }
    }

    fn span(&self, tensor: &TensorInfo) -> std::ops::Range<u64> {
        if self.round_down { tensor.begin & !3..tensor.end & !3 } else { tensor.begin..tensor.end }
    }

    fn place(
        &self,
        _: Device,
        _: &TensorInfo,
        sink: &mut dyn Sink,
        offset: u64,
        bytes: &[u8],
    ) -> Result<()> {
        if self.drop_bytes { Ok(()) } else { sink.put(offset, bytes) }
    }
}

#[test]
fn survives_decisions_that_accept_anything() {
    let entry = |shape: u64, offsets: &str| {
        format!(r#"{{"dtype":"F32","shape":[{shape}],"data_offsets":{offsets}}}"#)
    };
    let accepting = || Replaced { accept_layout: true, ..Replaced::default() };
    for (first, second, data) in [
        (entry(2, "[0,8]"), entry(2, "[4,12]"), 12),
        (entry(2, "[0,8]"), entry(2, "[12,20]"), 20),
        (entry(2, "[0,8]"), entry(2, "[8,16]"), 9),
        (entry(2, "[8,0]"), entry(2, "[400,408]"), 9),
        (entry(1 << 40, "[0,8]"), entry(2, "[0,8]"), 8),
        (entry(1, "[0,8]"), entry(2, "[0,8]"), 8),
    ] {
        let file = raw(&format!(r#"{{"a":{first},"b":{second}}}"#), &sound(5)[..data]);
        let plain = Load { admit: false, ..request(file.path()) };
        let result = load_with(&accepting(), &plain).map_err(|error| error.code());
        assert!(
            matches!(result, Ok(_) | Err(Code::Internal | Code::OutOfHostMemory)),
            "{result:?}"
        );
    }
}

#[test]
fn decisions_reach_every_byte() {
    let file = file_of(&[("h", "BF16", &[1], &[1, 2]), ("w", "F32", &[3], &F32_ONES)]);
    let plain = Load { admit: false, ..request(file.path()) };
    let zeros = Replaced { drop_bytes: true, ..Replaced::default() };
    let model = load_with(&{ zeros }, &plain).unwrap();
    assert_eq!(model.read(model.tensor("w").unwrap()).unwrap(), [0; 12]);
    let shifted = Replaced { round_down: true, ..Replaced::default() };
    let model = load_with(&{ shifted }, &plain).unwrap();
    let expected = [&[1, 2][..], &F32_ONES[..10]].concat();
    assert_eq!(model.read(model.tensor("w").unwrap()).unwrap(), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn never_panics_on_random_files(
        bytes in prop::collection::vec(any::<u8>(), 0..700), admit in any::<bool>(),
    ) {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        let error = code(&Load { admit, ..request(file.path()) });
        prop_assert_eq!(error.0, Phase::Header);
    }

    #[test]
    fn every_damaged_byte_changes_the_digest_or_is_refused(
        at in any::<prop::sample::Index>(), flip in 1u8..=255,
    ) {
        let file = file_of(&[("w", "F32", &[3], &F32_ONES), ("h", "F16", &[1], &[1, 60])]);
        let sound = load_with(&Honest, &request(file.path())).unwrap();
        let mut bytes = std::fs::read(file.path()).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        std::fs::write(file.path(), &bytes).unwrap();
        match load_with(&Honest, &request(file.path())) {
            Ok(model) => prop_assert_ne!(model.sha256, sound.sha256),
            Err(error) => prop_assert_eq!(error.class(), Class::Refused),
        }
    }
}
