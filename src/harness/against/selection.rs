//! Reads the selection of a run as its record keeps it, and says which cases it wanted.

/// A selection.
pub(super) struct Chosen {
    sections: Vec<String>,
    cases: Vec<String>,
    /// Whether it also names a file of ids or an earlier report, whose content the record does not have.
    pub(super) by_file: bool,
}

impl Chosen {
    /// Reads `--section X --case Y`; `None` where it has another form.
    pub(super) fn read(typed: Option<&str>) -> Option<Chosen> {
        let mut chosen = Chosen { sections: Vec::new(), cases: Vec::new(), by_file: false };
        let Some(typed) = typed else { return Some(chosen) };
        for word in format!(" {typed}").split(" --").skip(1) {
            match word.split_once(' ')? {
                ("section", key) => chosen.sections.push(key.to_owned()),
                ("case", text) if text.starts_with('@') => chosen.by_file = true,
                ("case", text) => chosen.cases.push(text.to_owned()),
                ("failed-from" | "untested-from", _) => chosen.by_file = true,
                _ => return None,
            }
        }
        Some(chosen)
    }

    /// Whether it wants a case. `is_whole` says whether a text is the whole id of a case: that selects this
    /// case alone.
    pub(super) fn wants(&self, section: &str, id: &str, is_whole: impl Fn(&str) -> bool) -> bool {
        let fits = |text: &String| text == id || (!is_whole(text) && id.contains(text.as_str()));
        (self.sections.is_empty() || self.sections.iter().any(|wanted| wanted == section))
            && (self.cases.is_empty() || self.by_file || self.cases.iter().any(fits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_selection_wants_what_it_wanted() {
        let wants = |typed: &str, section: &str, id: &str| {
            let chosen = Chosen::read(Some(typed)).unwrap();
            chosen.wants(section, id, |text| text == "R-1::a")
        };
        assert!(wants("--section IV --section V --case R-1", "V", "R-1::ab"));
        assert!(!wants("--section IV --case R-1", "V", "R-1::ab"));
        assert!(!wants("--case R-1::a", "V", "R-1::ab"), "a whole id selects one case");
        assert!(wants("--case R-1::a", "V", "R-1::a"));
        assert!(Chosen::read(Some("--failed-from r.json")).unwrap().by_file);
        assert!(Chosen::read(Some("everything")).is_none_or(|chosen| chosen.cases.is_empty()));
        assert!(Chosen::read(Some("--seed 7")).is_none());
        assert!(Chosen::read(None).unwrap().wants("I", "R-2::x", |_| false));
    }
}
