//! Mutants of the gates: reported but not run, or with one rule disabled.

use crate::contract::reply::{Gate, GateReport};
use crate::loader::LoadDecisions;
use crate::loader::error::Result;
use crate::loader::format::safetensors::TensorInfo;
use crate::loader::gates;
use crate::loader::gates::{Kind, Scan};

/// Reports every gate with counts derived from the header, and reads no value.
pub struct Skipped;

impl LoadDecisions for Skipped {
    fn admit(&self, tensors: &[(&TensorInfo, &Scan)]) -> Result<Vec<GateReport>> {
        Ok(Gate::ALL
            .into_iter()
            .map(|gate| {
                let looked_at = |tensor: &TensorInfo| Kind::of(tensor).answers_to(gate);
                let (checked, exempt): (Vec<&TensorInfo>, Vec<&TensorInfo>) =
                    tensors.iter().map(|(tensor, _)| *tensor).partition(|t| looked_at(t));
                GateReport {
                    gate,
                    checked: checked.len() as u64,
                    exempt: exempt.len() as u64,
                    elements: checked.iter().filter_map(|tensor| tensor.elements()).sum(),
                }
            })
            .collect())
    }
}

/// Lets NaN and infinities pass; every other gate is honest.
pub struct NanKept;

impl LoadDecisions for NanKept {
    fn judge(&self, gate: Gate, tensor: &TensorInfo, scan: &Scan) -> Result<()> {
        if gate == Gate::NonFinite { Ok(()) } else { gates::judge(gate, tensor, scan) }
    }
}
