//! Mutants that divide a model over ranks in the wrong way, or say that they did otherwise.

mod answers;
mod apart;
mod exchange;
mod lost;
mod rank_process;
mod slices;

use super::between::between;
use super::claims::Turned;
use super::mutant::{Mutant, reference};

use self::answers::{
    AbsentInHostMemory, BesideSlices, Changed, FallsBack, ForEachRank, HeldByAll, LastRankLeftOut,
    MadeToFit, ReadByEach, Retold, card_in_own_order, card_of_first, card_zero,
};
use self::exchange::{Anew, Exchanges, FirstPart, Mean, Padded, Unmasked};
use self::slices::{Hidden, Wrong};

pub use self::lost::HONEST;
pub(super) use self::lost::LOST;

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "slice-zero-everywhere",
        lie: "gives every rank the slices of the first one",
        seen_in: "vllm-gguf-plugin#103, DeepSpeed#6589",
        needs_gpu: false,
        make: || reference(Wrong(slices::first_everywhere)),
    },
    Mutant {
        name: "slice-zero-told-otherwise",
        lie: "gives every rank the slices of the first one, and says that each has its own",
        seen_in: "vllm-gguf-plugin#103",
        needs_gpu: false,
        make: || reference(Hidden::new(slices::first_everywhere)),
    },
    Mutant {
        name: "slice-of-the-next-rank",
        lie: "gives every rank the slices of its neighbour",
        seen_in: "programs that count ranks from one",
        needs_gpu: false,
        make: || reference(Hidden::new(slices::of_neighbour)),
    },
    Mutant {
        name: "few-words-repeated",
        lie: "gives ranks beyond the last word the words of the first ranks once more",
        seen_in: "programs that repeat words as they repeat key heads",
        needs_gpu: false,
        make: || reference(Wrong(slices::words_repeated)),
    },
    Mutant {
        name: "columns-as-rows",
        lie: "cuts row-parallel weights into runs of rows, which are contiguous in the file",
        seen_in: "transformers#37051",
        needs_gpu: false,
        make: || reference(Wrong(slices::columns_as_rows)),
    },
    Mutant {
        name: "columns-as-rows-told-otherwise",
        lie: "cuts row-parallel weights into runs of rows, and says that it cut columns",
        seen_in: "transformers#37051",
        needs_gpu: false,
        make: || reference(Hidden::new(slices::columns_as_rows)),
    },
    Mutant {
        name: "fused-in-equal-runs",
        lie: "cuts fused matrices into equal runs of rows, so that the first rank has queries only",
        seen_in: "DeepSpeed#3844, sglang#38766",
        needs_gpu: false,
        make: || reference(Wrong(slices::fused_in_equal_runs)),
    },
    Mutant {
        name: "fused-in-equal-runs-told-otherwise",
        lie: "cuts fused matrices into equal runs of rows, and says that it cut each block",
        seen_in: "pytorch#149701",
        needs_gpu: false,
        make: || reference(Hidden::new(slices::fused_in_equal_runs)),
    },
    Mutant {
        name: "key-heads-in-turn",
        lie: "deals fewer key heads than ranks out in turn, so that queries meet the keys of others",
        seen_in: "transformers#48307, sglang#20967",
        needs_gpu: false,
        make: || reference(Wrong(slices::key_heads_in_turn)),
    },
    Mutant {
        name: "last-words-dropped",
        lie: "gives every rank equally many rows of the vocabulary, and drops the rest",
        seen_in: "vllm#20843",
        needs_gpu: false,
        make: || reference(Wrong(slices::last_words_dropped)),
    },
    Mutant {
        name: "head-cut-otherwise",
        lie: "cuts the head into other rows than the word embeddings",
        seen_in: "Megatron-LM#1754",
        needs_gpu: false,
        make: || reference(Wrong(slices::head_cut_otherwise)),
    },
    Mutant {
        name: "bias-on-every-rank",
        lie: "lets every rank add the bias of a row-parallel layer",
        seen_in: "MinivLLM#80, gpt-neox#962",
        needs_gpu: false,
        make: || reference(Wrong(slices::bias_on_every_rank)),
    },
    Mutant {
        name: "norms-on-one-rank",
        lie: "loads weights that no rank divides to the first rank of a stage only",
        seen_in: "programs that broadcast them later, and forget one",
        needs_gpu: false,
        make: || reference(Wrong(slices::norms_on_one_rank)),
    },
    Mutant {
        name: "last-stage-without-words",
        lie: "leaves the word embeddings out of the last stage, whose head is tied to them",
        seen_in: "sglang#15890",
        needs_gpu: false,
        make: || reference(Wrong(slices::last_stage_without_words)),
    },
    Mutant {
        name: "uneven-layer-dropped",
        lie: "gives every stage equally many layers, and drops the rest",
        seen_in: "mlx-lm#1688",
        needs_gpu: false,
        make: || reference(Wrong(slices::uneven_layer_dropped)),
    },
    Mutant {
        name: "other-stages-not-counted",
        lie: "says that no tensor belongs to other stages",
        seen_in: "vllm#50961",
        needs_gpu: false,
        make: || reference(Wrong(slices::others_not_counted)),
    },
    Mutant {
        name: "place-for-rank",
        lie: "cuts by the place in the request's list, not by the rank",
        seen_in: "vllm#46441, sglang#29272",
        needs_gpu: false,
        make: || reference(Wrong(slices::place_for_rank)),
    },
    Mutant {
        name: "falls-back-to-whole",
        lie: "loads the whole model to every rank where the grid does not divide it",
        seen_in: "transformers#37220",
        needs_gpu: false,
        make: || between(FallsBack),
    },
    Mutant {
        name: "ranks-made-to-fit",
        lie: "takes ranks modulo the size of the grid, and leaves out what is named twice",
        seen_in: "programs that wrap around indices",
        needs_gpu: false,
        make: || between(MadeToFit),
    },
    Mutant {
        name: "next-card-ignored",
        lie: "loads every model to the card of the first one, and reports the card that was asked for",
        seen_in: "programs that open one device at their start",
        needs_gpu: true,
        make: || between(card_of_first()),
    },
    Mutant {
        name: "card-zero-always",
        lie: "loads every model to the first card, and reports the card that was asked for",
        seen_in: "programs that open device 0 in every process",
        needs_gpu: true,
        make: || between(card_zero()),
    },
    Mutant {
        name: "cards-in-own-order",
        lie: "takes the cards in the machine's order where CUDA_VISIBLE_DEVICES has another",
        seen_in: "programs that number cards as nvidia-smi does",
        needs_gpu: true,
        make: || between(card_in_own_order()),
    },
    Mutant {
        name: "absent-card-in-host-memory",
        lie: "loads the ranks to host memory where a card cannot be seen, and reports the cards",
        seen_in: "programs that fall back to the CPU",
        needs_gpu: true,
        make: || between(AbsentInHostMemory),
    },
    Mutant {
        name: "read-by-each-rank",
        lie: "reads all files once for every rank",
        seen_in: "modelexpress#448, torchtitan#4035, transformers#48604",
        needs_gpu: false,
        make: || between(ReadByEach),
    },
    Mutant {
        name: "last-rank-left-out",
        lie: "loads all ranks but the last, and reports success",
        seen_in: "sglang#5457",
        needs_gpu: false,
        make: || between(LastRankLeftOut),
    },
    Mutant {
        name: "held-told-of-all",
        lie: "reports the memory of the whole model for each rank",
        seen_in: "programs that report the size of the model",
        needs_gpu: false,
        make: || between(HeldByAll),
    },
    Mutant {
        name: "ranks-busy-beyond-load",
        lie: "reports more time for the work of each rank than the load took",
        seen_in: "programs that add up the times of their threads",
        needs_gpu: false,
        make: || {
            between(Retold(|loaded| {
                loaded.parts.iter_mut().for_each(|part| part.busy_us = Some(3_600_000_000));
            }))
        },
    },
    Mutant {
        name: "file-told-as-held",
        lie: "reports the size of the file as the memory of the whole load",
        seen_in: "programs that report the size of the model",
        needs_gpu: false,
        make: || between(Retold(|loaded| loaded.held_bytes = loaded.file_bytes)),
    },
    Mutant {
        name: "share-told-as-file",
        lie: "reports the bytes of the first rank as the size of the file",
        seen_in: "programs that count what they read",
        needs_gpu: false,
        make: || {
            between(Retold(|loaded| {
                loaded.file_bytes = loaded.parts.first().map_or(0, |part| part.held_bytes);
            }))
        },
    },
    Mutant {
        name: "table-of-first-rank",
        lie: "lists the tensors of the first rank as those of the files",
        seen_in: "programs in which rank 0 answers for all",
        needs_gpu: false,
        make: || {
            between(Retold(|loaded| {
                let held = loaded.parts.first().map(|part| &part.tensors);
                let held =
                    |name: &str| held.is_some_and(|all| all.iter().any(|one| one.tensor == name));
                loaded.tensors.retain(|tensor| held(&tensor.name));
            }))
        },
    },
    Mutant {
        name: "first-run-twice",
        lie: "holds the first rows or columns of each slice twice, and says so",
        seen_in: "programs that pad a shard with what it has",
        needs_gpu: false,
        make: || reference(Wrong(slices::first_run_twice)),
    },
    Mutant {
        name: "slice-turned",
        lie: "writes slices of two dimensions with their sides exchanged, and the bytes as they were",
        seen_in: "programs that keep the bytes of a tensor and compute its shape again",
        needs_gpu: false,
        make: || between(Turned { divided: true }),
    },
    Mutant {
        name: "sum-of-first-rank",
        lie: "takes what the first rank has computed for the sum over all ranks",
        seen_in: "programs whose ranks do not wait for each other",
        needs_gpu: false,
        make: || reference(Exchanges(|| Box::new(FirstPart))),
    },
    Mutant {
        name: "sum-as-mean",
        lie: "divides the sum over the ranks by their number",
        seen_in: "programs that reduce activations as they reduce gradients",
        needs_gpu: false,
        make: || reference(Exchanges(|| Box::new(Mean))),
    },
    Mutant {
        name: "words-of-all-ranks",
        lie: "lets every rank look up every word in its rows, and adds the results up",
        seen_in: "programs that divide the word embeddings without a mask",
        needs_gpu: false,
        make: || reference(Exchanges(|| Box::new(Unmasked))),
    },
    Mutant {
        name: "words-of-ranks-turned",
        lie: "joins the logits of the ranks in the reverse order",
        seen_in: "programs that gather in the order in which ranks answer",
        needs_gpu: false,
        make: || reference(Exchanges(|| Box::new(exchange::Turned))),
    },
    Mutant {
        name: "padding-told-as-words",
        lie: "leaves the rows that pad the vocabulary among the logits",
        seen_in: "vllm#20843, Megatron-LM#1754",
        needs_gpu: false,
        make: || reference(Exchanges(|| Box::new(Padded))),
    },
    Mutant {
        name: "stage-begins-anew",
        lie: "hands states of zero on to the next stage",
        seen_in: "programs that receive into one buffer and read another",
        needs_gpu: false,
        make: || reference(Exchanges(|| Box::new(Anew))),
    },
    Mutant {
        name: "bias-added-by-every-rank",
        lie: "lets every rank add the bias of a row-parallel layer, and says that one does",
        seen_in: "MinivLLM#80, gpt-neox#962",
        needs_gpu: false,
        make: || reference(Hidden::new(slices::bias_on_every_rank)),
    },
    Mutant {
        name: "part-changed-by-run",
        lie: "changes a value of the first slice when a divided model runs",
        seen_in: "sglang#22701, sglang#37368, vllm#43163",
        needs_gpu: false,
        make: || between(Changed::by_runs()),
    },
    Mutant {
        name: "part-changed-by-next-load",
        lie: "changes a value of the first slice of a divided model when the next one is loaded",
        seen_in: "sglang#32913",
        needs_gpu: false,
        make: || between(Changed::by_loads()),
    },
    Mutant {
        name: "model-for-each-rank",
        lie: "holds all files in host memory once for every rank while it loads",
        seen_in: "TensorRT-LLM#15711",
        needs_gpu: false,
        make: || between(ForEachRank),
    },
    Mutant {
        name: "model-beside-its-slices",
        lie: "keeps the whole model on the card of a rank beside its slices",
        seen_in: "programs that load a model and divide it then",
        needs_gpu: true,
        make: || between(BesideSlices),
    },
];

#[cfg(test)]
mod tests;
