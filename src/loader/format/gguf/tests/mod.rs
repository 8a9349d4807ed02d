//! Tests GGUF files made by hand: what is read from sound ones, and which faults are refused, with
//! what was expected and found. This file writes the files.

mod config;
mod entries;
mod header;
mod parts;
mod vocabulary;

use std::fs;
use std::path::Path;

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::contract::request::Format;
use crate::loader::error::tests::check;
use crate::loader::error::{LoadError, Result};
use crate::loader::format::{ImportedModel, import};
use crate::loader::read::file::OpenFile;

/// A value: its type, and its bytes.
#[derive(Clone)]
struct Stored(u32, Vec<u8>);

/// A file to write.
#[derive(Clone)]
struct File {
    version: u32,
    alignment: u64,
    keys: Vec<(String, Stored)>,
    /// Name, sides from the innermost on, type, offset.
    tensors: Vec<(String, Vec<u64>, u32, u64)>,
    data: usize,
}

fn text(text: &str) -> Stored {
    Stored(8, [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat())
}

fn whole(number: u32) -> Stored {
    Stored(4, number.to_le_bytes().to_vec())
}

fn signed(number: i32) -> Stored {
    Stored(5, number.to_le_bytes().to_vec())
}

fn number(number: f32) -> Stored {
    Stored(6, number.to_le_bytes().to_vec())
}

fn flag(flag: bool) -> Stored {
    Stored(7, vec![flag.into()])
}

/// An array of this type, with the bytes of each element.
fn array(kind: u32, elements: &[&[u8]]) -> Stored {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend_from_slice(&(elements.len() as u64).to_le_bytes());
    bytes.extend(elements.concat());
    Stored(9, bytes)
}

fn texts(texts: &[&str]) -> Stored {
    let all: Vec<Vec<u8>> = texts.iter().map(|one| text(one).1).collect();
    array(8, &all.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn signeds(numbers: &[i32]) -> Stored {
    let all: Vec<[u8; 4]> = numbers.iter().map(|one| one.to_le_bytes()).collect();
    array(5, &all.iter().map(<[u8; 4]>::as_slice).collect::<Vec<_>>())
}

fn numbers(numbers: &[f32]) -> Stored {
    let all: Vec<[u8; 4]> = numbers.iter().map(|one| one.to_le_bytes()).collect();
    array(6, &all.iter().map(<[u8; 4]>::as_slice).collect::<Vec<_>>())
}

/// A llama of one layer with two heads of four, and the words and queries of it.
fn llama() -> File {
    let mut file = File {
        version: 3,
        alignment: 32,
        keys: Vec::new(),
        tensors: vec![
            ("token_embd.weight".to_owned(), vec![8, 5], 0, 0),
            ("blk.0.attn_q.weight".to_owned(), vec![8, 8], 0, 160),
        ],
        data: 416,
    };
    file.set("general.architecture", text("llama"));
    for (key, size) in [
        ("block_count", 1),
        ("context_length", 32),
        ("embedding_length", 8),
        ("feed_forward_length", 12),
        ("attention.head_count", 2),
    ] {
        file.set(&format!("llama.{key}"), whole(size));
    }
    file.set("llama.attention.layer_norm_rms_epsilon", number(0.5));
    file
}

/// The same with this key.
fn with(key: &str, value: Stored) -> File {
    llama().and(key, value)
}

impl File {
    fn set(&mut self, key: &str, value: Stored) {
        self.keys.retain(|(known, _)| known != key);
        self.keys.push((key.to_owned(), value));
    }

    fn and(mut self, key: &str, value: Stored) -> File {
        self.set(key, value);
        self
    }

    fn without(mut self, key: &str) -> File {
        self.keys.retain(|(known, _)| known != key);
        self
    }

    /// The same model as another family names it.
    fn of_family(mut self, name: &str) -> File {
        for (key, _) in &mut self.keys {
            *key = key.replace("llama.", &format!("{name}."));
        }
        self.and("general.architecture", text(name))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.extend_from_slice(&(self.tensors.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&(self.keys.len() as u64).to_le_bytes());
        for (key, Stored(kind, value)) in &self.keys {
            bytes.extend(text(key).1);
            bytes.extend_from_slice(&kind.to_le_bytes());
            bytes.extend_from_slice(value);
        }
        for (name, sides, kind, offset) in &self.tensors {
            bytes.extend(text(name).1);
            bytes.extend_from_slice(&(sides.len() as u32).to_le_bytes());
            bytes.extend(sides.iter().flat_map(|side| side.to_le_bytes()));
            bytes.extend_from_slice(&kind.to_le_bytes());
            bytes.extend_from_slice(&offset.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(self.alignment as usize) + self.data, 0);
        bytes
    }

    fn read(&self) -> Result<ImportedModel> {
        read(&self.bytes())
    }

    fn config(&self) -> Json {
        self.read().expect("a sound file").documents.config
    }
}

fn read(bytes: &[u8]) -> Result<ImportedModel> {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("model.gguf");
    fs::write(&path, bytes).expect("written");
    open(&path)
}

/// Reads a model by its first file.
fn open(path: &Path) -> Result<ImportedModel> {
    let (_, model) = import::read(Format::Gguf, OpenFile::open(path)?, &OpenFile::open)?;
    Ok(model)
}

fn refused(file: &File, of: &str) -> LoadError {
    file.read().err().unwrap_or_else(|| panic!("{of} is read"))
}
