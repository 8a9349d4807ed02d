//! Tells cargo that embedded folders are part of the source: a new file in one of them must lead
//! to a new build, which the embedding macro cannot ask for itself.

fn main() {
    println!("cargo::rerun-if-changed=conformance");
}
