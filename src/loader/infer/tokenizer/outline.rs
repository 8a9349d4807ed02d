//! What a `tokenizer.json` would take, before the library makes anything of it. The library has no
//! bounds of its own: it builds what the file says, and a text grows as its normalizer says.

use serde::Deserialize;
use serde_json::Value;

use super::patterns;
use super::tree::{Count, Small};

/// Most tokens, added tokens included. The largest vocabularies in use have 260,000.
const TOKENS: usize = 1 << 20;

/// Longest texts of a vocabulary together, in bytes. The library may keep a hundred bytes for each of
/// them. The largest vocabularies in use have 3 MiB.
const VOCABULARY: usize = 8 << 20;

/// Most merges. The largest tokenizers in use have 580,000.
const MERGES: usize = 1 << 21;

/// Most steps of a normalizer, of a pre-tokenizer, of a decoder and of what follows together. Published
/// tokenizers have 15.
const STEPS: usize = 64;

/// Most bytes that may come of one. XLM-RoBERTa states 16, the most that is published.
const GROWTH: usize = 256;

/// Longest word that is looked up piece by piece, in letters: this takes the square of its length.
/// Published tokenizers have 100 and 200.
const WORD: usize = 1000;

/// Longest token that stands for others, or beside others, in bytes: each of them is kept.
const STANDING: usize = 256;

/// Longest text that normalizing may make, in bytes. The library keeps 17 bytes for each, holds two texts
/// at a time, and may make a token of each. It has room for a prompt of a million tokens.
const TEXT: usize = 4 << 20;

/// Longest text of one letter that a map of characters may have without counting in full, in bytes: the
/// maps of published tokenizers have such texts for a few rare letters.
const RARE: usize = 64;

/// The bounds that a text must keep to.
#[derive(Clone, Debug)]
pub struct Outline {
    /// How many bytes normalizing may make of one.
    growth: usize,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Small,
    #[serde(default)]
    pre_tokenizer: Small,
    #[serde(default)]
    post_processor: Small,
    #[serde(default)]
    padding: Small,
    #[serde(default)]
    decoder: Small,
    #[serde(default)]
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    #[serde(default)]
    content: String,
}

#[derive(Default, Deserialize)]
struct Model {
    #[serde(default)]
    vocab: Count,
    #[serde(default)]
    merges: Count,
    #[serde(default)]
    max_input_chars_per_word: Small,
    #[serde(default)]
    unk_token: Small,
    #[serde(default)]
    continuing_subword_prefix: Small,
    #[serde(default)]
    end_of_word_suffix: Small,
}

impl Outline {
    /// Reads a `tokenizer.json` without building it.
    ///
    /// # Errors
    /// The bound that it breaks, and by what: expected, then found. Also if it is no such document.
    pub fn of(bytes: &[u8]) -> Result<Outline, (String, String)> {
        let unread = |error: serde_json::Error| {
            ("a tokenizer in the form of tokenizer.json".to_owned(), error.to_string())
        };
        let document: Document = serde_json::from_slice(bytes).map_err(unread)?;
        let most = |bound: usize, found: usize, what: &str| match found <= bound {
            true => Ok(()),
            false => Err((format!("at most {bound} {what}"), format!("{found} {what}"))),
        };
        let (model, added) = (&document.model, &document.added_tokens);
        most(TOKENS, model.vocab.entries + added.len(), "tokens")?;
        most(VOCABULARY, model.vocab.bytes, "bytes of tokens")?;
        most(MERGES, model.merges.entries, "merges")?;
        let word = model.max_input_chars_per_word.0.as_u64().unwrap_or(0);
        most(WORD, usize::try_from(word).unwrap_or(usize::MAX), "letters in a word")?;
        let pad = &document.padding.0["pad_token"];
        let beside =
            [&model.unk_token, &model.continuing_subword_prefix, &model.end_of_word_suffix];
        for text in beside.iter().map(|small| &small.0).chain([pad]) {
            let length = text.as_str().map_or(0, str::len);
            most(STANDING, length, "bytes in a token that stands for others or beside them")?;
        }
        let parts = [document.normalizer.0, document.pre_tokenizer.0, document.decoder.0];
        let mut steps = Vec::new();
        for part in parts.iter().chain([&document.post_processor.0]) {
            flat(part, &mut steps);
        }
        most(STEPS, steps.len(), "steps")?;
        for step in &steps {
            if let Some(pattern) = step["pattern"]["Regex"].as_str() {
                patterns::compiled(pattern)?;
            }
        }
        // Each part begins from another text.
        let growth = |part: &Value| {
            let mut steps = Vec::new();
            flat(part, &mut steps);
            steps.iter().map(|step| grows(step)).fold(1, usize::saturating_mul)
        };
        let growth = parts.iter().map(growth).max().unwrap_or(1);
        most(GROWTH, growth, "bytes made of one")?;
        let outline = Outline { growth };
        // The library normalizes the added tokens at once.
        outline.admits(added.iter().map(|token| token.content.len()).sum())?;
        Ok(outline)
    }

    /// Checks the length of a text.
    ///
    /// # Errors
    /// The longest text that there may be, and this one's length.
    pub fn admits(&self, bytes: usize) -> Result<(), (String, String)> {
        let longest = TEXT / self.growth;
        match bytes <= longest {
            true => Ok(()),
            false => {
                let why =
                    format!("at most {longest} bytes of text, of which this tokenizer may make");
                Err((format!("{why} {} each", self.growth), format!("{bytes} bytes")))
            }
        }
    }
}

/// The steps of a part, of which a sequence has several.
fn flat<'v>(part: &'v Value, into: &mut Vec<&'v Value>) {
    let lists = ["normalizers", "pretokenizers", "decoders", "processors"];
    match lists.iter().find_map(|list| part[*list].as_array()) {
        Some(steps) => steps.iter().for_each(|step| flat(step, into)),
        None if part.is_null() => {}
        None => into.push(part),
    }
}

/// How many bytes a step may make of one.
fn grows(step: &Value) -> usize {
    let length = |value: &Value| value.as_str().map_or(0, str::len);
    match step["type"].as_str() {
        Some("Replace") => match &step["pattern"]["String"] {
            Value::String(part) if !part.is_empty() => {
                length(&step["content"]).div_ceil(part.len()).max(1)
            }
            // A pattern may match where there is nothing.
            _ => 1 + length(&step["content"]),
        },
        // Once for a part of the text. Parts of one letter each are no ordinary text.
        Some("Prepend") => match length(&step["prepend"]) {
            short if short <= 8 => 2,
            long => 1 + long,
        },
        Some("Metaspace") => length(&step["replacement"]).max(1),
        // A byte becomes a letter, of which most have two.
        Some("ByteLevel") => 2,
        Some("Precompiled") => match longest_letter(&step["precompiled_charsmap"]) {
            short if short <= RARE => 4,
            long => long,
        },
        _ => 1,
    }
}

/// The longest text that a map of characters gives for one. The map is Base64: a count of bytes, so many
/// bytes of a trie, and texts, each with a zero behind.
fn longest_letter(map: &Value) -> usize {
    let text = map.as_str().unwrap_or_default();
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => continue,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    let trie = bytes.first_chunk::<4>().map_or(0, |count| u32::from_le_bytes(*count) as usize);
    let texts = bytes.get(trie.saturating_add(4)..).unwrap_or_default();
    texts.split(|byte| *byte == 0).map(<[u8]>::len).max().unwrap_or(0)
}
