//! The capabilities that this loader declares.

use weighbridge::contract::capability::{Capabilities, Capability, declare};

use Capability as C;

const SERVED: [Capability; 21] = [
    C::DeviceCpu,
    C::DeviceCuda,
    C::DtypeF32,
    C::DtypeF16,
    C::DtypeBf16,
    C::DtypeI64,
    C::Widen,
    C::Read,
    C::Stat,
    C::FormatSafetensors,
    C::Embedding,
    C::Logits,
    C::Generate,
    C::ModelBert,
    C::ModelRoberta,
    C::ModelNomicBert,
    C::ModelQwen2,
    C::ModelQwen3,
    C::ModelLlama,
    C::ModelMistral,
    C::ModelPhi3,
];

/// Every capability, each missing one with its reason.
pub fn capabilities() -> Capabilities {
    let built = |capability: &Capability| *capability != C::DeviceCuda || cfg!(feature = "cuda");
    let served: Vec<Capability> = SERVED.into_iter().filter(built).collect();
    declare(&served, reason)
}

fn reason(capability: Capability) -> &'static str {
    match capability {
        C::DeviceCuda => "built without candle's `cuda` feature",
        C::Export => "candle takes device memory from the driver's pool, which has no IPC handles",
        C::Preflight => "candle checks no profile of a device",
        C::Synchronize | C::Stream | C::Multiply => "this adapter loads and runs models alone",
        C::Digest => "candle hashes nothing",
        C::Gates => "candle looks at no values",
        C::Metadata => "candle's readers give no `__metadata__`",
        C::Sharded => "candle takes a list of files; the index is its caller's to read",
        C::FormatGguf => "candle runs GGUF by models of its own, under GGUF's names",
        C::FormatApr => "candle does not know the format",
        C::Sealed => "candle knows no seals",
        C::Text | C::Chat => "candle brings no tokenizer",
        C::Trace => "candle's models give no states on the way",
        C::Validate => "candle knows no golden files",
        C::Plan => "candle plans no memory",
        C::Streaming => "candle holds a model whole",
        C::Unused => "candle does not tell which tensors a model left",
        C::Times => "candle measures nothing",
        C::ModelHeadDim => "candle's Qwen2 and Llama read no head_dim",
        C::ModelGpt2 => "candle-transformers has no GPT-2",
        C::ModelProjection => "a layer alone is no model of candle's",
        _ => "not offered",
    }
}
