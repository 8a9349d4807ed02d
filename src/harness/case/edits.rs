//! Changes to the text of a document of a case: an index, a seal, a file beside the weights.

use serde::Deserialize;

/// What is done to a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextEdits {
    /// Parts of it, and what stands in their place, wherever they are.
    #[serde(default)]
    pub parts: Vec<(String, String)>,
    /// What stands before it.
    #[serde(default)]
    pub before: String,
    /// What stands behind it.
    #[serde(default)]
    pub behind: String,
}

impl TextEdits {
    /// The changed text.
    ///
    /// # Errors
    /// If it lacks one of the parts, or is as it was.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        let mut changed = text.to_owned();
        for (part, other) in &self.parts {
            if part.is_empty() || !changed.contains(part) {
                return Err(format!("no {part:?} in the text that is to be changed"));
            }
            changed = changed.replace(part, other);
        }
        let changed = format!("{}{changed}{}", self.before, self.behind);
        if changed == text { Err("the text is as it was".to_owned()) } else { Ok(changed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_replaced_everywhere_and_a_part_that_is_missing_is_an_error() {
        let parts = vec![("a".to_owned(), "bb".to_owned())];
        let edits = TextEdits { parts, before: "<".to_owned(), behind: ">".to_owned() };
        assert_eq!(edits.apply("cac a"), Ok("<cbbc bb>".to_owned()));
        assert!(edits.apply("ccc").is_err());
        assert!(TextEdits::default().apply("a").is_err());
    }
}
