//! Decoders: realizar's converter, its forward pass over a whole sequence, and its generation with a
//! cache.

use std::path::Path;

use realizar::apr_transformer::{AprKVCache, GenerateConfig};
use realizar::safetensors::ValidatedAprTransformer;
use realizar::safetensors_infer::SafetensorsToAprConverter;
use weighbridge::contract::generation::{Sampling, Stop};
use weighbridge::contract::{Failure, Phase};

use crate::failure::asked;

/// A converted model.
pub struct Decoder {
    model: ValidatedAprTransformer,
    ends: Vec<u32>,
}

/// A generation: tokens, why it ended, and the logits of each if they are wanted.
pub struct Generation {
    pub tokens: Vec<u32>,
    pub stop: Stop,
    pub logits: Vec<f32>,
}

impl Decoder {
    /// Converts a file; the converter finds `config.json` beside it. `ends` count in place of the
    /// configuration's where there are any.
    pub fn convert(path: &Path, ends: Option<Vec<u32>>) -> Result<Decoder, Failure> {
        let model = asked(Phase::Header, || SafetensorsToAprConverter::convert(path))?;
        let ends = ends.unwrap_or_else(|| model.config().eos_token_id.into_iter().collect());
        Ok(Decoder { model, ends })
    }

    /// Bytes of its weights, by its own count.
    pub fn bytes(&self) -> u64 {
        self.model.memory_size() as u64
    }

    /// The size of its vocabulary, as its configuration has it.
    pub fn vocabulary(&self) -> usize {
        self.model.config().vocab_size
    }

    /// The logits of every token: the last ones of a pass over all tokens up to it, without a cache.
    pub fn every(&self, ids: &[u32]) -> Result<Vec<f32>, Failure> {
        let mut rows = Vec::new();
        // An empty sequence is passed on as well, so that the library refuses it.
        for end in ids.len().min(1)..=ids.len() {
            rows.extend(asked(Phase::Infer, || self.model.forward(&ids[..end]))?);
        }
        Ok(rows)
    }

    /// Continues a prompt with the cache.
    pub fn generate(
        &self,
        prompt: &[u32],
        limit: u32,
        sampling: Sampling,
        wanted: bool,
    ) -> Result<Generation, Failure> {
        let config = GenerateConfig {
            max_tokens: limit as usize,
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            seed: sampling.seed,
            stop_tokens: self.ends.clone(),
            ..GenerateConfig::default()
        };
        let all = asked(Phase::Infer, || self.model.generate_with_cache(prompt, &config))?;
        let tokens = all[prompt.len()..].to_vec();
        // It returns early only at a token that it takes for an end.
        let ended = tokens.last().is_some_and(|token| self.ends.contains(token));
        let stop = match ended || tokens.len() < limit as usize {
            true => Stop::EndOfSequence,
            false => Stop::Limit,
        };
        let logits = match wanted {
            true => self.chosen_from(&all, prompt.len())?,
            false => Vec::new(),
        };
        Ok(Generation { tokens, stop, logits })
    }

    /// Generation returns no logits: the same steps run again, token by token with a cache.
    fn chosen_from(&self, all: &[u32], prompt: usize) -> Result<Vec<f32>, Failure> {
        asked(Phase::Infer, || {
            let mut cache = AprKVCache::new(self.model.config());
            let mut rows = Vec::new();
            for (at, token) in all[..all.len() - 1].iter().enumerate() {
                let logits = self.model.forward_with_cache(*token, &mut cache, at)?;
                if at + 1 >= prompt {
                    rows.extend(logits);
                }
            }
            Ok(rows)
        })
    }
}
