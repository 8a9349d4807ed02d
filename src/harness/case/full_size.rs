//! Full-size models: their sizes, which of them several cases share, and which models give way to
//! the run's own checkpoint.

use super::model::ModelSource;

/// The sizes of a full-size model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FullSize {
    /// Number of layers.
    pub layers: usize,
    /// Number of tokens that it knows.
    pub vocabulary: usize,
    /// Its longest input, in tokens.
    pub context: usize,
}

impl FullSize {
    /// The sizes of Qwen2.5-1.5B, from its published configuration.
    const WHOLE: FullSize = FullSize { layers: 28, vocabulary: 151_936, context: 32_768 };
}

impl ModelSource {
    /// Whether a decoder that the run was given takes its place. It does not where the case sets how
    /// the tokenizer cuts text, how the files are laid out, the template, or sizes that its other
    /// figures are made for.
    pub fn gives_way(&self) -> bool {
        let sized = self.layers.or(self.vocabulary).or(self.context).or(self.shards).is_some();
        let exported = self.exported.is_some() || self.golden.is_some();
        let own = self.bundled || self.cuts.is_some() || sized || exported;
        (self.chat || self.full_size) && !own
    }

    /// The sizes that a full-size model has.
    pub fn sizes(&self) -> FullSize {
        let FullSize { layers, vocabulary, context } = FullSize::WHOLE;
        FullSize {
            layers: self.layers.unwrap_or(layers),
            vocabulary: self.vocabulary.unwrap_or(vocabulary),
            context: self.context.unwrap_or(context),
        }
    }

    /// Whether it is a full-size model without damage. It then is the same in every case that names
    /// the same sizes.
    pub fn is_shared(&self) -> bool {
        let sizes = ModelSource {
            full_size: true,
            layers: self.layers,
            vocabulary: self.vocabulary,
            context: self.context,
            ..ModelSource::default()
        };
        *self == sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> ModelSource {
        serde_yaml::from_str(text).expect(text)
    }

    #[test]
    fn what_a_case_says_of_its_model_keeps_it() {
        for text in ["{chat: true}", "{full_size: true}"] {
            assert!(source(text).gives_way(), "{text}");
        }
        for text in [
            "{}",
            "{chat: true, bundled: true}",
            "{full_size: true, layers: 2}",
            "{full_size: true, vocabulary: 999}",
            "{full_size: true, context: 99}",
            "{chat: true, shards: 2}",
        ] {
            assert!(!source(text).gives_way(), "{text}");
        }
    }

    #[test]
    fn a_model_is_shared_if_it_differs_by_its_sizes_alone() {
        assert!(source("{full_size: true, layers: 2, vocabulary: 999, context: 99}").is_shared());
        assert!(!source("{full_size: true, shards: 2}").is_shared());
        assert!(!source("{chat: true}").is_shared());
    }
}
