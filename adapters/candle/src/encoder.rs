//! Encoders: candle-transformers' models, with pooling of their token states by candle's operations.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::{Linear, Module, VarBuilder};
use candle_transformers::models::{bert, nomic_bert, qwen2, xlm_roberta};
use weighbridge::contract::inference::{Head, OutputKind, Pooling};
use weighbridge::contract::{Code, Failure, Phase};
use weighbridge_adapter::refused;

use crate::config::Config;
use crate::failure::asked;

enum Body {
    Bert(bert::BertModel),
    Masked(bert::BertForMaskedLM),
    Nomic(nomic_bert::NomicBertModel),
    Roberta(xlm_roberta::XLMRobertaModel),
    Qwen2(Box<qwen2::Model>),
}

/// An encoder with its head.
pub struct Encoder {
    body: Body,
    projection: Option<Linear>,
    head: Head,
}

/// Token ids, mask and segments, I64 `[batch, tokens]`.
pub struct Tokens {
    pub ids: Tensor,
    pub mask: Tensor,
    pub types: Tensor,
}

impl Encoder {
    /// Builds the model that `config.json` and the head name.
    ///
    /// `bare` says that no name in the file begins with `model.`, as in a checkpoint without a head.
    pub fn build(
        config: &Config,
        vars: VarBuilder,
        head: &Head,
        bare: bool,
    ) -> std::result::Result<Self, Failure> {
        let body = match (config.model_type(), head.pooling()) {
            ("bert", Some(Pooling::Splade)) => {
                let config = config.parse()?;
                let vars = vars.clone();
                asked(Phase::Header, || {
                    Ok(Body::Masked(bert::BertForMaskedLM::load(vars, &config)?))
                })
            }
            ("bert", _) => {
                let config = config.parse()?;
                let vars = vars.clone();
                asked(Phase::Header, || Ok(Body::Bert(bert::BertModel::load(vars, &config)?)))
            }
            ("nomic_bert", _) => {
                let config = config.parse()?;
                let vars = vars.clone();
                asked(Phase::Header, || {
                    Ok(Body::Nomic(nomic_bert::NomicBertModel::load(vars, &config)?))
                })
            }
            ("roberta" | "xlm-roberta", _) => {
                let config = config.parse()?;
                // candle leaves the prefix of a whole checkpoint to its caller.
                let vars = match vars.contains_tensor("roberta.embeddings.word_embeddings.weight") {
                    true => vars.pp("roberta"),
                    false => vars.clone(),
                };
                asked(Phase::Header, || {
                    Ok(Body::Roberta(xlm_roberta::XLMRobertaModel::new(&config, vars)?))
                })
            }
            ("qwen2", _) => {
                let config = config.parse()?;
                // candle asks for the names of a whole decoder.
                let vars = match bare {
                    true => vars
                        .clone()
                        .rename_f(|name| name.strip_prefix("model.").unwrap_or(name).to_owned()),
                    false => vars.clone(),
                };
                asked(Phase::Header, || {
                    Ok(Body::Qwen2(Box::new(qwen2::Model::new(&config, vars)?)))
                })
            }
            (other, _) => {
                let text = format!("no encoder here for model_type {other}");
                let failure = refused(Phase::Header, Code::UnknownArchitecture, text);
                Err(failure.expected("bert, nomic_bert, roberta, xlm-roberta or qwen2", other))
            }
        }?;
        let projection = match head.projection() {
            Some(name) => Some(asked(Phase::Header, || {
                // In a file whose names all have a prefix, this layer's have it too.
                let prefixed = format!("{}.{name}", config.model_type().trim_start_matches("xlm-"));
                let name = match vars.contains_tensor(&format!("{prefixed}.weight")) {
                    true => prefixed.as_str(),
                    false => name,
                };
                let weight = vars.get_unchecked(&format!("{name}.weight"))?;
                let bias = match vars.contains_tensor(&format!("{name}.bias")) {
                    true => Some(vars.get_unchecked(&format!("{name}.bias"))?),
                    false => None,
                };
                Ok(Linear::new(weight, bias))
            })?),
            None => None,
        };
        Ok(Encoder { body, projection, head: head.clone() })
    }

    /// What its head gives.
    pub fn gives(&self) -> OutputKind {
        self.head.gives()
    }

    /// The output for a batch.
    pub fn forward(&mut self, tokens: &Tokens) -> Result<Tensor> {
        let Tokens { ids, mask, types } = tokens;
        let states = match &mut self.body {
            Body::Bert(model) => model.forward(ids, types, Some(mask))?,
            Body::Masked(model) => model.forward(ids, types, Some(mask))?,
            Body::Nomic(model) => model.forward(ids, Some(types), Some(mask))?,
            Body::Roberta(model) => model.forward(ids, mask, types, None, None, None)?,
            Body::Qwen2(model) => {
                model.clear_kv_cache();
                model.forward(ids, 0, None)?
            }
        };
        let seen = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
        let pooled = match self.head.pooling() {
            Some(Pooling::Mean) => {
                states.broadcast_mul(&seen)?.sum(1)?.broadcast_div(&seen.sum(1)?)?
            }
            // A product on a GPU takes rows that lie side by side alone.
            Some(Pooling::Cls) => states.get_on_dim(1, 0)?.contiguous()?,
            Some(Pooling::LastToken) => last(&states, mask)?,
            Some(Pooling::Splade) => (states.relu()? + 1.0)?.log()?.broadcast_mul(&seen)?.max(1)?,
            Some(Pooling::None) | None => states,
        };
        let projected = match &self.projection {
            Some(layer) => layer.forward(&pooled)?,
            None => pooled,
        };
        let finished = match self.head.normalizes() {
            true => {
                let norm = projected.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
                projected.broadcast_div(&norm.maximum(1e-12)?)?
            }
            false => projected,
        };
        match self.head.gives() {
            OutputKind::TokenStates => finished.broadcast_mul(&seen),
            _ => Ok(finished),
        }
    }
}

/// The state of each row's last token of the mask.
fn last(states: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let mut rows = Vec::new();
    for (row, seen) in mask.to_vec2::<i64>()?.iter().enumerate() {
        let at = seen.iter().rposition(|seen| *seen == 1).unwrap_or(0);
        rows.push(states.get(row)?.get(at)?);
    }
    Tensor::stack(&rows, 0)
}
