//! Mutants that return an earlier answer because they compare too little of the question.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::one_file::tensors_of;
use crate::contract::inference::{ATTENTION_MASK, INPUT_IDS, Input, TOKEN_TYPE_IDS};
use crate::contract::reply::{Reply, Validated};
use crate::contract::request::Request;
use crate::contract::{Device, Loader};
use crate::loader::ReferenceLoader;
use crate::mutants::between::{Answer, Between, between};
use crate::mutants::mutant::Mutant;

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "answers-by-ids",
        lie: "returns an earlier answer for the same model and token ids, whatever the mask and the types",
        seen_in: "embedding caches whose key is the text",
        needs_gpu: false,
        make: || between(Answers::by(|asked| forward(asked, &[INPUT_IDS], true))),
    },
    Mutant {
        name: "answers-by-ids-and-mask",
        lie: "returns an earlier answer for the same model, token ids and mask, whatever the types",
        seen_in: "caches that were written for a model without token types",
        needs_gpu: false,
        make: || between(Answers::by(|asked| forward(asked, &[INPUT_IDS, ATTENTION_MASK], true))),
    },
    Mutant {
        name: "answers-by-input-alone",
        lie: "returns an earlier answer for the same input, whichever model is asked",
        seen_in: "one cache for several models",
        needs_gpu: false,
        make: || {
            let all = [INPUT_IDS, ATTENTION_MASK, TOKEN_TYPE_IDS];
            between(Answers::by(move |asked| forward(asked, &all, false)))
        },
    },
    Mutant {
        name: "traced-as-before",
        lie: "returns an earlier answer for the same input, whether or not states are asked for",
        seen_in: "caches of outputs alone",
        needs_gpu: false,
        make: || between(Answers::by(untraced)),
    },
    Mutant {
        name: "text-answers-by-count",
        lie: "returns an earlier answer for as many texts",
        seen_in: "caches whose key is a weak hash",
        needs_gpu: false,
        make: || between(Answers::by(text_count)),
    },
    Mutant {
        name: "generation-by-prompt",
        lie: "returns an earlier generation for the same model and prompt, whatever the limit and the sampling",
        seen_in: "caches of completions",
        needs_gpu: false,
        make: || between(Answers::by(|asked| generation(asked, true))),
    },
    Mutant {
        name: "generation-by-prompt-alone",
        lie: "returns an earlier generation for the same prompt, whichever model is asked",
        seen_in: "caches of completions",
        needs_gpu: false,
        make: || between(Answers::by(|asked| generation(asked, false))),
    },
    Mutant {
        name: "validated-once",
        lie: "reports a model as valid that was valid before, whatever it is compared with now",
        seen_in: "flags that are never reset",
        needs_gpu: false,
        make: || between(ValidatedOnce::default()),
    },
    Mutant {
        name: "golden-by-path",
        lie: "reports a validation as passed if one passed with a golden file at the same place",
        seen_in: "results that are kept beside a file's name",
        needs_gpu: false,
        make: || between(GoldenByPath::default()),
    },
];

/// What an answer is remembered by; `None` if it is not remembered.
type Key = Box<dyn Fn(&Request) -> Option<String> + Send>;

/// Remembers answers and the files written with them.
pub(super) struct Answers {
    key: Key,
    known: BTreeMap<String, (Reply, Vec<u8>)>,
}

impl Answers {
    pub(super) fn by(key: impl Fn(&Request) -> Option<String> + Send + 'static) -> Answers {
        Answers { key: Box::new(key), known: BTreeMap::new() }
    }
}

impl Between for Answers {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let Some(key) = (self.key)(&request) else { return loader.answer(request) };
        let into = match &request {
            Request::Forward(asked) => Some(asked.into.clone()),
            Request::Generate(asked) => asked.into.clone(),
            _ => None,
        };
        if let Some((reply, written)) = self.known.get(&key) {
            // If the write fails, the reply names a file that is not there.
            into.iter().for_each(|into| drop(fs::write(into, written)));
            return Ok(reply.clone());
        }
        let reply = loader.answer(request)?;
        let written = into.and_then(|into| fs::read(into).ok()).unwrap_or_default();
        self.known.insert(key, (reply.clone(), written));
        Ok(reply)
    }
}

/// A forward pass by these tensors of its input, and by the model.
fn forward(asked: &Request, of: &[&str], by_model: bool) -> Option<String> {
    let Request::Forward(asked) = asked else { return None };
    let Input::File(path) = &asked.input else { return None };
    let mut key = format!("{:?} {}", by_model.then_some(asked.handle), asked.trace);
    let tensors = tensors_of(path);
    // A model that takes vectors is asked every time.
    tensors.iter().find(|(info, _)| info.name == INPUT_IDS)?;
    for (info, bytes) in tensors.iter().filter(|(info, _)| of.contains(&info.name.as_str())) {
        key += &format!(" {} {:?} {bytes:?}", info.name, info.shape);
    }
    Some(key)
}

fn untraced(asked: &Request) -> Option<String> {
    let Request::Forward(asked) = asked else { return None };
    let Input::File(path) = &asked.input else { return None };
    Some(format!("{} {:?}", asked.handle, fs::read(path).ok()?))
}

fn text_count(asked: &Request) -> Option<String> {
    let Request::Forward(asked) = asked else { return None };
    let Input::Texts(texts) = &asked.input else { return None };
    Some(format!("{} {} {}", asked.handle, asked.trace, texts.len()))
}

fn generation(asked: &Request, by_model: bool) -> Option<String> {
    let Request::Generate(asked) = asked else { return None };
    let mut key = format!("{} {:?}", asked.into.is_some(), asked.prompt);
    match by_model {
        true => key += &format!(" {}", asked.handle),
        false => key += &format!(" {} {:?}", asked.limit, asked.sampling),
    }
    Some(key)
}

/// Models that were valid once.
#[derive(Default)]
struct ValidatedOnce(BTreeMap<u64, Validated>);

impl Between for ValidatedOnce {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let Request::Validate(asked) = &request else { return loader.answer(request) };
        let model = asked.handle;
        if let Some(before) = self.0.get(&model) {
            return Ok(Reply::Validate(before.clone()));
        }
        let reply = loader.answer(request)?;
        if let Reply::Validate(validated) = &reply {
            self.0.insert(model, validated.clone());
        }
        Ok(reply)
    }
}

/// Golden files that passed, and the model and device.
#[derive(Default)]
struct GoldenByPath(BTreeSet<(u64, PathBuf)>, Option<Device>);

impl Between for GoldenByPath {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let Request::Validate(asked) = &request else { return loader.answer(request) };
        let folder = asked.golden.parent().unwrap_or(Path::new("")).to_owned();
        let key = (asked.handle, folder);
        if let (true, Some(device)) = (self.0.contains(&key), self.1) {
            let values = fs::read(&asked.golden).map_or(0, |bytes| bytes.len() as u64 / 4);
            return Ok(Reply::Validate(Validated {
                values: values.saturating_sub(1),
                max_difference: 0.0,
                index: 0,
                device,
                elapsed_us: Some(1),
            }));
        }
        let reply = loader.answer(request)?;
        if let Reply::Validate(validated) = &reply {
            self.1 = Some(validated.device);
            self.0.insert(key);
        }
        Ok(reply)
    }
}
