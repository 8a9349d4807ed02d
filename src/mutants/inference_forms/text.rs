//! Mutants of texts: what reaches the tokenizer, and what a tokenizer adds.

use sha2::{Digest, Sha256};

use crate::contract::Loader;
use crate::contract::generation::{Prompt, Role, Turn};
use crate::contract::inference::{Batch, Input};
use crate::contract::reply::{Reply, Written};
use crate::contract::request::Request;
use crate::loader::error::Result;
use crate::loader::infer::RunnableModel;
use crate::loader::read::digest::hex;
use crate::loader::{LoadDecisions, ReferenceLoader};
use crate::mutants::between::{Answer, Between, between};
use crate::mutants::mutant::{Mutant, reference};

/// The mutants of this file.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "begin-token-twice",
        lie: "lets the tokenizer add its first token to a text whose template has written it",
        seen_in: "llama.cpp: a prompt that begins with two BOS tokens",
        needs_gpu: false,
        make: || reference(BeginsTwice),
    },
    Mutant {
        name: "names-of-tokens-removed",
        lie: "removes names of special tokens from what is said",
        seen_in: "servers that guard against injected turns",
        needs_gpu: false,
        make: || between(Said(|text| text.replace("<|im_end|>", "").replace("[SEP]", ""))),
    },
    Mutant {
        name: "names-of-tokens-split",
        lie: "reads names of special tokens in a text as ordinary characters",
        seen_in: "tokenizers called with parse_special off",
        needs_gpu: false,
        make: || {
            between(Said(|text| {
                text.replace("<|im_end|>", "<| im_end|>").replace("[SEP]", "[ SEP]")
            }))
        },
    },
    Mutant {
        name: "text-trimmed",
        lie: "trims what is said",
        seen_in: "servers that clean their input",
        needs_gpu: false,
        make: || between(Said(|text| text.trim().to_owned())),
    },
    Mutant {
        name: "text-to-line-end",
        lie: "reads a text up to the end of its first line",
        seen_in: "loaders that feed a program line by line",
        needs_gpu: false,
        make: || between(Said(|text| text.split('\n').next().unwrap_or_default().to_owned())),
    },
    Mutant {
        name: "text-to-nul",
        lie: "reads a text up to its first NUL",
        seen_in: "texts passed as strings of C",
        needs_gpu: false,
        make: || between(Said(|text| text.split('\0').next().unwrap_or_default().to_owned())),
    },
    Mutant {
        name: "text-of-ascii",
        lie: "drops characters beyond ASCII",
        seen_in: "encode('ascii', 'ignore') on the way to a tokenizer",
        needs_gpu: false,
        make: || between(Said(|text| text.chars().filter(char::is_ascii).collect())),
    },
    Mutant {
        name: "text-composed",
        lie: "composes letters and accents before it tokenizes",
        seen_in: "clients that normalise to NFC",
        needs_gpu: false,
        make: || between(Said(|text| text.replace("e\u{301}", "\u{e9}"))),
    },
    Mutant {
        name: "carriage-returns-lost",
        lie: "turns each CR LF into LF",
        seen_in: "files that are read in text mode",
        needs_gpu: false,
        make: || between(Said(|text| text.replace("\r\n", "\n"))),
    },
    Mutant {
        name: "same-role-joined",
        lie: "joins turns of one role that follow each other",
        seen_in: "servers that enforce alternating roles",
        needs_gpu: false,
        make: || reference(Conversation(joined)),
    },
    Mutant {
        name: "empty-turns-dropped",
        lie: "drops turns without content",
        seen_in: "if message.content, in chat servers",
        needs_gpu: false,
        make: || reference(Conversation(|turns| turns.retain(|turn| !turn.content.is_empty()))),
    },
    Mutant {
        name: "system-made-up",
        lie: "puts a system turn before a conversation that has none",
        seen_in: "servers with a default system prompt",
        needs_gpu: false,
        make: || {
            reference(Conversation(|turns| {
                if turns.first().is_some_and(|turn| turn.role != Role::System) {
                    let content = "You are a helpful assistant.".to_owned();
                    turns.insert(0, Turn { role: Role::System, content });
                }
            }))
        },
    },
    Mutant {
        name: "system-in-user-turn",
        lie: "moves the system turn into the first turn of the user",
        seen_in: "servers for models without a system role",
        needs_gpu: false,
        make: || reference(Conversation(moved)),
    },
    Mutant {
        name: "answer-trimmed",
        lie: "trims the text of its answer",
        seen_in: "output.strip(), in chat servers",
        needs_gpu: false,
        make: || between(Told(|text| text.trim().to_owned())),
    },
    Mutant {
        name: "empty-text-is-zero",
        lie: "gives zeros for a text without characters",
        seen_in: "embedding servers that skip empty texts",
        needs_gpu: false,
        make: || between(EmptyIsZero),
    },
];

