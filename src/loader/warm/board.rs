//! How far each model has come. Workers write, displays and dumps read.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::loader::progress::Progress;

/// A model's way: pending, loading, validating, warm; or failed from anywhere.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing has been done.
    Pending,
    /// Bytes are read, hashed, checked and copied.
    Loading,
    /// The model runs on its golden input.
    Validating,
    /// Loaded, verified and validated.
    Warm,
    /// It is not, and why.
    Failed {
        /// `[EMB-E0nn] NAME` and the rest.
        error: String,
    },
    /// Given up because another one failed.
    Released,
}

/// One model's state.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// Its id.
    pub id: String,
    /// How far it is.
    pub phase: Phase,
    /// Size of its weight files, in bytes.
    pub file_bytes: u64,
    /// Memory that it holds, in bytes.
    pub held_bytes: u64,
    /// Where its memory begins; absent on the host.
    pub device_pointer: Option<u64>,
    /// SHA-256 of what was loaded, 64 lower-case hex digits; empty until it is known.
    pub sha256: String,
    /// From the request to the last verdict of the load.
    pub load_seconds: f64,
    /// Reserving device memory.
    pub allocate_seconds: f64,
    /// Running on the golden input and comparing.
    pub validate_seconds: f64,
    /// Largest absolute difference from the golden output.
    pub max_difference: Option<f32>,
}

/// All models.
#[derive(Debug)]
pub struct Board {
    rows: Mutex<Vec<Status>>,
    progress: Vec<Arc<Progress>>,
}

impl Board {
    /// Every model pending, by id and size.
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

    /// The states as they are now.
    pub fn statuses(&self) -> Vec<Status> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A model's counters while it loads, by its place.
    pub fn progress(&self, at: usize) -> Option<&Arc<Progress>> {
        self.progress.get(at)
    }

    /// Changes a model's state.
    pub fn set(&self, at: usize, change: impl FnOnce(&mut Status)) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = rows.get_mut(at) {
            change(row);
        }
    }

    /// Says of every model that was not the one at fault that it is not held any more.
    pub fn release_all(&self) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows.iter_mut().filter(|row| !matches!(row.phase, Phase::Failed { .. })) {
            (row.phase, row.held_bytes, row.device_pointer) = (Phase::Released, 0, None);
        }
    }
}

/// Seconds, for a report.
pub(super) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
