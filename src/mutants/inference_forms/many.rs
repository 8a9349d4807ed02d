//! Mutants that are right up to a count that is large, and in use: layers of three digits, rows, texts, turns,
//! end tokens, values of a head or of a state.

use super::bent::{Bending, Habits};
use super::counts::{AtMost, Rows};
use super::endings::Ends;
use super::text::{Conversation, Said};
use crate::contract::Loader;
use crate::contract::generation::{Role, Stop};
use crate::contract::inference::{Batch, Input, State};
use crate::contract::reply::Reply;
use crate::contract::request::Request;
use crate::loader::infer::RunnableModel;
use crate::loader::infer::config::Config;
use crate::loader::{LoadDecisions, ReferenceLoader};
use crate::mutants::between::{Answer, Between, between};
use crate::mutants::inference::Misbuilt;
use crate::mutants::mutant::{Mutant, reference};

/// The mutants of this file.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "layers-of-two-digits",
        lie: "leaves out the layers behind the ninety-ninth",
        seen_in: "names of layers that are parsed by their length",
        needs_gpu: false,
        make: || reference(Misbuilt(two_digits)),
    },
    Mutant {
        name: "batch-of-512",
        lie: "computes 512 rows of a batch, and leaves the others zero",
        seen_in: "grids of a fixed size",
        needs_gpu: false,
        make: || reference(Rows(|state, row, share| state.values[row * share..].fill(0.0), 512)),
    },
    Mutant {
        name: "texts-of-32",
        lie: "encodes 32 texts of a request, and takes the last of these for the others",
        seen_in: "embedding servers with a largest batch",
        needs_gpu: false,
        make: || between(Texts),
    },
    Mutant {
        name: "text-of-255-bytes",
        lie: "reads the first 255 bytes of a text",
        seen_in: "lengths in one byte",
        needs_gpu: false,
        make: || between(Said(|text| cut(text, 255))),
    },
    Mutant {
        name: "text-of-2047-bytes",
        lie: "reads the first 2,047 bytes of a text",
        seen_in: "buffers of a fixed size",
        needs_gpu: false,
        make: || between(Said(|text| cut(text, 2047))),
    },
    Mutant {
        name: "turns-of-16",
        lie: "keeps the system turn and the last sixteen turns of a conversation",
        seen_in: "chat servers with a window of turns",
        needs_gpu: false,
        make: || {
            reference(Conversation(|turns| {
                let first =
                    usize::from(turns.first().is_some_and(|turn| turn.role == Role::System));
                let drop = turns.len().saturating_sub(first + 16);
                turns.drain(first..first + drop);
            }))
        },
    },
    Mutant {
        name: "four-ends",
        lie: "stops at only the first four of several end tokens",
        seen_in: "arrays of a fixed size",
        needs_gpu: false,
        make: || reference(Ends(|ends| ends.iter().take(4).copied().collect())),
    },
    Mutant {
        name: "sixteen-ends",
        lie: "stops at only the first sixteen of several end tokens",
        seen_in: "arrays of a fixed size",
        needs_gpu: false,
        make: || reference(Ends(|ends| ends.iter().take(16).copied().collect())),
    },
    Mutant {
        name: "answer-of-512",
        lie: "gives 512 tokens at most, and says that this was the limit",
        seen_in: "max_new_tokens of servers",
        needs_gpu: false,
        make: || between(Shortened),
    },
    Mutant {
        name: "models-of-64",
        lie: "keeps sixty-four models: a further one takes the place of the oldest",
        seen_in: "sets of models as bits of one word",
        needs_gpu: false,
        make: || between(AtMost::<64>::default()),
    },
    Mutant {
        name: "states-of-1024",
        lie: "computes 1,024 values of each state, and leaves the others zero",
        seen_in: "kernels with one thread a value",
        needs_gpu: false,
        make: || reference(Wide),
    },
    Mutant {
        name: "context-of-4096",
        lie: "forgets what lies more than 4,096 tokens back",
        seen_in: "rings of keys and values of a fixed size",
        needs_gpu: false,
        make: || reference(Misbuilt(forgets)),
    },
    Mutant {
        name: "heads-of-128",
        lie: "turns no position of a model whose heads have more than 128 values",
        seen_in: "kernels for the usual head sizes",
        needs_gpu: false,
        make: || reference(Unusual(|config| config.head_size > 128)),
    },
    Mutant {
        name: "groups-of-8",
        lie: "turns no position of a model that has more than eight query heads a key head",
        seen_in: "kernels that take the query heads of a key head at once",
        needs_gpu: false,
        make: || reference(Unusual(|config| config.heads > 8 * config.key_heads)),
    },
];

fn two_digits(model: &mut RunnableModel) {
    if let Some(body) = &mut model.parts.body {
        body.layers.truncate(99);
    }
}

fn forgets(model: &mut RunnableModel) {
    model.config.window.get_or_insert(4096);
}

fn cut(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

struct Texts;

impl Between for Texts {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        if let Request::Forward(asked) = &mut request
            && let Input::Texts(texts) = &mut asked.input
            && texts.len() > 32
        {
            let last = texts[31].clone();
            texts[32..].fill(last);
        }
        loader.answer(request)
    }
}

struct Shortened;

impl Between for Shortened {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        if let Request::Generate(asked) = &mut request {
            asked.limit = asked.limit.min(512);
        }
        let reply = loader.answer(request)?;
        if let Reply::Generate(told) = &reply {
            debug_assert!(told.tokens.len() < 512 || told.stop != Stop::Context);
        }
        Ok(reply)
    }
}

struct Wide;

impl LoadDecisions for Wide {
    fn output(&self, _handle: u64, batch: &Batch, mut given: State) -> State {
        let (Batch::Tokens { rows, .. } | Batch::Vectors { rows, .. }) = batch;
        let width = given.values.len() / rows;
        if given.shape.len() == 2 && width > 1024 {
            given.values.chunks_mut(width).for_each(|row| row[1024..].fill(0.0));
        }
        given
    }
}

/// Honest but for models with unusual sizes: there, every position is that of the first token.
struct Unusual(fn(&Config) -> bool);

impl LoadDecisions for Unusual {
    fn compute(
        &self,
        run: &crate::loader::decisions::Run<'_>,
        batch: &Batch,
        engine: &mut dyn FnMut(
            &Batch,
        )
            -> crate::loader::error::Result<crate::contract::inference::Traced>,
    ) -> crate::loader::error::Result<crate::contract::inference::Traced> {
        match (self.0)(&run.runnable.config) {
            true => Bending(Habits { turned: |_| 0, ..Habits::HONEST }).compute(run, batch, engine),
            false => engine(batch),
        }
    }
}
