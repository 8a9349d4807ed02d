//! The fourth stage of a load: the verdicts. Both passes end here. Only verified data goes on.

use super::evidence::Hashed;
use super::filled::Filled;
use super::opened::Opened;
use super::planned::Planned;
use crate::contract::Phase;
use crate::contract::plan::LoadStep;
use crate::contract::reply::GateReport;
use crate::loader::error::{LoadError, Result};
use crate::loader::format::Tail;
use crate::loader::read::digest::hex;
use crate::loader::remedies::index_and_seal::DIGEST_DIFFERS;
use crate::loader::seal::compare;

/// Filled memory that passed all checks of digests and gates.
pub struct Verified<'a, 'g> {
    /// The memory.
    pub(super) planned: Planned<'a, 'g>,
    /// SHA-256 of the bytes that were used.
    pub(super) sha256: [u8; 32],
    /// Counts of each gate; empty without admission.
    pub(super) gates: Vec<GateReport>,
}

impl<'a, 'g> Verified<'a, 'g> {
    /// Runs the checks, in this order: files unchanged, digests, gates.
    ///
    /// # Errors
    /// `file_changed`, `checksum_mismatch`, `invalid_seal`, the `gate_failed` family.
    pub fn verify(filled: Filled<'a, 'g>) -> Result<Verified<'a, 'g>> {
        let Filled { mut planned, evidence } = filled;
        let Opened { context, files, asked_sha256, .. } = &mut planned.opened;
        let (request, decisions) = (context.request, context.decisions);
        files.all().iter().try_for_each(|file| decisions.unchanged(&file.source))?;
        let (mut digests, mut scans) = (Vec::new(), Vec::new());
        for (file, found) in files.all().iter().zip(evidence) {
            found.tail.map_or(Ok(()), Tail::check)?;
            digests.push(match found.hashed {
                Hashed::Nothing => [0; 32],
                Hashed::Whole(digest) => digest,
                Hashed::Chunks(seal, chunks) => {
                    compare::compare(file, &seal, &chunks, decisions, context.progress)?
                }
            });
            scans.extend(found.scans);
        }
        let sha256 = decisions.digest(&request.path, files.digest(&digests));
        if let Some(asked) = asked_sha256
            && !decisions.digests_match(asked, &sha256)
        {
            return Err(LoadError::refused(Phase::Verify, DIGEST_DIFFERS, "SHA-256 differs")
                .expected(hex(asked), hex(&sha256)));
        }
        context.watch.lap(LoadStep::ReadAndHash);
        let gates = if request.admit {
            let infos = files.all().iter().flat_map(|file| &file.tensors);
            let infos = infos.map(|tensor| &tensor.info);
            decisions.admit(&infos.zip(&scans).collect::<Vec<_>>())?
        } else {
            Vec::new()
        };
        context.watch.lap(LoadStep::CheckWeights);
        Ok(Verified { planned, sha256, gates })
    }
}
