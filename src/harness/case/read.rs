//! Reads case files from YAML. Every mistake is reported with its file, line and column.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};
use serde_yaml::{Location, Spanned};
use sha2::{Digest, Sha256};

use super::Case;
use super::divide::DividedOutcome;
use super::expand;
use super::model::ModelSource;
use super::step::{Load, Meanwhile, Step};
use crate::harness::hex::hex;

static EMBEDDED: Dir = include_dir!("$CARGO_MANIFEST_DIR/conformance");

/// Every case of a run, in the order of files' paths and of cases in them.
#[derive(Clone, Debug)]
pub struct CaseSet {
    cases: Vec<Case>,
    digest: String,
}

/// Why cases cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A folder or file cannot be read.
    #[error("case files cannot be read: {}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is not a list of cases, or a case contradicts itself.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Case {
        /// The file, relative to the folder of cases.
        path: PathBuf,
        /// Line, from 1; 0 where unknown.
        line: u64,
        /// Column, from 1; 0 where unknown.
        column: u64,
        /// What is wrong.
        message: String,
    },
}

impl CaseSet {
    /// The cases built into the binary. `mutants` is the closed list that `kills` may name.
    ///
    /// # Errors
    /// The first mistake found.
    pub fn embedded(mutants: &[&str]) -> Result<CaseSet, ReadError> {
        let mut files = Vec::new();
        collect_embedded(&EMBEDDED, &mut files);
        read(files, mutants)
    }

    /// The cases of a folder, subfolders included.
    ///
    /// # Errors
    /// Where the folder cannot be read, else the first mistake found.
    pub fn from_dir(path: &Path, mutants: &[&str]) -> Result<CaseSet, ReadError> {
        let mut files = Vec::new();
        collect(path, path, &mut files)?;
        read(files, mutants)
    }

    /// The cases.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// SHA-256 over the files in the order of their paths (each path, its content's length and
    /// its content), 64 lower-case hex digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

type Files = Vec<(PathBuf, Vec<u8>)>;

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml")
}

fn collect_embedded(dir: &Dir, files: &mut Files) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => collect_embedded(dir, files),
            DirEntry::File(file) if is_yaml(file.path()) => {
                files.push((file.path().to_owned(), file.contents().to_vec()));
            }
            DirEntry::File(_) => {}
        }
    }
}

fn collect(root: &Path, dir: &Path, files: &mut Files) -> Result<(), ReadError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| ReadError::Io { path, source }
    };
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let path = entry.map_err(at(dir))?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if is_yaml(&path) {
            let content = fs::read(&path).map_err(at(&path))?;
            files.push((path.strip_prefix(root).unwrap_or(&path).to_owned(), content));
        }
    }
    Ok(())
}

fn read(mut files: Files, mutants: &[&str]) -> Result<CaseSet, ReadError> {
    files.sort();
    let mut hasher = Sha256::new();
    let mut cases = Vec::new();
    let mut ids = BTreeSet::new();
    for (path, content) in files {
        hasher.update(path.to_string_lossy().as_bytes());
        hasher.update([0]);
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(&content);
        let refuse = |location: Option<Location>, message| ReadError::Case {
            path: path.clone(),
            line: location.map_or(0, |location| location.line()),
            column: location.map_or(0, |location| location.column()),
            message,
        };
        let mut options = serde_yaml::Options::default();
        // Case files are the project's or its user's own; a large one is no attack.
        options.budget = None;
        options.strict_booleans = true;
        let text = std::str::from_utf8(&content).map_err(|e| refuse(None, e.to_string()))?;
        if let Some((line, column)) = indenting_tab(text) {
            let message = "tab in indentation".to_owned();
            return Err(ReadError::Case { path, line, column, message });
        }
        let read: Vec<Spanned<Case>> = serde_yaml::from_str_with_options(text, options)
            .map_err(|e| refuse(e.location(), without_place(&e)))?;
        let rows = |Spanned { value: case, referenced, .. }: Spanned<Case>| {
            let id = case.id();
            let cases = expand::cases(case);
            let cases = cases
                .map_err(|message| refuse(Some(referenced), format!("case {id}: {message}")))?;
            Ok(cases.into_iter().map(move |case| (case, referenced)))
        };
        let read = read.into_iter().map(rows).collect::<Result<Vec<_>, ReadError>>()?;
        for (case, referenced) in read.into_iter().flatten() {
            check(&case, mutants).map_err(|message| {
                refuse(Some(referenced), format!("case {}: {message}", case.id()))
            })?;
            if !ids.insert(case.id()) {
                return Err(refuse(Some(referenced), format!("duplicate case: {}", case.id())));
            }
            cases.push(case);
        }
    }
    Ok(CaseSet { cases, digest: hex(&hasher.finalize()) })
}

