//! Full-size models: their sizes, and which of them several cases share.

use super::forward::ModelSource;

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
