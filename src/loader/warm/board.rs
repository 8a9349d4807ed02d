//! The progress of each model. Workers write it; displays and dumps read it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::loader::progress::Progress;

/// A model's phase. It runs from pending over loading and validating to warm, and may fail in
/// between.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The load has not started.
    Pending,
    /// Bytes are read, hashed, checked and copied.
    Loading,
    /// The model runs on its golden input.
    Validating,
    /// Loaded, verified and validated.
    Warm,
    /// The load or the validation failed.
    Failed {
        /// The error text, which begins with `[EMB-E0nn] NAME`.
        error: String,
    },
    /// Released because another model failed.
    Released,
}

/// One model's state.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// Its id.
    pub id: String,
    /// The current phase.
    pub phase: Phase,
    /// Size of its weight files, in bytes.
    pub file_bytes: u64,
    /// Memory that it holds, in bytes.
    pub held_bytes: u64,
    /// Device address of its memory; absent on the host.
    pub device_pointer: Option<u64>,
    /// SHA-256 of what was loaded, 64 lower-case hex digits; empty until it is known.
    pub sha256: String,
    /// Seconds from the load request to the end of the last check.
    pub load_seconds: f64,
    /// Seconds spent on allocating device memory.
    pub allocate_seconds: f64,
    /// Seconds spent on running the golden input and comparing the output.
    pub validate_seconds: f64,
    /// Largest absolute difference from the golden output.
    pub max_difference: Option<f32>,
}

/// The states of all models.
#[derive(Debug)]
pub struct Board {
    rows: Mutex<Vec<Status>>,
    progress: Vec<Arc<Progress>>,
}

impl Board {
    /// Creates a board with every model pending. An item holds id and file size in bytes.
    pub fn new(models: impl IntoIterator<Item = (String, u64)>) -> Board {
        let rows: Vec<Status> = models
            .into_iter()
            .map(|(id, file_bytes)| Status {
                id,
                phase: Phase::Pending,
                file_bytes,
                held_bytes: 0,
                device_pointer: None,
                sha256: String::new(),
                load_seconds: 0.0,
                allocate_seconds: 0.0,
                validate_seconds: 0.0,
                max_difference: None,
            })
            .collect();
        let progress = rows.iter().map(|_| Arc::default()).collect();
        Board { rows: Mutex::new(rows), progress }
    }

    /// Returns a copy of the current states.
    pub fn statuses(&self) -> Vec<Status> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the load counters of the model at index `at`.
    pub fn progress(&self, at: usize) -> Option<&Arc<Progress>> {
        self.progress.get(at)
    }

    /// Changes the state of the model at index `at`.
    pub fn set(&self, at: usize, change: impl FnOnce(&mut Status)) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = rows.get_mut(at) {
            change(row);
        }
    }

    /// Marks every model that has not failed as released.
    pub fn release_all(&self) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows.iter_mut().filter(|row| !matches!(row.phase, Phase::Failed { .. })) {
            (row.phase, row.held_bytes, row.device_pointer) = (Phase::Released, 0, None);
        }
    }
}

/// Converts a duration to seconds for a report.
pub(super) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
