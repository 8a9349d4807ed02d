//! Runs a model that is divided over ranks, with the ranks of one replica.

use std::collections::BTreeSet;

use crate::contract::Phase;
use crate::contract::inference::{Batch, OutputKind, State, Traced, TracedForward};
use crate::gpu::{Decoder, Runner};
use crate::loader::decisions::LoadDecisions;
use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, Result};
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::infer::device::DeviceOps;
use crate::loader::infer::forward::ranks::{self, Asked, Exchange, RankModel, RankOn, RankRun};
use crate::loader::infer::generate::Sequence;
use crate::loader::infer::host::HostOps;
use crate::loader::infer::{RunnableModel, input};
use crate::loader::memory::Memory;
use crate::loader::parallel::{Divided, rank_model};
use crate::loader::remedies::parallel::{DIVIDED_GIVES_LOGITS, RANKS_MISSING};

use super::engine::{Engine, finite};

/// The ranks of a replica, each with its memory.
pub struct Ranks<'a> {
    whole: &'a RunnableModel,
    models: Vec<RankModel>,
    places: Vec<(&'a Memory, Option<&'a mut Runner>)>,
    tp: usize,
    exchange: Box<dyn Exchange>,
}

impl<'a> Ranks<'a> {
    /// The first replica whose ranks are all loaded. `runners` has one for each rank on a device.
    ///
    /// # Errors
    /// `invalid_request` if no replica is complete.
    pub fn of(
        (whole, divided): (&'a RunnableModel, &Divided),
        tensors: &[PlacedTensor],
        memories: &'a [Memory],
        runners: &'a mut [Option<Runner>],
        exchange: Box<dyn Exchange>,
    ) -> Result<Self> {
        let chosen = replica(divided)?;
        let model = |at: &usize| rank_model(whole, divided, *at, tensors);
        let models = chosen.iter().map(model).collect::<Result<_>>()?;
        let mut all: Vec<_> = memories.iter().zip(runners).map(Some).collect();
        let place = |at: &usize| {
            let taken = all.get_mut(*at).and_then(Option::take);
            taken.map(|(memory, runner)| (memory, runner.as_mut()))
        };
        let places = chosen.iter().map(place).collect::<Option<_>>();
        let places = places.ok_or_else(|| LoadError::internal("a rank without memory"))?;
        Ok(Ranks { whole, models, places, tp: divided.grid.tp as usize, exchange })
    }

    /// Creates a sequence with room for `room` tokens.
    ///
    /// # Errors
    /// If memory runs out, or a device fails; `unsupported_capability` for a model that gives no logits.
    pub fn sequence<'s>(
        &'s mut self,
        room: usize,
        decisions: &dyn LoadDecisions,
        (gpus, decoder): (&'s mut Gpus, &'s mut Option<Decoder>),
    ) -> Result<Box<dyn Sequence + 's>> {
        if self.models.len() == 1 {
            return self.alone(Some(gpus), decoder)?.sequence(room, decisions);
        }
        self.gives_logits()?;
        // On a device, every step runs the whole sequence again.
        let hosted = self.places.iter().all(|(memory, _)| matches!(memory, Memory::Host(_)));
        let caches = hosted && decisions.caches();
        let runs = runs(&self.models, &mut self.places, caches.then_some(room))?;
        let (tp, exchange) = (self.tp, &*self.exchange);
        Ok(Box::new(RanksSequence {
            runs,
            tp,
            exchange,
            caches,
            ids: Vec::new(),
            logits: Vec::new(),
        }))
    }

    /// The engine of a model that one rank holds completely.
    fn alone<'s>(
        &'s mut self,
        gpus: Option<&'s mut Gpus>,
        decoder: &'s mut Option<Decoder>,
    ) -> Result<Engine<'s>> {
        let (model, place) = (self.models.first(), self.places.first_mut());
        let (model, (memory, runner)) =
            model.zip(place).ok_or_else(|| LoadError::internal("a replica without ranks"))?;
        let (runnable, runner) = (&model.runnable, runner.as_deref_mut());
        Ok(Engine { runnable, memory, runner, gpus, decoder })
    }

    fn gives_logits(&self) -> Result<()> {
        match self.whole.head.gives() {
            OutputKind::Logits => Ok(()),
            other => Err(only_logits(other.name())),
        }
    }
}

