//! Implements the contract's verbs for loaded models and devices.

pub mod engine;
pub mod examine;
pub mod forward;
pub mod generate;
pub mod golden;
pub mod preflight;
pub mod probe;
pub mod ranks;
pub mod read_back;
