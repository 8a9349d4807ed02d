//! The names that a step means where it names no file and no model.

/// The file that a step means by default.
pub(super) fn main_file() -> String {
    "main".to_owned()
}

/// The model that a step means by default.
pub(super) fn first_model() -> String {
    "model".to_owned()
}
