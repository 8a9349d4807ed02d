//! Mutants that read a document more kindly than its rules allow: text behind it, fractions of sizes, paths in
//! other spellings, twice the same key.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::contract::inference::Inference;
use crate::contract::request::{Load, Request};
use crate::contract::{Code, Loader, PROTOCOL};
use crate::loader::ReferenceLoader;
use crate::mutants::between::{Answer, Between, between};
use crate::mutants::mutant::Mutant;

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "any-protocol",
        lie: "answers a hello of any protocol as one of its own",
        seen_in: "servers that read no version",
        needs_gpu: false,
        make: || between(AnyProtocol),
    },
    Mutant {
        name: "config-rest-ignored",
        lie: "reads the first value of config.json, and ignores the text behind it",
        seen_in: "parsers that stop where they have what they need",
        needs_gpu: false,
        make: || between(Reread { place: |asked| &mut asked.config, change: first_value }),
    },
    Mutant {
        name: "config-fractions-cut",
        lie: "cuts the fraction of a size in config.json",
        seen_in: "parsers of languages that convert by themselves",
        needs_gpu: false,
        make: || {
            between(Reread {
                place: |asked| &mut asked.config,
                change: |text| object(text, |fields| fields.iter_mut().for_each(whole)),
            })
        },
    },
    Mutant {
        name: "generation-rest-ignored",
        lie: "reads the first value of generation_config.json, and ignores the text behind it",
        seen_in: "parsers that stop where they have what they need",
        needs_gpu: false,
        make: || between(Reread { place: |asked| &mut asked.generation, change: first_value }),
    },
    Mutant {
        name: "index-inner-paths-resolved",
        lie: "follows `..` in an index as long as the path ends in the folder",
        seen_in: "checks that look where a path ends",
        needs_gpu: false,
        make: || {
            between(Index(|text| {
                places(text, |name| {
                    let mut kept: Vec<&str> = Vec::new();
                    for part in name.split('/') {
                        match part {
                            ".." if !kept.is_empty() => drop(kept.pop()),
                            part => kept.push(part),
                        }
                    }
                    *name = kept.join("/");
                })
            }))
        },
    },
    Mutant {
        name: "index-other-values-dropped",
        lie: "leaves out of an index what is no name of a shard: null, a number, a list",
        seen_in: "filters on the type of a value",
        needs_gpu: false,
        make: || {
            between(Index(|text| {
                object(text, |index| {
                    if let Some(Value::Object(map)) = index.get_mut("weight_map") {
                        map.retain(|_, place| place.is_string());
                    }
                })
            }))
        },
    },
    Mutant {
        name: "index-last-map-wins",
        lie: "takes the last of two weight maps of an index",
        seen_in: "parsers that fill a dictionary",
        needs_gpu: false,
        make: || {
            between(Index(|text| {
                Some(serde_json::from_slice::<Value>(text).ok()?.to_string().into_bytes())
            }))
        },
    },
    Mutant {
        name: "index-without-map-is-empty",
        lie: "takes an index without a weight map for one of no tensors",
        seen_in: "index.get('weight_map', {})",
        needs_gpu: false,
        make: || between(NoMap),
    },
    Mutant {
        name: "seal-last-key-wins",
        lie: "takes the last of two values that a seal gives to one key",
        seen_in: "parsers that fill a dictionary",
        needs_gpu: false,
        make: || {
            between(SealText(|text| {
                Some(serde_json::from_slice::<Value>(text).ok()?.to_string().into_bytes())
            }))
        },
    },
    Mutant {
        name: "seal-rest-ignored",
        lie: "reads the first value of a seal, and ignores the text behind it",
        seen_in: "parsers that stop where they have what they need",
        needs_gpu: false,
        make: || between(SealText(first_value)),
    },
    Mutant {
        name: "seal-sizes-as-doubles",
        lie: "reads the sizes of a seal as doubles: 65536.0 is 65536, and 2^53 + 1 is 2^53",
        seen_in: "JSON readers whose numbers are doubles",
        needs_gpu: false,
        make: || {
            between(SealText(|text| {
                object(text, |seal| {
                    if let Some(pieces) =
                        seal.get_mut("predicate").and_then(|p| p.get_mut("weighbridge"))
                    {
                        doubles(pieces);
                    }
                })
            }))
        },
    },
    Mutant {
        name: "seal-names-by-their-last-part",
        lie: "takes the last part of a path in a seal for the name of the file",
        seen_in: "verifiers that were written for files in one folder",
        needs_gpu: false,
        make: || between(SealText(|text| object(text, tidied))),
    },
    Mutant {
        name: "seal-algorithm-unread",
        lie: "takes every digest of a seal for SHA-256, whatever algorithm the seal names",
        seen_in: "verifiers that know one algorithm",
        needs_gpu: false,
        make: || {
            between(SealText(|text| {
                object(text, |seal| {
                    let Some(predicate) = seal.get_mut("predicate") else { return };
                    predicate["serialization"]["hash_type"] = "sha256".into();
                    for one in predicate["resources"].as_array_mut().into_iter().flatten() {
                        one["algorithm"] = "sha256".into();
                    }
                })
            }))
        },
    },
    Mutant {
        name: "seal-order-ignored",
        lie: "sorts what a seal lists before it looks at the order",
        seen_in: "verifiers that fill a map",
        needs_gpu: false,
        make: || {
            between(SealText(|text| {
                object(text, |seal| {
                    let Some(predicate) = seal.get_mut("predicate") else { return };
                    let name = |one: &Value| one["name"].as_str().unwrap_or_default().to_owned();
                    let resources = &mut predicate["resources"];
                    resources.as_array_mut().into_iter().for_each(|all| all.sort_by_key(name));
                    let files = &mut predicate["weighbridge"]["files"];
                    files.as_array_mut().into_iter().for_each(|all| all.sort_by_key(name));
                    // The digest of all of them is that of the sorted list.
                    let digests = predicate["resources"].as_array().into_iter().flatten();
                    let digests = digests.map(|one| one["digest"].as_str().unwrap_or_default());
                    let whole: Vec<u8> = digests.flat_map(bytes_of).collect();
                    let subject = seal.get_mut("subject");
                    if let Some(told) = subject.and_then(|all| all.pointer_mut("/0/digest/sha256"))
                    {
                        *told = hex(&Sha256::digest(whole)).into();
                    }
                })
            }))
        },
    },
];

