//! Titles of sections. The record holds only their keys.

use std::collections::BTreeMap;

/// Section titles by section key. If a key has no title, the key is shown.
pub type Titles = BTreeMap<String, String>;

/// A section's title, or its key.
pub(super) fn title<'a>(titles: &'a Titles, key: &'a str) -> &'a str {
    titles.get(key).map_or(key, String::as_str)
}
