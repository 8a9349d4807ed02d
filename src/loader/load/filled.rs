//! The third stage of a load: every byte was read once and is in the model's memory. Nothing is
//! verified yet.

use super::device_pass;
use super::divided_pass;
use super::evidence::{FileEvidence, PassInput};
use super::host_pass::HostPass;
use super::planned::Planned;
use crate::loader::error::Result;
use crate::loader::memory::Arena;
use crate::loader::memory::device_arena::micros;

/// Filled memory, and the results of the pass for each file.
pub struct Filled<'a, 'g> {
    /// The memory.
    pub(super) planned: Planned<'a, 'g>,
    /// Results, in the order of the files.
    pub(super) evidence: Vec<FileEvidence>,
}

impl<'a, 'g> Filled<'a, 'g> {
    /// Fills the memory. Chooses the device pass or the host pass.
    ///
    /// # Errors
    /// Those of reading, of the seal and of the device.
    pub fn fill(mut planned: Planned<'a, 'g>) -> Result<Filled<'a, 'g>> {
        let Planned { arena, opened, .. } = &mut planned;
        let (request, decisions) = (opened.context.request, opened.context.decisions);
        let input = PassInput {
            files: opened.files.all(),
            decisions,
            device: opened.device,
            divided: opened.divided.as_ref(),
            scan: request.admit,
            seal: request.seal.as_ref(),
            progress: opened.context.progress,
        };
        // On a device, the device hashes sealed bytes. Loads that hash nothing use the same pass,
        // so that the cost of the check can be measured.
        let lands = request.seal.is_some() || !decisions.hashes() && request.format.is_usual();
        let ranks_land = match arena {
            Arena::Divided(ranks) if lands => divided_pass::serves(ranks, &input)?,
            _ => false,
        };
        let evidence = match arena {
            Arena::Device(arena) if lands => device_pass::run(arena, &input)?,
            Arena::Divided(ranks) if ranks_land => {
                let (evidence, busy) = divided_pass::run(ranks, &input)?;
                let ranks = opened.divided.iter_mut().flat_map(|divided| &mut divided.ranks);
                ranks.zip(busy).for_each(|(rank, busy)| rank.busy_us = Some(micros(busy)));
                evidence
            }
            arena => HostPass::new(&input)?.run(arena)?,
        };
        Ok(Filled { planned, evidence })
    }
}
