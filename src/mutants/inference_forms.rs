//! Mutants of the form of an input, of counts above the ordinary, of sampling, of the end of an
//! answer, and of scales at which a narrower type breaks.

mod bent;
mod counts;
mod draws;
mod endings;
mod file_settings;
mod input;
mod many;
mod narrow;
mod sampling;
mod scale;
mod text;
mod tokenizers;
mod told;

use super::mutant::Mutant;

/// The mutants of this folder.
pub(super) fn all() -> impl Iterator<Item = &'static Mutant> {
    [
        input::ALL,
        counts::ALL,
        scale::ALL,
        sampling::ALL,
        draws::ALL,
        file_settings::ALL,
        endings::ALL,
        text::ALL,
        told::ALL,
        many::ALL,
        narrow::ALL,
        tokenizers::ALL,
    ]
    .into_iter()
    .flatten()
}
