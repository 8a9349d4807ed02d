//! Tests opening files, reading them in order and in pieces, and noticing their changes.

use crate::contract::Code;
use crate::loader::read::file::*;
use std::fs;
use std::io::Write;

fn code(path: &Path) -> Code {
    let error = OpenFile::open(path).unwrap_err();
    assert_eq!(error.phase(), Phase::Open);
    error.code()
}

#[test]
fn refuses_what_is_no_file_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert_eq!(code(&at("missing")), Code::NotFound);
    assert_eq!(code(folder.path()), Code::NotAFile);
    nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(code(&at("fifo")), Code::NotAFile);
    assert_eq!(code(Path::new("/dev/null")), Code::NotAFile);
    std::os::unix::fs::symlink(at("missing"), at("dangling")).unwrap();
    assert_eq!(code(&at("dangling")), Code::NotFound);
    std::os::unix::fs::symlink(at("loop"), at("loop")).unwrap();
    assert_eq!(code(&at("loop")), Code::Unreadable);
    fs::write(at("file"), b"x").unwrap();
    assert_eq!(code(&at("file/below")), Code::NotFound);
    std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
    assert_eq!(OpenFile::open(&at("link")).unwrap().bytes(), 1);
}

#[test]
fn reads_once_across_the_head() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let bytes: Vec<u8> = (0..2000u32).map(|at| at as u8).collect();
    file.write_all(&bytes).unwrap();
    let mut source = OpenFile::open(file.path()).unwrap();
    assert_eq!(source.head(), &bytes[..512]);
    // Later changes on disk must not affect the bytes that were already read.
    fs::write(file.path(), vec![0xff; 2000]).unwrap();
    let mut read = vec![0; 600];
    source.read(&mut read[..8]).unwrap();
    source.read(&mut read[8..]).unwrap();
    assert_eq!(read[..512], bytes[..512]);
    assert_eq!(read[512..], [0xff; 88]);
}

#[test]
fn notices_change() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[1; 4096]).unwrap();
    let mut source = OpenFile::open(file.path()).unwrap();
    assert!(source.unchanged().is_ok());
    file.as_file().set_len(1000).unwrap();
    let error = source.read(&mut [0; 4096]).unwrap_err();
    assert_eq!(error.code(), Code::FileChanged);
    assert_eq!(source.unchanged().unwrap_err().code(), Code::FileChanged);

    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("a"), folder.path().join("b"));
    fs::write(&path, b"one").unwrap();
    fs::write(&other, b"two").unwrap();
    let source = OpenFile::open(&path).unwrap();
    fs::rename(&other, &path).unwrap();
    assert_eq!(source.unchanged().unwrap_err().code(), Code::FileChanged);
}

/// A file of these many bytes, each other than its neighbours, all on the disk.
fn counted(bytes: usize) -> (tempfile::NamedTempFile, Vec<u8>) {
    let bytes: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(&bytes).expect("written");
    file.as_file().sync_all().expect("on the disk");
    (file, bytes)
}

/// Takes the file out of the page cache, if its file system has one.
fn forget(file: &tempfile::NamedTempFile) {
    use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
    let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
    posix_fadvise(file.as_file(), 0, 0, advice).expect("advised");
}

#[test]
fn a_piece_has_the_same_bytes_from_the_cache_and_from_the_disk() {
    let (file, bytes) = counted(5 * PAGE + 100);
    let source = OpenFile::open(file.path()).expect("opens");
    assert!(source.is_cached(), "it was just written");
    for cached in [true, false] {
        for (at, length) in [(0, 1), (0, PAGE), (7, 2 * PAGE), (4 * PAGE - 1, PAGE + 101)] {
            if !cached {
                forget(&file);
            }
            let mut memory = vec![0xee; length + MARGIN];
            let place = source.piece(at as u64, length, &mut memory).expect("reads");
            assert_eq!(memory[place], bytes[at..at + length], "{at} {length} {cached}");
        }
    }
}