/// What a document becomes before it is read; `None` where nothing is made of it.
type Change = fn(&[u8]) -> Option<Vec<u8>>;

/// The bytes of hex digits.
fn bytes_of(digits: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.as_bytes().chunks(2).filter_map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn first_value(text: &[u8]) -> Option<Vec<u8>> {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
    Some(values.next()?.ok()?.to_string().into_bytes())
}

fn object(text: &[u8], change: impl FnOnce(&mut Map<String, Value>)) -> Option<Vec<u8>> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(text) else { return None };
    change(&mut fields);
    Some(Value::Object(fields).to_string().into_bytes())
}

fn whole((name, value): (&String, &mut Value)) {
    let size = name.ends_with("_size") || name.starts_with("num_") || name.starts_with("max_");
    if let Some(number) = value.as_f64().filter(|_| size && !value.is_u64()) {
        *value = Value::from(number as u64);
    }
}

fn doubles(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(double) = number.as_f64() {
                *value = Value::from(double as u64);
            }
        }
        Value::Array(all) => all.iter_mut().for_each(doubles),
        Value::Object(all) => all.values_mut().for_each(doubles),
        _ => {}
    }
}

fn tidied(seal: &mut Map<String, Value>) {
    let Some(predicate) = seal.get_mut("predicate") else { return };
    let tidy = |list: &mut Value| {
        for one in list.as_array_mut().into_iter().flatten() {
            let name = one["name"].as_str().and_then(|name| name.rsplit('/').next());
            one["name"] = name.unwrap_or_default().into();
        }
    };
    tidy(&mut predicate["resources"]);
    tidy(&mut predicate["weighbridge"]["files"]);
}

fn places(text: &[u8], change: fn(&mut String)) -> Option<Vec<u8>> {
    object(text, |index| {
        let map = index.get_mut("weight_map").and_then(Value::as_object_mut);
        for place in map.into_iter().flat_map(|map| map.values_mut()) {
            if let Value::String(name) = place {
                change(name);
            }
        }
    })
}

