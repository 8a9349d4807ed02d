//! Mutants that read a part of `tokenizer.json` as if it were the usual one, or
//! that change turns which are rare.

use std::fs;

use serde_json::{Value, json};

use super::text::Conversation;
use crate::contract::Loader;
use crate::contract::generation::Role;
use crate::contract::request::{Load, Request};
use crate::loader::ReferenceLoader;
use crate::mutants::between::{Answer, Between, between};
use crate::mutants::mutant::{Mutant, reference};

/// The mutants of this file.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "token-strips-ignored",
        lie: "leaves the spaces beside an added token, whatever its lstrip and rstrip say",
        seen_in: "llama.cpp before it had these flags",
        needs_gpu: false,
        make: || {
            between(Rewritten(|all| {
                added(all, |token| {
                    (token["lstrip"], token["rstrip"]) = (json!(false), json!(false))
                });
            }))
        },
    },
    Mutant {
        name: "single-word-ignored",
        lie: "finds an added token inside of words, whatever its single_word says",
        seen_in: "tokenizers that look for special tokens first",
        needs_gpu: false,
        make: || between(Rewritten(|all| added(all, |token| token["single_word"] = json!(false)))),
    },
    Mutant {
        name: "normalizer-dropped",
        lie: "does not normalise a text before it cuts it",
        seen_in: "converters that keep vocabulary and merges alone",
        needs_gpu: false,
        make: || between(Rewritten(|all| all["normalizer"] = Value::Null)),
    },
    Mutant {
        name: "added-tokens-raw",
        lie: "looks for added tokens in the text as it is, also for those that are marked as normalised",
        seen_in: "tokenizers that look for special tokens first",
        needs_gpu: false,
        make: || between(Rewritten(|all| added(all, |token| token["normalized"] = json!(false)))),
    },
    Mutant {
        name: "added-tokens-all-special",
        lie: "leaves every added token out of the text of an answer, also those that are not special",
        seen_in: "decoders that skip ids beyond the vocabulary",
        needs_gpu: false,
        make: || between(Rewritten(|all| added(all, |token| token["special"] = json!(true)))),
    },
    Mutant {
        name: "first-space-added",
        lie: "puts a space before every text",
        seen_in: "add_prefix_space, left on",
        needs_gpu: false,
        make: || {
            between(Rewritten(|all| {
                prefix_spaces(&mut all["pre_tokenizer"]);
            }))
        },
    },
    Mutant {
        name: "later-system-dropped",
        lie: "drops every system turn but the first turn",
        seen_in: "servers that take the system prompt apart",
        needs_gpu: false,
        make: || {
            reference(Conversation(|turns| {
                let mut place = 0;
                turns.retain(|turn| {
                    place += 1;
                    place == 1 || turn.role != Role::System
                });
            }))
        },
    },
    Mutant {
        name: "last-answer-dropped",
        lie: "drops the last turn of a conversation if the assistant says it",
        seen_in: "servers that expect a question at the end",
        needs_gpu: false,
        make: || {
            reference(Conversation(|turns| {
                if turns.len() > 1 && turns.last().is_some_and(|turn| turn.role == Role::Assistant)
                {
                    turns.pop();
                }
            }))
        },
    },
    Mutant {
        name: "first-answer-dropped",
        lie: "drops turns of the assistant before the first turn of the user",
        seen_in: "servers that enforce alternating roles",
        needs_gpu: false,
        make: || {
            reference(Conversation(|turns| {
                let mut asked = false;
                turns.retain(|turn| {
                    asked |= turn.role == Role::User;
                    asked || turn.role != Role::Assistant
                });
            }))
        },
    },
    Mutant {
        name: "empty-system-dropped",
        lie: "drops a system turn without content",
        seen_in: "if system_prompt, in chat servers",
        needs_gpu: false,
        make: || {
            reference(Conversation(|turns| {
                turns.retain(|turn| turn.role != Role::System || !turn.content.is_empty());
            }))
        },
    },
];

/// Reads another `tokenizer.json`.
struct Rewritten(fn(&mut Value));

impl Between for Rewritten {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        let mut folder = None;
        if let Request::Load(Load { inference: Some(asked), .. }) = &mut request
            && let Some(place) = &mut asked.tokenizer
            && let Some(text) = fs::read(&*place).ok()
            && let Ok(mut document) = serde_json::from_slice::<Value>(&text)
            && document.is_object()
        {
            let before = document.clone();
            (self.0)(&mut document);
            // A file that is as it was stays where it is.
            if before != document
                && let Ok(own) = tempfile::tempdir()
            {
                let path = own.path().join("tokenizer.json");
                if fs::write(&path, document.to_string()).is_ok() {
                    *place = path;
                    folder = Some(own);
                }
            }
        }
        let answer = loader.answer(request);
        drop(folder);
        answer
    }
}

fn added(document: &mut Value, change: impl Fn(&mut Value)) {
    document["added_tokens"].as_array_mut().into_iter().flatten().for_each(change);
}

fn prefix_spaces(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(prefix) = fields.get_mut("add_prefix_space") {
                *prefix = json!(true);
            }
            fields.values_mut().for_each(prefix_spaces);
        }
        Value::Array(all) => all.iter_mut().for_each(prefix_spaces),
        _ => {}
    }
}
