//! Mutants that remember an answer by a part of the question that seems to be all of it: the first row, a
//! sum, the lengths of texts, the last turn of a conversation, a handle that was used before.

use std::collections::BTreeMap;
use std::fs;

use super::keys::Answers;
use super::one_file::tensors_of;
use crate::contract::Loader;
use crate::contract::generation::Prompt;
use crate::contract::inference::{INPUT_IDS, Input};
use crate::contract::reply::Reply;
use crate::contract::request::{Request, Unload};
use crate::loader::ReferenceLoader;
use crate::mutants::between::{Answer, Between, between, handle};
use crate::mutants::mutant::Mutant;

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "answers-by-first-row",
        lie: "returns an earlier answer for a batch of the same shape whose first row is the same",
        seen_in: "caches that were written for one sentence",
        needs_gpu: false,
        make: || between(Answers::by(|asked| batch(asked, first_row))),
    },
    Mutant {
        name: "answers-by-sum",
        lie: "returns an earlier answer for a batch of the same shape whose numbers have the same sums",
        seen_in: "caches whose key is a checksum that no order changes",
        needs_gpu: false,
        make: || between(Answers::by(|asked| batch(asked, |bytes, _| sum(bytes)))),
    },
    Mutant {
        name: "text-answers-by-lengths",
        lie: "returns an earlier answer for texts of the same lengths",
        seen_in: "caches whose key is a weak hash",
        needs_gpu: false,
        make: || between(Answers::by(|asked| texts(asked, lengths))),
    },
    Mutant {
        name: "text-answers-by-first-text",
        lie: "returns an earlier answer for as many texts with the same first text",
        seen_in: "caches that were written for one text",
        needs_gpu: false,
        make: || {
            between(Answers::by(|asked| {
                texts(asked, |all| format!("{} {:?}", all.len(), all.first()))
            }))
        },
    },
    Mutant {
        name: "text-answers-by-set",
        lie: "returns an earlier answer for the same texts in another order",
        seen_in: "caches whose key is a sorted list",
        needs_gpu: false,
        make: || {
            between(Answers::by(|asked| {
                texts(asked, |all| {
                    let mut sorted = all.to_vec();
                    sorted.sort();
                    format!("{sorted:?}")
                })
            }))
        },
    },
    Mutant {
        name: "generation-by-last-tokens",
        lie: "returns an earlier generation for a prompt of the same length with the same last four tokens",
        seen_in: "caches of prefixes whose key is a length",
        needs_gpu: false,
        make: || {
            between(Answers::by(|asked| {
                generation(asked, |prompt| match prompt {
                    Prompt::Tokens(ids) => {
                        Some(format!("{} {:?}", ids.len(), &ids[ids.len().saturating_sub(4)..]))
                    }
                    Prompt::Chat(_) => None,
                })
            }))
        },
    },
    Mutant {
        name: "generation-by-first-tokens",
        lie: "returns an earlier generation for a prompt of the same length with the same first four tokens",
        seen_in: "caches of prefixes whose key is the first block",
        needs_gpu: false,
        make: || {
            between(Answers::by(|asked| {
                generation(asked, |prompt| match prompt {
                    Prompt::Tokens(ids) => {
                        Some(format!("{} {:?}", ids.len(), &ids[..ids.len().min(4)]))
                    }
                    Prompt::Chat(_) => None,
                })
            }))
        },
    },
    Mutant {
        name: "generation-whatever-top-p",
        lie: "returns an earlier generation for the same prompt, temperature and seed, whatever top_p is",
        seen_in: "caches of completions",
        needs_gpu: false,
        make: || {
            between(Answers::by(|asked| {
                let Request::Generate(own) = asked else { return None };
                let rest = format!("{} {}", own.sampling.temperature, own.sampling.seed);
                settled(asked, &rest)
            }))
        },
    },
    Mutant {
        name: "generation-whatever-temperature",
        lie: "returns an earlier generation for the same prompt, top_p and seed, whatever the temperature is",
        seen_in: "caches of completions",
        needs_gpu: false,
        make: || {
            between(Answers::by(|asked| {
                let Request::Generate(own) = asked else { return None };
                let greedy = own.sampling.temperature == 0.0;
                settled(asked, &format!("{} {} {greedy}", own.sampling.top_p, own.sampling.seed))
            }))
        },
    },
    Mutant {
        name: "conversation-by-last-turn",
        lie: "returns an earlier answer for a conversation with the same last turn",
        seen_in: "caches of answers to questions",
        needs_gpu: false,
        make: || {
            between(Answers::by(|asked| {
                generation(asked, |prompt| match prompt {
                    Prompt::Chat(turns) => Some(format!("{:?}", turns.last())),
                    Prompt::Tokens(_) => None,
                })
            }))
        },
    },
    Mutant {
        name: "conversation-whatever-roles",
        lie: "returns an earlier answer for a conversation with the same contents, whoever says them",
        seen_in: "caches whose key is the text of a conversation",
        needs_gpu: false,
        make: || {
            between(Answers::by(|asked| {
                generation(asked, |prompt| match prompt {
                    Prompt::Chat(turns) => {
                        let said: Vec<&str> =
                            turns.iter().map(|turn| turn.content.as_str()).collect();
                        Some(format!("{said:?}"))
                    }
                    Prompt::Tokens(_) => None,
                })
            }))
        },
    },
    Mutant {
        name: "answers-of-a-handle-before",
        lie: "gives the handle of an unloaded model to the next one, and with it the answers that it remembers",
        seen_in: "caches that are not cleared when a model goes",
        needs_gpu: false,
        make: || between(Reused::default()),
    },
];

