//! Examines a model without refusing it: lists what every gate finds in every tensor, and compares
//! the tensors with the configuration.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::contract::Device;
use crate::contract::inference::{Compute, Head, Inference, Pooling};
use crate::contract::reply::{Gate, GateReport};
use crate::contract::request::{DtypePolicy, Load, Seal};

use crate::loader::decisions::{Honest, LoadDecisions};
use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, Result};
use crate::loader::format::EmbeddedDocuments;
use crate::loader::format::safetensors::TensorInfo;
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::gates::{Kind, Scan};
use crate::loader::infer::Search;
use crate::loader::infer::config::Config;
use crate::loader::load;
use crate::loader::load::model::Model;
use crate::loader::open::beside;
use crate::loader::open::beside::LeftOut;
use crate::loader::open::checkpoint::Checkpoint;
use crate::loader::open::files::Files;
use crate::loader::progress::Progress;

/// The results of the examination.
#[derive(Debug)]
pub struct Findings {
    /// The model, in host memory.
    pub model: Model,
    /// For each gate: number of tensors that it checked, and its refusals.
    pub gates: Vec<(Gate, u64, Vec<LoadError>)>,
    /// The configuration, or its first contradiction to the tensors; `None` without a
    /// configuration.
    pub contract: Option<std::result::Result<Config, LoadError>>,
    /// Tensors that the architecture does not use; empty if `contract` is `None` or an error.
    pub unused: Vec<String>,
    /// What the index says otherwise than the shards.
    pub notes: Vec<String>,
    /// Files in the folder that hold weights and do not count.
    pub left_out: Vec<LeftOut>,
}

impl Findings {
    /// Examines a model, and compares its weights with a seal, if one is given.
    ///
    /// # Errors
    /// If its files cannot be read in their format; `checksum_mismatch` and `invalid_seal` against the seal.
    pub fn of(checkpoint: &Checkpoint, seal: Option<Seal>) -> Result<Findings> {
        let request = Load {
            path: checkpoint.weights.clone(),
            format: checkpoint.format,
            device: Device::Cpu,
            keep: DtypePolicy::Stored,
            expect_sha256: None,
            seal,
            admit: true,
            parallel: None,
            inference: None,
        };
        let runs = has_config(checkpoint);
        let decisions = Lenient { runs, found: Mutex::default() };
        let model = load::load(&mut Gpus::default(), &decisions, &request, &Progress::default())?;
        let gates = decisions.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let files = Files::open(&request.path, request.format, &Honest, request.keep, runs)?;
        let (contract, unused) = match contract(checkpoint, &files, &model.tensors) {
            None => (None, Vec::new()),
            Some(Err(error)) => (Some(Err(error)), Vec::new()),
            Some(Ok((config, unused))) => (Some(Ok(config)), unused),
        };
        let notes = files.notes().to_vec();
        let left_out = beside::left_out(checkpoint, &files);
        Ok(Findings { model, gates, contract, unused, notes, left_out })
    }

    /// Number of gates that refuse, and number of tensors that they refuse.
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

    /// Whether nothing was refused.
    pub fn sound(&self) -> bool {
        self.breaches().0 == 0 && !matches!(self.contract, Some(Err(_)))
    }
}

/// Compares tensors with the configuration in the weights' own file, or with `config.json` in the
/// same folder, and reads a decoder's `generation_config.json` there. Returns the configuration and
/// the names of the tensors that its architecture does not use. Only a decoder's head is known here,
/// so an encoder's head counts as unused. Returns `None` without a configuration.
pub fn contract(
    checkpoint: &Checkpoint,
    files: &Files,
    tensors: &[PlacedTensor],
) -> Option<Result<(Config, Vec<String>)>> {
    let (path, documents) = (checkpoint.beside("config.json"), files.documents());
    let there = documents.is_some() || has_config(checkpoint);
    there.then(|| {
        let parsed = config(path.as_deref(), documents)?;
        let head = match parsed.causal() {
            true => Head::Logits {},
            false => Head::pooled(Pooling::Mean),
        };
        let generation = checkpoint
            .beside("generation_config.json")
            .filter(|path| parsed.causal() && path.exists());
        let inference = Inference {
            config: path,
            tokenizer: None,
            template: None,
            generation,
            head,
            compute: Compute::Exact,
        };
        Search { inference: &inference, documents, tensors }.find().map(|mut runnable| {
            runnable.parts.also_unused(files.left_out());
            (runnable.config, runnable.parts.unused)
        })
    })
}

/// Whether the folder has a configuration, so that the weights are examined as a model to be run.
pub fn has_config(checkpoint: &Checkpoint) -> bool {
    checkpoint.beside("config.json").is_some_and(|path| path.exists())
}

/// Reads the configuration from its own file or from the weights' file.
fn config(path: Option<&Path>, documents: Option<&EmbeddedDocuments>) -> Result<Config> {
    match (path, documents) {
        (Some(path), _) => Config::read(path),
        (None, Some(documents)) => Config::parse(documents.config.to_string().as_bytes()),
        (None, None) => Err(LoadError::internal("no configuration at all")),
    }
}

/// Gates that record refusals instead of returning them.
struct Lenient {
    /// Whether the weights are examined as a model to be run.
    runs: bool,
    found: Mutex<Vec<(Gate, u64, Vec<LoadError>)>>,
}

impl LoadDecisions for Lenient {
    fn left_out(&self, tensor: &TensorInfo, _runs: bool) -> Result<bool> {
        Honest.left_out(tensor, self.runs)
    }

    fn admit(&self, tensors: &[(&TensorInfo, &Scan)]) -> Result<Vec<GateReport>> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        for gate in Gate::ALL {
            let concerned = tensors.iter().filter(|(tensor, _)| Kind::of(tensor).answers_to(gate));
            let (mut checked, mut refusals) = (0, Vec::new());
            for (tensor, scan) in concerned {
                checked += 1;
                refusals.extend(crate::loader::gates::judge(gate, tensor, scan).err());
            }
            found.push((gate, checked, refusals));
        }
        Ok(Vec::new())
    }
}
