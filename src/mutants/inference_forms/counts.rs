//! Mutants that are right up to some count of layers, heads, rows, tokens, models or requests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::contract::Loader;
use crate::contract::generation::Prompt;
use crate::contract::inference::{Batch, State};
use crate::contract::reply::Reply;
use crate::contract::request::{Request, Unload};
use crate::loader::error::Result;
use crate::loader::infer::RunnableModel;
use crate::loader::{LoadDecisions, ReferenceLoader};
use crate::mutants::between::{Answer, Between, between, handle};
use crate::mutants::inference::Misbuilt;
use crate::mutants::mutant::{Mutant, reference};

use super::bent::{Bending, Habits};

/// The mutants of this file.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "eight-layers",
        lie: "has room for eight layers, and leaves the others out",
        seen_in: "arrays of a fixed size in engines for one model",
        needs_gpu: false,
        make: || reference(Misbuilt(eight_layers)),
    },
    Mutant {
        name: "layers-in-order-of-text",
        lie: "runs layer 10 before layer 2",
        seen_in: "layers sorted by name",
        needs_gpu: false,
        make: || reference(Misbuilt(by_text)),
    },
    Mutant {
        name: "sixteen-heads",
        lie: "computes sixteen heads, and copies them for the others",
        seen_in: "kernels written for one head count",
        needs_gpu: false,
        make: || reference(Bending(Habits { head: |head| head % 16, ..Habits::HONEST })),
    },
    Mutant {
        name: "batch-of-32",
        lie: "computes 32 rows of a batch, and leaves the others zero",
        seen_in: "embedding servers with a largest batch",
        needs_gpu: false,
        make: || reference(Rows(|state, row, share| state.values[row * share..].fill(0.0), 32)),
    },
    Mutant {
        name: "rows-in-a-byte",
        lie: "numbers the rows of a batch in one byte: row 256 is row 0",
        seen_in: "narrow indices in batching code",
        needs_gpu: false,
        make: || reference(Rows(first_again, 256)),
    },
    Mutant {
        name: "prompt-of-512",
        lie: "runs the last 512 tokens of a longer prompt",
        seen_in: "n_ctx = 512, the default of llama.cpp",
        needs_gpu: false,
        make: || reference(CutPrompt(512)),
    },
    Mutant {
        name: "answer-of-128",
        lie: "gives 128 tokens at most, and says that this was the limit",
        seen_in: "n_predict = 128, the default of older llama.cpp",
        needs_gpu: false,
        make: || between(CutAnswer),
    },
    Mutant {
        name: "models-of-16",
        lie: "keeps sixteen models: a further one takes the place of the oldest",
        seen_in: "caches of models with a fixed size",
        needs_gpu: false,
        make: || between(AtMost::<16>::default()),
    },
    Mutant {
        name: "handles-in-a-byte",
        lie: "keeps handles in one byte: the 257th load names the first model again",
        seen_in: "narrow indices in tables of models",
        needs_gpu: false,
        make: || between(ByteHandles::default()),
    },
    Mutant {
        name: "request-256-from-cache",
        lie: "numbers its answers in one byte, and gives the 257th as the first one",
        seen_in: "ring buffers of outputs",
        needs_gpu: false,
        make: || reference(Ring::default()),
    },
];

fn eight_layers(model: &mut RunnableModel) {
    if let Some(body) = &mut model.parts.body {
        body.layers.truncate(8);
    }
}

fn by_text(model: &mut RunnableModel) {
    if let Some(body) = &mut model.parts.body {
        let mut named: Vec<_> =
            body.layers.drain(..).enumerate().map(|(n, layer)| (n.to_string(), layer)).collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        body.layers.extend(named.into_iter().map(|(_, layer)| layer));
    }
}

/// What becomes of an output from a row on: the state, the row, and the size of a row.
pub(super) type Spoiled = fn(&mut State, usize, usize);

