//! What all cases of a run share: the setting, and measurements made once.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::card::CardWatch;
use super::model::{Kind, has_own_head};
use super::setting::{Reach, Setting};
use super::waiting::Waiting;
use crate::contract::Device;
use crate::contract::reply::Introduction;
use crate::gpu;
use crate::harness::case::Case;
use crate::harness::case::model::ModelSource;
use crate::harness::client::{Broken, same};
use crate::harness::evidence::program::Program;
use crate::harness::model::{Architecture, file};

/// Bytes of weights from which on a checkpoint stands in for a model of full size.
const LARGE: u64 = 1 << 30;

/// What all cases of a run share.
pub struct RunContext {
    /// How the run is done.
    pub setting: Setting,
    /// The watch over the run's card.
    pub card: CardWatch,
    /// What the run may wait for the loader, and what it has waited.
    pub waiting: Waiting,
    first: OnceLock<Introduction>,
    program: Option<Program>,
    gpu: OnceLock<Result<gpu::Context, String>>,
    limits: OnceLock<Result<gpu::CopyLimit, String>>,
    measured: Mutex<BTreeMap<String, f64>>,
    checkpoint: Kind,
    own_head: bool,
}

impl RunContext {
    /// Creates the context. Reads the health of the run's card; nothing else is measured yet.
    pub fn new(setting: Setting) -> Self {
        RunContext {
            card: CardWatch::begin(setting.device, setting.card),
            checkpoint: setting.checkpoint.as_deref().map_or(Kind::None, Kind::of),
            own_head: setting.checkpoint.as_deref().is_some_and(has_own_head),
            waiting: Waiting::default(),
            first: OnceLock::new(),
            program: match setting.reach {
                Reach::Process => Some(Program::of(&setting.manifest)),
                Reach::InProcess(_) => None,
            },
            setting,
            gpu: OnceLock::new(),
            limits: OnceLock::new(),
            measured: Mutex::new(BTreeMap::new()),
        }
    }

    /// Takes the answer to a `hello`; each must be that of the same loader as the first one.
    ///
    /// # Errors
    /// [`Broken::Changed`].
    pub fn met(&self, introduction: &Introduction, hidden: bool) -> Result<(), Broken> {
        same(self.first.get_or_init(|| introduction.clone()), introduction, hidden)
    }

    /// What the loader said at the run's first `hello`; `None` before it.
    pub fn first_hello(&self) -> Option<&Introduction> {
        self.first.get()
    }

    /// The files of the loader's program, as they were when the run began; `None` in process.
    pub fn program(&self) -> Option<&Program> {
        self.program.as_ref()
    }

    /// The harness's own context on the run's device.
    ///
    /// # Errors
    /// The driver's error message.
    pub fn gpu(&self) -> Result<&gpu::Context, String> {
        self.gpu
            .get_or_init(|| match self.setting.device {
                Device::Cpu => Err("this run loads into host memory".to_owned()),
                Device::Cuda(ordinal) => {
                    gpu::Context::open(ordinal).map_err(|error| error.to_string())
                }
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The machine's copy limits, measured once in this run.
    ///
    /// # Errors
    /// The driver's error message.
    pub fn copy_limit(&self) -> Result<&gpu::CopyLimit, String> {
        self.limits
            .get_or_init(|| {
                let limits = gpu::copy_limit(self.gpu()?).map_err(|error| error.to_string())?;
                self.note("host to device, pinned GB/s", limits.h2d_pinned_gbps);
                self.note("host to device, pageable GB/s", limits.h2d_pageable_gbps);
                self.note("device to host, pinned GB/s", limits.d2h_pinned_gbps);
                Ok(limits)
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The architecture of the run's own checkpoint, where the oracle knows it and no model of full
    /// size stays what it is.
    pub fn checkpoint(&self, case: &Case) -> Option<Architecture> {
        let own = |source: &ModelSource| source.full_size && !self.stands_in(source);
        let decoder = matches!(self.checkpoint, Kind::Decoder(_));
        let stays = decoder && case.models.values().any(own);
        self.checkpoint.architecture().filter(|_| !stays)
    }

    /// Whether the run's own checkpoint takes the place of a model. The figures of a case over a model
    /// of full size mean nothing over a small one.
    pub fn stands_in(&self, source: &ModelSource) -> bool {
        let large = || self.given_bytes().is_some_and(|bytes| bytes >= LARGE);
        source.gives_way() && (!source.full_size || large())
    }

    /// Whether a case runs the run's own checkpoint, and that has heads of a size of its own.
    pub fn own_head(&self, case: &Case) -> bool {
        self.own_head && case.models.values().any(|source| self.stands_in(source))
    }

    /// What the run's own checkpoint is.
    pub fn kind(&self) -> &Kind {
        &self.checkpoint
    }

    /// The size of the run's own checkpoint, if that is a decoder.
    pub fn given_bytes(&self) -> Option<u64> {
        let Kind::Decoder(_) = self.checkpoint else { return None };
        let files = file::of_checkpoint(self.setting.checkpoint.as_deref()?).ok()?;
        let sizes = files.iter().map(|path| std::fs::metadata(path).map_or(0, |data| data.len()));
        Some(sizes.sum())
    }

    /// Keeps a measurement for the report.
    pub fn note(&self, name: &str, value: f64) {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value);
    }

    /// Keeps the largest of several measurements of one name.
    pub fn note_most(&self, name: &str, value: f64) {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = measured.entry(name.to_owned()).or_insert(value);
        *kept = kept.max(value);
    }

    /// Every measurement so far.
    pub fn measured(&self) -> BTreeMap<String, f64> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
