//! A plan as a document of JSON: what a loader claims, and what the judge prints.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::grid::Grid;
use super::header::unreadable;
use super::layout::{Entry, Plan};
use super::refusal::Refusal;
use super::role::Role;
use super::share::Share;
use super::spans::Spans;
use crate::harness::regular;

/// What every rank holds, or why a loader refuses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Document {
    /// Words of a refusal. A document has them or ranks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Rows of the vocabulary with those that only fill the last shares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub padded_vocabulary: Option<u64>,
    /// Every rank of the grid once.
    pub ranks: Vec<Rank>,
}

/// One rank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rank {
    /// The global rank.
    pub rank: u64,
    /// Which copy of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<u64>,
    /// Which pipeline stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<u64>,
    /// Which rank of the stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tp_rank: Option<u64>,
    /// Ordinal of its device.
    pub device: u64,
    /// What it holds.
    pub tensors: Vec<Held>,
    /// Number of tensors that belong to other stages only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<u64>,
    /// Bytes that it reads from files, headers included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_read: Option<u64>,
}

/// What a rank holds of a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The tensor's name in the files.
    pub tensor: String,
    /// For each dimension the intervals that it holds, in its own order.
    pub ranges: Share,
    /// Rows that follow and are in no file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<u64>,
    /// Whether the rank adds this bias of a row-parallel layer to its own part of the sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adds: Option<bool>,
    /// The file that it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The bytes that it reads there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spans: Option<Vec<Spans>>,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// If the file cannot be read, or is no such document.
    pub fn read(path: &Path) -> Result<Document, Refusal> {
        let text = regular::document(path, regular::LARGE);
        let text = text.map_err(|error| unreadable(path, &error, "Name a file that is there."))?;
        let none = |found: &dyn ToString| {
            let refusal = Refusal::claim(format!("{}: no claimed plan", path.display()));
            let expected = "an object with ranks, or with refused";
            let remedy = "Take the member plan of `weighbridge plan --json` as an example.";
            refusal.told(expected, found.to_string(), remedy)
        };
        let document: Document = serde_json::from_slice(&text).map_err(|error| none(&error))?;
        match (document.refused.is_some(), document.ranks.is_empty()) {
            (false, true) => Err(none(&"neither")),
            (true, false) => Err(none(&"both")),
            _ => Ok(document),
        }
    }

    /// Its ranks by number.
    ///
    /// # Errors
    /// If a rank of the grid is missing, is there twice, or does not exist.
    pub fn ranks(&self, grid: &Grid) -> Result<Vec<&Rank>, Refusal> {
        let world = grid.world();
        let wrong = |message: String, actual: String| {
            let expected = format!("ranks 0 to {}, each once", world - 1);
            let remedy = "Claim a plan for the same grid: --tp, --pp and --replicas.";
            Err(Refusal::claim(message).told(expected, actual, remedy))
        };
        let mut ranks = vec![None; world as usize];
        for rank in &self.ranks {
            match ranks.get_mut(rank.rank as usize) {
                None => return wrong("a rank beyond the grid".to_owned(), rank.rank.to_string()),
                Some(Some(_)) => {
                    return wrong("a rank twice".to_owned(), format!("{} twice", rank.rank));
                }
                Some(place) => *place = Some(rank),
            }
        }
        match ranks.iter().position(Option::is_none) {
            Some(at) => wrong("a rank is missing".to_owned(), format!("no rank {at}")),
            None => Ok(ranks.into_iter().flatten().collect()),
        }
    }
}

impl Plan {
    /// The plan as a document.
    pub fn document(&self) -> Document {
        let ranks = self.grid.places().map(|place| {
            let load = self.load(&place);
            let held = |entry| self.held(entry, place.tp_rank);
            Rank {
                rank: place.rank,
                replica: Some(place.replica),
                stage: Some(place.stage),
                tp_rank: Some(place.tp_rank),
                device: place.device,
                tensors: self.of_stage(place.stage).map(held).collect(),
                elsewhere: Some(load.elsewhere),
                bytes_read: self.header_bytes.map(|headers| load.bytes + headers),
            }
        });
        let padded = Some(self.division.padded).filter(|_| self.architecture.is_decoder());
        Document { refused: None, padded_vocabulary: padded, ranks: ranks.collect() }
    }

    /// What a rank of a stage that has this tensor holds of it.
    pub fn held(&self, entry: &Entry, tp_rank: u64) -> Held {
        let share = entry.share(tp_rank);
        let is = |role| entry.part.role == role;
        Held {
            tensor: entry.declared.name.clone(),
            padding: is(Role::Vocabulary).then(|| self.padding(entry, &share)),
            adds: is(Role::RowBias).then_some(tp_rank == 0),
            file: Some(self.files[entry.declared.file].name.clone()),
            spans: entry.spans(&share),
            ranges: share,
        }
    }

    /// Rows that a rank has behind those of the file, so that all ranks have the same number.
    pub fn padding(&self, entry: &Entry, share: &Share) -> u64 {
        let width = entry.declared.shape[1..].iter().product::<u64>().max(1);
        self.division.words_each().saturating_sub(share.elements() / width)
    }
}