/// Spoils the rows from a number on.
pub(super) struct Rows(pub(super) Spoiled, pub(super) usize);

impl LoadDecisions for Rows {
    fn output(&self, _handle: u64, batch: &Batch, mut given: State) -> State {
        let (Batch::Tokens { rows, .. } | Batch::Vectors { rows, .. }) = batch;
        if *rows > self.1 {
            let share = given.values.len() / rows;
            (self.0)(&mut given, self.1, share);
        }
        given
    }
}

fn first_again(state: &mut State, row: usize, share: usize) {
    let (first, others) = state.values.split_at_mut(row * share);
    others.iter_mut().zip(first).for_each(|(value, first)| *value = *first);
}

/// Keeps the end of a longer prompt, and tells of the whole.
struct CutPrompt(usize);

impl LoadDecisions for CutPrompt {
    fn prompt(&self, _model: &RunnableModel, asked: Prompt) -> Result<Prompt> {
        Ok(match asked {
            Prompt::Tokens(ids) if ids.len() > self.0 => {
                Prompt::Tokens(ids[ids.len() - self.0..].to_vec())
            }
            asked => asked,
        })
    }

    fn told(&self, asked: &Prompt, given: Vec<u32>) -> Vec<u32> {
        match asked {
            Prompt::Tokens(own) => own.clone(),
            Prompt::Chat(_) => given,
        }
    }
}

struct CutAnswer;

impl Between for CutAnswer {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        match request {
            Request::Generate(mut request) => {
                request.limit = request.limit.min(128);
                loader.answer(Request::Generate(request))
            }
            request => loader.answer(request),
        }
    }
}

/// The handles of the loaded models, oldest first, and those that stand for others.
pub(super) struct AtMost<const MOST: usize>(Vec<(u64, u64)>);

impl<const MOST: usize> Default for AtMost<MOST> {
    fn default() -> Self {
        AtMost(Vec::new())
    }
}

impl<const MOST: usize> Between for AtMost<MOST> {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        if let Some(asked) = handle(&mut request)
            && let Some((_, real)) = self.0.iter().find(|(told, _)| told == asked)
        {
            *asked = *real;
        }
        let unloaded = match &request {
            Request::Unload(Unload { handle }) => Some(*handle),
            _ => None,
        };
        let reply = loader.answer(request)?;
        if let Some(unloaded) = unloaded {
            self.0.retain(|(_, real)| *real != unloaded);
        }
        if let Reply::Load(loaded) = &reply {
            if self.0.len() >= MOST
                && let Some(oldest) = self.0.first_mut()
            {
                oldest.1 = loaded.handle;
            }
            self.0.push((loaded.handle, loaded.handle));
        }
        Ok(reply)
    }
}

/// The real handles by the byte that is told, and how many loads there were.
#[derive(Default)]
struct ByteHandles(Vec<u64>, usize);

impl Between for ByteHandles {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        if let Some(asked) = handle(&mut request)
            && let Some(real) = self.0.get(*asked as usize)
        {
            *asked = *real;
        }
        let mut reply = loader.answer(request)?;
        if let Reply::Load(loaded) = &mut reply {
            let byte = self.1 % 256;
            self.1 += 1;
            match self.0.get_mut(byte) {
                Some(real) => *real = loaded.handle,
                None => self.0.push(loaded.handle),
            }
            loaded.handle = byte as u64;
        }
        Ok(reply)
    }
}

/// How many outputs there were, and the first one's values.
#[derive(Default)]
struct Ring(AtomicU64, std::sync::Mutex<Vec<f32>>);

impl LoadDecisions for Ring {
    fn output(&self, _handle: u64, _batch: &Batch, mut given: State) -> State {
        let mut first = self.1.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match self.0.fetch_add(1, Relaxed) % 256 {
            0 if first.len() == given.values.len() => given.values.clone_from(&first),
            0 => first.clone_from(&given.values),
            _ => {}
        }
        given
    }
}
