//! The capabilities that this loader declares.

use weighbridge::contract::capability::{Capabilities, Capability, declare};

use Capability as C;

const SERVED: [Capability; 16] = [
    C::DeviceCpu,
    C::DtypeF32,
    C::DtypeF16,
    C::DtypeBf16,
    C::DtypeI64,
    C::Widen,
    C::Gates,
    C::Read,
    C::Stat,
    C::FormatSafetensors,
    C::Logits,
    C::Generate,
    C::ModelQwen2,
    C::ModelQwen3,
    C::ModelLlama,
    C::ModelMistral,
];

/// Every capability, each missing one with its reason.
pub fn capabilities() -> Capabilities {
    declare(&SERVED, reason)
}

fn reason(capability: Capability) -> &'static str {
    match capability {
        C::DeviceCuda | C::Export | C::Preflight | C::Synchronize | C::Stream | C::Multiply => {
            "built without realizar's `cuda` feature"
        }
        C::Digest => "realizar hashes no safetensors",
        C::Metadata => "realizar's reader gives no `__metadata__`",
        C::Sharded => "of shards realizar gives values widened to F32, not the stored bytes",
        C::FormatGguf | C::FormatApr => "this adapter asks realizar for safetensors alone",
        C::Sealed => "realizar knows no seals",
        C::Embedding
        | C::Text
        | C::ModelBert
        | C::ModelRoberta
        | C::ModelNomicBert
        | C::ModelProjection => "realizar's converter knows decoders alone",
        C::ModelHeadDim => "realizar takes hidden size / heads as the size of a head",
        C::ModelGpt2 | C::ModelPhi3 => {
            "realizar's converter asks for Llama's tensor names, whatever the architecture"
        }
        C::Chat => "this adapter gives realizar tokens alone",
        C::Trace => "realizar's traces are statistics, not states",
        C::Validate => "realizar knows no golden files of embeddings",
        C::Plan => "realizar plans no host memory",
        C::Streaming => "realizar holds a decoder whole",
        C::Unused => "realizar does not tell which tensors a model left",
        C::Times => "realizar measures no loads",
        _ => "not offered",
    }
}
