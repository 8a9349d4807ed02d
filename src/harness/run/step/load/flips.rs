//! Loads a file again and again, each time with one bit flipped. Every load must be refused.

use std::fs;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use crate::contract::reply::Reply;
use crate::contract::request::{self, DtypePolicy, Request};
use crate::contract::{Class, Code};
use crate::harness::case::seal::Flaw;
use crate::harness::case::step::{FlipPlace, Flips};
use crate::harness::evidence::digest::mix;
use crate::harness::record::{Basis, Check};
use crate::harness::regular;
use crate::harness::run::case_run::words::plain;
use crate::harness::run::case_run::{CaseEnd, CaseRun, failure_claim, summary};

/// Bytes at either end of the data that count as its start and end.
const EDGE: usize = 64;

/// Flips bits one at a time and asks for each load.
pub fn flips(case_run: &mut CaseRun<'_>, step: &Flips) -> Result<(), CaseEnd> {
    let mode = if step.sealed { "sealed" } else { "strict" };
    case_run.begin(format!(
        "load {}, {mode}, {} times, each with another bit of its {} flipped",
        step.file,
        step.times,
        plain(step.place)
    ));
    let placed = case_run.file(&step.file)?;
    let (fixture, path) = (placed.fixture.clone(), placed.path.clone());
    let bytes = &fixture.bytes;
    let (from, to) = range(bytes, step.place)
        .ok_or_else(|| CaseEnd::Fault(format!("the file has no {}", plain(step.place))))?;
    let sealed = if step.sealed {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let sealed = case_run.gathering(|_| fixture.seal(&name, false, 64 << 10, Flaw::None));
        let path = case_run.input_file();
        fs::write(&path, sealed.text.unwrap_or_default()).map_err(|error| fault(&error))?;
        Some(request::Seal { path, sha256: sealed.pin })
    } else {
        None
    };
    let seed = mix(&[&case_run.context.setting.seed.to_le_bytes(), case_run.case.id().as_bytes()]);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut refused = 0;
    for _ in 0..step.times {
        let (at, bit) = (random.random_range(from..to), random.random_range(0..8u32));
        case_run
            .gathering(|_| {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                regular::overwrite(&path, &changed)
            })
            .map_err(|error| fault(&error))?;
        let request = Request::Load(request::Load {
            path: path.clone(),
            format: request::Format::Safetensors,
            device: case_run.device(),
            keep: DtypePolicy::Stored,
            expect_sha256: sealed.is_none().then(|| fixture.sha256().to_owned()),
            seal: sealed.clone(),
            admit: false,
            parallel: None,
            inference: None,
        });
        let what = format!("bit {bit} of byte {at} flipped");
        match case_run.ask(request, bytes.len() as u64)? {
            Err(failure) if failure.class == Class::Refused && truthful(failure.code) => {
                refused += 1;
            }
            Err(failure) => {
                case_run.claim(failure_claim(&failure));
                let found = summary(&failure);
                case_run.check(Check::broken(what, "a refusal for it", found, Basis::Observed))?;
            }
            Ok(Reply::Load(loaded)) => {
                case_run.claim(serde_json::json!({ "handle": loaded.handle }));
                case_run.check(Check::broken(what, "a refusal", "loaded", Basis::Observed))?;
            }
            Ok(other) => return Err(CaseEnd::Fault(format!("a {} reply to load", other.verb()))),
        }
    }
    case_run.gathering(|_| regular::overwrite(&path, bytes)).map_err(|error| fault(&error))?;
    case_run.check(Check::equal("loads refused", step.times, refused, Basis::Observed))?;
    case_run.check_nothing_left()
}

/// Where the bytes of a place begin and end; `None` where the file has none.
fn range(bytes: &[u8], place: FlipPlace) -> Option<(usize, usize)> {
    let prefix: [u8; 8] = *bytes.first_chunk()?;
    let data = 8 + usize::try_from(u64::from_le_bytes(prefix)).ok()?;
    let text = bytes.get(8..data)?;
    let padding = data - text.iter().rev().take_while(|byte| **byte == b' ').count();
    let (from, to) = match place {
        FlipPlace::Prefix => (0, 8),
        FlipPlace::Header => (8, padding),
        FlipPlace::Padding => (padding, data),
        FlipPlace::DataStart => (data, bytes.len().min(data + EDGE)),
        FlipPlace::Data => (data, bytes.len()),
        FlipPlace::DataEnd => (bytes.len().saturating_sub(EDGE).max(data), bytes.len()),
    };
    (from < to).then_some((from, to))
}

/// Whether a code can be true of a file with one bit changed: a wrong digest, a dtype that the
/// loader does not hold, a broken header or layout, or another file format.
fn truthful(code: Code) -> bool {
    let family = code.family().unwrap_or(code);
    matches!(
        family,
        Code::ChecksumMismatch
            | Code::UnsupportedDtype
            | Code::ForeignFormat
            | Code::InvalidHeader
            | Code::InvalidLayout
    )
}

fn fault(error: &std::io::Error) -> CaseEnd {
    CaseEnd::Fault(format!("writing a flipped file: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_where_they_say() {
        let mut bytes = 6u64.to_le_bytes().to_vec();
        bytes.extend(b"{}    ");
        bytes.extend([7; 200]);
        let at = |place| range(&bytes, place);
        assert_eq!(at(FlipPlace::Prefix), Some((0, 8)));
        assert_eq!(at(FlipPlace::Header), Some((8, 10)));
        assert_eq!(at(FlipPlace::Padding), Some((10, 14)));
        assert_eq!(at(FlipPlace::DataStart), Some((14, 78)));
        assert_eq!(at(FlipPlace::Data), Some((14, 214)));
        assert_eq!(at(FlipPlace::DataEnd), Some((150, 214)));
        assert_eq!(range(&bytes[..14], FlipPlace::Data), None);
        assert_eq!(range(&bytes[..7], FlipPlace::Prefix), None);
    }
}
