//! Mutants that take from `generation_config.json` what the request alone states.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::contract::Loader;
use crate::contract::generation::Sampling;
use crate::contract::request::Request;
use crate::loader::error::Result;
use crate::loader::infer::sample::{Choose, Sampler};
use crate::loader::infer::{RunnableModel, Search};
use crate::loader::{LoadDecisions, ReferenceLoader};
use crate::mutants::between::{Answer, Between, between_with};
use crate::mutants::mutant::{Mutant, reference};

/// The mutants of this file.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "sampling-of-file",
        lie: "draws with the temperature and the top_p of generation_config.json where it has them",
        seen_in: "loaders that start from GenerationConfig.from_pretrained",
        needs_gpu: false,
        make: || reference(FromFile::default()),
    },
    Mutant {
        name: "length-of-file",
        lie: "gives no more tokens than max_new_tokens of generation_config.json",
        seen_in: "loaders that start from GenerationConfig.from_pretrained",
        needs_gpu: false,
        make: || {
            let file = FromFile::default();
            between_with(Shortened(file.clone()), Reading(file))
        },
    },
];

/// The settings of the model that was loaded last.
#[derive(Clone, Default)]
struct FromFile(Arc<Mutex<Value>>);

impl FromFile {
    fn read(&self, search: &Search) {
        let text = search.inference.generation.as_ref().and_then(|path| std::fs::read(path).ok());
        let value = text.and_then(|text| serde_json::from_slice(&text).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value.unwrap_or_default();
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[name].as_f64()
    }
}

impl LoadDecisions for FromFile {
    fn model(&self, search: &Search) -> Result<RunnableModel> {
        self.read(search);
        search.find()
    }

    fn chooser(&self, asked: Sampling) -> Result<Box<dyn Choose>> {
        let of = |name: &str, asked: f32| self.number(name).map_or(asked, |own| own as f32);
        let own = match asked.temperature {
            0.0 => asked,
            temperature => Sampling {
                temperature: of("temperature", temperature),
                top_p: of("top_p", asked.top_p),
                ..asked
            },
        };
        Ok(Box::new(Sampler::new(own)?))
    }
}

/// Only reads the file.
struct Reading(FromFile);

impl LoadDecisions for Reading {
    fn model(&self, search: &Search) -> Result<RunnableModel> {
        self.0.read(search);
        search.find()
    }
}

struct Shortened(FromFile);

impl Between for Shortened {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        if let (Request::Generate(asked), Some(most)) =
            (&mut request, self.0.number("max_new_tokens"))
        {
            asked.limit = asked.limit.min(most as u32);
        }
        loader.answer(request)
    }
}
