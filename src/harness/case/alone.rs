//! What a capability brings alone: the cases that need nothing beyond it and what it cannot exist without.
//!
//! A loader that declares little besides is tried by these cases only. Where there were none, its claim
//! would go untried.

use std::collections::BTreeSet;

use super::{Case, Want};
use crate::contract::Capability::{self, *};
use crate::contract::Device;

const ENCODERS: [Capability; 5] =
    [ModelBert, ModelRoberta, ModelNomicBert, ModelQwen2, ModelProjection];
const DECODERS: [Capability; 6] =
    [ModelQwen2, ModelQwen3, ModelLlama, ModelMistral, ModelPhi3, ModelGpt2];

/// The ways in which a capability can be had: each lists what it cannot exist without, apart from the base.
fn ways(capability: Capability) -> Vec<Vec<Capability>> {
    let encoders = ENCODERS.map(|model| vec![Embedding, model]).to_vec();
    let decoders = |and: &[Capability]| -> Vec<Vec<Capability>> {
        DECODERS.iter().map(|model| [&[Logits, *model], and].concat()).collect()
    };
    match capability {
        Embedding => ENCODERS.map(|model| vec![model]).to_vec(),
        Logits => DECODERS.map(|model| vec![model]).to_vec(),
        ModelBert | ModelRoberta | ModelNomicBert | ModelProjection => vec![vec![Embedding]],
        ModelQwen2 => vec![vec![Embedding], vec![Logits]],
        ModelQwen3 | ModelLlama | ModelMistral | ModelPhi3 | ModelGpt2 => vec![vec![Logits]],
        Text | Trace | Validate | Unused => [encoders, decoders(&[])].concat(),
        // Qwen3's heads have a size of their own anyway.
        ModelHeadDim => vec![
            vec![Embedding, ModelQwen2],
            vec![Logits, ModelQwen2],
            vec![Logits, ModelLlama],
            vec![Logits, ModelMistral],
        ],
        Parallel => DECODERS.map(|model| vec![model]).to_vec(),
        ParallelRun => decoders(&[Parallel]),
        Generate | Plan => decoders(&[]),
        Chat => decoders(&[Generate]),
        // Streaming is seen in the plan.
        Streaming => decoders(&[Plan]),
        FormatGguf | FormatApr => [vec![vec![]], decoders(&[])].concat(),
        _ => vec![vec![]],
    }
}

/// What every loader has: a device, a way to fetch bytes, one format and one element type.
fn base(capability: Capability, device: Device) -> BTreeSet<Capability> {
    let (device, bytes) = if device.is_gpu() { (DeviceCuda, Export) } else { (DeviceCpu, Read) };
    let format = match capability {
        FormatGguf | FormatApr => capability,
        _ => FormatSafetensors,
    };
    let dtype = match capability {
        DtypeF16 | DtypeBf16 | DtypeI64 => capability,
        _ => DtypeF32,
    };
    BTreeSet::from([device, bytes, format, dtype])
}

/// The cases that try a capability on this device and need nothing beyond it and what it cannot exist
/// without.
pub fn alone(cases: &[Case], capability: Capability, device: Device) -> Vec<&Case> {
    let had: Vec<BTreeSet<Capability>> = ways(capability)
        .into_iter()
        .map(|way| {
            let mut all = base(capability, device);
            all.extend(way);
            all.insert(capability);
            all
        })
        .collect();
    let elsewhere = if device.is_gpu() { Want::Cpu } else { Want::Gpu };
    let tries = |case: &&Case| {
        let relies = case.relies(None);
        let bare = !relies.program
            && !case.needs.contains(&Want::Toolchain)
            && !case.needs.contains(&elsewhere);
        let all = relies.on(device);
        bare && all.contains(&capability) && had.iter().any(|had| all.is_subset(had))
    };
    cases.iter().filter(tries).collect()
}