/// A forward pass of a batch by its model, its shapes and what `part` makes of each tensor's bytes and rows.
fn batch(asked: &Request, part: fn(&[u8], usize) -> String) -> Option<String> {
    let Request::Forward(asked) = asked else { return None };
    let Input::File(path) = &asked.input else { return None };
    let tensors = tensors_of(path);
    tensors.iter().find(|(info, _)| info.name == INPUT_IDS)?;
    let mut key = format!("{} {}", asked.handle, asked.trace);
    for (info, bytes) in &tensors {
        let rows = info.shape.first().map_or(1, |rows| (*rows as usize).max(1));
        key += &format!(" {} {:?} {}", info.name, info.shape, part(bytes, rows));
    }
    Some(key)
}

fn first_row(bytes: &[u8], rows: usize) -> String {
    format!("{:?}", &bytes[..bytes.len() / rows])
}

fn sum(bytes: &[u8]) -> String {
    let numbers = bytes.as_chunks::<8>().0.iter().map(|raw| i64::from_le_bytes(*raw));
    numbers.fold(0i64, i64::wrapping_add).to_string()
}

fn texts(asked: &Request, key: fn(&[String]) -> String) -> Option<String> {
    let Request::Forward(asked) = asked else { return None };
    let Input::Texts(texts) = &asked.input else { return None };
    Some(format!("{} {} {}", asked.handle, asked.trace, key(texts)))
}

fn lengths(texts: &[String]) -> String {
    format!("{:?}", texts.iter().map(String::len).collect::<Vec<_>>())
}

/// A generation by everything but its prompt, of which `part` says what counts.
fn generation(asked: &Request, part: fn(&Prompt) -> Option<String>) -> Option<String> {
    let Request::Generate(own) = asked else { return None };
    let prompt = part(&own.prompt)?;
    let (handle, limit, logits) = (own.handle, own.limit, own.into.is_some());
    Some(format!("{handle} {limit} {logits} {:?} {prompt}", own.sampling))
}

/// A generation by everything but its sampling.
fn settled(asked: &Request, sampling: &str) -> Option<String> {
    let Request::Generate(own) = asked else { return None };
    let (handle, limit, logits) = (own.handle, own.limit, own.into.is_some());
    Some(format!("{handle} {limit} {logits} {:?} {sampling}", own.prompt))
}

/// The real handles by those that are told, and answers by what was told and asked.
#[derive(Default)]
struct Reused {
    real: BTreeMap<u64, u64>,
    known: BTreeMap<(u64, Vec<u8>), (Reply, Vec<u8>)>,
}

impl Between for Reused {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        let key = match &request {
            Request::Forward(asked) if !asked.trace => match &asked.input {
                Input::File(path) => {
                    fs::read(path).ok().map(|input| ((asked.handle, input), asked.into.clone()))
                }
                Input::Texts(_) => None,
            },
            _ => None,
        };
        if let Some((key, into)) = &key
            && self.real.contains_key(&key.0)
            && let Some((reply, written)) = self.known.get(key)
            && fs::write(into, written).is_ok()
        {
            return Ok(reply.clone());
        }
        let mut told = None;
        if let Some(asked) = handle(&mut request) {
            told = Some(*asked);
            // A handle that nobody holds stays one that the loader does not know.
            *asked = self.real.get(asked).copied().unwrap_or(u64::MAX);
        }
        let unloads = matches!(request, Request::Unload(Unload { .. }));
        let mut reply = loader.answer(request)?;
        if let (true, Some(told)) = (unloads, told) {
            self.real.remove(&told);
        }
        if let Reply::Load(loaded) = &mut reply {
            let free = (1..).find(|handle| !self.real.contains_key(handle)).unwrap_or(u64::MAX);
            self.real.insert(free, loaded.handle);
            loaded.handle = free;
        }
        if let Some((key, into)) = key
            && let Ok(written) = fs::read(into)
        {
            self.known.insert(key, (reply.clone(), written));
        }
        Ok(reply)
    }
}