impl TracedForward for Ranks<'_> {
    type Error = LoadError;

    fn forward(&mut self, batch: &Batch, trace: bool) -> Result<Traced> {
        if self.models.len() == 1 {
            return self.alone(None, &mut None)?.forward(batch, trace);
        }
        input::check(self.whole, batch)?;
        self.gives_logits()?;
        if trace {
            return Err(only_logits("the states of every layer"));
        }
        let Batch::Tokens { rows, columns, ids, mask, .. } = batch else {
            return Err(LoadError::internal("vectors for ranks"));
        };
        let asked = Asked {
            rows: *rows,
            columns: *columns,
            past: 0,
            ids: ids.iter().map(|id| *id as u32).collect(),
            mask: mask.iter().map(|value| *value as u32).collect(),
            last: false,
        };
        let mut runs = runs(&self.models, &mut self.places, None)?;
        let values = ranks::run(&mut runs, self.tp, &asked, &*self.exchange)?;
        let shape = vec![*rows, *columns, self.whole.config.vocabulary];
        if values.len() != shape.iter().product::<usize>() {
            return Err(LoadError::internal("logits of some words only"));
        }
        let name = OutputKind::Logits.name().to_owned();
        Ok(Traced { output: finite(State { name, shape, values })?, states: Vec::new() })
    }
}

/// Places in the request of the ranks of the first complete replica, in the order of their numbers.
fn replica(divided: &Divided) -> Result<Vec<usize>> {
    let size = divided.grid.tp * divided.grid.pp;
    let place = |rank: u64| divided.ranks.iter().position(|one| u64::from(one.at.rank) == rank);
    let all =
        |replica: u64| (replica * size..(replica + 1) * size).map(place).collect::<Option<_>>();
    let loaded = || divided.ranks.iter().map(|one| one.at.rank.to_string()).collect::<Vec<_>>();
    // A request may speak of many more replicas than it loads.
    let begun: BTreeSet<u64> =
        divided.ranks.iter().map(|one| u64::from(one.at.rank) / size).collect();
    begun.into_iter().find_map(all).ok_or_else(|| {
        let message = "not all ranks of a replica are loaded";
        LoadError::refused(Phase::Request, RANKS_MISSING, message)
            .expected(format!("ranks 0 to {}", size - 1), format!("ranks {}", loaded().join(", ")))
    })
}

fn only_logits(asked: &str) -> LoadError {
    let message = "a model that is divided over ranks gives logits only";
    LoadError::unsupported(Phase::Infer, DIVIDED_GIVES_LOGITS, message).expected("logits", asked)
}

fn runs<'r>(
    models: &'r [RankModel],
    places: &'r mut [(&Memory, Option<&mut Runner>)],
    room: Option<usize>,
) -> Result<Vec<Box<dyn RankRun + 'r>>> {
    let on =
        |(model, (memory, runner)): (&'r RankModel, &'r mut (&Memory, Option<&mut Runner>))| {
            Ok(match (&**memory, runner) {
                (Memory::Host(bytes), _) => {
                    Box::new(RankOn::new(model, HostOps::new(bytes), room)?) as Box<dyn RankRun>
                }
                (Memory::Device(block), Some(runner)) => {
                    Box::new(RankOn::new(model, DeviceOps::new(runner, block), room)?)
                }
                _ => return Err(LoadError::internal("a device without a runner")),
            })
        };
    models.iter().zip(places).map(on).collect()
}

/// A sequence over the ranks of a replica.
struct RanksSequence<'r> {
    runs: Vec<Box<dyn RankRun + 'r>>,
    tp: usize,
    exchange: &'r dyn Exchange,
    /// Whether the ranks keep keys and values. If not, every step runs the whole sequence again.
    caches: bool,
    ids: Vec<u32>,
    logits: Vec<f32>,
}

impl Sequence for RanksSequence<'_> {
    fn extend(&mut self, ids: &[u32]) -> Result<()> {
        let past = if self.caches { self.ids.len() } else { 0 };
        self.ids.extend_from_slice(ids);
        let ids = self.ids[past..].to_vec();
        let mask = vec![1; self.ids.len()];
        let asked = Asked { rows: 1, columns: ids.len(), past, ids, mask, last: true };
        self.logits = ranks::run(&mut self.runs, self.tp, &asked, self.exchange)?;
        Ok(())
    }

    fn logits(&mut self) -> Result<Vec<f32>> {
        Ok(self.logits.clone())
    }
}
