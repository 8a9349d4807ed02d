//! Running a loaded model: its configuration, its tensors by their roles, and one forward pass over
//! the [operations](ops::Ops) of an engine.

pub mod ops;
