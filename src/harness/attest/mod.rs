//! Attestations: signed statements about a report, in the forms that other tools read.
//!
//! A report becomes three in-toto statements about the loader's program: the test results, the
//! verification summary, and this project's own, with classes, points, policy and the sums. Each is
//! signed alone in a DSSE envelope; a file of them has one envelope a line (an in-toto bundle), or each is in
//! a sigstore bundle of its own.
//!
//! A signature says who vouches for a report. The time in a statement is the signer's own word.

pub mod bundle;
pub mod check;
pub mod envelope;
pub mod key;
pub mod statement;
