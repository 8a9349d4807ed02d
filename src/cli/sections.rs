//! Sections by the names that people use: key, folder, title or family, in upper or lower case.

use super::lookup::{LookupError, nearest};
use crate::harness::spec::{Section, Spec};

/// The sections of these names, in the order of the spec; all of them if no name is given.
///
/// A folder may hold two sections and a family holds several, so one name can stand for more than
/// one.
///
/// # Errors
/// A name that no section has, with the nearest names.
pub fn resolve<'a>(names: &[String], spec: &'a Spec) -> Result<Vec<&'a Section>, LookupError> {
    if names.is_empty() {
        return Ok(spec.sections().iter().collect());
    }
    let mut wanted = Vec::new();
    for name in names {
        let found = named(name, spec);
        if found.is_empty() {
            let known = spec.sections().iter().flat_map(words);
            return Err(LookupError::unknown("section", name, nearest(name, known)));
        }
        wanted.extend(found);
    }
    let is_wanted = |section: &&Section| wanted.iter().any(|one| one.id == section.id);
    Ok(spec.sections().iter().filter(is_wanted).collect())
}

/// The sections of one name. A key counts before the other names.
pub fn named<'a>(name: &str, spec: &'a Spec) -> Vec<&'a Section> {
    let same = |word: &str| word.eq_ignore_ascii_case(name);
    match spec.sections().iter().find(|section| same(&section.id)) {
        Some(section) => vec![section],
        None => spec.sections().iter().filter(|section| words(section).any(same)).collect(),
    }
}

/// Every name of a section.
pub fn words(section: &Section) -> impl Iterator<Item = &str> {
    [section.id.as_str(), &section.folder, &section.title, section.family.name()].into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Result<Vec<String>, String> {
        let spec = Spec::embedded().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let found = resolve(&names, &spec).map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|section| section.id.clone()).collect())
    }

    #[test]
    fn a_section_has_several_names() {
        for name in ["IV", "iv", "parse", "PARSE", "Parsing", "parsing"] {
            assert_eq!(ids(&[name]).unwrap(), ["IV"], "{name}");
        }
        assert_eq!(ids(&["data quality of weights"]).unwrap(), ["DATA-QUALITY"]);
    }

    #[test]
    fn several_names_add_up_in_the_order_of_the_spec() {
        assert_eq!(ids(&["dtype", "IV", "parsing"]).unwrap(), ["IV", "V"]);
        let warm = ids(&["warm"]).unwrap();
        assert!(warm.contains(&"UT-WARM".to_owned()) && warm.contains(&"SEALED".to_owned()));
        assert!(ids(&[]).unwrap().len() > 25);
    }

    #[test]
    fn an_unknown_name_gives_the_nearest() {
        assert_eq!(ids(&["prase"]).unwrap_err(), "unknown section: prase (did you mean parse?)");
        let error = ids(&["Parsin"]).unwrap_err();
        assert!(error.starts_with("unknown section: Parsin (did you mean Parsing"), "{error}");
    }
}
