//! Mutants that read another file than the one that is named: one of its folder that is newer, or whose name
//! is more usual, and the documents beside the weights in place of those of the request.

use std::fs;
use std::path::{Path, PathBuf};

use crate::contract::Loader;
use crate::contract::inference::Inference;
use crate::contract::request::{Format, Load, Request};
use crate::loader::ReferenceLoader;
use crate::mutants::between::{Answer, Between, between};
use crate::mutants::mutant::Mutant;

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "half-variant-preferred",
        lie: "loads model.fp16.safetensors where it lies beside the file that is named",
        seen_in: "diffusers: variant = fp16",
        needs_gpu: false,
        make: || between(Instead(|load| beside(load, &["model.fp16.safetensors"]))),
    },
    Mutant {
        name: "consolidated-preferred",
        lie: "loads consolidated.safetensors where it lies beside the file that is named",
        seen_in: "loaders for Mistral's own format",
        needs_gpu: false,
        make: || between(Instead(|load| beside(load, &["consolidated.safetensors"]))),
    },
    Mutant {
        name: "first-index-of-the-folder",
        lie: "loads the first index of the folder in alphabetical order, whichever is named",
        seen_in: "glob('*.index.json')[0]",
        needs_gpu: false,
        make: || between(Instead(|load| first_of_folder(load, ".safetensors.index.json"))),
    },
    Mutant {
        name: "first-gguf-of-the-folder",
        lie: "loads the first GGUF file of the folder in alphabetical order, whichever is named",
        seen_in: "glob('*.gguf')[0]",
        needs_gpu: false,
        make: || {
            between(Instead(|load| match load.format {
                Format::Gguf => first_of_folder(load, ".gguf"),
                _ => None,
            }))
        },
    },
    Mutant {
        name: "first-apr-of-the-folder",
        lie: "loads the first APR file of the folder in alphabetical order, whichever is named",
        seen_in: "glob('*.apr')[0]",
        needs_gpu: false,
        make: || {
            between(Instead(|load| match load.format {
                Format::Apr => first_of_folder(load, ".apr"),
                _ => None,
            }))
        },
    },
    Mutant {
        name: "config-of-the-folder",
        lie: "reads the config.json beside the weights, whichever the request names",
        seen_in: "from_pretrained, which takes a folder",
        needs_gpu: false,
        make: || {
            between(Documents(|folder, asked| {
                if asked.config.is_some() {
                    asked.config = there(folder, "config.json").or(asked.config.take());
                }
            }))
        },
    },
    Mutant {
        name: "tokenizer-of-the-folder",
        lie: "reads the tokenizer.json beside the weights, whichever the request names",
        seen_in: "from_pretrained, which takes a folder",
        needs_gpu: false,
        make: || {
            between(Documents(|folder, asked| {
                if asked.tokenizer.is_some() {
                    asked.tokenizer = there(folder, "tokenizer.json").or(asked.tokenizer.take());
                }
            }))
        },
    },
    Mutant {
        name: "template-of-the-folder",
        lie: "reads the tokenizer_config.json beside the weights, whichever the request names",
        seen_in: "from_pretrained, which takes a folder",
        needs_gpu: false,
        make: || {
            between(Documents(|folder, asked| {
                if asked.template.is_some() {
                    let own = there(folder, "tokenizer_config.json");
                    asked.template = own.or(asked.template.take());
                }
            }))
        },
    },
    Mutant {
        name: "generation-config-of-the-folder",
        lie: "reads the generation_config.json beside the weights, although the request names none",
        seen_in: "from_pretrained, which takes a folder",
        needs_gpu: false,
        make: || {
            between(Documents(|folder, asked| {
                asked.generation =
                    there(folder, "generation_config.json").or(asked.generation.take());
            }))
        },
    },
    Mutant {
        name: "generation-config-broken-ignored",
        lie: "goes on without a generation_config.json that is named and not there, or that cannot be read",
        seen_in: "try: GenerationConfig.from_pretrained(...) except OSError: pass",
        needs_gpu: false,
        make: || {
            between(Documents(|_, asked| {
                let text = asked.generation.as_ref().and_then(|path| fs::read(path).ok());
                let read =
                    text.and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
                asked.generation = asked.generation.take().filter(|_| read.is_some());
            }))
        },
    },
];

/// Loads another file where there is one.
struct Instead(fn(&Load) -> Option<PathBuf>);

impl Between for Instead {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        if let Request::Load(load) = &mut request
            && let Some(path) = (self.0)(load)
        {
            load.path = path;
        }
        loader.answer(request)
    }
}

fn beside(load: &Load, names: &[&str]) -> Option<PathBuf> {
    let folder = load.path.parent()?;
    // The name of a case's file in the contract is no usual one.
    load.inference.as_ref()?;
    names.iter().find_map(|name| there(folder, name))
}

fn there(folder: &Path, name: &str) -> Option<PathBuf> {
    Some(folder.join(name)).filter(|path| path.is_file())
}

fn first_of_folder(load: &Load, end: &str) -> Option<PathBuf> {
    if !load.path.to_string_lossy().ends_with(end) {
        return None;
    }
    let entries = fs::read_dir(load.path.parent()?).ok()?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| path.to_string_lossy().ends_with(end)).min()
}

/// Reads other documents.
struct Documents(fn(&Path, &mut Inference));

impl Between for Documents {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        if let Request::Load(load) = &mut request
            && let Some(folder) = load.path.parent().map(Path::to_owned)
            && let Some(asked) = &mut load.inference
        {
            (self.0)(&folder, asked);
        }
        loader.answer(request)
    }
}
