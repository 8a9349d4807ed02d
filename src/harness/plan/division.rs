//! Which blocks of a model's sizes a rank gets, and which degrees divide them.

use super::cut::{Block, Cut};
use super::refusal::Refusal;
use super::role::{Part, Role, Unit};
use super::rule::Rule;
use crate::contract::Code;
use crate::harness::model::recipe::Sizes;

/// The sizes of a model that tensor parallelism divides, and by how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Division {
    tp: u64,
    heads: u64,
    key_heads: u64,
    head_size: u64,
    inner: u64,
    /// Rows of the word embeddings in the file.
    pub vocabulary: u64,
    /// Rows with those that only fill the last shares.
    pub padded: u64,
}

impl Division {
    /// Divides a model's sizes by a degree. Each rank has a multiple of `multiple` rows of the vocabulary;
    /// Megatron-LM pads to 128 rows, others to none.
    ///
    /// # Errors
    /// What does not divide, with both numbers.
    pub fn of(sizes: &Sizes, tp: u64, multiple: u64) -> Result<Division, Refusal> {
        let (heads, key_heads) = (sizes.heads as u64, sizes.key_heads() as u64);
        let vocabulary = sizes.vocabulary as u64;
        if heads == 0 || !heads.is_multiple_of(key_heads) {
            let message = format!("{heads} query heads and {key_heads} key heads make no groups");
            let refusal = Refusal::model(Code::InvalidConfig, message).by(Rule::DeclaredShape);
            let actual = format!("{heads} and {key_heads}");
            let remedy = "Correct num_attention_heads and num_key_value_heads in config.json.";
            return Err(refusal.told("a multiple of the number of key heads", actual, remedy));
        }
        let step = multiple.checked_mul(tp).filter(|step| *step > 0 && *step < 1 << 32);
        let Some(step) = step else {
            let refusal = Refusal::grid("the multiple of the vocabulary's rows cannot be used");
            let remedy = "Give --vocabulary-multiple a small number, as 64 or 128.";
            return Err(refusal.told("1 to 2^32 / tp", multiple, remedy));
        };
        let division = Division {
            tp,
            heads,
            key_heads,
            head_size: sizes.head_size() as u64,
            inner: sizes.inner as u64,
            vocabulary,
            padded: vocabulary.div_ceil(step) * step,
        };
        match division.obstacles(tp).split_first() {
            None => Ok(division),
            Some((first, more)) => Err(division.refused(first, more)),
        }
    }

    /// The same with another number of rows of the padded vocabulary. `None` if that divides nothing.
    pub fn padded_to(self, padded: u64) -> Option<Division> {
        let divides = padded >= self.vocabulary && padded.is_multiple_of(self.tp);
        divides.then_some(Division { padded, ..self })
    }

    /// Rows of the vocabulary that a rank has, with its padding.
    pub fn words_each(&self) -> u64 {
        self.padded / self.tp
    }

    /// How a weight is divided; `None` if every rank has it whole.
    pub fn cut(&self, part: &Part) -> Option<Cut> {
        let Division { tp, heads, key_heads, head_size, inner, vocabulary, .. } = *self;
        let even =
            |begin, units: u64, size| Block { begin, units, size, each: units / tp, repeat: 1 };
        let keys = |begin| match key_heads < tp {
            true => {
                Block { begin, units: key_heads, size: head_size, each: 1, repeat: tp / key_heads }
            }
            false => even(begin, key_heads, head_size),
        };
        let unit = |unit| match unit {
            Unit::Heads => even(0, heads, head_size),
            Unit::KeyHeads => keys(0),
            Unit::Inner => even(0, inner, 1),
        };
        let (dimension, blocks) = match part.role {
            Role::Column(divided) => (part.output, vec![unit(divided)]),
            Role::Row(divided) => (1 - part.output, vec![unit(divided)]),
            Role::FusedHeads => {
                let (wide, narrow) = (heads * head_size, key_heads * head_size);
                (part.output, vec![even(0, heads, head_size), keys(wide), keys(wide + narrow)])
            }
            Role::FusedGate => (part.output, vec![even(0, inner, 1), even(inner, inner, 1)]),
            Role::Vocabulary => {
                let each = self.words_each();
                (0, vec![Block { begin: 0, units: vocabulary, size: 1, each, repeat: 1 }])
            }
            Role::RowBias | Role::Replicated(_) => return None,
        };
        Some(Cut { dimension, blocks })
    }

