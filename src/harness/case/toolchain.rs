//! Steps about the loader's own toolchain, as its manifest names it.

use serde::{Deserialize, Serialize};

/// A command of the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Builds the loader.
    Build,
    /// Compiles its tests.
    TestBuild,
    /// Runs its linter.
    Lint,
    /// Builds its docs.
    Docs,
}

/// What the manifest's name for the case's requirement must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Named {
    /// A type.
    Type,
    /// A method.
    Method,
}

/// Scans the loader's sources.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {}
