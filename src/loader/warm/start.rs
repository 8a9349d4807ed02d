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
    /// Number of models that load at once. `None`: of the sealed ones that go to a GPU one, and all others.
    pub jobs: Option<usize>,
}

impl Options {
    /// Divides the models into lines. Each line has so many workers, and they take its models in order.
    ///
    /// A sealed load to a GPU keeps all reading threads and the copy engine busy, so several at once wait for each
    /// other, and each needs pinned memory of its own. The other loads hash a file in one thread each.
    fn lines(&self, order: &[Planned]) -> Vec<(Line, usize)> {
        let all = order.iter().cloned().enumerate();
        if let Some(jobs) = self.jobs {
            return vec![(Mutex::new(all.collect()), jobs.clamp(1, order.len().max(1)))];
        }
        let alone = |planned: &Planned| planned.sealed && self.device.is_gpu();
        let (sealed, others): (VecDeque<_>, VecDeque<_>) = all.partition(|(_, one)| alone(one));
        let workers = others.len();
        vec![(Mutex::new(sealed), 1), (Mutex::new(others), workers)]
    }
}

/// Models that wait for a worker, with their rows on the board.
type Line = Mutex<VecDeque<(usize, Planned)>>;

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
        failed: AtomicBool::new(false),
        warm: Mutex::new(Vec::new()),
        first: Mutex::new(None),
    };
    let lines = options.lines(&plan.order);
    thread::scope(|scope| {
        // Compiling kernels takes as long as loading a model, so compile them during the first
        // load.
        if let Device::Cuda(ordinal) = options.device {
            let mut compiling = gpus.sibling();
            scope.spawn(move || compiling.runner(ordinal, Precision::Exact).map(drop));
        }
        for (line, workers) in &lines {
            for _ in 0..*workers {
                let (work, mut gpus) = (&work, gpus.sibling());
                scope.spawn(move || work.until_none_is_left(line, &mut gpus));
            }
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
    failed: AtomicBool,
    warm: Mutex<Vec<WarmModel>>,
    first: Mutex<Option<LoadError>>,
}

impl Work<'_> {
    fn until_none_is_left(&self, line: &Line, gpus: &mut Gpus) {
        loop {
            let next = line.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(device: Device, jobs: Option<usize>) -> Vec<(Vec<usize>, usize)> {
        let planned = |(at, sealed): (usize, &bool)| Planned {
            id: at.to_string(),
            at,
            file_bytes: 1,
            bytes: 1,
            sealed: *sealed,
        };
        let order: Vec<Planned> =
            [true, false, true, false].iter().enumerate().map(planned).collect();
        let options = Options { device, profile: None, jobs };
        let lines = options.lines(&order).into_iter();
        let rows = |line: Line| line.into_inner().unwrap().iter().map(|(row, _)| *row).collect();
        lines.map(|(line, workers)| (rows(line), workers)).collect()
    }

    #[test]
    fn sealed_models_go_to_a_gpu_one_after_the_other() {
        let gpu = Device::Cuda(0);
        assert_eq!(lines(gpu, None), [(vec![0, 2], 1), (vec![1, 3], 2)]);
        assert_eq!(lines(Device::Cpu, None), [(vec![], 1), (vec![0, 1, 2, 3], 4)]);
        // A number that is asked for holds for all of them.
        for (asked, workers) in [(0, 1), (3, 3), (9, 4)] {
            assert_eq!(lines(gpu, Some(asked)), [(vec![0, 1, 2, 3], workers)]);
        }
    }
}
