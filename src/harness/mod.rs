//! The judge.

pub mod client;
pub mod manifest;
