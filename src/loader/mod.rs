//! The judged.
