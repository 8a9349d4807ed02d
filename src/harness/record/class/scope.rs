//! Which cases a class has for a loader: what its core relies on, what the declared features add, and the
//! policy beside them.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{ClassRow, Table};

/// How the names of capabilities begin that are file formats.
const FORMAT: &str = "format.";

/// The capability to hold conversations.
const CHAT: &str = "chat";

/// Whether a capability divides classes: a file format, or conversations. A whole class without it does not have the
/// cases about it, whatever their requirement.
pub fn divides(capability: &str) -> bool {
    capability.starts_with(FORMAT) || capability == CHAT
}

/// What a loader declares, and where its weights go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims<'a> {
    /// The declared capabilities.
    pub declared: BTreeSet<&'a str>,
    /// Whether the run loads onto a GPU.
    pub gpu: bool,
}

/// The cases of a class for one loader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope<'a> {
    /// Cases that must hold, with the features that each of them relies on.
    pub cases: BTreeMap<&'a str, Vec<&'a str>>,
    /// Policy beside them.
    pub policy: BTreeSet<&'a str>,
}

impl Scope<'_> {
    /// Every case, policy included.
    pub fn all(&self) -> BTreeSet<&str> {
        self.cases.keys().chain(&self.policy).copied().collect()
    }
}

impl<'a> Claims<'a> {
    /// What a word of a case stands for in this run.
    fn meant<'w>(&self, word: &'w str) -> &'w str {
        match (word, self.gpu) {
            ("device", true) => "device.cuda",
            ("device", false) => "device.cpu",
            ("bytes", true) => "export",
            ("bytes", false) => "read",
            _ => word,
        }
    }

    /// The word of the cases that are limited to this kind of run.
    fn here(&self) -> &'static str {
        if self.gpu { "on.gpu" } else { "on.host" }
    }

    /// What a loader lacks for a class on this device, in words; `None` where the class is not weighed
    /// there.
    pub fn lacks(&self, class: &ClassRow, gpu: bool) -> Option<Vec<String>> {
        let further = if gpu { class.gpu.as_ref() } else { class.host.as_ref() }?;
        let declared = |name: &&String| self.declared.contains(name.as_str());
        let core = class.core.iter().chain(further);
        let mut lacks: Vec<String> = core.filter(|name| !declared(name)).cloned().collect();
        if !class.one_of.is_empty() && !class.one_of.iter().any(|name| declared(&name)) {
            lacks.push(format!("one of {}", class.one_of.join(", ")));
        }
        Some(lacks)
    }

    /// The declared features of a class.
    pub fn features<'c>(&self, class: &'c ClassRow) -> Vec<&'c str> {
        let names = class.features.iter().map(String::as_str);
        names.filter(|name| self.declared.contains(name)).collect()
    }

    /// The cases of a class whose core the loader declares.
    pub fn scope<'t>(&self, table: &'t Table, class: &ClassRow) -> Scope<'t> {
        let further = if self.gpu { class.gpu.as_ref() } else { class.host.as_ref() };
        let mut core: BTreeSet<&str> =
            class.core.iter().chain(further.into_iter().flatten()).map(String::as_str).collect();
        core.extend(
            class.one_of.iter().map(String::as_str).filter(|one| self.declared.contains(one)),
        );
        core.insert(self.here());
        let features: BTreeSet<&str> = self.features(class).into_iter().collect();
        let policy: BTreeSet<&str> = table.policy.iter().map(String::as_str).collect();
        let mut scope = Scope::default();
        for (id, words) in table.cases() {
            let is_elsewhere = |word: &&str| word.starts_with("on.") && **word != *self.here();
            if class.whole {
                let apart = |word: &&str| class.is_apart_from(word);
                if class.has(id) && !words.iter().any(|word| is_elsewhere(word) || apart(word)) {
                    scope.cases.insert(id, Vec::new());
                }
                continue;
            }
            let about = |word: &&str| class.about.iter().any(|one| one == word);
            if !class.about.is_empty() && !words.iter().any(about) {
                continue;
            }
            let beyond: Vec<&str> =
                words.into_iter().filter(|word| !core.contains(self.meant(word))).collect();
            if !beyond.iter().all(|word| features.contains(self.meant(word))) {
                continue;
            }
            if policy.contains(id) {
                scope.policy.insert(id);
            } else {
                scope.cases.insert(id, beyond.into_iter().map(|word| self.meant(word)).collect());
            }
        }
        scope
    }

    /// Every case that relies on nothing but what is declared, and on what else the manifest names.
    pub fn declared<'t>(&self, table: &'t Table, named: &[&str]) -> BTreeSet<&'t str> {
        let has = |word: &&str| {
            *word == self.here() || named.contains(word) || self.declared.contains(self.meant(word))
        };
        table.cases().filter(|(_, words)| words.iter().all(&has)).map(|(id, _)| id).collect()
    }
}

impl ClassRow {
    /// Whether a capability divides classes, and the core does not have it.
    fn is_apart_from(&self, word: &str) -> bool {
        divides(word) && !self.core.iter().any(|name| name == word)
    }

    /// Whether a case is of one of the class's core requirements.
    fn has(&self, case: &str) -> bool {
        let requirement = case.split("::").next().unwrap_or_default();
        self.requirements.iter().any(|id| id == requirement)
    }
}