/// Line and column of the first tab in front of a line's text. The parser would name the place
/// where the scalar begins that it takes the line to continue.
fn indenting_tab(text: &str) -> Option<(u64, u64)> {
    (1..).zip(text.lines()).find_map(|(line, text)| {
        let indentation = text.split(|c: char| !c.is_whitespace()).next()?;
        Some((line, indentation.find('\t')? as u64 + 1))
    })
}

/// The parser's words, without the place: that is told in the form that editors jump to.
fn without_place(error: &serde_yaml::Error) -> String {
    let message = error.without_snippet().to_string();
    match error.location() {
        Some(at) => message.replace(&format!(" at line {}, column {}", at.line(), at.column()), ""),
        None => message,
    }
}

/// Checks what the types cannot say.
fn check(case: &Case, mutants: &[&str]) -> Result<(), String> {
    if case.steps.is_empty() {
        return Err("no steps".to_owned());
    }
    if case.requirement.is_empty() || !is_snake_case(&case.name) {
        return Err(format!("name is not snake case: {}", case.name));
    }
    if let Some(unknown) = case.kills.iter().find(|kill| !mutants.contains(&kill.as_str())) {
        return Err(format!("unknown mutant: {unknown}"));
    }
    if case.policy.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
        return Err("policy without a reason".to_owned());
    }
    if let Some(step) = case.must_be_alone().filter(|_| !case.alone) {
        return Err(format!("a case with this step must say `alone: true`: {step}"));
    }
    if case.loses_a_rank() && !case.fresh_process {
        return Err("a case with `lose` says `fresh_process: true`".to_owned());
    }
    match (&case.kills_none_because, case.kills.is_empty()) {
        (None, true) => return Err("kills nothing and does not say why".to_owned()),
        (Some(_), false) => return Err("kills something and says why it does not".to_owned()),
        _ => {}
    }
    if let Some(name) = moved_shards(case) {
        return Err(format!("a file in shards is only loaded as it was written: {name}"));
    }
    if let Some(name) = case.models.keys().find(|name| case.files.contains_key(*name)) {
        return Err(format!("a model and a file of one name: {name}"));
    }
    let sources = |model: &ModelSource| {
        let made = [model.registry.is_some(), model.random.is_some(), model.chat, model.full_size];
        made.into_iter().chain([model.same_as.is_some()]).filter(|is| *is).count()
    };
    if case.models.values().any(|model| sources(model) != 1) {
        return Err(
            "a model is one of the registry, a random one, the small chat model, or another again"
                .to_owned(),
        );
    }
    if case.models.values().any(|model| model.spelled.is_some() && model.random.is_none()) {
        return Err("only a random model can be spelled in another way".to_owned());
    }
    for model in case.models.values() {
        let first = model.same_as.as_ref();
        let known = first.is_none_or(|first| {
            case.models.get(first).is_some_and(|first| first.same_as.is_none())
        });
        if !known || model.same_as.is_none() && !model.format.is_usual() {
            return Err("same_as names a model that is made, and format its format".to_owned());
        }
        let without = model.quantised.is_none() && model.breaks.is_empty();
        if model.format.is_usual() && !without {
            return Err("quantised and breaks are of a model in another format".to_owned());
        }
    }
    let leaves = |step: &&Step| matches!(step, Step::Leave(_));
    let last = case.steps.len() - 1;
    if case.flat_steps().iter().filter(|step| leaves(step)).count()
        != case.steps[last..].iter().filter(leaves).count()
    {
        return Err("a step behind leave, or a repetition of it".to_owned());
    }
    check_steps(case, &case.steps, &mut Names::default())
}

/// A file in shards that the case moves or rewrites: those are about one file.
fn moved_shards(case: &Case) -> Option<&String> {
    let moves = case.elsewhere || case.rewrites_files();
    let mut files = case.files.iter().filter(|(_, recipe)| recipe.shards.is_some());
    files.find(|_| moves).map(|(name, _)| name)
}

