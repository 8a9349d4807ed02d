//! Tests seals through the whole load path on the host: a sound seal is accepted, a changed one is
//! refused.

use crate::contract::Code;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use crate::contract::request::Load;
use crate::loader::decisions::Honest;
use crate::loader::device::Gpus;
use crate::loader::load::load;
use crate::loader::load::model::Model;
use crate::loader::load::tests::request;
use crate::loader::progress::Progress;
use crate::loader::seal::*;

/// A folder with one safetensors file and its seal.
struct Sealed {
    folder: TempDir,
    path: PathBuf,
    seal: request::Seal,
    bytes: Vec<u8>,
}

impl Sealed {
    fn new(sizes: &[usize], padding: usize, chunk_bytes: u64) -> Sealed {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let (mut members, mut data) = (Vec::new(), Vec::new());
        for (index, size) in sizes.iter().enumerate() {
            let begin = data.len();
            data.extend((0..*size).flat_map(|at| (at as f32 + 1.0).to_le_bytes()));
            members.push(format!(
                r#""t{index}":{{"dtype":"F32","shape":[{size}],"data_offsets":[{begin},{}]}}"#,
                data.len()
            ));
        }
        let header = format!("{{{}}}{}", members.join(","), " ".repeat(padding));
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(&data);
        fs::write(&path, &bytes).unwrap();
        let made = make(&path, chunk_bytes, Path::new(""), &Progress::default()).unwrap();
        let at = folder.path().join("seal.json");
        fs::write(&at, &made.text).unwrap();
        Sealed { folder, path, seal: request::Seal { path: at, sha256: made.sha256 }, bytes }
    }

    fn load(&self) -> Result<Model> {
        let request = Load { seal: Some(self.seal.clone()), ..request(&self.path) };
        load(&mut Gpus::default(), &Honest, &request, &Progress::default())
    }

    /// Replaces the seal by a changed one, and pins the new digest.
    fn reseal(&mut self, change: impl FnOnce(&mut Statement)) {
        let mut statement: Statement =
            serde_json::from_slice(&fs::read(&self.seal.path).unwrap()).unwrap();
        change(&mut statement);
        let text = serde_json::to_vec(&statement).unwrap();
        fs::write(&self.seal.path, &text).unwrap();
        self.seal.sha256 = hex(&Sha256::digest(&text));
    }

    fn code(&self) -> Code {
        self.load().unwrap_err().code()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_sealed_loads_and_no_flipped_bit_does(
        sizes in prop::collection::vec(0usize..5000, 0..6),
        padding in 0usize..40,
        chunk in 12u32..=20,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u32..8), 8),
    ) {
        let sealed = Sealed::new(&sizes, padding, 1 << chunk);
        let model = sealed.load().unwrap();
        prop_assert_eq!(hex(&model.sha256), hex(&Sha256::digest(&sealed.bytes)));
        for (at, bit) in flips {
            let mut bytes = sealed.bytes.clone();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            fs::write(&sealed.path, &bytes).unwrap();
            prop_assert!(sealed.load().is_err(), "byte {} bit {}", at, bit);
        }
    }
}

proptest! {
    /// A short fuzz run: changed bytes and cuts in a sound seal.
    #[test]
    fn any_text_is_a_seal_or_an_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        fs::write(&path, [&2u64.to_le_bytes()[..], b"{}"].concat()).unwrap();
        let mut text = make(&path, 4096, Path::new(""), &Progress::default()).unwrap().text;
        for (at, byte) in changes {
            let at = at.index(text.len());
            text[at] = byte;
        }
        for text in [&text[..], &text[..cut.index(text.len())]] {
            match Seal::parse(text) {
                Ok(seal) => prop_assert!(seal.chunk_bytes.is_power_of_two()),
                Err(error) => prop_assert_eq!(error.code(), Code::InvalidSeal),
            }
        }
    }
}

#[test]
fn a_changed_chunk_is_named_with_its_tensors() {
    let sealed = Sealed::new(&[100, 3000, 5000], 0, 4096);
    let mut bytes = sealed.bytes.clone();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&sealed.path, &bytes).unwrap();
    let error = sealed.load().unwrap_err();
    let failure = error.failure();
    assert_eq!((error.phase(), error.code()), (Phase::Verify, Code::ChecksumMismatch));
    assert_eq!(failure.tensor.as_deref(), Some("t2"));
    assert_eq!(failure.path.as_deref(), sealed.path.to_str());
    assert!(failure.message.starts_with("chunk 7 is not the sealed one"), "{error}");
}

