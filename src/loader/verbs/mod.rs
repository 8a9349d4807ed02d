//! What the reference loader does for each verb of the contract, once a model is loaded.

pub mod engine;
pub mod examine;
pub mod forward;
pub mod generate;
pub mod golden;
pub mod preflight;
pub mod probe;
pub mod read_back;
