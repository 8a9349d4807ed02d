//! A look at a model whether or not it is sound: what every gate says of every tensor, and what the
//! configuration says of them all. Nothing here refuses; whoever acts on a model loads it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::contract::Device;
use crate::contract::encoder::{Head, Inference, Pooling};
use crate::contract::reply::{Gate, GateReport};
use crate::contract::request::{Format, Keep, Load};

use super::admit::{Kind, Scan};
use super::checkpoint::Checkpoint;
use super::cuda::Gpus;
use super::error::{LoadError, Result};
use super::header::TensorInfo;
use super::infer::Encoder;
use super::infer::config::Config;
use super::load;
use super::model::{Held, Model};
use super::progress::Progress;
use super::steps::Steps;

/// What was found.
#[derive(Debug)]
pub struct Findings {
    /// The model, in host memory.
    pub model: Model,
    /// Of each gate, how many tensors it looked at, and the refusals.
    pub gates: Vec<(Gate, u64, Vec<LoadError>)>,
    /// What the configuration says of names and shapes; nothing where there is none.
    pub contract: Option<std::result::Result<Config, LoadError>>,
    /// Tensors that the configuration's architecture does not use; none where there is no contract.
    pub unused: Vec<String>,
}

impl Findings {
    /// Looks at a model.
    ///
    /// # Errors
    /// Where its files cannot be read as what they are.
    pub fn of(checkpoint: &Checkpoint) -> Result<Findings> {
        let request = Load {
            path: checkpoint.weights.clone(),
            format: Format::Safetensors,
            device: Device::Cpu,
            keep: Keep::Stored,
            expect_sha256: None,
            seal: None,
            admit: true,
            inference: None,
        };
        let steps = Lenient::default();
        let model = load::load(&mut Gpus::default(), &steps, &request, &Progress::default())?;
        let gates = steps.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let config = checkpoint.folder.join("config.json");
        let contract = config.exists().then(|| contract(&config, &model.tensors));
        let (contract, unused) = match contract {
            None => (None, Vec::new()),
            Some(Err(error)) => (Some(Err(error)), Vec::new()),
            Some(Ok((config, unused))) => (Some(Ok(config)), unused),
        };
        Ok(Findings { model, gates, contract, unused })
    }

    /// How many gates are broken, and in how many tensors.
    pub fn breaches(&self) -> (usize, usize) {
        let broken = self.gates.iter().filter(|(_, _, refusals)| !refusals.is_empty());
        let tensors: BTreeSet<&str> = self
            .gates
            .iter()
            .flat_map(|(_, _, refusals)| refusals)
            .filter_map(|refusal| refusal.failure().tensor.as_deref())
            .collect();
        (broken.count(), tensors.len())
    }

    /// Whether nothing is wrong.
    pub fn sound(&self) -> bool {
        self.breaches().0 == 0 && !matches!(self.contract, Some(Err(_)))
    }
}

/// Holds tensors against a configuration: what it says, and the names of those that its architecture does
/// not use. No head is known but a decoder's, so that an encoder's own head counts as unused.
///
/// # Errors
/// Where the configuration cannot be read, or tensors are missing or misshapen.
pub fn contract(config: &Path, tensors: &[Held]) -> Result<(Config, Vec<String>)> {
    let parsed = Config::read(config)?;
    let pooling = if parsed.causal() { Pooling::Logits } else { Pooling::Mean };
    let inference = Inference {
        config: Some(config.to_owned()),
        tokenizer: None,
        template: None,
        generation: None,
        head: Head { pooling, projection: None, normalize: false },
    };
    Encoder::find(&inference, tensors).map(|encoder| (parsed, encoder.parts.unused))
}

/// Gates that note what they find and refuse nothing.
#[derive(Default)]
struct Lenient(Mutex<Vec<(Gate, u64, Vec<LoadError>)>>);

impl Steps for Lenient {
    fn admit(&self, tensors: &[(&TensorInfo, &Scan)]) -> Result<Vec<GateReport>> {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for gate in Gate::ALL {
            let concerned = tensors.iter().filter(|(tensor, _)| Kind::of(tensor).answers_to(gate));
            let (mut checked, mut refusals) = (0, Vec::new());
            for (tensor, scan) in concerned {
                checked += 1;
                refusals.extend(super::admit::judge(gate, tensor, scan).err());
            }
            found.push((gate, checked, refusals));
        }
        Ok(Vec::new())
    }
}
