//! Runs a warm start: makes the plan, then loads several models at once, largest first. If one
//! model fails, none stays loaded.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::contract::request::{HardwareProfile, Validate};
use crate::contract::{Device, Phase as At};
use crate::gpu::Precision;
use crate::loader::decisions::Honest;
use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, Result};
use crate::loader::load;
use crate::loader::load::model::Model;
use crate::loader::memory::Memory;
use crate::loader::read::digest::hex;
use crate::loader::remedies::gates_and_golden::EMBEDDING_SIZE;
use crate::loader::verbs::forward;

use super::board::{Board, Phase, seconds};
use super::plan::{Plan, Planned};
use super::registry::Models;

/// Options of a warm start.
#[derive(Clone, Debug)]
pub struct Options {
    /// The target device.
    pub device: Device,
    /// The hardware that the device must offer at least.
    pub profile: Option<HardwareProfile>,
    /// Number of models that load at once; at least one.
    pub jobs: usize,
}

/// A loaded and validated model.
#[derive(Debug)]
pub struct WarmModel {
    /// Its id.
    pub id: String,
    /// The loaded model.
    pub model: Model,
}

/// All models of a registry, loaded and validated.
#[derive(Debug)]
pub struct WarmSet {
    /// The models, in the order in which they became warm.
    pub models: Vec<WarmModel>,
    /// The plan that the start followed.
    pub plan: Plan,
    /// Time from the start until the last model was warm.
    pub took: Duration,
    gpus: Gpus,
}

impl WarmSet {
    /// Returns the open devices that hold the models.
    pub fn gpus(&mut self) -> &mut Gpus {
        &mut self.gpus
    }
}

/// Starts a set of models. `tell` receives the progress board before the first byte is copied.
///
/// # Errors
/// The first failure of any model. All models are then released.
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
        // Compiling kernels takes as long as loading a model, so compile them during the first
        // load.
        if let Device::Cuda(ordinal) = options.device {
            let mut compiling = gpus.sibling();
            scope.spawn(move || compiling.runner(ordinal, Precision::Exact).map(drop));
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

/// State shared by the worker threads.
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
                Memory::Host(_) | Memory::Divided(_) => None,
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
        // Wait for the kernels first: the validation time must not include compilation.
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

    /// Checks that the embedding size of the weights equals the registry's.
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
            EMBEDDING_SIZE,
            format!("model {} gives embeddings of another size", registered.id),
        )
        .expected(registered.dimension, found))
    }
}
