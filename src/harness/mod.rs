//! The judge.

pub mod spec;
