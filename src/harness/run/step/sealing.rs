//! Seals that the harness makes for a load.

use crate::contract::{Capability, request};
use crate::harness::case::seal::Sealing;
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// A sound seal of a file, if the loader serves seals and the harness can make one.
pub fn sound_seal(case_run: &CaseRun<'_>, file: &str) -> Option<Sealing> {
    let made = case_run
        .placed
        .get(file)
        .filter(|model| model.format.is_usual() && model.model.shards == 1);
    let own = case_run.context.setting.checkpoint.is_none();
    (own && made.is_some() && case_run.serves(Capability::Sealed)).then(Sealing::default)
}

/// Writes the seal that a load asks for.
///
/// # Errors
/// [`CaseEnd::Fault`] where it cannot be made or written.
pub fn write_seal(
    case_run: &mut CaseRun<'_>,
    file: &str,
    sealing: &Sealing,
) -> Result<request::Seal, CaseEnd> {
    case_run.gathering(|case_run| {
        let named = sealing.of.as_deref().unwrap_or(file);
        let fixture = &case_run.file(named)?.fixture;
        let path = &case_run.file(file)?.path;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Sealing { undamaged, chunk_bytes, flaw, .. } = *sealing;
        let mut sealed = fixture.seal(&name, undamaged, chunk_bytes, flaw);
        if let Some(edits) = &sealing.edits {
            sealed = sealed.edited(edits).map_err(CaseEnd::Fault)?;
        }
        let path = case_run.input_file();
        if let Some(text) = sealed.text {
            std::fs::write(&path, text)
                .map_err(|error| CaseEnd::Fault(format!("writing a seal: {error}")))?;
        }
        Ok(request::Seal { path, sha256: sealed.pin })
    })
}