#[test]
fn a_seal_is_checked_against_its_pin_and_itself() {
    let fresh = || Sealed::new(&[3000, 100], 0, 4096);
    let changed = |change: fn(&mut Statement)| {
        let mut sealed = fresh();
        sealed.reseal(change);
        sealed.code()
    };
    assert!(fresh().load().is_ok());
    let mut unpinned = fresh();
    unpinned
        .seal
        .sha256
        .replace_range(63.., if unpinned.seal.sha256.ends_with('0') { "1" } else { "0" });
    assert_eq!(unpinned.code(), Code::ChecksumMismatch);
    assert_eq!(unpinned.load().unwrap_err().failure().path.as_deref(), unpinned.seal.path.to_str());
    for (what, change, code) in [
        ("kind", (|s| s.kind.push('x')) as fn(&mut Statement), Code::InvalidSeal),
        ("predicate", |s| s.predicate_type.push('x'), Code::InvalidSeal),
        ("no subject", |s| s.subject.clear(), Code::InvalidSeal),
        ("root", |s| s.subject[0].digest.sha256 = "0".repeat(64), Code::InvalidSeal),
        ("method", |s| s.predicate.serialization.method = "shards".into(), Code::InvalidSeal),
        (
            "upper case",
            |s| s.predicate.resources[0].digest.make_ascii_uppercase(),
            Code::InvalidSeal,
        ),
        ("version", |s| s.predicate.weighbridge.version = 2, Code::InvalidSeal),
        ("chunk 0", |s| s.predicate.weighbridge.chunk_bytes = 0, Code::InvalidSeal),
        ("chunk odd", |s| s.predicate.weighbridge.chunk_bytes = 4097, Code::InvalidSeal),
        ("chunk large", |s| s.predicate.weighbridge.chunk_bytes = 1 << 21, Code::InvalidSeal),
        ("chunk other", |s| s.predicate.weighbridge.chunk_bytes = 8192, Code::InvalidSeal),
        (
            "cut",
            |s| {
                let c = &mut s.predicate.weighbridge.files[0].chunks;
                c.truncate(c.len() - 64);
            },
            Code::InvalidSeal,
        ),
        (
            "more",
            |s| {
                let c = &mut s.predicate.weighbridge.files[0].chunks;
                *c += &"0".repeat(64);
            },
            Code::InvalidSeal,
        ),
        ("no file", |s| s.predicate.weighbridge.files.clear(), Code::InvalidSeal),
        (
            "twice",
            |s| {
                let f = s.predicate.weighbridge.files[0].clone();
                s.predicate.weighbridge.files.push(f);
            },
            Code::InvalidSeal,
        ),
        (
            "no resource",
            |s| s.predicate.weighbridge.files[0].name = "other.safetensors".into(),
            Code::InvalidSeal,
        ),
        (
            "long header",
            |s| s.predicate.weighbridge.files[0].header_bytes = u64::MAX,
            Code::InvalidSeal,
        ),
        (
            "other header",
            |s| s.predicate.weighbridge.files[0].header_bytes -= 1,
            Code::ChecksumMismatch,
        ),
        (
            "header digest",
            |s| s.predicate.weighbridge.files[0].header = "0".repeat(64),
            Code::ChecksumMismatch,
        ),
        ("size", |s| s.predicate.weighbridge.files[0].bytes += 1, Code::ChecksumMismatch),
        (
            "reordered",
            |s| {
                let c = &mut s.predicate.weighbridge.files[0].chunks;
                let first = c[..64].to_owned();
                c.replace_range(..64, "");
                c.insert_str(64, &first);
            },
            Code::ChecksumMismatch,
        ),
        (
            "a digit",
            |s| {
                let c = &mut s.predicate.weighbridge.files[0].chunks;
                let digit = if c.starts_with('0') { "1" } else { "0" };
                c.replace_range(..1, digit);
            },
            Code::ChecksumMismatch,
        ),
    ] {
        assert_eq!(changed(change), code, "{what}");
    }
}

#[test]
fn members_that_are_not_read_are_text_all_the_same() {
    let sealed = Sealed::new(&[10], 0, 4096);
    let text = fs::read_to_string(&sealed.seal.path).unwrap();
    let more = |bytes: &[u8]| {
        let (start, end) = text.split_once("\"algorithm\"").unwrap();
        [start.as_bytes(), b"\"note\":\"", bytes, b"\",\"algorithm\"", end.as_bytes()].concat()
    };
    assert!(Seal::parse(&more("größer".as_bytes())).is_ok());
    assert_eq!(Seal::parse(&more(b"gr\xf6\xdfer")).unwrap_err().code(), Code::InvalidSeal);
}

