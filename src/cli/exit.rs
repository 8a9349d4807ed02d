//! Exit codes, one an outcome. Scripts rely on them: they do not change.

use crate::harness::record::judge::Certificate;

/// Corroborated; a part of a plan holds; or the command did what it was asked.
pub const CORROBORATED: u8 = 0;
/// Refuted; or what was to be verified or gated does not hold.
pub const REFUTED: u8 = 1;
/// The command line, or a file that it names, is wrong.
pub const USAGE: u8 = 2;
/// Nothing failed, but something was not tried.
pub const INCOMPLETE: u8 = 3;
/// The selection matches nothing.
pub const NOTHING_SELECTED: u8 = 4;
/// The harness could not do its work.
pub const HARNESS_ERROR: u8 = 5;

/// A command that acts on models was refused by the contract gate; certifying commands use this
/// number for their own faults, and none can give both.
pub const GATE_REFUSED: u8 = 5;
/// A warm start failed for any other reason.
pub const NOT_WARM: u8 = 6;

/// The exit code of a certificate.
pub const fn of(certificate: Certificate) -> u8 {
    match certificate {
        Certificate::Corroborated | Certificate::PartHolds => CORROBORATED,
        Certificate::Refuted => REFUTED,
        Certificate::Incomplete => INCOMPLETE,
        Certificate::HarnessError => HARNESS_ERROR,
    }
}
