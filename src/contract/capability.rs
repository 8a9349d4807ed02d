//! The closed list of capabilities that a loader can declare.
//!
//! The reply to `hello` names capabilities, supported or not. One that it leaves out is not claimed: no case
//! assumes it, and it costs nothing. An unknown name is an error of the adapter, because it would claim
//! something that nobody tries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::request::Format;

/// Something a loader can or cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Capability {
    /// Loads into host memory on request.
    #[serde(rename = "device.cpu")]
    DeviceCpu,
    /// Loads into CUDA device memory.
    #[serde(rename = "device.cuda")]
    DeviceCuda,
    /// Keeps F32 tensors as stored.
    #[serde(rename = "dtype.f32")]
    DtypeF32,
    /// Keeps F16 tensors as stored.
    #[serde(rename = "dtype.f16")]
    DtypeF16,
    /// Keeps BF16 tensors as stored.
    #[serde(rename = "dtype.bf16")]
    DtypeBf16,
    /// Keeps I64 tensors as stored: index buffers, such as an encoder's position ids.
    #[serde(rename = "dtype.i64")]
    DtypeI64,
    /// Widens F16 and BF16 tensors to F32 on request.
    #[serde(rename = "widen")]
    Widen,
    /// Reports the whole-file SHA-256 of the bytes it used, and refuses on a mismatch.
    #[serde(rename = "digest")]
    Digest,
    /// Runs the data-quality gates before a model is admitted, and reports each.
    #[serde(rename = "gates")]
    Gates,
    /// Returns the header's `__metadata__`.
    #[serde(rename = "metadata")]
    Metadata,
    /// Writes loaded tensors back to a safetensors file.
    #[serde(rename = "read")]
    Read,
    /// Exports device memory as CUDA IPC handles.
    #[serde(rename = "export")]
    Export,
    /// Reports the bytes that it holds.
    #[serde(rename = "stat")]
    Stat,
    /// Checks a device against a hardware profile before loading.
    #[serde(rename = "preflight")]
    Preflight,
    /// Synchronises a device on request.
    #[serde(rename = "synchronize")]
    Synchronize,
    /// Creates and uses a CUDA stream on request.
    #[serde(rename = "stream")]
    Stream,
    /// Multiplies two loaded F32 matrices with the vendor's BLAS.
    #[serde(rename = "multiply")]
    Multiply,
    /// Loads a model of several files through its index.
    #[serde(rename = "sharded")]
    Sharded,
    /// Loads safetensors.
    #[serde(rename = "format.safetensors")]
    FormatSafetensors,
    /// Loads GGUF: F32, F16, BF16, Q8_0, Q4_K and Q6_K, with the configuration in it.
    #[serde(rename = "format.gguf")]
    FormatGguf,
    /// Loads APR version 2: F32, F16 and BF16, with the configuration in it.
    #[serde(rename = "format.apr")]
    FormatApr,
    /// Loads against a sealed manifest, digests checked on the device.
    #[serde(rename = "sealed")]
    Sealed,
    /// Runs a model on tokens or a vector and returns an embedding, or the states of the tokens.
    #[serde(rename = "embedding")]
    Embedding,
    /// Runs a model on text, with its own tokenizer.
    #[serde(rename = "text")]
    Text,
    /// Writes the state after every layer together with the output of a forward pass.
    #[serde(rename = "trace")]
    Trace,
    /// Runs a loaded model and compares the output with a golden reference itself.
    #[serde(rename = "validate")]
    Validate,
    /// Runs a model on tokens and returns their logits.
    #[serde(rename = "logits")]
    Logits,
    /// Generates tokens.
    #[serde(rename = "generate")]
    Generate,
    /// Holds a conversation, with the model's own tokenizer and chat template.
    #[serde(rename = "chat")]
    Chat,
    /// Plans a decoder's memory before it copies anything, and reports the plan.
    #[serde(rename = "plan")]
    Plan,
    /// Runs a decoder that does not fit its device layer by layer.
    #[serde(rename = "streaming")]
    Streaming,
    /// Names the tensors that a model's architecture does not use.
    #[serde(rename = "unused")]
    Unused,
    /// Reports the time of each step of a load.
    #[serde(rename = "times")]
    Times,
    /// Loads a model divided over several ranks.
    #[serde(rename = "parallel")]
    Parallel,
    /// Runs a model that is divided over ranks.
    #[serde(rename = "parallel.run")]
    ParallelRun,
    /// Runs BERT: an encoder with learned positions.
    #[serde(rename = "model.bert")]
    ModelBert,
    /// Runs RoBERTa: BERT with positions that start after the padding id.
    #[serde(rename = "model.roberta")]
    ModelRoberta,
    /// Runs Nomic's BERT: an encoder with rotary positions and SwiGLU.
    #[serde(rename = "model.nomic_bert")]
    ModelNomicBert,
    /// Runs Qwen2, as a decoder and, pooled, as an encoder.
    #[serde(rename = "model.qwen2")]
    ModelQwen2,
    /// Runs Qwen3, whose heads have a size of their own.
    #[serde(rename = "model.qwen3")]
    ModelQwen3,
    /// Runs Llama.
    #[serde(rename = "model.llama")]
    ModelLlama,
    /// Runs Mistral, with its window.
    #[serde(rename = "model.mistral")]
    ModelMistral,
    /// Runs Phi-3.
    #[serde(rename = "model.phi3")]
    ModelPhi3,
    /// Runs GPT-2.
    #[serde(rename = "model.gpt2")]
    ModelGpt2,
    /// Runs a bare projection: one linear layer over a vector.
    #[serde(rename = "model.projection")]
    ModelProjection,
    /// Runs Qwen2, Llama and Mistral with a `head_dim` other than hidden size / heads, where it runs these at
    /// all. Qwen3 has its `head_dim` by definition, so `model.qwen3` alone claims it there.
    #[serde(rename = "model.head_dim")]
    ModelHeadDim,
}

