//! The start itself: plan, then several models at once, largest first; all of them, or none.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::contract::request::{HardwareProfile, Validate};
use crate::contract::{Code, Device, Phase as At};
use crate::loader::decisions::Honest;
use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, Result};
use crate::loader::load;
use crate::loader::load::model::Model;
use crate::loader::memory::Memory;
use crate::loader::read::digest::hex;
use crate::loader::verbs::forward;

use super::board::{Board, Phase, seconds};
use super::plan::{Plan, Planned};
use super::registry::Models;

/// How a set is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to.
    pub device: Device,
    /// The least that the device must offer.
    pub profile: Option<HardwareProfile>,
    /// How many models load at once, at least one.
    pub jobs: usize,
}

/// A model that is warm.
#[derive(Debug)]
pub struct WarmModel {
    /// Its id.
    pub id: String,
    /// The model, held.
    pub model: Model,
}

/// All models of a registry, warm.
#[derive(Debug)]
pub struct WarmSet {
    /// The models, in the order in which they became warm.
    pub models: Vec<WarmModel>,
    /// What the plan was.
    pub plan: Plan,
    /// From the start to the last model.
    pub took: Duration,
    gpus: Gpus,
}

impl WarmSet {
    /// The devices that the models lie on.
    pub fn gpus(&mut self) -> &mut Gpus {
        &mut self.gpus
    }
}

/// Starts a set. `tell` gets the plan's board before the first byte is copied.
///
/// # Errors
/// The first failure of any model; nothing is held any more then.
pub fn start(
    models: &Models,
    options: &Options,
    tell: impl FnOnce(&Plan, &std::sync::Arc<Board>),
) -> Result<WarmSet> {
    let began = Instant::now();
    let mut gpus = Gpus::default();
    let plan = Plan::make(models, options.device, options.profile.clone(), &mut gpus)?;
    let rows = plan.order.iter().map(|planned| (planned.id.clone(), planned.file_bytes));
    let board = std::sync::Arc::new(Board::new(rows));
    tell(&plan, &board);
    let work = Work {
        models,
        device: options.device,
        board: &board,
        left: Mutex::new(plan.order.iter().cloned().enumerate().collect()),
        failed: AtomicBool::new(false),
        warm: Mutex::new(Vec::new()),
        first: Mutex::new(None),
    };
    thread::scope(|scope| {
        let mut siblings = Vec::new();
        for _ in 0..options.jobs.clamp(1, plan.order.len().max(1)) {
            siblings.push(gpus.sibling());
        }
        // Kernels take as long to compile as a model to load: they are ready when the first
        // validation begins.
        if let Device::Cuda(ordinal) = options.device {
            let mut compiling = gpus.sibling();
            scope.spawn(move || compiling.runner(ordinal).map(drop));
        }
        for mut gpus in siblings {
            let work = &work;
            scope.spawn(move || work.until_none_is_left(&mut gpus));
        }
    });
    let first = work.first.into_inner().unwrap_or_else(PoisonError::into_inner);
    let warm = work.warm.into_inner().unwrap_or_else(PoisonError::into_inner);
    match first {
        None => Ok(WarmSet { models: warm, plan, took: began.elapsed(), gpus }),
        Some(error) => {
            drop(warm);
            board.release_all();
            Err(error)
        }
    }
}

/// What the workers share.
struct Work<'a> {
    models: &'a Models,
    device: Device,
    board: &'a Board,
    left: Mutex<VecDeque<(usize, Planned)>>,
    failed: AtomicBool,
    warm: Mutex<Vec<WarmModel>>,
    first: Mutex<Option<LoadError>>,
}

impl Work<'_> {
    fn until_none_is_left(&self, gpus: &mut Gpus) {
        loop {
            let next = self.left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((row, planned)) = next.filter(|_| !self.failed.load(Relaxed)) else { return };
            match self.one(row, &planned, gpus) {
                Ok(model) => {
                    self.warm.lock().unwrap_or_else(PoisonError::into_inner).push(model);
                }
                Err(error) => {
                    self.failed.store(true, Relaxed);
                    let text = error.to_string();
                    self.board.set(row, |status| status.phase = Phase::Failed { error: text });
                    let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
                    first.get_or_insert(error);
                    return;
                }
            }
        }
    }

    fn one(&self, row: usize, planned: &Planned, gpus: &mut Gpus) -> Result<WarmModel> {
        let registered = &self.models.all[planned.at];
        let request = self.models.request(registered, self.device)?;
        let progress = self.board.progress(row).cloned().unwrap_or_default();
        self.board.set(row, |status| status.phase = Phase::Loading);
        let began = Instant::now();
        let mut model = load::load(gpus, &Honest, &request, &progress)?;
        let loaded = began.elapsed();
        self.board.set(row, |status| {
            status.phase = Phase::Validating;
            status.load_seconds = seconds(loaded);
            status.held_bytes = model.memory.bytes();
            status.sha256 = hex(&model.sha256);
            status.device_pointer = match &model.memory {
                Memory::Device(block) => block.buffer().map(|buffer| buffer.pointer()),
                Memory::Host(_) => None,
            };
            status.allocate_seconds =
                model.transfer.as_ref().map_or(0.0, |transfer| transfer.alloc_us as f64 / 1e6);
        });
        self.dimension(registered, &model)?;
        let golden = Validate {
            handle: 0,
            input: self.models.path(registered, &registered.golden.input),
            golden: self.models.path(registered, &registered.golden.output),
            tolerance: registered.tolerance,
        };
        // Waiting for the kernels is no part of the validation.
        forward::ready(&mut model, gpus)?;
        let began = Instant::now();
        let validated = forward::validate(&mut model, gpus, &Honest, &golden)
            .map_err(|error| error.path(&golden.golden))?;
        self.board.set(row, |status| {
            status.phase = Phase::Warm;
            status.validate_seconds = seconds(began.elapsed());
            status.max_difference = Some(validated.max_difference);
        });
        Ok(WarmModel { id: registered.id.clone(), model })
    }

    /// The embedding's size by the weights must be the registry's.
    fn dimension(
        &self,
        registered: &crate::contract::registry::RegisteredModel,
        model: &Model,
    ) -> Result<()> {
        let found = model.runnable.as_ref().map_or(0, |runnable| runnable.dimension() as u64);
        if found == registered.dimension {
            return Ok(());
        }
        Err(LoadError::refused(
            At::Admit,
            Code::GoldenMismatch,
            format!("model {} gives embeddings of another size", registered.id),
        )
        .expected(registered.dimension, found)
        .remedy("correct the registry, or fetch the other weights"))
    }
}