/// Puts the first token of the tokenizer's own before what the template gives.
struct BeginsTwice;

impl LoadDecisions for BeginsTwice {
    fn prompt(&self, model: &RunnableModel, asked: Prompt) -> Result<Prompt> {
        let (Prompt::Chat(turns), Some(tokenizer), Some(template)) =
            (&asked, &model.tokenizer, &model.template)
        else {
            return Ok(asked);
        };
        let prepared = template.prepare(turns, tokenizer)?;
        let (bare, whole) = (tokenizer.plain("a")?, tokenizer.batch(&["a".to_owned()])?);
        let Batch::Tokens { ids, .. } = whole else { return Ok(asked) };
        let added = ids.len().saturating_sub(bare.len());
        let first = ids[..added].iter().map(|id| *id as u32);
        Ok(Prompt::Tokens(first.chain(prepared.ids().iter().copied()).collect()))
    }
}

/// Changes every text before the loader gets it.
pub(super) struct Said(pub(super) fn(&str) -> String);

impl Between for Said {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        match &mut request {
            Request::Forward(asked) => {
                if let Input::Texts(texts) = &mut asked.input {
                    texts.iter_mut().for_each(|text| *text = self.0(text));
                }
            }
            Request::Generate(asked) => {
                if let Prompt::Chat(turns) = &mut asked.prompt {
                    turns.iter_mut().for_each(|turn| turn.content = self.0(&turn.content));
                }
            }
            _ => {}
        }
        loader.answer(request)
    }
}

/// Changes a conversation before it is rendered.
pub(super) struct Conversation(pub(super) fn(&mut Vec<Turn>));

impl LoadDecisions for Conversation {
    fn prompt(&self, _model: &RunnableModel, asked: Prompt) -> Result<Prompt> {
        Ok(match asked {
            Prompt::Chat(mut turns) => {
                (self.0)(&mut turns);
                Prompt::Chat(turns)
            }
            asked => asked,
        })
    }
}

fn joined(turns: &mut Vec<Turn>) {
    let mut all: Vec<Turn> = Vec::new();
    for turn in turns.drain(..) {
        match all.last_mut().filter(|last| last.role == turn.role) {
            Some(last) => last.content = format!("{}\n{}", last.content, turn.content),
            None => all.push(turn),
        }
    }
    *turns = all;
}

fn moved(turns: &mut Vec<Turn>) {
    if turns.len() > 1 && turns[0].role == Role::System && turns[1].role == Role::User {
        let system = turns.remove(0);
        turns[0].content = format!("{}\n\n{}", system.content, turns[0].content);
    }
}

/// Changes the text of an answer.
struct Told(fn(&str) -> String);

impl Between for Told {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let mut reply = loader.answer(request)?;
        if let Reply::Generate(generated) = &mut reply {
            generated.text = generated.text.as_deref().map(self.0);
        }
        Ok(reply)
    }
}

/// Answers with the loader's own output, in which rows of empty texts are zero.
struct EmptyIsZero;

impl Between for EmptyIsZero {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let empty: Vec<bool> = match &request {
            Request::Forward(asked) => match &asked.input {
                Input::Texts(texts) => texts.iter().map(String::is_empty).collect(),
                Input::File(_) => Vec::new(),
            },
            _ => Vec::new(),
        };
        let into = match &request {
            Request::Forward(asked) => Some(asked.into.clone()),
            _ => None,
        };
        let mut reply = loader.answer(request)?;
        if empty.contains(&true)
            && let (Reply::Forward(told), Some(into)) = (&mut reply, into)
        {
            rewritten(&into, &empty, &mut told.written);
        }
        Ok(reply)
    }
}

/// Clears the rows of a file with one tensor of rows, and tells of the new file.
fn rewritten(into: &std::path::Path, empty: &[bool], told: &mut Written) {
    let Ok(mut bytes) = std::fs::read(into) else { return };
    let Some((length, _)) = bytes.split_first_chunk::<8>() else { return };
    let begin = 8 + u64::from_le_bytes(*length) as usize;
    let share = (bytes.len() - begin) / empty.len();
    let rows = bytes[begin..].chunks_mut(share).zip(empty);
    rows.filter(|(_, empty)| **empty).for_each(|(row, _)| row.fill(0));
    if std::fs::write(into, &bytes).is_ok() {
        told.sha256 = hex(&Sha256::digest(&bytes));
    }
}
