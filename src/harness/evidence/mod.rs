//! Facts that the harness observes itself, without asking the loader.

pub mod build;
pub mod change;
pub mod digest;
pub mod health;
pub mod machine;
pub mod memory;
pub mod on_card;
pub mod program;
pub mod reads;
pub mod residue;
pub mod sources;
pub mod toolchain;
pub mod untouched;
