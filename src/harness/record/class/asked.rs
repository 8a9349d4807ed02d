//! What a run was asked for: a profile, one class, or everything that the loader declares.

use super::table::Table;

/// The name, in place of a profile's, of a run that weighs what the loader declares.
pub const DECLARED: &str = "declared";

/// What a run was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// The requirements of a profile.
    Profile,
    /// One class.
    Class(&'a str),
    /// Everything that the loader declares.
    Declared,
}

impl<'a> Asked<'a> {
    /// What the name in a record's subject stands for.
    pub fn of(name: &'a str, table: Option<&Table>) -> Self {
        match table {
            Some(_) if name == DECLARED => Asked::Declared,
            Some(table) if table.class(name).is_some() => Asked::Class(name),
            _ => Asked::Profile,
        }
    }
}
