//! Exit codes, one for each outcome. Scripts rely on them, so they do not change.

use crate::harness::record::judge::{Certificate, Judgement};

/// Corroborated; a part of a plan holds; or the command did what it was asked.
pub const CORROBORATED: u8 = 0;
/// Refuted, whether the harness failed in another case or not; or what was to be verified or gated does not
/// hold.
pub const REFUTED: u8 = 1;
/// The command line, or a file that it names, is wrong.
pub const USAGE: u8 = 2;
/// Nothing failed, but something was not tried.
pub const INCOMPLETE: u8 = 3;
/// The selection matches nothing.
pub const NOTHING_SELECTED: u8 = 4;
/// The harness could not do its work, and nothing is refuted.
pub const HARNESS_ERROR: u8 = 5;

/// The GPU is quarantined: it is sick. Either no case ran, or no failure on it is blamed on the loader.
pub const QUARANTINED: u8 = 7;

/// The list of known failures must be mended: an entry passes, is about nothing, fails otherwise or is past
/// its date. No failure is unlisted.
pub const LIST_STALE: u8 = 8;

/// The contract gate refused the model of a command that acts on one. Commands that certify use the
/// same number for a harness error. No command uses both meanings.
pub const GATE_REFUSED: u8 = 5;
/// A warm start failed for any other reason.
pub const NOT_WARM: u8 = 6;

/// The exit code of a certificate.
pub const fn of(certificate: Certificate) -> u8 {
    match certificate {
        Certificate::Corroborated | Certificate::PartHolds => CORROBORATED,
        Certificate::Refuted => REFUTED,
        Certificate::Incomplete => INCOMPLETE,
        Certificate::Quarantined => QUARANTINED,
        Certificate::HarnessError => HARNESS_ERROR,
    }
}

/// The exit code of a run: that of its certificate, or, with a list of known failures, whether it ended as
/// the list says.
pub fn of_run(judgement: &Judgement) -> u8 {
    match &judgement.known {
        None => of(judgement.certificate),
        Some(known) if !known.unlisted.is_empty() => of(judgement.certificate),
        Some(known) if known.is_stale() => LIST_STALE,
        // What is left once the listed failures are taken out may be untested or the harness's fault.
        Some(known) => of(known.besides),
    }
}
