//! Goldens of GGUF by other hands: blocks with the values that llama.cpp's package unpacks, and a
//! SentencePiece vocabulary with the tokens of texts. `fixtures/gguf/make.py` makes them.

use std::collections::BTreeMap;

use safetensors::SafeTensors;
use serde::Deserialize;

static BLOCKS: &[u8] = include_bytes!("../../../../fixtures/gguf/blocks.safetensors");
static PAIRS: &str = include_str!("../../../../fixtures/gguf/pairs.json");
static PIECES: &str = include_str!("../../../../fixtures/gguf/pieces.json");

/// Type ids in GGUF. Source: the enumeration `ggml_type` of llama.cpp.
const IDS: [(&str, u32); 23] = [
    ("Q4_0", 2),
    ("Q4_1", 3),
    ("Q5_0", 6),
    ("Q5_1", 7),
    ("Q8_0", 8),
    ("Q2_K", 10),
    ("Q3_K", 11),
    ("Q4_K", 12),
    ("Q5_K", 13),
    ("Q6_K", 14),
    ("IQ2_XXS", 16),
    ("IQ2_XS", 17),
    ("IQ3_XXS", 18),
    ("IQ1_S", 19),
    ("IQ4_NL", 20),
    ("IQ3_S", 21),
    ("IQ2_S", 22),
    ("IQ4_XS", 23),
    ("IQ1_M", 29),
    ("TQ1_0", 34),
    ("TQ2_0", 35),
    ("MXFP4", 39),
    ("NVFP4", 40),
];

/// Blocks of one type, and their values.
pub(super) struct Blocks {
    /// The type id in GGUF.
    pub(super) id: u32,
    /// Each block's bytes and values.
    all: Vec<(Vec<u8>, Vec<f32>)>,
}

impl Blocks {
    /// The blocks of a type.
    ///
    /// # Errors
    /// If the fixture has no such type.
    pub(super) fn of(name: &str) -> Result<Blocks, String> {
        let (_, id) = IDS.iter().find(|(known, _)| *known == name).ok_or("no such type")?;
        let file = SafeTensors::deserialize(BLOCKS).map_err(|error| error.to_string())?;
        let part = |part: &str| file.tensor(&format!("{name}.{part}"));
        let (blocks, values) = (part("blocks"), part("values"));
        let (Ok(blocks), Ok(values)) = (blocks, values) else {
            return Err(format!("no blocks of type {name}"));
        };
        let (size, elements) = (blocks.shape()[1], values.shape()[1]);
        let rows = blocks.data().chunks_exact(size).zip(values.data().chunks_exact(4 * elements));
        let floats = |bytes: &[u8]| -> Vec<f32> {
            bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect()
        };
        let all = rows.map(|(block, values)| (block.to_vec(), floats(values))).collect();
        Ok(Blocks { id: *id, all })
    }

    /// Bytes and values of a tensor with this many elements. Which block comes first depends on
    /// `start`.
    ///
    /// # Errors
    /// If that is not a whole number of blocks.
    pub(super) fn fill(
        &self,
        elements: usize,
        start: usize,
    ) -> Result<(Vec<u8>, Vec<f32>), String> {
        let (mut bytes, mut values) = (Vec::new(), Vec::new());
        for (block, unpacked) in self.all.iter().cycle().skip(start % self.all.len().max(1)) {
            if values.len() >= elements {
                break;
            }
            bytes.extend_from_slice(block);
            values.extend_from_slice(unpacked);
        }
        match values.len() == elements {
            true => Ok((bytes, values)),
            false => Err(format!("{elements} elements are not a whole number of blocks")),
        }
    }
}

/// A SentencePiece vocabulary.
#[derive(Clone, Debug, Deserialize)]
pub struct Pieces {
    /// Tokens by id.
    pub tokens: Vec<String>,
    /// Their scores.
    pub scores: Vec<f32>,
    /// Their kinds, by GGUF's numbers.
    pub kinds: Vec<i32>,
    /// Texts with their tokens.
    pub texts: Vec<Tokenized>,
}

/// A byte-level vocabulary, whose tokens show how a text was split.
#[derive(Clone, Debug, Deserialize)]
pub struct Pairs {
    /// Tokens by id.
    pub tokens: Vec<String>,
    /// Pairs in the order of their priority.
    pub merges: Vec<String>,
    /// Texts.
    texts: Vec<String>,
    /// The tokens of each text, by llama.cpp's names of the ways to split it.
    ways: BTreeMap<String, Vec<Vec<u32>>>,
}

impl Pairs {
    /// The vocabulary.
    ///
    /// # Errors
    /// If the fixture cannot be read.
    pub fn read() -> Result<Pairs, String> {
        serde_json::from_str(PAIRS).map_err(|error| error.to_string())
    }

    /// A text, and its tokens when it is split in this way.
    ///
    /// # Errors
    /// If the fixture has no such text or way.
    pub fn text(&self, way: &str, number: usize) -> Result<Tokenized, String> {
        let ids = self.ways.get(way).and_then(|all| all.get(number));
        match (self.texts.get(number), ids) {
            (Some(text), Some(ids)) => Ok(Tokenized { text: text.clone(), ids: ids.clone() }),
            _ => Err(format!("the goldens have no text {number} split as {way}")),
        }
    }
}

/// A text and its tokens.
#[derive(Clone, Debug, Deserialize)]
pub struct Tokenized {
    /// The text.
    pub text: String,
    /// The tokens, with the space that the vocabulary puts before a text.
    pub ids: Vec<u32>,
}

impl Pieces {
    /// The vocabulary that puts a space before every text.
    ///
    /// # Errors
    /// If the fixture cannot be read.
    pub fn leading() -> Result<Pieces, String> {
        #[derive(Deserialize)]
        struct All {
            leading: Pieces,
        }
        let all: All = serde_json::from_str(PIECES).map_err(|error| error.to_string())?;
        Ok(all.leading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_fills_a_matrix() {
        for (name, id) in IDS {
            let blocks = Blocks::of(name).unwrap();
            let (bytes, values) = blocks.fill(2048, 5).unwrap();
            assert_eq!((blocks.id, values.len()), (id, 2048), "{name}");
            assert_eq!(bytes.len() % blocks.all[0].0.len(), 0, "{name}");
            assert!(values.iter().all(|value| value.is_finite()), "{name}");
            assert!(blocks.fill(2049, 0).is_err());
        }
    }

    #[test]
    fn the_vocabulary_has_a_score_and_a_kind_for_each_token() {
        let pieces = Pieces::leading().unwrap();
        assert_eq!(pieces.tokens.len(), 420);
        assert_eq!((pieces.scores.len(), pieces.kinds.len()), (420, 420));
        assert!(pieces.texts.iter().flat_map(|text| &text.ids).all(|id| *id < 420));
    }
}
