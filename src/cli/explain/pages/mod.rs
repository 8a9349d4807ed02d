//! `weighbridge explain --all`: everything that has a name, as Markdown pages that link to each other.
//!
//! A page for each section has its requirements, each under a heading of its id. So a link to
//! `iv.md#f-parse-036` leads to that requirement, in the book (`docs/book.toml`) and elsewhere.

mod classes;
mod decisions;
mod form;
mod index;
mod mutants;
mod section;
mod words;

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::json;

use self::form::Page;
use crate::cli::fault::print;
use crate::cli::{CommandError, exit};
use crate::harness::case::Case;
use crate::harness::spec::Spec;

/// Writes all pages to a folder, and says what was written.
///
/// # Errors
/// If a page cannot be written.
pub fn run(
    folder: &Path,
    as_json: bool,
    spec: &Spec,
    cases: &[Case],
    out: &mut dyn Write,
) -> Result<u8, CommandError> {
    let wrong = |path: &Path, error| CommandError::usage(format!("{}: {error}", path.display()));
    fs::create_dir_all(folder).map_err(|error| wrong(folder, error))?;
    let pages = all(spec, cases);
    for page in &pages {
        let path = folder.join(&page.name);
        fs::write(&path, &page.text).map_err(|error| wrong(&path, error))?;
    }
    let text = if as_json {
        let names: Vec<&str> = pages.iter().map(|page| page.name.as_str()).collect();
        json!({"folder": folder.display().to_string(), "files": names}).to_string()
    } else {
        format!("wrote {} pages to {}; begin with README.md", pages.len(), folder.display())
    };
    print(out, &format!("{text}\n"))?;
    Ok(exit::CORROBORATED)
}

/// Every page, the index first.
pub(super) fn all(spec: &Spec, cases: &[Case]) -> Vec<Page> {
    let sections = spec.sections().iter().map(|one| section::page(one, spec, cases));
    [index::page(spec, cases)]
        .into_iter()
        .chain(sections)
        .chain([
            classes::page(spec),
            decisions::page(spec),
            words::errors(spec),
            words::capabilities(cases),
            mutants::page(spec, cases),
        ])
        .collect()
}