impl Capability {
    /// The whole list.
    pub const ALL: [Capability; 46] = [
        Capability::DeviceCpu,
        Capability::DeviceCuda,
        Capability::DtypeF32,
        Capability::DtypeF16,
        Capability::DtypeBf16,
        Capability::DtypeI64,
        Capability::Widen,
        Capability::Digest,
        Capability::Gates,
        Capability::Metadata,
        Capability::Read,
        Capability::Export,
        Capability::Stat,
        Capability::Preflight,
        Capability::Synchronize,
        Capability::Stream,
        Capability::Multiply,
        Capability::Sharded,
        Capability::FormatSafetensors,
        Capability::FormatGguf,
        Capability::FormatApr,
        Capability::Sealed,
        Capability::Embedding,
        Capability::Text,
        Capability::Trace,
        Capability::Validate,
        Capability::Logits,
        Capability::Generate,
        Capability::Chat,
        Capability::Plan,
        Capability::Streaming,
        Capability::Unused,
        Capability::Times,
        Capability::Parallel,
        Capability::ParallelRun,
        Capability::ModelBert,
        Capability::ModelRoberta,
        Capability::ModelNomicBert,
        Capability::ModelQwen2,
        Capability::ModelQwen3,
        Capability::ModelLlama,
        Capability::ModelMistral,
        Capability::ModelPhi3,
        Capability::ModelGpt2,
        Capability::ModelProjection,
        Capability::ModelHeadDim,
    ];
}

impl From<Format> for Capability {
    fn from(format: Format) -> Self {
        match format {
            Format::Safetensors => Capability::FormatSafetensors,
            Format::Gguf => Capability::FormatGguf,
            Format::Apr => Capability::FormatApr,
        }
    }
}

/// Whether a capability is supported, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Support {
    /// True if the loader serves it. A capability that is declared and not served is a failure.
    pub supported: bool,
    /// Why not; shown in the report. Required where `supported` is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Support {
    /// The capability is served.
    pub fn yes() -> Self {
        Support { supported: true, reason: None }
    }

    /// The capability is not served, for this reason.
    pub fn no(reason: impl Into<String>) -> Self {
        Support { supported: false, reason: Some(reason.into()) }
    }
}

/// What a loader declares. A capability that is left out is not claimed.
pub type Capabilities = BTreeMap<Capability, Support>;

/// Declares these capabilities as supported, and all others as unsupported, each with its reason.
pub fn declare<R: Into<String>>(
    served: &[Capability],
    why_not: impl Fn(Capability) -> R,
) -> Capabilities {
    let support = |one| match served.contains(&one) {
        true => Support::yes(),
        false => Support::no(why_not(one)),
    };
    Capability::ALL.into_iter().map(|one| (one, support(one))).collect()
}

/// Checks that each capability which is named as unsupported has a reason.
///
/// # Errors
/// The first one without, as a sentence.
pub fn check_complete(capabilities: &Capabilities) -> Result<(), String> {
    let unexplained = |(_, support): &(&Capability, &Support)| {
        !support.supported && support.reason.as_ref().is_none_or(|reason| reason.trim().is_empty())
    };
    match capabilities.iter().find(unexplained) {
        None => Ok(()),
        Some((one, _)) => Err(format!("capability unsupported without a reason: {}", name(*one))),
    }
}

/// The capability's name on the wire.
pub fn name(capability: Capability) -> String {
    match serde_json::to_value(capability) {
        Ok(serde_json::Value::String(name)) => name,
        other => unreachable!("a unit variant serialises to a string, got {other:?}"),
    }
}
