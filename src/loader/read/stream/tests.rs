//! Tests all sizes and boundaries against a hash over all bytes at once.

use crate::contract::Code;
use std::io::Write;

use proptest::prelude::*;
use tempfile::NamedTempFile;

use crate::loader::read::stream::*;

fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..bytes)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        })
        .collect()
}

fn chunk_digests(bytes: &[u8], chunk: usize) -> Vec<[u8; 32]> {
    bytes.chunks(chunk).map(|chunk| Sha256::digest(chunk).into()).collect()
}

/// Reads a file with `before` and `bytes`; hashes the whole and chunks. Returns bytes and digests.
fn both(before: usize, bytes: &[u8], chunk: u64) -> (Vec<u8>, [u8; 32], Vec<[u8; 32]>) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&vec![0xee; before]).unwrap();
    file.write_all(bytes).unwrap();
    let source = OpenFile::open(file.path()).unwrap();
    let (mut whole, mut digests, mut seen) = (Sha256::new(), Vec::new(), Vec::new());
    let hashing = Hashing::Both { whole: &mut whole, chunk_bytes: chunk, digests: &mut digests };
    let progress = Progress::default();
    let end = source.bytes();
    read_all(&source, before as u64..end, hashing, &progress, |at, piece| {
        assert_eq!(at as usize, seen.len());
        seen.extend_from_slice(piece);
        Ok(())
    })
    .unwrap();
    assert_eq!(progress.reading().read, bytes.len() as u64);
    (seen, whole.finalize().into(), digests)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_size_any_boundary(
        before in 0usize..9000,
        bytes in prop_oneof![0usize..200, 4000usize..140_000, 2_000_000usize..3_300_000],
        chunk in 12u32..=20,
        seed: u64,
    ) {
        let bytes = noise(bytes, seed);
        let (seen, whole, digests) = both(before, &bytes, 1 << chunk);
        prop_assert!(seen == bytes);
        prop_assert_eq!(whole, <[u8; 32]>::from(Sha256::digest(&bytes)));
        prop_assert_eq!(digests, chunk_digests(&bytes, 1 << chunk));
    }
}

#[test]
fn who_has_seen_enough_ends_it() {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&noise(20 << 20, 1)).unwrap();
    let source = OpenFile::open(file.path()).unwrap();
    let mut whole = Sha256::new();
    let error = read_all(
        &source,
        0..20 << 20,
        Hashing::Whole(&mut whole),
        &Progress::default(),
        |at, _| if at == 0 { Ok(()) } else { Err(LoadError::internal("enough")) },
    );
    assert_eq!(error.unwrap_err().failure().message, "enough");
}

#[test]
fn a_file_that_ends_early_is_told() {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&noise(5 << 20, 1)).unwrap();
    let source = OpenFile::open(file.path()).unwrap();
    file.as_file().set_len(3 << 20).unwrap();
    let read = read_all(&source, 0..5 << 20, Hashing::Nothing, &Progress::default(), |_, _| Ok(()));
    assert_eq!(read.unwrap_err().code(), Code::FileChanged);
}

#[test]
fn a_thread_that_cannot_start_is_a_lack_of_memory() {
    let error = no_thread(&std::io::Error::from_raw_os_error(nix::libc::EAGAIN));
    let failure = error.failure();
    assert_eq!((failure.class, failure.phase), (Class::Resource, Phase::Alloc));
    assert_eq!((failure.code, failure.expected.as_deref()), {
        (Code::OutOfHostMemory, Some("a thread"))
    });
    assert_eq!(failure.remedy.as_deref(), Some(NO_THREAD.text));
}