fn is_snake_case(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// What earlier steps have defined.
#[derive(Default)]
struct Names {
    models: BTreeSet<String>,
    marks: BTreeSet<String>,
    /// Whether a second process has loaded something.
    beside: bool,
    /// Whether a load of it is under way.
    under_way: bool,
}

fn check_steps(case: &Case, steps: &[Step], names: &mut Names) -> Result<(), String> {
    let file = |name: &String| match case.files.contains_key(name) || case.models.contains_key(name)
    {
        true => Ok(()),
        false => Err(format!("no such file: {name}")),
    };
    let known = |set: &BTreeSet<String>, what: &str, name: &String| match set.contains(name) {
        true => Ok(()),
        false => Err(format!("{what} used before it is defined: {name}")),
    };
    for step in steps {
        match step {
            Step::Load(Load { file: name, name: model, meanwhile, seal, .. }) => {
                file(name)?;
                seal.iter().filter_map(|seal| seal.of.as_ref()).try_for_each(file)?;
                if let Some(Meanwhile::Replace(other)) = meanwhile {
                    file(other)?;
                }
                names.models.insert(model.clone());
            }
            Step::Divide(step) => {
                file(&step.file)?;
                match (step.lose, &step.expect) {
                    (None, _) => drop(names.models.insert(step.name.clone())),
                    // It is unloaded at the end of the step.
                    (Some(_), DividedOutcome::Held) => {}
                    (Some(_), DividedOutcome::Refused(_)) => {
                        return Err("a load that loses a rank is expected to be held".to_owned());
                    }
                }
            }
            Step::LoadBeside(_) if names.under_way => {
                return Err(
                    "load_beside behind another, without a compare_beside between".to_owned()
                );
            }
            Step::LoadBeside(step) => {
                file(&step.file)?;
                (names.beside, names.under_way) = (true, true);
            }
            Step::CompareBeside(_) if !names.beside => {
                return Err("compare_beside without a load_beside".to_owned());
            }
            Step::CompareBeside(_) => names.under_way = false,
            Step::Compare(step) => known(&names.models, "model", &step.model)?,
            Step::Poke(step) => known(&names.models, "model", &step.model)?,
            Step::Unload(step) => known(&names.models, "model", &step.model)?,
            Step::Multiply(step) => known(&names.models, "model", &step.model)?,
            Step::Stat(step) => {
                step.bytes_of.iter().try_for_each(|model| known(&names.models, "model", model))?;
            }
            Step::Mark(step) => {
                names.marks.insert(step.name.clone());
            }
            Step::Grown(step) => {
                known(&names.marks, "mark", &step.since)?;
                match &step.plan_of {
                    None => file(&step.payload)?,
                    Some(model) => known(&names.models, "model", model)?,
                }
            }
            Step::Left(step) => known(&names.marks, "mark", &step.since)?,
            Step::Flips(step) => file(&step.file)?,
            Step::Peak(step) => file(&step.payload)?,
            Step::MarkPeak(_) => {}
            // What the first round leaves behind is there in the second.
            Step::Repeat(step) => {
                (0..step.times.clamp(1, 2))
                    .try_for_each(|_| check_steps(case, &step.steps, names))?;
            }
            Step::Remove(step) => file(&step.file)?,
            Step::UseAfterUnload(step) => known(&names.models, "model", &step.model)?,
            Step::Tamper(step) => known(&names.models, "model", &step.model)?,
            Step::Write(step) => {
                file(&step.from)?;
                file(&step.over)?;
            }
            Step::Stream(step) => file(&step.file)?,
            Step::Forward(step) => known(&names.models, "model", &step.model)?,
            Step::RejectInput(step) => known(&names.models, "model", &step.model)?,
            Step::Relate(step) => known(&names.models, "model", &step.model)?,
            Step::Validate(step) => known(&names.models, "model", &step.model)?,
            Step::StoredGolden(step) => known(&names.models, "model", &step.model)?,
            Step::Throughput(step) => known(&names.models, "model", &step.model)?,
            Step::BitIdentical(step) => {
                known(&names.models, "model", &step.model)?;
                known(&names.models, "model", &step.to)?;
            }
            Step::Cli(step) => file(&step.model)?,
            Step::Sample(step) => known(&names.models, "model", &step.model)?,
            Step::Generate(step) => known(&names.models, "model", &step.model)?,
            Step::Agree(step) => {
                step.models.iter().try_for_each(|model| known(&names.models, "model", model))?;
            }
            Step::Drift(step) => {
                known(&names.models, "model", &step.model)?;
                file(&step.from)?;
            }
            Step::Leave(leave) if leave.look_at.is_empty() => {
                return Err("leave looks at nothing".to_owned());
            }
            Step::Leave(_)
            | Step::SameProgram(_)
            | Step::WithinBudget(_)
            | Step::WholeSet(_)
            | Step::Real(_)
            | Step::Device(_)
            | Step::Ballast(_)
            | Step::Release(_)
            | Step::Synchronize(_)
            | Step::Command(_)
            | Step::Name(_)
            | Step::MalformedRequest(_)
            | Step::Sources(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
