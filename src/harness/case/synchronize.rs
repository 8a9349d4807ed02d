//! The step that asks for a synchronisation.

use serde::Deserialize;

use super::expect::Refusal;
use crate::contract::Device;

/// Asks for a synchronisation.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Synchronize {
    /// Of which device; the run's unless named.
    #[serde(default)]
    pub device: Option<Device>,
    /// How it must be refused, where it must be.
    #[serde(default)]
    pub refused: Option<Refusal>,
}
