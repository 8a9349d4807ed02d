//! One file a subcommand.

pub mod explain;
pub mod list;
pub mod lookup;
