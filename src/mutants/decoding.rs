//! Mutants of generation: prompts, weights, sampling, and stop conditions.

mod steps;

use super::mutant::{Mutant, reference};
use super::{device, inference};
use crate::contract::generation::{Role, Sampling};

use self::steps::{
    Chosen, FirstEnd, HistoryKept, NoCache, NoEnd, TemplateSkipped, Turns, config_ignored,
    groups_interleaved, head_elsewhere, head_norms_dropped, head_tied, keys_permuted,
    scaling_ignored, template_of_config, tie_inverted, tokenizer_skipped, vocabulary_unchecked,
};

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "tie-inverted",
        lie: "uses a stray lm_head in a tied model, and the embeddings in an untied one",
        seen_in: "loaders that decide by which tensors are present",
        needs_gpu: false,
        make: || reference(inference::Found(tie_inverted)),
    },
    Mutant {
        name: "untied-missing-head-tied",
        lie: "uses the embeddings as the head of an untied model whose head is missing",
        seen_in: "loaders that use whatever they find",
        needs_gpu: false,
        make: || reference(inference::Found(head_tied)),
    },
    Mutant {
        name: "head-random",
        lie: "lets the head of a tied model point at other weights",
        seen_in: "heads that were never initialised",
        needs_gpu: false,
        make: || reference(inference::Found(head_elsewhere)),
    },
    Mutant {
        name: "qk-permuted",
        lie: "permutes key rows as if there were as many key heads as query heads",
        seen_in: "converters for models with grouped-query attention",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(keys_permuted)),
    },
    Mutant {
        name: "groups-interleaved",
        lie: "pairs query head h with key head h modulo the number of key heads",
        seen_in: "grouped-query attention written from memory",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(groups_interleaved)),
    },
    Mutant {
        name: "rope-scaling-ignored",
        lie: "ignores the RoPE scaling",
        seen_in: "loaders that read only rope_theta",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(scaling_ignored)),
    },
    Mutant {
        name: "config-ignored",
        lie: "uses SiLU and full attention, whatever the configuration says",
        seen_in: "loaders written for one model",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(config_ignored)),
    },
    Mutant {
        name: "head-norms-dropped",
        lie: "omits the norms over query and key heads",
        seen_in: "Qwen3 models loaded as Qwen2",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(head_norms_dropped)),
    },
    Mutant {
        name: "vocab-mismatch",
        lie: "accepts a tokenizer with more tokens than the model's vocabulary",
        seen_in: "loaders that pad embeddings",
        needs_gpu: false,
        make: || reference(inference::Found(vocabulary_unchecked)),
    },
    Mutant {
        name: "tokenizer-skipped",
        lie: "loads without a tokenizer or template if its file is missing or broken",
        seen_in: "P0-QA-001",
        needs_gpu: false,
        make: || reference(inference::Found(tokenizer_skipped)),
    },
    Mutant {
        name: "quadratic-cache",
        lie: "computes the whole prefix again for every token",
        seen_in: "generation without a KV cache",
        needs_gpu: true,
        make: || reference(NoCache),
    },
    Mutant {
        name: "backend-ignored",
        lie: "computes on the GPU when the CPU is requested, and reports the CPU",
        seen_in: "programs that choose the backend by what is available",
        needs_gpu: true,
        make: || reference(device::SilentGpu),
    },
    Mutant {
        name: "no-eos",
        lie: "never stops at the end-of-sequence token",
        seen_in: "loops that only count tokens",
        needs_gpu: false,
        make: || reference(NoEnd),
    },
    Mutant {
        name: "first-eos-only",
        lie: "stops at only the first of several end-of-sequence tokens",
        seen_in: "eos_token_id parsed as one number",
        needs_gpu: false,
        make: || reference(FirstEnd),
    },
    Mutant {
        name: "template-skipped",
        lie: "tokenizes only the last message, without the chat template",
        seen_in: "PMAT-236",
        needs_gpu: false,
        make: || reference(TemplateSkipped),
    },
    Mutant {
        name: "template-apart-ignored",
        lie: "uses tokenizer_config.json's chat template instead of chat_template.jinja",
        seen_in: "text-generation-inference, issue 3247",
        needs_gpu: false,
        make: || reference(inference::Found(template_of_config)),
    },
    Mutant {
        name: "system-dropped",
        lie: "drops the system message",
        seen_in: "PMAT-236",
        needs_gpu: false,
        make: || reference(Turns(|role| role != Role::System)),
    },
    Mutant {
        name: "history-dropped",
        lie: "drops the assistant's earlier messages",
        seen_in: "chats that lose their history",
        needs_gpu: false,
        make: || reference(Turns(|role| role != Role::Assistant)),
    },
    Mutant {
        name: "history-kept",
        lie: "puts the previous prompt's tokens before the next prompt",
        seen_in: "caches that are not cleared between prompts",
        needs_gpu: false,
        make: || reference(HistoryKept::default()),
    },
    Mutant {
        name: "sampling-ignored",
        lie: "takes the most likely token, whatever the temperature",
        seen_in: "parameters that are parsed but not used",
        needs_gpu: false,
        make: || reference(Chosen(|asked| Sampling { temperature: 0.0, ..asked })),
    },
    Mutant {
        name: "top-p-ignored",
        lie: "samples from all tokens, whatever top_p says",
        seen_in: "parameters that are parsed but not used",
        needs_gpu: false,
        make: || reference(Chosen(|asked| Sampling { top_p: 1.0, ..asked })),
    },
    Mutant {
        name: "temperature-never-zero",
        lie: "samples at temperature 0.7, whatever temperature is requested",
        seen_in: "a default temperature of 0.7",
        needs_gpu: false,
        make: || reference(Chosen(|asked| Sampling { temperature: 0.7, ..asked })),
    },
];
