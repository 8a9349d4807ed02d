//! Mutants of the end of an answer: which token ends it, and what is told of the end.

use std::sync::{Mutex, PoisonError};

use crate::contract::Loader;
use crate::contract::generation::{Prompt, Sampling, Stop};
use crate::contract::reply::{Generated, Reply};
use crate::contract::request::{Generate, Request};
use crate::loader::error::Result;
use crate::loader::infer::RunnableModel;
use crate::loader::infer::sample::{Choose, Sampler};
use crate::loader::{LoadDecisions, ReferenceLoader};
use crate::mutants::between::{Answer, Between, between};
use crate::mutants::mutant::{Mutant, reference};

/// The mutants of this file.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "last-end-only",
        lie: "stops at only the last of several end tokens",
        seen_in: "loops that overwrite the end token",
        needs_gpu: false,
        make: || reference(Ends(|ends| ends.last().copied().into_iter().collect())),
    },
    Mutant {
        name: "two-ends",
        lie: "stops at only the first two of several end tokens",
        seen_in: "fields for an end of text and an end of turn",
        needs_gpu: false,
        make: || reference(Ends(|ends| ends.iter().take(2).copied().collect())),
    },
    Mutant {
        name: "end-and-limit-is-limit",
        lie: "tells of the limit where the last allowed token is an end token",
        seen_in: "loops that test the count first",
        needs_gpu: false,
        make: || {
            between(Retold(|asked, told| {
                if told.tokens.len() == asked.limit as usize {
                    told.stop = Stop::Limit;
                }
            }))
        },
    },
    Mutant {
        name: "context-before-limit",
        lie: "tells of a full context where the limit is reached at the same token",
        seen_in: "loops that test the room first",
        needs_gpu: false,
        make: || between(Room),
    },
    Mutant {
        name: "limit-with-prompt",
        lie: "counts the tokens of the prompt among those of the limit",
        seen_in: "max_length in place of max_new_tokens",
        needs_gpu: false,
        make: || between(Counted),
    },
    Mutant {
        name: "context-one-short",
        lie: "leaves the last place of the context unused",
        seen_in: "loops that run every token before they test the room",
        needs_gpu: false,
        make: || {
            between(Retold(|_, told| {
                if told.stop == Stop::Context && told.tokens.len() > 1 {
                    told.tokens.pop();
                }
            }))
        },
    },
    Mutant {
        name: "end-left-out",
        lie: "leaves the end token out of its answer, and tells of an end",
        seen_in: "APIs that strip the stop token",
        needs_gpu: false,
        make: || {
            between(Retold(|_, told| {
                if told.stop == Stop::EndOfSequence && told.tokens.len() > 1 {
                    told.tokens.pop();
                }
            }))
        },
    },
    Mutant {
        name: "end-in-prompt-cuts",
        lie: "gives the model only what follows the last end token of a prompt",
        seen_in: "prompts that are split at the end of a turn",
        needs_gpu: false,
        make: || reference(CutAtEnd),
    },
    Mutant {
        name: "end-never-drawn",
        lie: "never draws an end token where tokens are sampled",
        seen_in: "ignore_eos, left on",
        needs_gpu: false,
        make: || reference(Endless::default()),
    },
];

pub(super) struct Ends(pub(super) fn(&[u32]) -> Vec<u32>);

impl LoadDecisions for Ends {
    fn ends(&self, ends: &[u32]) -> Vec<u32> {
        self.0(ends)
    }
}

/// Changes what is told of an answer.
struct Retold(fn(&Generate, &mut Generated));

impl Between for Retold {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let asked = match &request {
            Request::Generate(asked) => Some(asked.clone()),
            _ => None,
        };
        let mut reply = loader.answer(request)?;
        if let (Some(asked), Reply::Generate(told)) = (asked, &mut reply) {
            (self.0)(&asked, told);
        }
        Ok(reply)
    }
}

/// Gives fewer tokens the longer a prompt of tokens is.
struct Counted;

impl Between for Counted {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        if let Request::Generate(asked) = &mut request
            && let Prompt::Tokens(ids) = &asked.prompt
        {
            asked.limit = asked.limit.saturating_sub(ids.len() as u32).max(1);
        }
        loader.answer(request)
    }
}

/// Asks for a token more. If none comes, the context was full.
struct Room;

impl Between for Room {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let more = match &request {
            Request::Generate(asked) if asked.into.is_none() => {
                Some(Generate { limit: asked.limit.saturating_add(1), ..asked.clone() })
            }
            _ => None,
        };
        let mut reply = loader.answer(request)?;
        if let (Some(more), Reply::Generate(told)) = (more, &mut reply)
            && told.stop == Stop::Limit
            && let Ok(Reply::Generate(longer)) = loader.answer(Request::Generate(more))
            && longer.tokens.len() == told.tokens.len()
        {
            told.stop = Stop::Context;
        }
        Ok(reply)
    }
}

struct CutAtEnd;

impl LoadDecisions for CutAtEnd {
    fn prompt(&self, model: &RunnableModel, asked: Prompt) -> Result<Prompt> {
        let Prompt::Tokens(ids) = asked else { return Ok(asked) };
        let end = ids.iter().rposition(|id| model.ends.contains(id));
        let rest = end.map_or(&ids[..], |end| &ids[end + 1..]);
        let rest = if rest.is_empty() { &ids[..] } else { rest };
        Ok(Prompt::Tokens(rest.to_vec()))
    }

    fn told(&self, asked: &Prompt, given: Vec<u32>) -> Vec<u32> {
        match asked {
            Prompt::Tokens(own) => own.clone(),
            Prompt::Chat(_) => given,
        }
    }
}

/// The end tokens of the model that generates.
#[derive(Default)]
struct Endless(Mutex<Vec<u32>>);

impl LoadDecisions for Endless {
    fn ends(&self, ends: &[u32]) -> Vec<u32> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = ends.to_vec();
        ends.to_vec()
    }

    fn chooser(&self, asked: Sampling) -> Result<Box<dyn Choose>> {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Box::new(Without { sampler: Sampler::new(asked)?, ends }))
    }
}

struct Without {
    sampler: Sampler,
    ends: Vec<u32>,
}

impl Choose for Without {
    fn greedy(&self) -> bool {
        self.sampler.greedy()
    }

    fn pick(&mut self, logits: &[f32]) -> u32 {
        let mut own = logits.to_vec();
        if !self.greedy() {
            self.ends.iter().for_each(|end| own[*end as usize] = f32::NEG_INFINITY);
        }
        self.sampler.pick(&own)
    }
}
