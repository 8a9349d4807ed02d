//! Bounds what a tokenizer may take (R26). A published tokenizer is a program: its expressions can run for
//! years, and its steps can make a text a million times as long.
//!
//! The parts of the document that are read here are those that decide about time and memory. The library
//! reads the document as a whole afterwards.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::expressions::{Beyond, Seen};
use crate::loader::error::json_text;
use crate::loader::format::json_bounds;

/// Longest token, in bytes: several times the longest one in use.
pub const LONGEST_TOKEN: usize = 2 << 10;

/// Most memory that the document takes as a tree, in bytes. The largest ones in use take 200 MiB.
const MEMORY: usize = 512 << 20;

/// Most bytes of all added tokens together. They are searched in every text at once.
const ADDED: usize = 4 << 20;

/// How many times as long the steps before the model may make a text, and those behind it.
const GROWTH: usize = 1024;
const GROWTH_BEHIND: usize = 64;

/// Longest word of a model that tries every part of a word, in letters.
const LONGEST_WORD: u64 = 1000;

/// Most steps of one kind, those in each other included.
const STEPS: usize = 64;

/// The parts of a tokenizer's document that are looked at.
#[derive(Deserialize)]
pub struct Document {
    #[serde(default)]
    added_tokens: Vec<Value>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    decoder: Value,
    #[serde(default)]
    padding: Value,
    #[serde(default)]
    model: Model,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Model {
    max_input_chars_per_word: Option<u64>,
    dropout: Option<f64>,
    #[serde(rename = "vocab")]
    _vocab: Option<IgnoredAny>,
    #[serde(rename = "merges")]
    _merges: Option<IgnoredAny>,
}

fn beyond<T>(allowed: impl Into<String>, found: impl Into<String>) -> Result<T, Beyond> {
    Err((allowed.into(), found.into()))
}

/// Measures a document before it is read.
///
/// # Errors
/// The bound that it breaks.
pub fn measure(text: &[u8]) -> Result<(), Beyond> {
    match json_bounds::check(text, MEMORY) {
        Err(found) => beyond("a document whose values take less memory, and nest less deep", found),
        Ok(_) => Ok(()),
    }
}

/// Reads the parts of a document that are looked at.
///
/// # Errors
/// If it is not in the form of tokenizer.json.
pub fn read(text: &[u8]) -> Result<Document, serde_json::Error> {
    serde_json::from_slice(text)
}

/// Checks a tokenizer's document. Returns how many times as long a text can become before it is cut into
/// tokens.
///
/// # Errors
/// The bound that it breaks.
pub fn check(document: &Document) -> Result<usize, Beyond> {
    let lengths = document.added_tokens.iter().map(|token| text_of(token, "content").len());
    let (mut added, mut longest) = (0, 0);
    for length in lengths {
        added += length;
        longest = length.max(longest);
    }
    if longest > LONGEST_TOKEN {
        return beyond(
            format!("tokens of at most {LONGEST_TOKEN} bytes"),
            format!("{longest} bytes"),
        );
    }
    if added > ADDED {
        return beyond(format!("added tokens of at most {ADDED} bytes"), format!("{added} bytes"));
    }
    let pad = document.padding["pad_token"].as_str().map_or(0, str::len);
    if pad > LONGEST_TOKEN {
        return beyond(format!("a pad token of at most {LONGEST_TOKEN} bytes"), format!("{pad}"));
    }
    if let Some(dropout) = document.model.dropout.filter(|dropout| *dropout != 0.0) {
        return beyond("no dropout, which gives other tokens each time", dropout.to_string());
    }
    if let Some(word) = document.model.max_input_chars_per_word.filter(|most| *most > LONGEST_WORD)
    {
        let allowed = format!("max_input_chars_per_word of at most {LONGEST_WORD}");
        return beyond(allowed, word.to_string());
    }
    let mut steps = Steps::default();
    let before =
        steps.growth(&document.normalizer)?.saturating_mul(steps.growth(&document.pre_tokenizer)?);
    let behind = steps.growth(&document.decoder)?;
    for (growth, most, of) in
        [(before, GROWTH, "before the model"), (behind, GROWTH_BEHIND, "of the decoder")]
    {
        if growth > most {
            let allowed = format!("steps {of} that make a text at most {most} times as long");
            return beyond(allowed, format!("{growth} times"));
        }
    }
    Ok(before)
}

/// The steps seen so far, and their expressions.
#[derive(Default)]
struct Steps {
    count: usize,
    expressions: Seen,
}

impl Steps {
    /// How many times as long a step can make a text.
    fn growth(&mut self, step: &Value) -> Result<usize, Beyond> {
        self.count += 1;
        if self.count > STEPS {
            return beyond(format!("at most {STEPS} steps"), "more");
        }
        if step.is_object() && !step["type"].is_string() {
            return beyond("steps that tell their type", json_text(step));
        }
        let mut growth = self.own(step)?;
        for name in ["normalizers", "pretokenizers", "decoders"] {
            for inner in step[name].as_array().into_iter().flatten() {
                growth = growth.saturating_mul(self.growth(inner)?);
            }
        }
        Ok(growth)
    }

    /// The same without the steps in it.
    fn own(&mut self, step: &Value) -> Result<usize, Beyond> {
        let pattern = &step["pattern"];
        let shortest = match (pattern["Regex"].as_str(), pattern["String"].as_str()) {
            (Some(expression), _) => {
                self.expressions.check(expression)?;
                1
            }
            (None, Some(text)) => text.len().max(1),
            (None, None) => 1,
        };
        let text = |name: &str| step[name].as_str().map_or(0, str::len);
        if step["type"] == "FixedLength" && step["length"].as_u64() == Some(0) {
            return beyond("pieces of a length", "FixedLength 0");
        }
        Ok(match step["type"].as_str().unwrap_or_default() {
            // An expression may match before every letter as well.
            "Replace" if pattern.get("Regex").is_some() => 1 + text("content"),
            "Replace" => text("content").div_ceil(shortest).max(1),
            "Prepend" => 1 + text("prepend"),
            "Metaspace" => 1 + text("replacement"),
            "ByteLevel" => 2,
            // The longest compatible form in Unicode is eleven times as long.
            "NFKC" | "NFKD" => 11,
            "NFC" | "NFD" | "BertNormalizer" | "Lowercase" => 3,
            "Precompiled" => longest_replacement(text_of(step, "precompiled_charsmap")).max(1),
            "CTC" | "BPEDecoder" | "WordPiece" => {
                let added = text("pad_token")
                    + text("word_delimiter_token")
                    + text("suffix")
                    + text("prefix");
                1 + added
            }
            _ => 1,
        })
    }
}

fn text_of<'v>(step: &'v Value, name: &str) -> &'v str {
    step[name].as_str().unwrap_or_default()
}

/// The longest text that a table of SentencePiece puts in the place of another, in bytes. The table is a
/// length of four bytes, a tree of that length, and texts that each end in a zero byte.
fn longest_replacement(charsmap: &str) -> usize {
    let mut table = Vec::with_capacity(charsmap.len() / 4 * 3);
    let (mut word, mut bits) = (0_u32, 0);
    for letter in charsmap.bytes() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        word = word << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            table.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    let Some((length, rest)) = table.split_first_chunk::<4>() else { return 1 };
    let texts = rest.get(u32::from_le_bytes(*length) as usize..).unwrap_or_default();
    texts.split(|byte| *byte == 0).map(<[u8]>::len).max().unwrap_or(1)
}

#[cfg(test)]
mod tests;
