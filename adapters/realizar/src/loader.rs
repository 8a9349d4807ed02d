//! The contract's verbs, each a few calls of realizar.

use std::collections::BTreeMap;
use std::path::Path;

use weighbridge::Loader;
use weighbridge::contract::generation::{LOGITS, Prompt};
use weighbridge::contract::inference::{Inference, Input, Output, OutputKind};
use weighbridge::contract::reply::{
    Done, Forwarded, Generated, Holdings, Introduction, Loaded, Written,
};
use weighbridge::contract::request::{Format, Forward, Generate, Hello, Load, Read, Stat, Unload};
use weighbridge::contract::{
    Class, Code, Device, Failure, PROTOCOL, PROTOCOL_CHANGES, PROTOCOL_GUIDE, Phase,
};

use crate::decoder::Decoder;
use crate::failure::refused;
use crate::hello::capabilities;
use crate::input::{generation_ends, tokens};
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
        let missing = || Failure::unsupported(Phase::Infer, "the model was not loaded to be run");
        self.decoder.as_ref().ok_or_else(missing)
    }
}

/// The loader: models by handle.
#[derive(Default)]
pub struct Realizar {
    models: BTreeMap<u64, Model>,
    last: u64,
}

impl Realizar {
    fn model(&self, handle: u64) -> Result<&Model, Failure> {
        let missing = || refused(Phase::Request, Code::UnknownHandle, "no model has that handle");
        self.models.get(&handle).ok_or_else(missing)
    }
}

impl Loader for Realizar {
    fn hello(&mut self, request: Hello) -> Result<Introduction, Failure> {
        if request.protocol != PROTOCOL {
            let text = format!("this loader speaks protocol {PROTOCOL} alone: {PROTOCOL_CHANGES}");
            let refused = refused(Phase::Request, Code::InvalidRequest, text);
            return Err(refused.expected(PROTOCOL, request.protocol).remedy(PROTOCOL_GUIDE));
        }
        Ok(Introduction {
            protocol: PROTOCOL,
            nonce: request.nonce,
            name: "realizar".to_owned(),
            version: realizar::VERSION.to_owned(),
            capabilities: capabilities(),
        })
    }

    fn load(&mut self, request: Load) -> Result<Loaded, Failure> {
        if request.device != Device::Cpu {
            let text = "built without realizar's `cuda` feature";
            return Err(Failure::new(Class::Device, Phase::Preflight, Code::CudaUnavailable, text));
        }
        if request.format != Format::Safetensors
            || request.expect_sha256.is_some()
            || request.seal.is_some()
        {
            let text = "safetensors alone, without digests and seals";
            return Err(Failure::unsupported(Phase::Request, text));
        }
        let weights = Weights::load(&request.path, request.keep, request.admit)?;
        let decoder = match &request.inference {
            Some(inference) => Some(convert(&request.path, inference)?),
            None => None,
        };
        let model = Model { weights, decoder };
        self.last += 1;
        let (file_bytes, table) = (model.weights.file_bytes(), model.weights.table.clone());
        let loaded = Loaded {
            gates: model.weights.gates.clone(),
            ..Loaded::new(self.last, Device::Cpu, file_bytes, model.bytes(), table)
        };
        self.models.insert(self.last, model);
        Ok(loaded)
    }

    fn stat(&mut self, _request: Stat) -> Result<Holdings, Failure> {
        let host_bytes = self.models.values().map(Model::bytes).sum();
        Ok(Holdings { models: self.models.len() as u64, host_bytes, device_bytes: 0 })
    }

    fn unload(&mut self, request: Unload) -> Result<Done, Failure> {
        self.model(request.handle)?;
        self.models.remove(&request.handle);
        Ok(Done {})
    }

    fn read(&mut self, request: Read) -> Result<Written, Failure> {
        self.model(request.handle)?.weights.write(&request.into)
    }

    fn forward(&mut self, request: Forward) -> Result<Forwarded, Failure> {
        let Input::File(path) = &request.input else {
            return Err(Failure::unsupported(Phase::Infer, "tokens alone"));
        };
        if request.trace {
            return Err(Failure::unsupported(Phase::Infer, "realizar gives no states"));
        }
        let decoder = self.model(request.handle)?.decoder()?;
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
            return Err(Failure::unsupported(Phase::Infer, "tokens alone"));
        };
        let decoder = self.model(request.handle)?.decoder()?;
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
        Ok(Generated { prompt, tokens, text: None, stop, device: Device::Cpu, written, elapsed_us: None })
    }
}

/// The model to run. realizar looks for `config.json` only in the folder of the weights.
fn convert(path: &Path, inference: &Inference) -> Result<Decoder, Failure> {
    if inference.head.gives() != OutputKind::Logits {
        let text = "realizar's converter knows decoders alone";
        return Err(Failure::unsupported(Phase::Request, text));
    }
    if inference.config.as_deref() != Some(&path.with_file_name("config.json")) {
        let text = "realizar reads the config.json beside the weights";
        return Err(Failure::unsupported(Phase::Request, text));
    }
    let ends = inference.generation.as_deref().map(generation_ends).transpose()?.flatten();
    Decoder::convert(path, ends)
}
