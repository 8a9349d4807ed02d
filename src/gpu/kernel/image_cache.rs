//! The image cache: compiled kernels on disk, so that later processes need not compile again, which
//! takes seconds.
//!
//! The file name is the SHA-256 of everything that determines the image. The file begins with the
//! SHA-256 of the image, so a damaged or truncated file is never used. If the folder cannot be read
//! or written, kernels are compiled each time, without an error. Decoder kernels are compiled for
//! one model's sizes, so the number of images is limited: the least recently used ones are removed.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

/// The environment variable that names the folder. An empty value disables the cache.
const VARIABLE: &str = "WEIGHBRIDGE_KERNELS";

/// The file name extension of an image.
const ENDING: &str = ".cubin";

/// Most images in the folder. Each has tens or hundreds of kilobytes.
const MOST: usize = 256;

/// The folder of the cache: named by the variable, or in the user's cache folder. `None` disables
/// the cache.
pub(crate) fn folder() -> Option<PathBuf> {
    place(|name| env::var_os(name))
}

fn place(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(named) = variable(VARIABLE) {
        return (!named.is_empty()).then(|| named.into());
    }
    let given = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = given("XDG_CACHE_HOME").or_else(|| Some(given("HOME")?.join(".cache")))?;
    Some(caches.join("weighbridge/kernels"))
}

/// The image for the key `words`: from the cache, or else from `make` and then stored.
///
/// # Errors
/// Those of `make`.
pub(crate) fn image<E>(
    folder: Option<&Path>,
    words: &[&str],
    make: impl FnOnce() -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let Some(folder) = folder else { return make() };
    let path = folder.join(name(words));
    if let Some(image) = sound(&path) {
        return Ok(image);
    }
    let image = make()?;
    let _lost = keep(folder, &path, &image);
    Ok(image)
}

fn name(words: &[&str]) -> String {
    let mut digest = Sha256::new();
    for word in words {
        digest.update((word.len() as u64).to_le_bytes());
        digest.update(word);
    }
    let hex: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    hex + ENDING
}

/// Whether the file is named like an image. The folder may hold other files, which must stay.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let hex = name.and_then(|name| name.strip_suffix(ENDING));
    hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn sound(path: &Path) -> Option<Vec<u8>> {
    let bytes = fs::read(path).ok()?;
    let (digest, image) = bytes.split_at_checked(32)?;
    let sound = Sha256::digest(image)[..] == *digest;
    // The modification time is the time of the last use. If it cannot be set, the image is removed
    // sooner than necessary.
    let _unnoted = fs::File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
    sound.then(|| image.to_vec())
}

fn keep(folder: &Path, path: &Path, image: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    // Written under another name and renamed, because other processes may read it at this moment.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&Sha256::digest(image))?;
    file.write_all(image)?;
    file.persist(path)?;
    thin(folder, MOST)
}

/// Removes the least recently used images until `most` remain.
fn thin(folder: &Path, most: usize) -> std::io::Result<()> {
    let entries = fs::read_dir(folder)?.flatten();
    let mut all: Vec<(SystemTime, PathBuf)> = entries
        .filter(|entry| is_ours(&entry.path()))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    all.sort();
    let over = all.len().saturating_sub(most);
    all.iter().take(over).try_for_each(|(_, path)| fs::remove_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(folder: &Path, words: &[&str]) -> (Vec<u8>, bool) {
        let mut asked = false;
        let make = || {
            asked = true;
            Ok::<_, ()>(words.concat().into_bytes())
        };
        (image(Some(folder), words, make).unwrap(), asked)
    }

    #[test]
    fn an_image_is_made_once_and_another_one_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("of/all");
        assert_eq!(made(&below, &["ab", "c"]), (b"abc".to_vec(), true));
        assert_eq!(made(&below, &["ab", "c"]), (b"abc".to_vec(), false));
        assert_eq!(made(&below, &["a", "bc"]), (b"abc".to_vec(), true));
    }

    #[test]
    fn what_is_damaged_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        made(folder.path(), &["abc"]);
        let path = folder.path().join(name(&["abc"]));
        let whole = fs::read(&path).unwrap();
        for length in [0, 31, 32, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(made(folder.path(), &["abc"]), (b"abc".to_vec(), true), "{length}");
        }
        for at in [0, 31, 32, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 4;
            fs::write(&path, changed).unwrap();
            assert_eq!(made(folder.path(), &["abc"]), (b"abc".to_vec(), true), "{at}");
        }
        assert_eq!(fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn the_images_used_last_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = |word: &str| folder.path().join(name(&[word]));
        for (age, word) in ["a", "b", "c", "d"].into_iter().rev().enumerate() {
            made(folder.path(), &[word]);
            let then = SystemTime::now() - std::time::Duration::from_secs(100 + age as u64);
            fs::File::open(path(word)).unwrap().set_modified(then).unwrap();
        }
        let others = ["notes", "a.cubin", &"g".repeat(64), &"a".repeat(64)];
        for other in others {
            fs::write(folder.path().join(other), "somebody's").unwrap();
        }
        // The oldest image is used again, so the next oldest ones are removed.
        assert_eq!(made(folder.path(), &["a"]), (b"a".to_vec(), false));
        thin(folder.path(), 2).unwrap();
        let left: Vec<_> =
            ["a", "b", "c", "d"].into_iter().filter(|word| path(word).exists()).collect();
        assert_eq!(left, ["a", "d"]);
        assert!(others.iter().all(|other| folder.path().join(other).exists()));
    }

    #[test]
    fn a_folder_that_cannot_be_costs_nothing_but_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "in the way").unwrap();
        assert_eq!(made(&file, &["abc"]), (b"abc".to_vec(), true));
        assert_eq!(image(None, &["a"], || Ok::<_, ()>(vec![7])), Ok(vec![7]));
        let failed: Result<Vec<u8>, &str> = image(Some(folder.path()), &["a"], || Err("no"));
        assert_eq!(failed, Err("no"));
        assert_eq!(made(folder.path(), &["a"]), (b"a".to_vec(), true), "a failure was kept");
    }

    #[test]
    fn the_folder_is_the_one_named_or_the_users_own() {
        let of = |all: &[(&str, &str)]| {
            place(|name| all.iter().find(|one| one.0 == name).map(|one| one.1.into()))
        };
        let home = ("HOME", "/home/a");
        assert_eq!(of(&[home]), Some("/home/a/.cache/weighbridge/kernels".into()));
        assert_eq!(of(&[home, ("XDG_CACHE_HOME", "/c")]), Some("/c/weighbridge/kernels".into()));
        assert_eq!(of(&[home, ("XDG_CACHE_HOME", "c")]), of(&[home]));
        assert_eq!(of(&[home, (VARIABLE, "/k")]), Some("/k".into()));
        assert_eq!(of(&[home, (VARIABLE, "")]), None);
        assert_eq!(of(&[]), None);
    }
}
