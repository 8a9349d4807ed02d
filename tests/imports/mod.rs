//! Which file imports which: every path in the code, followed to the file that defines its item.
//!
//! A path counts wherever it stands: in a `use`, a type, an expression or a macro's arguments. It
//! may begin with `crate`, `self`, `super` or a name in scope. A re-export is followed to the file
//! that defines the item, and only that file counts as imported. So `mod x;` and `pub use x::Item;`
//! in a `mod.rs` import nothing. Code under `#[cfg(test)]` is left out.
//! `floors` holds what the imports must obey.

pub mod floors;
mod read;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use read::Module;

/// What a path leads to.
enum Target {
    /// The module of this path.
    Module(String),
    /// An item that this file defines.
    File(String),
}

/// The imports of a crate: for each file, the files it imports, each with one path that does it.
pub struct Imports {
    edges: BTreeMap<String, BTreeMap<String, String>>,
    crates: BTreeMap<String, BTreeSet<String>>,
}

impl Imports {
    /// Reads the files of a crate: their paths from its root (`src/a/b.rs`) and their texts.
    pub fn read<'a>(sources: impl IntoIterator<Item = (&'a str, &'a str)>) -> Imports {
        let modules = read::modules(sources);
        let mut edges: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut crates: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, module) in &modules {
            let file = edges.entry(module.file.clone()).or_default();
            for path in &module.paths {
                match follow(&modules, name, path, 0) {
                    Some(Target::File(to)) if to != module.file => {
                        file.entry(to).or_insert_with(|| path.join("::"));
                    }
                    Some(_) => {}
                    None => {
                        let of = crates.entry(module.file.clone()).or_default();
                        of.insert(path[0].clone());
                    }
                }
            }
        }
        Imports { edges, crates }
    }

    /// Every import: the file, the file it imports, and one path that does it.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.edges.iter().flat_map(|(from, to)| {
            to.iter().map(|(to, path)| (from.as_str(), to.as_str(), path.as_str()))
        })
    }

    /// The names outside the crate that a file's paths begin with, such as `std` or `cudarc`.
    pub fn outside(&self) -> impl Iterator<Item = (&str, &str)> {
        self.crates
            .iter()
            .flat_map(|(file, names)| names.iter().map(|name| (file.as_str(), name.as_str())))
    }

    /// A shortest circle for each group of files that import each other, a line each.
    pub fn circles(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for file in self.edges.keys() {
            if seen.contains(file) {
                continue;
            }
            if let Some(circle) = self.circle_through(file) {
                let shown: Vec<String> = circle
                    .iter()
                    .zip(circle.iter().cycle().skip(1))
                    .map(|(from, to)| format!("{from} ({})", self.edges[from][to]))
                    .collect();
                found.push(format!("{} -> {file}", shown.join(" -> ")));
                seen.extend(circle);
            }
        }
        found
    }

    /// The shortest way from a file back to itself.
    fn circle_through(&self, file: &str) -> Option<Vec<String>> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut next = VecDeque::from([file]);
        while let Some(at) = next.pop_front() {
            for to in self.edges.get(at).into_iter().flat_map(|to| to.keys()) {
                if to == file {
                    let mut way = vec![at.to_owned()];
                    while way.last().is_some_and(|last| last != file) {
                        way.push(came_from[way[way.len() - 1].as_str()].to_owned());
                    }
                    way.reverse();
                    return Some(way);
                }
                if !came_from.contains_key(to.as_str()) {
                    came_from.insert(to, at);
                    next.push_back(to);
                }
            }
        }
        None
    }
}

/// Follows a path that stands in a module, through names in scope and re-exports.
fn follow(
    modules: &BTreeMap<String, Module>,
    from: &str,
    path: &[String],
    depth: usize,
) -> Option<Target> {
    let parent = |of: &str| of.rsplit_once("::").map(|(parent, _)| parent.to_owned());
    match path.first()?.as_str() {
        "crate" => walk(modules, "crate", &path[1..], depth),
        "self" => walk(modules, from, &path[1..], depth),
        "super" => {
            let ups = path.iter().take_while(|part| *part == "super").count();
            let above = (0..ups).try_fold(from.to_owned(), |at, _| parent(&at))?;
            walk(modules, &above, &path[ups..], depth)
        }
        _ => step(modules, from, path, depth),
    }
}

/// Walks down from a module. What a macro makes has no definition to see: it counts to the
/// module's own file.
fn walk(
    modules: &BTreeMap<String, Module>,
    at: &str,
    path: &[String],
    depth: usize,
) -> Option<Target> {
    match path {
        [] => Some(Target::Module(at.to_owned())),
        _ => step(modules, at, path, depth)
            .or_else(|| Some(Target::File(modules.get(at)?.file.clone()))),
    }
}

/// One step of a path: into a child module, to an item, or through a `use`.
fn step(
    modules: &BTreeMap<String, Module>,
    at: &str,
    path: &[String],
    depth: usize,
) -> Option<Target> {
    // A glob may lead in a circle.
    if depth > 16 {
        return None;
    }
    let module = modules.get(at)?;
    let (name, rest) = path.split_first()?;
    let child = module.children.contains(name);
    if child && !(rest.is_empty() && module.items.contains(name)) {
        return walk(modules, &format!("{at}::{name}"), rest, depth + 1);
    }
    if module.items.contains(name) {
        return Some(Target::File(module.file.clone()));
    }
    if let Some(bound) = module.names.get(name) {
        let whole: Vec<String> = bound.iter().chain(rest).cloned().collect();
        return match bound == std::slice::from_ref(name) {
            true => None,
            false => follow(modules, at, &whole, depth + 1),
        };
    }
    module.globs.iter().find_map(|glob| match follow(modules, at, glob, depth + 1)? {
        Target::Module(inside) => step(modules, &inside, path, depth + 1),
        // The variants of an enum.
        Target::File(_) => None,
    })
}
