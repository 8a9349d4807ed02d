//! The contract's verbs, each a few calls of candle.

use std::collections::HashMap;

use candle_core::safetensors::load;
use candle_core::{DType, Device as On, Tensor};
use candle_nn::VarBuilder;
use weighbridge::Loader;
use weighbridge::contract::generation::{LOGITS, Prompt};
use weighbridge::contract::inference::{
    ATTENTION_MASK, Head, INPUT_IDS, Inference, Input, OutputKind, TOKEN_TYPE_IDS,
};
use weighbridge::contract::reply::{
    Done, Forwarded, Generated, Holdings, Introduction, Loaded, Written,
};
use weighbridge::contract::request::{Format, Forward, Generate, Hello, Load, Read, Stat, Unload};
use weighbridge::contract::{Code, Device, Failure, Phase};

use weighbridge_adapter::{Models, generation_ends, refused, unserved};

use crate::config::Config;
use crate::decoder::Decoder;
use crate::device::{Devices, settle};
use crate::encoder::{Encoder, Tokens};
use crate::failure::asked;
use crate::hello::capabilities;
use crate::weights::{Weights, write};

enum Runner {
    Decoder(Box<Decoder>),
    Encoder(Box<Encoder>),
}

struct Model {
    device: Device,
    on: On,
    weights: Weights,
    held_bytes: u64,
    runner: Option<Runner>,
}

/// The loader: models by handle.
#[derive(Default)]
pub struct Candle {
    devices: Devices,
    models: Models<Model>,
}

impl Model {
    fn runner(&mut self) -> Result<&mut Runner, Failure> {
        let missing = || unserved(Phase::Infer, "running the model", "it was not loaded to be run");
        self.runner.as_mut().ok_or_else(missing)
    }
}

impl Loader for Candle {
    fn hello(&mut self, request: Hello) -> Result<Introduction, Failure> {
        weighbridge_adapter::hello(
            request,
            "candle",
            include_str!(concat!(env!("OUT_DIR"), "/candle-version")),
            capabilities(),
        )
    }

    fn load(&mut self, request: Load) -> Result<Loaded, Failure> {
        let others = [
            (request.format != Format::Safetensors, "a format other than safetensors"),
            (request.expect_sha256.is_some(), "a digest"),
            (request.seal.is_some(), "a seal"),
            (request.admit, "gates"),
        ];
        if let Some((_, asked_for)) = others.iter().find(|(there, _)| *there) {
            let why = "safetensors alone, without digests, seals and gates";
            return Err(unserved(Phase::Request, asked_for, why));
        }
        let (device, on) = (request.device, self.devices.on(request.device)?);
        let weights = Weights::load(&request.path, request.keep, &on)?;
        let mut held_bytes = weights.bytes();
        let runner = match &request.inference {
            Some(inference) => {
                let (runner, more) = build(&weights, inference, &on)?;
                held_bytes += more;
                Some(runner)
            }
            None => None,
        };
        let (file_bytes, table) = (weights.file_bytes, weights.table.clone());
        settle(Phase::Copy, &on)?;
        let handle = self.models.hold(Model { device, on, weights, held_bytes, runner });
        Ok(Loaded::new(handle, device, file_bytes, held_bytes, table))
    }

    fn stat(&mut self, _request: Stat) -> Result<Holdings, Failure> {
        Ok(self.models.holdings(|model| (model.held_bytes, model.device)))
    }

    fn unload(&mut self, request: Unload) -> Result<Done, Failure> {
        self.models.release(request.handle)
    }

    fn read(&mut self, request: Read) -> Result<Written, Failure> {
        self.models.held(request.handle)?.weights.write(&request.into)
    }

