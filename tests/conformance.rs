//! The strict runner, to come.
fn main() {}
