//! Lies about generating: what reaches a model, how it is read, how tokens are chosen, when it stops.

mod steps;

use super::mutant::{Mutant, reference};
use super::{device, inference};
use crate::contract::generation::{Role, Sampling};

use self::steps::{
    Chosen, FirstEnd, HeadElsewhere, HeadTied, HistoryKept, NoCache, NoEnd, TemplateOfConfig,
    TemplateSkipped, TieInverted, TokenizerSkipped, Turns, VocabularyUnchecked, config_ignored,
    groups_interleaved, head_norms_dropped, keys_permuted, scaling_ignored,
};

/// These mutants.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "tie-inverted",
        lie: "uses a stray head where it is tied, and the embeddings where it is not",
        seen_in: "loaders that decide by the tensors that happen to be there",
        needs_gpu: false,
        make: || reference(TieInverted),
    },
    Mutant {
        name: "untied-missing-head-tied",
        lie: "ties the head of an untied model that lacks it",
        seen_in: "loaders that load what they find",
        needs_gpu: false,
        make: || reference(HeadTied),
    },
    Mutant {
        name: "head-random",
        lie: "leaves the head of a tied model pointing at other weights",
        seen_in: "heads that were never initialised",
        needs_gpu: false,
        make: || reference(HeadElsewhere),
    },
    Mutant {
        name: "qk-permuted",
        lie: "reorders the rows of the keys with the number of query heads",
        seen_in: "converters of models with grouped queries",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(keys_permuted)),
    },
    Mutant {
        name: "groups-interleaved",
        lie: "gives query head h the key head h modulo their number",
        seen_in: "grouped-query attention written from memory",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(groups_interleaved)),
    },
    Mutant {
        name: "rope-scaling-ignored",
        lie: "drops the scaling of rotary positions",
        seen_in: "loaders that read rope_theta alone",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(scaling_ignored)),
    },
    Mutant {
        name: "config-ignored",
        lie: "takes SiLU and full attention whatever the configuration says",
        seen_in: "loaders made for one model",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(config_ignored)),
    },
    Mutant {
        name: "head-norms-dropped",
        lie: "leaves out the norms over the heads of queries and keys",
        seen_in: "Qwen3 read as Qwen2",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(head_norms_dropped)),
    },
    Mutant {
        name: "vocab-mismatch",
        lie: "takes a tokenizer with more tokens than the model has rows",
        seen_in: "loaders that pad embeddings",
        needs_gpu: false,
        make: || reference(VocabularyUnchecked),
    },
    Mutant {
        name: "tokenizer-skipped",
        lie: "loads without a tokenizer where its file is missing or broken",
        seen_in: "P0-QA-001",
        needs_gpu: false,
        make: || reference(TokenizerSkipped),
    },
    Mutant {
        name: "quadratic-cache",
        lie: "computes the whole prefix again at every token",
        seen_in: "generation without a cache",
        needs_gpu: true,
        make: || reference(NoCache),
    },
    Mutant {
        name: "backend-ignored",
        lie: "computes on the GPU where the CPU was asked for, and says CPU",
        seen_in: "backends that are chosen by what is there",
        needs_gpu: true,
        make: || reference(device::SilentGpu),
    },
    Mutant {
        name: "no-eos",
        lie: "never stops at the end-of-sequence token",
        seen_in: "loops that count only",
        needs_gpu: false,
        make: || reference(NoEnd),
    },
    Mutant {
        name: "first-eos-only",
        lie: "knows one end token where there are several",
        seen_in: "eos_token_id read as a number",
        needs_gpu: false,
        make: || reference(FirstEnd),
    },
    Mutant {
        name: "template-skipped",
        lie: "tokenizes what was said last, without the chat template",
        seen_in: "PMAT-236",
        needs_gpu: false,
        make: || reference(TemplateSkipped),
    },
    Mutant {
        name: "template-apart-ignored",
        lie: "takes the chat template of tokenizer_config.json, whatever chat_template.jinja says",
        seen_in: "text-generation-inference, issue 3247",
        needs_gpu: false,
        make: || reference(TemplateOfConfig),
    },
    Mutant {
        name: "system-dropped",
        lie: "leaves the system turn out",
        seen_in: "PMAT-236",
        needs_gpu: false,
        make: || reference(Turns(|role| role != Role::System)),
    },
    Mutant {
        name: "history-dropped",
        lie: "leaves the assistant's earlier turns out",
        seen_in: "chats that forget themselves",
        needs_gpu: false,
        make: || reference(Turns(|role| role != Role::Assistant)),
    },
    Mutant {
        name: "history-kept",
        lie: "keeps the tokens of the last generation in front of the next prompt",
        seen_in: "caches that are not cleared",
        needs_gpu: false,
        make: || reference(HistoryKept::default()),
    },
    Mutant {
        name: "sampling-ignored",
        lie: "takes the most likely token whatever the temperature",
        seen_in: "parameters that are parsed and forgotten",
        needs_gpu: false,
        make: || reference(Chosen(|asked| Sampling { temperature: 0.0, ..asked })),
    },
    Mutant {
        name: "top-p-ignored",
        lie: "chooses among all tokens whatever top_p says",
        seen_in: "parameters that are parsed and forgotten",
        needs_gpu: false,
        make: || reference(Chosen(|asked| Sampling { top_p: 1.0, ..asked })),
    },
    Mutant {
        name: "temperature-never-zero",
        lie: "samples where the most likely token was asked for",
        seen_in: "a default temperature of 0.7",
        needs_gpu: false,
        make: || reference(Chosen(|asked| Sampling { temperature: 0.7, ..asked })),
    },
];