/// A text in a file of its own, and its folder.
fn written(text: &[u8], name: &Path) -> Option<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir().ok()?;
    let path = folder.path().join(name.file_name()?);
    fs::write(&path, text).ok()?;
    Some((folder, path))
}

struct AnyProtocol;

impl Between for AnyProtocol {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        if let Request::Hello(hello) = &mut request {
            hello.protocol = PROTOCOL;
        }
        loader.answer(request)
    }
}

/// Reads one document of a model in another way.
struct Reread {
    place: fn(&mut Inference) -> &mut Option<PathBuf>,
    change: Change,
}

impl Between for Reread {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        // What can be read honestly is, so that a file that lies beside the document is found.
        let answer = loader.answer(request.clone());
        if answer.is_ok() {
            return answer;
        }
        let Request::Load(Load { inference: Some(asked), .. }) = &mut request else {
            return answer;
        };
        let place = (self.place)(asked);
        let text = place.as_ref().and_then(|path| fs::read(path).ok());
        let (Some(text), Some(path)) = (text.and_then(|text| (self.change)(&text)), &place) else {
            return answer;
        };
        let Some((_folder, path)) = written(&text, path) else { return answer };
        *place = Some(path);
        loader.answer(request).or(answer)
    }
}

/// Reads an index in another way where it is refused.
struct Index(Change);

impl Between for Index {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        let answer = loader.answer(request.clone());
        let Request::Load(load) = &mut request else { return answer };
        let index = load.path.to_string_lossy().ends_with(".safetensors.index.json");
        if answer.is_ok() || !index {
            return answer;
        }
        let text = fs::read(&load.path).ok().and_then(|text| (self.0)(&text));
        let Some((folder, path)) = text.and_then(|text| written(&text, &load.path)) else {
            return answer;
        };
        let all = load.path.parent().and_then(|beside| fs::read_dir(beside).ok());
        for entry in all.into_iter().flatten().flatten() {
            // The index itself is there already.
            let _linked = std::os::unix::fs::symlink(
                std::path::absolute(entry.path()).unwrap_or_default(),
                folder.path().join(entry.file_name()),
            );
        }
        load.path = path;
        loader.answer(request).or(answer)
    }
}

/// Answers with a model of no tensors.
struct NoMap;

impl Between for NoMap {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        let answer = loader.answer(request.clone());
        let Request::Load(load) = &mut request else { return answer };
        let index = load.path.to_string_lossy().ends_with(".safetensors.index.json");
        let refused = answer.as_ref().is_err_and(|failure| failure.code == Code::InvalidIndex);
        let text = fs::read(&load.path).unwrap_or_default();
        let value: Value = serde_json::from_slice(&text).unwrap_or_default();
        let empty = match value.get("weight_map") {
            None | Some(Value::Null) => value.is_object(),
            Some(Value::Object(map)) => map.is_empty(),
            Some(_) => false,
        };
        if !(index && refused && empty) {
            return answer;
        }
        let nothing = b"\x02\0\0\0\0\0\0\0{}";
        let Some((_folder, path)) = written(nothing, Path::new("model.safetensors")) else {
            return answer;
        };
        load.path = path;
        loader.answer(request).or(answer)
    }
}

/// Reads a seal in another way where it is refused, if it is the pinned one.
struct SealText(Change);

impl Between for SealText {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        let answer = loader.answer(request.clone());
        let Request::Load(Load { seal: Some(seal), .. }) = &mut request else { return answer };
        let refused = answer.as_ref().is_err_and(|failure| failure.code == Code::InvalidSeal);
        let text = fs::read(&seal.path).unwrap_or_default();
        let digest = |bytes: &[u8]| hex(&Sha256::digest(bytes));
        if !refused || digest(&text) != seal.sha256 {
            return answer;
        }
        let Some(text) = (self.0)(&text) else { return answer };
        let Some((_folder, path)) = written(&text, &seal.path) else { return answer };
        (seal.path, seal.sha256) = (path, digest(&text));
        loader.answer(request).or(answer)
    }
}