#[test]
fn direct_reads_give_the_bytes_or_are_given_up() {
    let (file, bytes) = counted(2 * PAGE + 100);
    let source = OpenFile::open(file.path()).expect("opens");
    let mut memory = vec![0; 5 * PAGE];
    let start = memory.as_ptr().align_offset(PAGE);
    let aligned = &mut memory[start..start + 4 * PAGE];
    // A file system without direct reads is read through the page cache from then on.
    if !source.direct(PAGE as u64, PAGE + 100, aligned).expect("no fault") {
        assert!(source.plain.load(Relaxed));
        return;
    }
    assert_eq!(aligned[..PAGE + 100], bytes[PAGE..]);
    let error = source.direct(PAGE as u64, PAGE + 101, aligned).expect_err("too short");
    assert_eq!(error.code(), Code::FileChanged);
    let found = format!("the file now ends at byte {}", 2 * PAGE + 100);
    assert_eq!(error.failure().actual, Some(found));
}

#[test]
fn a_piece_needs_its_memory_and_a_margin() {
    let (file, _) = counted(4 * PAGE);
    let source = OpenFile::open(file.path()).expect("opens");
    let mut memory = vec![0; 2 * PAGE];
    let start = memory.as_ptr().align_offset(PAGE);
    let error = source.piece(0, PAGE, &mut memory[..start + PAGE - 1]).expect_err("too short");
    assert_eq!((error.code(), error.class()), (Code::Internal, Class::Internal));
    // Both ends of a range that is read from the disk move outwards.
    forget(&file);
    let from_disk = is_cached(&source.file, 1, PAGE as u64) == Some(false);
    let read = source.piece(1, PAGE, &mut memory[..start + PAGE]);
    assert_eq!(read.is_err(), from_disk, "{read:?}");
}

#[test]
fn a_read_that_fails_is_told_with_its_place() {
    // It opens as an empty regular file, and its first page cannot be read.
    let path = Path::new("/proc/self/mem");
    let mut source = OpenFile::open(path).expect("opens");
    assert_eq!((source.bytes(), source.head()), (0, &[][..]));
    let error = source.read(&mut [0; 1]).expect_err("nothing is mapped there");
    assert_eq!((error.class(), error.phase()), (Class::Resource, Phase::Copy));
    let failure = error.failure();
    assert_eq!((failure.code, failure.message.as_str()), {
        (Code::ReadFailed, "reading failed at byte 0")
    });
    assert_eq!(failure.path.as_deref(), path.to_str());
    assert_eq!(failure.expected.as_deref(), Some("bytes"));
}

#[test]
fn each_error_of_the_system_has_its_class_and_its_cause() {
    use nix::libc;
    for (number, class, cause) in [
        (libc::ENOENT, Class::Refused, FILE_NOT_FOUND),
        (libc::ENOTDIR, Class::Refused, FILE_NOT_FOUND),
        (libc::ENXIO, Class::Refused, NOT_A_REGULAR_FILE),
        (libc::ENODEV, Class::Refused, NOT_A_REGULAR_FILE),
        (libc::EISDIR, Class::Refused, IS_A_DIRECTORY),
        (libc::EMFILE, Class::Resource, TOO_MANY_OPEN_FILES),
        (libc::ENFILE, Class::Resource, TOO_MANY_OPEN_FILES),
        (libc::ENOMEM, Class::Resource, NO_MEMORY_TO_OPEN),
        (libc::EACCES, Class::Refused, NOT_PERMITTED),
        (libc::EPERM, Class::Refused, NOT_PERMITTED),
        (libc::ELOOP, Class::Refused, LINKS_IN_A_CIRCLE),
        (libc::ENAMETOOLONG, Class::Refused, PATH_TOO_LONG),
        (libc::EIO, Class::Refused, DISK_FAULT),
        (libc::ESTALE, Class::Refused, DISK_FAULT),
        (libc::EINVAL, Class::Refused, NOT_OPENED),
    ] {
        let error = io::Error::from_raw_os_error(number);
        let found = refused_by_system("cannot open", "a file", &error);
        let wanted = LoadError::new(class, Phase::Open, cause, "cannot open");
        assert_eq!(found, wanted.expected("a file", &error));
    }
}
