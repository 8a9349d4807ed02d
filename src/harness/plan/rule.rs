//! The rules that a plan is held to, with their numbers.
//!
//! The words are those of Megatron-LM. A *column-parallel* layer divides its outputs, a *row-parallel* layer
//! its inputs; the first needs no sum over the ranks, the second needs one. *Tensor parallelism* (TP) divides
//! layers, *pipeline parallelism* (PP) divides the list of layers into stages.

use serde::{Serialize, Serializer};

/// One rule. Beside each stands where loaders were seen to break it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// Seen in vllm-gguf-plugin#103, DeepSpeed#6589: every rank had the slice of rank 0.
    OwnSlice,
    /// Seen in mlx-lm#1733, zml#665.
    Reassembles,
    /// Seen in DeepSpeed#3844, pytorch#149701, sglang#38766: a fused matrix cut into equal runs of rows gives
    /// a rank queries only.
    FusedHeads,
    /// Seen in sglang#38766: the same for gate and up.
    FusedGate,
    /// Seen in transformers#48307, sglang#20967.
    FewKeyHeads,
    /// Seen in transformers#37220.
    Divides,
    /// Seen in transformers#37051: a row-parallel weight is cut by columns, which are not contiguous.
    ColumnBytes,
    /// Seen in pytorch#108869, VeOmni#889.
    LastShare,
    /// Seen in MinivLLM#80, gpt-neox#962: a bias that every rank adds is in the sum as often as there are
    /// ranks.
    BiasOnce,
    /// Norms and positions, which no rank divides.
    Replicated,
    /// Seen in vllm#20843, Megatron-LM#1754.
    PaddedVocabulary,
    /// Seen in sglang#2009.
    TiedHead,
    /// Seen in sglang#15890: the head's stage had no word embeddings.
    TiedAcrossStages,
    /// Seen in mlx-lm#1688.
    OneStage,
    /// Seen in vllm#50961: another stage's tensors were taken for unknown ones.
    OtherStages,
    /// Seen in vllm#46441, sglang#29272.
    RankNames,
    /// Seen in sglang#36438, where nobody noticed until the accuracy was measured.
    OtherDegree,
    /// Seen in transformers#47253, #45124.
    NoSuchTensor,
    /// Seen in atoma-infer#229.
    DeclaredShape,
    /// Seen in modelexpress#448, torchtitan#4035, transformers#48604.
    BytesRead,
}

impl Rule {
    /// All rules, by number.
    pub const ALL: [Rule; 20] = [
        Rule::OwnSlice,
        Rule::Reassembles,
        Rule::FusedHeads,
        Rule::FusedGate,
        Rule::FewKeyHeads,
        Rule::Divides,
        Rule::ColumnBytes,
        Rule::LastShare,
        Rule::BiasOnce,
        Rule::Replicated,
        Rule::PaddedVocabulary,
        Rule::TiedHead,
        Rule::TiedAcrossStages,
        Rule::OneStage,
        Rule::OtherStages,
        Rule::RankNames,
        Rule::OtherDegree,
        Rule::NoSuchTensor,
        Rule::DeclaredShape,
        Rule::BytesRead,
    ];

    /// Its number, which stays the same. Numbers that are missing here are rules about values and about
    /// what happens during a load, which no plan shows.
    pub const fn number(self) -> u8 {
        match self {
            Rule::OwnSlice => 1,
            Rule::Reassembles => 2,
            Rule::FusedHeads => 3,
            Rule::FusedGate => 4,
            Rule::FewKeyHeads => 5,
            Rule::Divides => 6,
            Rule::ColumnBytes => 7,
            Rule::LastShare => 8,
            Rule::BiasOnce => 10,
            Rule::Replicated => 11,
            Rule::PaddedVocabulary => 12,
            Rule::TiedHead => 13,
            Rule::TiedAcrossStages => 14,
            Rule::OneStage => 15,
            Rule::OtherStages => 16,
            Rule::RankNames => 17,
            Rule::OtherDegree => 19,
            Rule::NoSuchTensor => 20,
            Rule::DeclaredShape => 21,
            Rule::BytesRead => 28,
        }
    }

    /// What it asks for.
    pub const fn text(self) -> &'static str {
        match self {
            Rule::OwnSlice => "each rank holds its own slice",
            Rule::Reassembles => "the slices are disjoint and reassemble the tensor",
            Rule::FusedHeads => "fused query, key and value are split by head group",
            Rule::FusedGate => "of fused gate and up, each is split on its own",
            Rule::FewKeyHeads => "fewer key heads than ranks are replicated in order",
            Rule::Divides => "heads and sizes that do not divide are refused, with both numbers",
            Rule::ColumnBytes => {
                "the bytes read are those of the slice; a slice of columns is a piece of every row"
            }
            Rule::LastShare => "the last shares may be smaller or empty, and end with the tensor",
            Rule::BiasOnce => "a row-parallel layer's bias is added once",
            Rule::Replicated => "what is not divided is whole on every rank",
            Rule::PaddedVocabulary => "embedding and head have the same padding rows",
            Rule::TiedHead => "a tied head is the word embeddings",
            Rule::TiedAcrossStages => {
                "the last stage has the word embeddings that its head is tied to"
            }
            Rule::OneStage => "every layer belongs to exactly one stage",
            Rule::OtherStages => "tensors of other stages are no error, and are counted",
            Rule::RankNames => "rank in the group, global rank and device ordinal are kept apart",
            Rule::OtherDegree => "files written for another degree are refused or merged",
            Rule::NoSuchTensor => "every entry of a plan matches a tensor",
            Rule::DeclaredShape => "the file's shapes are those that the configuration asks for",
            Rule::BytesRead => "a rank reads no more than its share and a stated slack",
        }
    }
}

impl Serialize for Rule {
    /// As its number.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_listed_by_number_and_each_has_its_own_words() {
        assert!(Rule::ALL.is_sorted_by(|a, b| a.number() < b.number()));
        for (at, rule) in Rule::ALL.iter().enumerate() {
            assert!(Rule::ALL[..at].iter().all(|other| other.text() != rule.text()), "{rule:?}");
        }
    }
}
