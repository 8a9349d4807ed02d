//! Reads the spec's YAML files, and keeps the place of every row for error messages.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_yaml::Spanned;

use super::class::Class;
use super::decision::{ErrorCode, Excluded, Hardware, Limit, Profile, Resolution, Uncoded};
use super::kind::KindGroup;
use super::place::{Place, SpecError};
use super::requirement::{Document, Requirement, Section};
use super::role::Role;

/// A row that stores its place in the file.
pub(super) trait Row {
    fn set_place(&mut self, at: Place);
}

macro_rules! rows {
    ($($row:ty),*) => {
        $(impl Row for $row {
            fn set_place(&mut self, at: Place) {
                self.at = at;
            }
        })*
    };
}

rows!(
    Class,
    ErrorCode,
    Excluded,
    Hardware,
    KindGroup,
    Limit,
    Profile,
    Requirement,
    Resolution,
    Role,
    Section,
    Uncoded
);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SectionsFile {
    pub documents: Vec<Document>,
    pub sections: Vec<Spanned<Section>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequirementsFile {
    pub requirements: Vec<Spanned<Requirement>>,
    #[serde(default)]
    pub roles: Vec<Spanned<Role>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResolutionsFile {
    pub resolutions: Vec<Spanned<Resolution>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrorCodesFile {
    pub codes: Vec<Spanned<ErrorCode>>,
    pub without_code: Vec<Spanned<Uncoded>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfilesFile {
    pub profiles: Vec<Spanned<Profile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KindsFile {
    pub kinds: Vec<Spanned<KindGroup>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClassesFile {
    pub classes: Vec<Spanned<Class>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HardwareFile {
    pub hardware: Vec<Spanned<Hardware>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsFile {
    pub limits: Vec<Spanned<Limit>>,
    pub excluded: Vec<Spanned<Excluded>>,
}

/// Reads one file.
pub(super) fn file<T: DeserializeOwned>(path: &'static str, text: &str) -> Result<T, SpecError> {
    serde_yaml::from_str(text).map_err(|error| {
        let (line, column) =
            error.location().map_or((0, 0), |found| (found.line(), found.column()));
        let message = error.without_snippet().to_string();
        // The YAML reader appends the place, which the error text already begins with.
        let place = format!(" at line {line}, column {column}");
        let message = message.strip_suffix(&place).unwrap_or(&message).to_owned();
        SpecError::Unreadable { at: Place { file: path, line, column }, message }
    })
}

/// Unwraps rows from their spans and stores each row's place in it.
pub(super) fn placed<T: Row>(path: &'static str, rows: Vec<Spanned<T>>) -> Vec<T> {
    rows.into_iter()
        .map(|row| {
            let at =
                Place { file: path, line: row.referenced.line(), column: row.referenced.column() };
            let mut value = row.value;
            value.set_place(at);
            value
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_field_is_refused_with_its_line() {
        let text = "documents: []\nsections:\n  - {id: I, family: checklist, title: t, folder: f, points: 1, weight: 2}\n";
        let error = file::<SectionsFile>("spec/sections.yaml", text).err().map(|e| e.to_string());
        let expected = "spec/sections.yaml:3:64: unknown field `weight`, expected one of id, \
                        family, title, folder, points";
        assert_eq!(error.as_deref(), Some(expected));
    }

    #[test]
    fn a_word_outside_a_closed_list_is_refused() {
        let text = "documents: []\nsections:\n  - {id: I, family: other, title: t, folder: f, points: 1}\n";
        let error = file::<SectionsFile>("spec/sections.yaml", text).err().map(|e| e.to_string());
        assert!(error.as_deref().is_some_and(|text| text.contains("other")), "{error:?}");
    }

    #[test]
    fn a_row_knows_its_place() {
        let text = "documents: []\nsections:\n  - {id: I, family: checklist, title: t, folder: f, points: 1}\n  - {id: II, family: warm, title: t, folder: g, points: 0}\n";
        let parsed = file::<SectionsFile>("spec/sections.yaml", text).unwrap();
        let sections = placed("spec/sections.yaml", parsed.sections);
        assert_eq!(sections[1].at.line, 4);
    }
}
