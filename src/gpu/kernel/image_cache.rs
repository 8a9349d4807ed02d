//! Compiled kernels, kept on disk: a process that finds them there need not compile, which takes seconds.
//!
//! A file is named by the SHA-256 of all that made the image, and begins with the SHA-256 of the image: of what
//! is damaged or cut short nothing is used. A folder that cannot be read or written costs time and nothing else.
//! Kernels are made for one model's sizes, so the folder is kept from growing: the images used last stay.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

/// Names the folder; nothing is kept where it is empty.
const VARIABLE: &str = "WEIGHBRIDGE_KERNELS";

/// What their names end in.
const ENDING: &str = ".cubin";

/// Images that are kept, each of some tens or hundreds of kilobytes.
const MOST: usize = 256;

/// The folder: the variable's, or that of the user's caches.
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

/// The image of these words: the one that is kept, or the one made now, which is kept then.
///
/// # Errors
/// Those of the making.
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

/// Whether a name is one of ours: the folder may have been anything before it was named.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let hex = name.and_then(|name| name.strip_suffix(ENDING));
    hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn sound(path: &Path) -> Option<Vec<u8>> {
    let bytes = fs::read(path).ok()?;
    let (digest, image) = bytes.split_at_checked(32)?;
    let sound = Sha256::digest(image)[..] == *digest;
    // It was used now; where that cannot be noted, it goes earlier.
    let _unnoted = fs::File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
    sound.then(|| image.to_vec())
}

fn keep(folder: &Path, path: &Path, image: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    // Whole or not at all: others may read it at this moment.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&Sha256::digest(image))?;
    file.write_all(image)?;
    file.persist(path)?;
    thin(folder, MOST)
}

/// Removes the images that were not used for the longest time.
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
        // The oldest is used again, and so the next oldest go.
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
