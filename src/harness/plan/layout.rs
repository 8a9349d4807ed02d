//! The plan: which rank holds which share of every tensor, and which bytes it reads for that.

use super::by_config::ByConfig;
use super::cut::Cut;
use super::division::Division;
use super::files::Headers;
use super::grid::{Grid, Place};
use super::header::{Declared, WeightFile};
use super::refusal::Refusal;
use super::role::{Home, Part, Role};
use super::share::Share;
use super::spans::{self, Spans};
use super::stages;
use super::weights::Weights;
use crate::contract::Code;
use crate::harness::model::Architecture;

/// A plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The ranks.
    pub grid: Grid,
    /// The model's architecture.
    pub architecture: Architecture,
    /// Whether the head is the word embeddings.
    pub tied: bool,
    /// The sizes that are divided.
    pub division: Division,
    /// The stage of each layer.
    pub stages: Vec<u64>,
    /// Every tensor that is loaded, in the order of the model.
    pub entries: Vec<Entry>,
    /// Every tensor that is not, with the reason.
    pub unused: Vec<(String, &'static str)>,
    /// The weight files.
    pub files: Vec<WeightFile>,
    /// Bytes of all headers; `None` if no file is there.
    pub header_bytes: Option<u64>,
    /// Where no weight file is there: what the configuration says in place of the headers.
    pub by_config: Option<ByConfig>,
}

/// A tensor that is loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What the file says of it.
    pub declared: Declared,
    /// What it is for.
    pub part: Part,
    /// How it is divided; `None` if every rank of its stages has it whole.
    pub cut: Option<Cut>,
}

/// What one rank loads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Tensors that it holds, also where its share is empty.
    pub tensors: u64,
    /// Bytes that it holds and so has to read.
    pub bytes: u64,
    /// Tensors of other stages only.
    pub elsewhere: u64,
    /// Their bytes.
    pub bytes_elsewhere: u64,
}

impl Plan {
    /// Plans a model over a grid. `multiple` is as in [`Division::of`].
    ///
    /// # Errors
    /// Why the model cannot be divided so.
    pub fn of(headers: &Headers, grid: &Grid, multiple: u64) -> Result<Plan, Refusal> {
        let weights = Weights::of(headers)?;
        let (tp, pp) = (grid.tp(), grid.pp());
        if !weights.architecture.is_decoder() && (tp > 1 || pp > 1) {
            let name = weights.architecture.model_type();
            let message = format!("{name} is an encoder, which is not divided");
            let refusal = Refusal::indivisible(None, message).numbers([tp, pp]);
            let remedy =
                "Use --replicas: every rank then has the whole model and a part of the work.";
            return Err(refusal.told("tp 1 and pp 1", format!("tp {tp} and pp {pp}"), remedy));
        }
        let stages = stages::even(weights.sizes.layers as u64, pp)?;
        let division = Division::of(&weights.sizes, tp, multiple)?;
        let entry = |weight: super::weights::Weight| {
            let cut = division.cut(&weight.part);
            Entry { declared: weight.declared, part: weight.part, cut }
        };
        let mut entries = Vec::new();
        for weight in weights.used {
            // The arithmetic below is in 64 bits, and a header's sizes are proved to fit in them.
            if weight.declared.shape.contains(&0) {
                let name = &weight.declared.name;
                let refusal = Refusal::model(Code::ShapeMismatch, "a weight of no elements");
                let (expected, remedy) =
                    ("sides of 1 or more", "Correct the sizes in config.json.");
                let shape = format!("{:?}", weight.declared.shape);
                return Err(refusal.told(expected, shape, remedy).tensor(name));
            }
            entries.push(entry(weight));
        }
        Ok(Plan {
            grid: grid.clone(),
            architecture: weights.architecture,
            tied: weights.tied,
            division,
            stages,
            entries,
            unused: weights.unused,
            files: headers.files.clone(),
            header_bytes: headers.bytes(),
            by_config: headers.by_config.clone(),
        })
    }

    /// The plan with another number of rows of the padded vocabulary. `None` if that divides nothing.
    pub fn padded_to(&self, padded: u64) -> Option<Plan> {
        let division = self.division.padded_to(padded)?;
        let mut plan = Plan { division, ..self.clone() };
        for entry in plan.entries.iter_mut().filter(|entry| entry.part.role == Role::Vocabulary) {
            entry.cut = division.cut(&entry.part);
        }
        Some(plan)
    }

    /// Whether a stage has a tensor.
    pub fn has(&self, stage: u64, entry: &Entry) -> bool {
        let last = self.grid.pp() - 1;
        match entry.part.home {
            Home::Layer(layer) => self.stages.get(layer as usize) == Some(&stage),
            Home::First => stage == 0,
            Home::Last => stage == last,
            Home::FirstAndLast => stage == 0 || stage == last,
        }
    }

    /// The tensors of a stage.
    pub fn of_stage(&self, stage: u64) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| self.has(stage, entry))
    }

    /// What a rank loads.
    pub fn load(&self, place: &Place) -> Load {
        let mut load = Load::default();
        for entry in &self.entries {
            if self.has(place.stage, entry) {
                load.tensors += 1;
                load.bytes += entry.share(place.tp_rank).elements() * entry.width();
            } else {
                load.elsewhere += 1;
                load.bytes_elsewhere += entry.declared.bytes;
            }
        }
        load
    }

    /// Bytes that all ranks read together.
    pub fn bytes_of_ranks(&self) -> u64 {
        self.grid.places().fold(0, |sum: u64, place| sum.saturating_add(self.load(&place).bytes))
    }

    /// The same by the bytes of the model. It shows whether everybody reads everything.
    pub fn times_the_model(&self) -> f64 {
        self.bytes_of_ranks() as f64 / self.bytes().max(1) as f64
    }

    /// Bytes of all tensors that are loaded.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.declared.bytes).sum()
    }
}

impl Entry {
    /// What a rank of its stage holds of it.
    pub fn share(&self, tp_rank: u64) -> Share {
        match &self.cut {
            Some(cut) => cut.share(&self.declared.shape, tp_rank),
            None => Share::whole(&self.declared.shape),
        }
    }

    /// Where a share lies in the file; `None` if the file is not there.
    pub fn spans(&self, share: &Share) -> Option<Vec<Spans>> {
        Some(spans::of(share, &self.declared.shape, self.width(), self.declared.begin?))
    }

    /// Bytes of one element.
    pub fn width(&self) -> u64 {
        self.declared.dtype.bits() / 8
    }
}
