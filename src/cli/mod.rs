//! One file a subcommand.

pub mod compare;
pub mod exit;
pub mod fault;
pub mod merge;
pub mod report;
pub mod verify;