#[test]
fn no_seal_is_no_seal() {
    let mut sealed = Sealed::new(&[10], 0, 4096);
    for text in ["", "{}", "[]", "{\"_type\":1}", "\u{0}", "not json"] {
        fs::write(&sealed.seal.path, text).unwrap();
        sealed.seal.sha256 = hex(&Sha256::digest(text));
        assert_eq!(sealed.code(), Code::InvalidSeal, "{text}");
    }
    fs::remove_file(&sealed.seal.path).unwrap();
    assert_eq!(sealed.code(), Code::NotFound);
    sealed.seal.sha256 = "x".into();
    assert_eq!(sealed.code(), Code::InvalidRequest);
}

#[test]
fn a_folder_is_sealed_with_all_that_is_in_it() {
    let sealed = Sealed::new(&[10], 0, 4096);
    let folder = sealed.folder.path();
    fs::create_dir(folder.join("deep")).unwrap();
    fs::copy(&sealed.path, folder.join("deep/model.safetensors")).unwrap();
    fs::write(folder.join("config.json"), "{}").unwrap();
    fs::write(folder.join(".hidden"), "x").unwrap();
    let made = make(folder, 4096, &sealed.seal.path, &Progress::default()).unwrap();
    let names: Vec<&str> =
        made.statement.predicate.resources.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["config.json", "deep/model.safetensors", "model.safetensors"]);
    assert_eq!(made.statement.predicate.weighbridge.files.len(), 2);
    let seal = Seal::parse(&made.text).unwrap();
    let deep =
        seal.file(&folder.join("deep/model.safetensors"), sealed.bytes.len() as u64).unwrap();
    assert_eq!(deep.name, "deep/model.safetensors");
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(
        make(empty.path(), 4096, Path::new(""), &Progress::default()).unwrap_err().code(),
        Code::NotFound
    );
}

#[test]
fn a_file_that_is_too_long_for_a_seal_is_not_read() {
    let mut sealed = Sealed::new(&[10], 0, 4096);
    fs::File::options()
        .write(true)
        .open(&sealed.seal.path)
        .and_then(|file| file.set_len(MAX_SEAL + 1))
        .expect("long");
    sealed.seal.sha256 = "0".repeat(64);
    let error = sealed.load().expect_err("too long");
    let failure = error.failure();
    assert_eq!((failure.code, failure.actual.as_deref()), {
        (Code::InvalidSeal, Some("1073741825"))
    });
}

#[test]
fn the_first_bytes_show_the_chunk_size_or_nothing() {
    let shown = |text: &str| shown_chunk_bytes(text.as_bytes());
    assert_eq!(shown(r#"{"a":1,"chunk_bytes":65536,"files":[]}"#), Some(65536));
    assert_eq!(shown(r#"{"chunk_bytes": 4096}"#), Some(4096));
    for nothing in [
        "",
        "{}",
        r#"{"chunk_bytes":"#,
        r#"{"chunk_bytes":8192"#,
        r#"{"chunk_bytes":"x"}"#,
        r#"{"chunk_bytes":4097}"#,
        r#"{"name":"\"chunk_bytes\":4096"}"#,
        r#"{"chunk_bytes":99999999999999999999}"#,
    ] {
        assert_eq!(shown(nothing), None, "{nothing}");
    }
    let mut made = Sealed::new(&[9000], 0, 8192);
    let text = fs::read(&made.seal.path).unwrap();
    assert_eq!(shown_chunk_bytes(&text), Some(8192));
    // The number lies within the first bytes, is cut by their end, or lies behind it.
    let end = text.windows(4).position(|four| four == b"8192").unwrap() + 4;
    let shown = SHOWN as usize;
    for (spaces, wanted) in [
        (0, Some(8192)),
        (shown - end - 1, Some(8192)),
        (shown - end, None),
        (shown - end + 2, None),
        (shown, None),
    ] {
        let spaced = [b"{".as_slice(), &vec![b' '; spaces], &text[1..]].concat();
        fs::write(&made.seal.path, &spaced).unwrap();
        made.seal.sha256 = hex(&<[u8; 32]>::from(Sha256::digest(&spaced)));
        let mut told = None;
        let seal = Seal::read_telling(&made.seal, &Honest, |bytes| told = Some(bytes)).unwrap();
        assert_eq!((told, seal.chunk_bytes), (wanted, 8192), "{spaces}");
    }
}