    /// What a degree does not divide: the rule, the words, and the number.
    fn obstacles(&self, tp: u64) -> Vec<(Rule, String, u64)> {
        let mut all = Vec::new();
        let mut uneven = |rule, what: &str, number: u64| {
            all.push((rule, format!("{number} {what}"), number));
        };
        if !self.heads.is_multiple_of(tp) {
            uneven(Rule::Divides, "query heads", self.heads);
        }
        if self.key_heads < tp && !tp.is_multiple_of(self.key_heads) {
            uneven(Rule::FewKeyHeads, "key heads", self.key_heads);
        } else if self.key_heads >= tp && !self.key_heads.is_multiple_of(tp) {
            uneven(Rule::Divides, "key heads", self.key_heads);
        }
        if !self.inner.is_multiple_of(tp) {
            uneven(Rule::Divides, "inner features", self.inner);
        }
        all
    }

    fn refused(&self, first: &(Rule, String, u64), more: &[(Rule, String, u64)]) -> Refusal {
        let (tp, all) = (self.tp, [std::slice::from_ref(first), more].concat());
        let words: Vec<&str> = all.iter().map(|(_, words, _)| words.as_str()).collect();
        let message = format!("{} cannot be divided over {tp} ranks", words.join(", "));
        let good: Vec<String> = (1..=self.heads.min(64))
            .filter(|degree| self.obstacles(*degree).is_empty())
            .map(|degree| degree.to_string())
            .collect();
        let expected = format!("a degree that divides all: {}", good.join(", "));
        let remedy = "Choose such a degree, and more pipeline stages instead.";
        Refusal::indivisible(Some(first.0), message)
            .numbers([first.2, tp])
            .told(expected, tp, remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::model::decoders;
    use crate::harness::model::recipe::Architecture;

    fn sizes(heads: usize, key_heads: usize, inner: usize) -> Sizes {
        let all = decoders::all();
        let llama = all.iter().find(|one| one.architecture == Architecture::Llama).unwrap();
        Sizes { heads, key_heads, inner, ..llama.sizes.clone() }
    }

    #[test]
    fn what_does_not_divide_is_named_with_both_numbers() {
        for (heads, key_heads, inner, tp, rule, message) in [
            (
                4,
                4,
                12,
                3,
                Rule::Divides,
                "4 query heads, 4 key heads cannot be divided over 3 ranks",
            ),
            (6, 3, 12, 2, Rule::Divides, "3 key heads cannot be divided over 2 ranks"),
            (12, 3, 12, 4, Rule::FewKeyHeads, "3 key heads cannot be divided over 4 ranks"),
            (8, 2, 70, 4, Rule::Divides, "70 inner features cannot be divided over 4 ranks"),
        ] {
            let refusal = Division::of(&sizes(heads, key_heads, inner), tp, 1).unwrap_err();
            assert_eq!((refusal.rule, refusal.failure.message.as_str()), (Some(rule), message));
            let expected = refusal.failure.expected.unwrap();
            assert!(expected.starts_with("a degree that divides all: 1"), "{expected}");
            assert!(!expected.contains(&tp.to_string()), "{expected}");
        }
        for (heads, key_heads, inner, tp) in [(4, 4, 12, 4), (12, 3, 12, 6), (8, 1, 8, 8)] {
            assert!(Division::of(&sizes(heads, key_heads, inner), tp, 1).is_ok());
        }
    }

    #[test]
    fn the_vocabulary_is_padded_to_a_multiple_for_each_rank() {
        let mut sizes = sizes(4, 4, 12);
        sizes.vocabulary = 109;
        for (multiple, padded) in [(1, 112), (8, 128), (128, 512)] {
            let division = Division::of(&sizes, 4, multiple).unwrap();
            assert_eq!((division.padded, division.words_each()), (padded, padded / 4));
        }
        let division = Division::of(&sizes, 4, 1).unwrap();
        assert_eq!(division.padded_to(256).unwrap().words_each(), 64);
        assert!(division.padded_to(108).is_none() && division.padded_to(110).is_none());
        for multiple in [0, 1 << 40, u64::MAX] {
            assert!(Division::of(&sizes, 4, multiple).is_err());
        }
    }

    #[test]
    fn heads_that_make_no_groups_are_refused() {
        let refusal = Division::of(&sizes(6, 4, 12), 1, 1).unwrap_err();
        assert_eq!(refusal.failure.code, Code::InvalidConfig);
    }
}
