//! The files that a loader leaves behind, beside those that it was given.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// So many files are looked at in one folder and its subfolders.
const MOST: usize = 10_000;

/// Every file, link and folder below a folder, with its size and the time of its last change.
pub type Listing = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// Lists what lies below a folder; links are not followed.
///
/// # Errors
/// The operating system's error.
pub fn listing(folder: &Path) -> io::Result<Listing> {
    let mut found = Listing::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            let metadata = path.symlink_metadata()?;
            if metadata.is_dir() {
                // A folder's own size and time follow from what lies in it.
                found.insert(path.clone(), (0, None));
                open.push(path);
            } else {
                found.insert(path, (metadata.len(), metadata.modified().ok()));
            }
            if found.len() >= MOST {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// Names what is new, gone or changed in a listing; none if nothing is.
pub fn differences(before: &Listing, now: &Listing) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for (path, was) in before {
        match now.get(path) {
            None => found.push(format!("{} is gone", name(path))),
            Some(is) if is != was => found.push(format!("{} has changed", name(path))),
            Some(_) => {}
        }
    }
    let new = now.keys().filter(|path| !before.contains_key(*path));
    found.extend(new.map(|path| format!("{} is new", name(path))));
    found
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_lies_below_is_listed_and_no_link_is_followed() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::create_dir_all(path("a/b")).unwrap();
        fs::write(path("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink("/", path("root")).unwrap();
        let found: Vec<PathBuf> = listing(place.path()).unwrap().into_keys().collect();
        assert_eq!(found, [path("a"), path("a/b"), path("a/b/file"), path("root")]);
    }

    #[test]
    fn a_new_a_changed_and_a_removed_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("in")).unwrap();
        for name in ["in/a", "b", "c"] {
            fs::write(at(name), "1").unwrap();
        }
        let before = listing(folder.path()).unwrap();
        assert!(differences(&before, &listing(folder.path()).unwrap()).is_empty());
        fs::write(at("in/d"), "1").unwrap();
        fs::remove_file(at("b")).unwrap();
        let later = SystemTime::now() + Duration::from_secs(9);
        File::options().append(true).open(at("c")).unwrap().set_modified(later).unwrap();
        let found = differences(&before, &listing(folder.path()).unwrap());
        assert_eq!(found, ["b is gone", "c has changed", "d is new"]);
    }
}
