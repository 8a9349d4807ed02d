//! What `--case` takes: a part of case ids, a whole id, or `@FILE`, a file of whole ids.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::lookup::unknown_case;
use super::{CommandError, exit};
use crate::harness::case::Case;
use crate::harness::run::Selection;

/// Adds what `--case` was given to a selection.
///
/// # Errors
/// A text that no id contains, an id that no case has, or a file that cannot be read or names no case.
pub(super) fn select(
    words: &[String],
    cases: &[Case],
    selection: &mut Selection,
) -> Result<(), CommandError> {
    let known: BTreeSet<String> = cases.iter().map(Case::id).collect();
    for word in words {
        if let Some(path) = word.strip_prefix('@') {
            selection.ids.extend(listed(Path::new(path), &known, cases)?);
            selection.typed.push(format!("--case {word}"));
        } else if known.contains(word) {
            selection.ids.insert(word.clone());
            selection.typed.push(format!("--case {word}"));
        } else if known.iter().any(|id| id.contains(word)) {
            selection.cases.push(word.clone());
        } else {
            return Err(unknown_case(word, cases).into());
        }
    }
    Ok(())
}

/// The ids in a file, one a line; `#` begins a comment.
fn listed(
    path: &Path,
    known: &BTreeSet<String>,
    cases: &[Case],
) -> Result<Vec<String>, CommandError> {
    let file = path.display();
    // Asked before reading: a pipe that nobody writes to would be waited for.
    if fs::metadata(path).is_ok_and(|data| !data.is_file()) {
        return Err(CommandError::usage(format!("--case @{file}: not a regular file")));
    }
    let text = fs::read_to_string(path)
        .map_err(|error| CommandError::usage(format!("--case @{file}: {error}")))?;
    let mut ids = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let id = line.split('#').next().unwrap_or_default().trim();
        if id.is_empty() {
            continue;
        }
        if !known.contains(id) {
            let unknown = unknown_case(id, cases);
            return Err(CommandError::usage(format!("{file}:{}: {unknown}", index + 1)));
        }
        ids.push(id.to_owned());
    }
    if ids.is_empty() {
        return Err(CommandError::new(
            exit::NOTHING_SELECTED,
            format!("nothing selected: {file} names no case\n  remedy: write one whole id a line"),
        ));
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::weighing::Embedded;

    fn chosen(words: &[&str]) -> Result<Selection, String> {
        let embedded = Embedded::read().map_err(|stop| stop.message)?;
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let mut selection = Selection::default();
        select(&words, embedded.cases.cases(), &mut selection).map_err(|stop| stop.message)?;
        Ok(selection)
    }

    #[test]
    fn a_whole_id_selects_that_case_alone_and_a_text_every_case_with_it() -> Result<(), String> {
        let selection = chosen(&["UT-WARM-001::digest_at_block_edge_1", "F-PARSE-04"])?;
        assert_eq!(selection.ids.len(), 1);
        assert_eq!(selection.cases, ["F-PARSE-04"]);
        let typed = selection.typed().unwrap_or_default();
        assert_eq!(typed, "--case F-PARSE-04 --case UT-WARM-001::digest_at_block_edge_1");
        Ok(())
    }

    #[test]
    fn a_file_holds_whole_ids_and_comments() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("ids");
        let word = format!("@{}", path.display());
        fs::write(
            &path,
            "# first\nF-PARSE-036::readme_smallest # small\n\n  ENC-001::bert_bf16\n",
        )?;
        let ids: Vec<String> = chosen(&[&word])?.ids.into_iter().collect();
        assert_eq!(ids, ["ENC-001::bert_bf16", "F-PARSE-036::readme_smallest"]);
        for (text, wanted) in [
            ("F-PARSE-036::readme_smalest\n", "ids:1: unknown case"),
            ("# none\n", "names no case"),
            ("\n\nF-PARSE-036\n", "ids:3: unknown case"),
        ] {
            fs::write(&path, text)?;
            let error = chosen(&[&word]).err().unwrap_or_default();
            assert!(error.contains(wanted), "{error}");
        }
        assert!(chosen(&["@/no/such"]).is_err());
        Ok(())
    }
}
