//! The titles of sections, which the record does not hold.

use std::collections::BTreeMap;

/// Section titles by section key. A key without a title stands for itself.
pub type Titles = BTreeMap<String, String>;

/// A section's title, or its key.
pub(super) fn title<'a>(titles: &'a Titles, key: &'a str) -> &'a str {
    titles.get(key).map_or(key, String::as_str)
}
