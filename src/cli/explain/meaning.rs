//! What the closed words of the protocol mean, for `explain`: classes, phases and capabilities.

use serde_json::{Value, json};

use crate::contract::{Capability, Class, Phase};

/// Every phase, with what the loader does in it.
pub(super) fn phases() -> impl Iterator<Item = (String, &'static str)> {
    use Phase::{Admit, Alloc, Copy, Header, Infer, Open, Preflight, Read, Request, Verify};
    let all =
        [Request, Preflight, Open, Header, Verify, Admit, Alloc, Copy, Read, Infer].into_iter();
    all.map(|phase| {
        let meaning = match phase {
            Request => "The loader reads the request.",
            Preflight => "The loader finds and checks the device.",
            Open => "The loader opens the file.",
            Header => "The loader reads and checks the header, with the layout of the tensors.",
            Verify => "The loader compares digests.",
            Admit => "The loader runs the data-quality gates.",
            Alloc => "The loader allocates memory.",
            Copy => "The loader reads the data and copies it to its place.",
            Read => "The loader reads loaded data back, or exports it.",
            Infer => "The loader runs the model.",
        };
        (wire(json!(phase)), meaning)
    })
}

/// Every class of failures, with whose fault it is.
pub(super) fn classes() -> impl Iterator<Item = (String, &'static str)> {
    use Class::{Device, Internal, Refused, Resource, Unsupported};
    [Refused, Unsupported, Device, Resource, Internal].into_iter().map(|class| {
        let meaning = match class {
            Refused => "The input is bad; the loader works.",
            Unsupported => "The loader does not serve this, and said so in its hello.",
            Device => "The device, its driver or its configuration is at fault.",
            Resource => "Memory, disk space or file descriptors ran out.",
            Internal => "The loader itself is at fault.",
        };
        (wire(json!(class)), meaning)
    })
}

/// What a loader can do that declares it.
pub(super) fn of_capability(capability: Capability) -> &'static str {
    match capability {
        Capability::DeviceCpu => "Loads into host memory on request.",
        Capability::DeviceCuda => "Loads into the memory of a CUDA device.",
        Capability::DtypeF32 => "Keeps F32 tensors as stored.",
        Capability::DtypeF16 => "Keeps F16 tensors as stored.",
        Capability::DtypeBf16 => "Keeps BF16 tensors as stored.",
        Capability::DtypeI64 => {
            "Keeps I64 tensors as stored: index buffers, such as an encoder's position ids."
        }
        Capability::Widen => "Widens F16 and BF16 tensors to F32 on request.",
        Capability::Digest => {
            "Reports the SHA-256 of the file's bytes that it used, and refuses a file with another one."
        }
        Capability::Gates => {
            "Runs the data-quality gates before it admits a model, and reports each."
        }
        Capability::Metadata => "Returns the header's `__metadata__`.",
        Capability::Read => "Writes loaded tensors back to a safetensors file.",
        Capability::Export => "Exports device memory as CUDA IPC handles.",
        Capability::Stat => "Reports the bytes that it holds.",
        Capability::Preflight => "Checks a device against a hardware profile before it loads.",
        Capability::Synchronize => "Synchronises a device on request.",
        Capability::Stream => "Creates and uses a CUDA stream on request.",
        Capability::Multiply => "Multiplies two loaded F32 matrices with the vendor's BLAS.",
        Capability::Sharded => "Loads a model of several files by its index.",
        Capability::FormatSafetensors => "Loads safetensors.",
        Capability::FormatGguf => {
            "Loads GGUF with F32, F16, BF16, Q8_0, Q4_K and Q6_K, and the configuration in it."
        }
        Capability::FormatApr => {
            "Loads APR version 2 with F32, F16 and BF16, and the configuration in it."
        }
        Capability::Sealed => "Loads against a seal, and checks its digests on the device.",
        Capability::Embedding => {
            "Runs a model on tokens or a vector, and returns an embedding or the token states."
        }
        Capability::Text => "Runs a model on text, with the model's own tokenizer.",
        Capability::Trace => "Writes the state after each layer with the output of a forward pass.",
        Capability::Validate => "Compares a loaded model with a golden reference by itself.",
        Capability::Logits => "Runs a model on tokens, and returns their logits.",
        Capability::Generate => "Generates tokens.",
        Capability::Chat => {
            "Holds a conversation, with the model's own tokenizer and chat template."
        }
        Capability::Plan => {
            "Plans a decoder's memory before it copies anything, and reports the plan."
        }
        Capability::Streaming => "Runs a decoder that does not fit on its device layer by layer.",
        Capability::Unused => "Reports the tensors that a model's architecture does not use.",
        Capability::Times => "Reports how long each step of a load took.",
        Capability::Parallel => "Loads a model divided over several ranks.",
        Capability::ParallelRun => "Runs a model that is divided over ranks.",
        Capability::ModelBert => "Runs BERT, an encoder with learned positions.",
        Capability::ModelRoberta => {
            "Runs RoBERTa: BERT with positions counted from after the padding id."
        }
        Capability::ModelNomicBert => {
            "Runs Nomic BERT, an encoder with rotary positions and SwiGLU."
        }
        Capability::ModelQwen2 => "Runs Qwen2, as a decoder and, with a pooling, as an encoder.",
        Capability::ModelQwen3 => "Runs Qwen3, whose heads have a size of their own.",
        Capability::ModelLlama => "Runs Llama.",
        Capability::ModelMistral => "Runs Mistral, with its attention window.",
        Capability::ModelPhi3 => "Runs Phi-3.",
        Capability::ModelGpt2 => "Runs GPT-2.",
        Capability::ModelProjection => "Runs a bare projection: one linear layer over a vector.",
        Capability::ModelHeadDim => {
            "Runs Qwen2, Llama and Mistral with a head_dim other than hidden size / heads."
        }
    }
}

/// A word as the protocol spells it.
fn wire(value: Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