    fn forward(&mut self, request: Forward) -> Result<Forwarded, Failure> {
        let Input::File(path) = &request.input else {
            return Err(unserved(Phase::Infer, "text as input", "candle brings no tokenizer"));
        };
        if request.trace {
            return Err(unserved(Phase::Infer, "a trace", "candle's models give no states"));
        }
        let model = self.models.held(request.handle)?;
        let (device, on) = (model.device, model.on.clone());
        let runner = model.runner()?;
        let mut given = asked(Phase::Infer, || load(path, &on))?;
        let mut take = |name: &str| {
            let missing = || {
                let failure = refused(Phase::Infer, Code::InvalidInput, format!("no {name}"));
                failure.expected(format!("a tensor named {name}"), "none in the input")
            };
            given.remove(name).ok_or_else(missing)
        };
        let (ids, mask, types) =
            (take(INPUT_IDS)?, take(ATTENTION_MASK)?, take(TOKEN_TYPE_IDS).ok());
        let (kind, output) = asked(Phase::Infer, || match runner {
            Runner::Encoder(encoder) => {
                let types = types.map_or_else(|| ids.zeros_like(), Ok)?;
                Ok((encoder.gives(), encoder.forward(&Tokens { ids, mask, types })?))
            }
            Runner::Decoder(decoder) => Ok((OutputKind::Logits, logits(decoder, &ids, &mask)?)),
        })?;
        let Some(told) = kind.shaped(output.dims()) else {
            return Err(refused(Phase::Infer, Code::Internal, "an output of another rank"));
        };
        let written = write(&HashMap::from([(kind.name().to_owned(), output)]), &request.into)?;
        Ok(Forwarded { written, device, output: told, elapsed_us: None })
    }

    fn generate(&mut self, request: Generate) -> Result<Generated, Failure> {
        let Prompt::Tokens(prompt) = request.prompt else {
            return Err(unserved(Phase::Infer, "a chat", "candle brings no chat templates"));
        };
        let model = self.models.held(request.handle)?;
        let device = model.device;
        let Runner::Decoder(decoder) = model.runner()? else {
            return Err(unserved(Phase::Infer, "generation", "the model is an encoder"));
        };
        let run = asked(Phase::Infer, || {
            decoder.generate(&prompt, request.limit, request.sampling, request.into.is_some())
        })?;
        let written = match &request.into {
            Some(into) => {
                let logits = asked(Phase::Infer, || Tensor::stack(&run.logits, 0))?;
                Some(write(&HashMap::from([(LOGITS.to_owned(), logits)]), into)?)
            }
            None => None,
        };
        let (tokens, stop) = (run.tokens, run.stop);
        Ok(Generated { prompt, tokens, text: None, stop, device, written, elapsed_us: None })
    }
}

/// The model to run, in F32, and the bytes that it holds beyond those of the weights.
fn build(weights: &Weights, inference: &Inference, on: &On) -> Result<(Runner, u64), Failure> {
    let Some(path) = &inference.config else {
        return Err(refused(Phase::Header, Code::InvalidConfig, "no config.json is named"));
    };
    let config = Config::read(path)?;
    let vars = VarBuilder::from_tensors(weights.tensors.clone(), DType::F32, on);
    let halves = weights.table.iter().filter(|entry| entry.dtype.bits() == 16);
    let more = halves.map(|entry| entry.bytes * 2).sum();
    let runner = match inference.head {
        Head::Logits {} => {
            let named = generation_ends(inference.generation.as_deref(), path)?;
            let ends = named.unwrap_or_else(|| config.ends());
            Runner::Decoder(Box::new(Decoder::build(&config, vars, ends)?))
        }
        _ => {
            let bare = !weights.tensors.keys().any(|name| name.starts_with("model."));
            Runner::Encoder(Box::new(Encoder::build(&config, vars, &inference.head, bare)?))
        }
    };
    Ok((runner, more))
}

/// Every token's logits, `[batch, tokens, vocabulary]`, zero where the mask is.
fn logits(decoder: &mut Decoder, ids: &Tensor, mask: &Tensor) -> candle_core::Result<Tensor> {
    let mut rows = Vec::new();
    for (ids, mask) in ids.to_vec2::<i64>()?.iter().zip(mask.to_vec2::<i64>()?) {
        let real = mask.iter().take_while(|seen| **seen == 1).count();
        if mask.contains(&1) && mask.iter().rposition(|seen| *seen == 1) != Some(real - 1) {
            candle_core::bail!("candle's decoders take no mask: padding may only follow");
        }
        let given = decoder.every(&ids[..real])?;
        rows.push(given.pad_with_zeros(0, 0, ids.len() - real)?);
    }
    Tensor::stack(&rows, 0)
}
