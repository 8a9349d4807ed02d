//! Mutants that are wrong about files: several of them, many tensors in them, what is remembered of them,
//! what stands in the documents beside them, and what stays behind when they were read.

mod counts;
mod documents;
mod flags;
mod handles;
mod keys;
mod left;
mod lenient;
mod many_files;
mod of_requests;
mod one_file;
mod other_files;
mod remembered;
mod seals;
mod several;
mod short_keys;
mod values;

use super::mutant::Mutant;

/// The mutants of this module.
pub(super) fn all() -> impl Iterator<Item = &'static Mutant> {
    [
        several::ALL,
        seals::ALL,
        counts::ALL,
        values::ALL,
        keys::ALL,
        remembered::ALL,
        flags::ALL,
        documents::ALL,
        left::ALL,
        handles::ALL,
        short_keys::ALL,
        of_requests::ALL,
        many_files::ALL,
        other_files::ALL,
        lenient::ALL,
    ]
    .into_iter()
    .flatten()
}
