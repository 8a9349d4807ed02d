//! Loaders that answer with something else than a file: none may hang the judge, fill its memory or lead it
//! to another file. Each is the bundled reference in all else.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use libtest_mimic::{Failed, Trial};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use weighbridge::harness::record::Verdict;

use super::weighed::weigh;

/// A case that reads every tensor back through a file.
const CASE: &str = "F-PARSE-037::readme_tensors";

/// What such a loader does, and what the judge says of its file.
const ATTACKS: [(&str, &str); 6] = [
    ("answers_by_pipe", "no regular file"),
    ("answers_by_link", "reached by a link"),
    ("answers_without_end", "reached by a link"),
    ("answers_by_a_linked_folder", "reached by a link"),
    ("answers_with_a_sparse_file", "where at most"),
    ("answers_by_folder", "no regular file"),
];

pub fn trials() -> Vec<Trial> {
    let attack = |(mode, said): (&'static str, &'static str)| {
        Trial::test(format!("hostile/{mode}"), move || attack(mode, said))
    };
    ATTACKS.into_iter().map(attack).collect()
}

fn attack(mode: &str, said: &str) -> Result<(), Failed> {
    let found = weigh(mode, 0, CASE, 60.0)?;
    let named = found
        .steps
        .iter()
        .flat_map(|step| &step.checks)
        .any(|check| !check.held && check.found.contains(said));
    if found.verdict != Verdict::Fail || !named {
        return Err(format!("expected a failure that names \"{said}\", found: {found:?}").into());
    }
    Ok(())
}

/// Puts something else in the place of a file that was written honestly.
pub fn written(mode: &str, into: &Path) -> io::Result<()> {
    let aside = into.with_extension("aside");
    match mode {
        "answers_by_pipe" => {
            fs::remove_file(into)?;
            mkfifo(into, Mode::S_IRWXU)?;
        }
        "answers_by_link" => {
            fs::rename(into, &aside)?;
            symlink(&aside, into)?;
        }
        "answers_without_end" => {
            fs::remove_file(into)?;
            symlink("/dev/zero", into)?;
        }
        "answers_by_a_linked_folder" => {
            let folder = into.parent().unwrap_or(into);
            let moved = folder.with_extension("moved");
            fs::rename(folder, &moved)?;
            symlink(&moved, folder)?;
        }
        "answers_with_a_sparse_file" => File::options().write(true).open(into)?.set_len(1 << 39)?,
        "answers_by_folder" => {
            fs::remove_file(into)?;
            fs::create_dir(into)?;
        }
        _ => {}
    }
    Ok(())
}
