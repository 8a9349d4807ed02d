//! Decoders: candle-transformers' models, one step at a time, with their own caches.

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::generation::LogitsProcessor;
use candle_transformers::models::{llama, mistral, phi3, qwen2, qwen3};
use weighbridge::contract::generation::{Sampling, Stop};
use weighbridge::contract::{Code, Failure, Phase};
use weighbridge_adapter::refused;

use crate::config::Config;
use crate::failure::asked;

enum Model {
    Llama { model: llama::Llama, config: llama::Config, cache: llama::Cache },
    Mistral(mistral::Model),
    Phi3(phi3::Model),
    Qwen2(qwen2::ModelForCausalLM),
    Qwen3(qwen3::ModelForCausalLM),
}

/// A decoder, and the facts that its caller needs.
pub struct Decoder {
    model: Model,
    on: Device,
    longest: usize,
    ends: Vec<u32>,
}

/// A generation: tokens, why it ended, and the logits of each if they are wanted.
pub struct Generation {
    pub tokens: Vec<u32>,
    pub stop: Stop,
    pub logits: Vec<Tensor>,
}

impl Decoder {
    /// Builds the model that `config.json` names.
    pub fn build(
        config: &Config,
        vars: VarBuilder,
        ends: Vec<u32>,
    ) -> std::result::Result<Self, Failure> {
        let on = vars.device().clone();
        let model = match config.model_type() {
            "llama" => {
                let config = config.parse::<llama::LlamaConfig>()?.into_config(false);
                asked(Phase::Header, || {
                    let cache = llama::Cache::new(true, DType::F32, &config, &on)?;
                    Ok(Model::Llama { model: llama::Llama::load(vars, &config)?, config, cache })
                })
            }
            "mistral" => {
                let config = config.parse()?;
                asked(Phase::Header, || Ok(Model::Mistral(mistral::Model::new(&config, vars)?)))
            }
            "phi3" => {
                let config = config.parse()?;
                asked(Phase::Header, || Ok(Model::Phi3(phi3::Model::new(&config, vars)?)))
            }
            "qwen2" => {
                let config = config.parse()?;
                asked(Phase::Header, || {
                    Ok(Model::Qwen2(qwen2::ModelForCausalLM::new(&config, vars)?))
                })
            }
            "qwen3" => {
                let config = config.parse()?;
                asked(Phase::Header, || {
                    Ok(Model::Qwen3(qwen3::ModelForCausalLM::new(&config, vars)?))
                })
            }
            other => {
                let text = format!("no decoder here for model_type {other}");
                let failure = refused(Phase::Header, Code::UnknownArchitecture, text);
                Err(failure.expected("llama, mistral, phi3, qwen2 or qwen3", other))
            }
        }?;
        let longest = config.size("max_position_embeddings")?;
        Ok(Decoder { model, on, longest, ends })
    }

    /// The logits of every token, given one at a time after the earlier ones, `[tokens, vocabulary]`.
    pub fn every(&mut self, ids: &[i64]) -> Result<Tensor> {
        self.forget()?;
        let mut rows = Vec::new();
        for (at, id) in ids.iter().enumerate() {
            rows.push(self.step(&Tensor::new(&[*id], &self.on)?, at)?);
        }
        Tensor::stack(&rows, 0)
    }

    /// Continues a prompt, which is given at once.
    pub fn generate(
        &mut self,
        prompt: &[u32],
        limit: u32,
        sampling: Sampling,
        wanted: bool,
    ) -> Result<Generation> {
        self.forget()?;
        let temperature = Some(f64::from(sampling.temperature)).filter(|heat| *heat > 0.0);
        let mut chooser =
            LogitsProcessor::new(sampling.seed, temperature, Some(f64::from(sampling.top_p)));
        let mut run = Generation { tokens: Vec::new(), stop: Stop::Limit, logits: Vec::new() };
        let mut given = prompt.to_vec();
        let mut past = 0;
        while run.tokens.len() < limit as usize {
            if past + given.len() > self.longest && !run.tokens.is_empty() {
                run.stop = Stop::Context;
                break;
            }
            let logits = self.step(&Tensor::new(given.as_slice(), &self.on)?, past)?;
            past += given.len();
            let token = chooser.sample(&logits)?;
            run.tokens.push(token);
            if wanted {
                run.logits.push(logits);
            }
            if self.ends.contains(&token) {
                run.stop = Stop::EndOfSequence;
                break;
            }
            given = vec![token];
        }
        Ok(run)
    }

    /// The last token's logits, F32 `[vocabulary]`.
    fn step(&mut self, ids: &Tensor, past: usize) -> Result<Tensor> {
        let ids = ids.unsqueeze(0)?;
        let logits = match &mut self.model {
            Model::Llama { model, cache, .. } => model.forward(&ids, past, cache)?,
            Model::Mistral(model) => model.forward(&ids, past)?,
            Model::Phi3(model) => model.forward(&ids, past)?,
            Model::Qwen2(model) => model.forward(&ids, past)?,
            Model::Qwen3(model) => model.forward(&ids, past)?,
        };
        let width = logits.dim(D::Minus1)?;
        logits.reshape(width)?.to_dtype(DType::F32)
    }

    fn forget(&mut self) -> Result<()> {
        match &mut self.model {
            Model::Llama { config, cache, .. } => {
                *cache = llama::Cache::new(true, DType::F32, config, &self.on)?;
            }
            Model::Mistral(model) => model.clear_kv_cache(),
            Model::Phi3(model) => model.clear_kv_cache(),
            Model::Qwen2(model) => model.clear_kv_cache(),
            Model::Qwen3(model) => model.clear_kv_cache(),
        }
        Ok(())
    }
}
