//! Scans Rust sources for `unsafe` without a `SAFETY` comment.
//!
//! This is a scan of lines, not a parser. It looks for `unsafe` blocks, `unsafe impl` and
//! `unsafe fn` outside comments and strings. Each needs a `SAFETY:` comment (for an `unsafe fn`, a
//! `# Safety` section is enough) on the same line or in the comment block right above. If the
//! loader's linter turns on clippy's `undocumented_unsafe_blocks`, that checks the same.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The result of a scan.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Number of Rust files read.
    pub files: u64,
    /// Number of uses of `unsafe`.
    pub uses: u64,
    /// Uses without a `SAFETY` comment, as (file, line from 1).
    pub bare: Vec<(PathBuf, usize)>,
}

/// Scans every `.rs` file below a folder, except in folders named `target` and hidden folders.
///
/// # Errors
/// If a folder or file cannot be read.
pub fn scan(folder: &Path) -> io::Result<Scan> {
    let mut all = Scan::default();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            if entry.file_type()?.is_dir() {
                if name != "target" && !name.to_string_lossy().starts_with('.') {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                scan_text(&path, &fs::read_to_string(&path)?, &mut all);
            }
        }
    }
    all.bare.sort();
    Ok(all)
}

fn scan_text(path: &Path, text: &str, all: &mut Scan) {
    all.files += 1;
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let code = code_of(line);
        let Some(kind) = unsafe_kind(&code) else { continue };
        all.uses += 1;
        if !argued(&lines, index, kind) {
            all.bare.push((path.to_owned(), index + 1));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Block,
    Function,
}

fn unsafe_kind(code: &str) -> Option<Kind> {
    let words: Vec<&str> =
        code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
    let at = words.iter().position(|word| *word == "unsafe")?;
    if code.contains("unsafe fn(") {
        // The type of a function pointer: the SAFETY comment belongs to the call.
        return None;
    }
    match words.get(at + 1) {
        Some(&"fn") => Some(Kind::Function),
        // `unsafe extern "C" fn` as a type or declaration: the comment belongs to the definition.
        Some(&"extern") => None,
        _ => Some(Kind::Block),
    }
}

/// The line without string literals and line comments.
fn code_of(line: &str) -> String {
    let mut code = String::with_capacity(line.len());
    let mut characters = line.chars().peekable();
    let mut in_string = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' if in_string => {
                characters.next();
            }
            '"' => in_string = !in_string,
            '/' if !in_string && characters.peek() == Some(&'/') => break,
            _ if in_string => {}
            other => code.push(other),
        }
    }
    code
}

fn argued(lines: &[&str], index: usize, kind: Kind) -> bool {
    let wanted = |line: &str| match kind {
        Kind::Block => line.contains("SAFETY:"),
        Kind::Function => line.contains("SAFETY:") || line.contains("# Safety"),
    };
    if wanted(lines[index]) {
        return true;
    }
    lines[..index]
        .iter()
        .rev()
        .map(|line| line.trim())
        .take_while(|line| {
            line.starts_with("//")
                || line.starts_with("#[")
                // The expression may begin on a line above its unsafe block.
                || line.ends_with('=')
                || line.ends_with('(')
        })
        .any(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare_lines(text: &str) -> Vec<usize> {
        let mut all = Scan::default();
        scan_text(Path::new("x.rs"), text, &mut all);
        all.bare.into_iter().map(|(_, line)| line).collect()
    }

    #[test]
    fn an_unargued_block_is_found() {
        assert_eq!(bare_lines("fn f() {\n    unsafe { g() }\n}\n"), [2]);
    }

    #[test]
    fn an_argued_block_is_not() {
        assert!(bare_lines("// SAFETY: g has no preconditions.\nunsafe { g() }\n").is_empty());
        assert!(bare_lines("// SAFETY: fine.\nlet x =\n    unsafe { g() };\n").is_empty());
    }

    #[test]
    fn an_argument_further_up_does_not_count() {
        assert_eq!(bare_lines("// SAFETY: fine.\nlet y = 1;\nunsafe { g() }\n"), [3]);
    }

    #[test]
    fn a_pointer_type_is_no_use() {
        assert!(bare_lines("type F = unsafe fn(u8) -> u8;\n").is_empty());
        assert_eq!(bare_lines("pub unsafe fn f(x: u8) {}\n"), [1]);
    }

    #[test]
    fn words_in_comments_and_strings_do_not_count() {
        assert!(bare_lines("// unsafe { }\nlet s = \"unsafe {\";\n").is_empty());
    }
}
