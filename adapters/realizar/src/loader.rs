//! The contract's verbs, each a few calls of realizar.

use std::path::Path;

use weighbridge::Loader;
use weighbridge::contract::generation::{LOGITS, Prompt};
use weighbridge::contract::inference::{Inference, Input, Output, OutputKind};
use weighbridge::contract::reply::{
    Done, Forwarded, Generated, Holdings, Introduction, Loaded, Written,
};
use weighbridge::contract::request::{Format, Forward, Generate, Hello, Load, Read, Stat, Unload};
use weighbridge::contract::{Class, Code, Device, Failure, Phase};
use weighbridge_adapter::{Models, completed, generation_ends, unserved};

use crate::decoder::Decoder;
use crate::hello::capabilities;
use crate::input::tokens;
use crate::weights::{Weights, write_f32};

struct Model {
    weights: Weights,
    decoder: Option<Decoder>,
}

impl Model {
    fn bytes(&self) -> u64 {
        self.weights.bytes() + self.decoder.as_ref().map_or(0, Decoder::bytes)
    }

    fn decoder(&self) -> Result<&Decoder, Failure> {
        let missing = || unserved(Phase::Infer, "running the model", "it was not loaded to be run");
        self.decoder.as_ref().ok_or_else(missing)
    }
}

/// The loader: models by handle.
#[derive(Default)]
pub struct Realizar {
    models: Models<Model>,
}

impl Loader for Realizar {
    fn hello(&mut self, request: Hello) -> Result<Introduction, Failure> {
        weighbridge_adapter::hello(request, "realizar", realizar::VERSION, capabilities())
    }

    fn load(&mut self, request: Load) -> Result<Loaded, Failure> {
        if request.device != Device::Cpu {
            let text = "built without realizar's `cuda` feature";
            let failure =
                Failure::new(Class::Device, Phase::Preflight, Code::CudaUnavailable, text);
            return Err(completed(failure));
        }
        let others = [
            (request.format != Format::Safetensors, "a format other than safetensors"),
            (request.expect_sha256.is_some(), "a digest"),
            (request.seal.is_some(), "a seal"),
        ];
        if let Some((_, asked_for)) = others.iter().find(|(there, _)| *there) {
            let why = "safetensors alone, without digests and seals";
            return Err(unserved(Phase::Request, asked_for, why));
        }
        let weights = Weights::load(&request.path, request.keep, request.admit)?;
        let decoder = match &request.inference {
            Some(inference) => Some(convert(&request.path, inference)?),
            None => None,
        };
        let model = Model { weights, decoder };
        let (file_bytes, table) = (model.weights.file_bytes(), model.weights.table.clone());
        let bytes = model.bytes();
        let gates = model.weights.gates.clone();
        let handle = self.models.hold(model);
        Ok(Loaded { gates, ..Loaded::new(handle, Device::Cpu, file_bytes, bytes, table) })
    }

    fn stat(&mut self, _request: Stat) -> Result<Holdings, Failure> {
        Ok(self.models.holdings(|model| (model.bytes(), Device::Cpu)))
    }

    fn unload(&mut self, request: Unload) -> Result<Done, Failure> {
        self.models.release(request.handle)
    }

    fn read(&mut self, request: Read) -> Result<Written, Failure> {
        self.models.held(request.handle)?.weights.write(&request.into)
    }

    fn forward(&mut self, request: Forward) -> Result<Forwarded, Failure> {
        let Input::File(path) = &request.input else {
            return Err(unserved(Phase::Infer, "text as input", "tokens alone"));
        };
        if request.trace {
            return Err(unserved(Phase::Infer, "a trace", "realizar gives no states"));
        }
        let decoder = self.models.held(request.handle)?.decoder()?;
        let (rows, width) = tokens(path)?;
        let mut values = Vec::new();
        let shape = [rows.len(), width, decoder.vocabulary()];
        for (row, ids) in rows.iter().enumerate() {
            values.extend(decoder.every(ids)?);
            values.resize((row + 1) * width * decoder.vocabulary(), 0.0);
        }
        let written = write_f32(LOGITS, &shape, &values, &request.into)?;
        let output = Output::Logits { shape: shape.map(|side| side as u64) };
        Ok(Forwarded { written, device: Device::Cpu, output, elapsed_us: None })
    }

    fn generate(&mut self, request: Generate) -> Result<Generated, Failure> {
        let Prompt::Tokens(prompt) = request.prompt else {
            return Err(unserved(Phase::Infer, "a chat", "tokens alone"));
        };
        let decoder = self.models.held(request.handle)?.decoder()?;
        let wanted = request.into.is_some();
        let run = decoder.generate(&prompt, request.limit, request.sampling, wanted)?;
        let written = match &request.into {
            Some(into) => {
                let shape = [run.tokens.len(), decoder.vocabulary()];
                Some(write_f32(LOGITS, &shape, &run.logits, into)?)
            }
            None => None,
        };
        let (tokens, stop) = (run.tokens, run.stop);
        Ok(Generated {
            prompt,
            tokens,
            text: None,
            stop,
            device: Device::Cpu,
            written,
            elapsed_us: None,
        })
    }
}

/// The model to run. realizar looks for `config.json` only in the folder of the weights.
fn convert(path: &Path, inference: &Inference) -> Result<Decoder, Failure> {
    if inference.head.gives() != OutputKind::Logits {
        let why = "realizar's converter knows decoders alone";
        return Err(unserved(Phase::Request, "an encoder", why));
    }
    let config = path.with_file_name("config.json");
    if inference.config.as_deref() != Some(&config) {
        let why = "realizar reads the config.json beside the weights";
        return Err(unserved(Phase::Request, "another configuration", why));
    }
    let ends = generation_ends(inference.generation.as_deref(), &config)?;
    Decoder::convert(path, ends)
}
