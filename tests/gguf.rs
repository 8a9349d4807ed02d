//! What the reference loader makes of GGUF's blocks and tokenizers, compared with the goldens of other
//! libraries in `fixtures/gguf`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer;
use weighbridge::loader::format::blocks::Packing;
use weighbridge::loader::format::tokenizer::sentencepiece::{self, Scored};
use weighbridge::loader::format::tokenizer::{Pieces, byte_pairs};

fn read(name: &str) -> Vec<u8> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/gguf");
    fs::read(folder.join(name)).expect("readable")
}

fn unpacked(packing: Packing, blocks: &[u8]) -> Vec<u8> {
    let mut own = Vec::new();
    packing.unpack(blocks, &mut own);
    own
}

/// What `stream` in `make.py` makes.
fn stream(count: usize) -> Vec<u8> {
    let (mut state, mut out) = (20_261_127u64, Vec::new());
    while out.len() < count {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.extend(((state >> 32) as u32).to_le_bytes());
    }
    out.truncate(count);
    out
}

/// Where the high bytes of a block's half-precision scales are.
fn scales(packing: Packing) -> &'static [usize] {
    match packing.name() {
        "Q4_1" | "Q5_1" | "Q4_K" | "Q5_K" => &[1, 3],
        "Q2_K" => &[81, 83],
        "Q3_K" => &[109],
        "Q6_K" => &[209],
        "IQ1_M" => &[55],
        "TQ1_0" => &[53],
        "TQ2_0" => &[65],
        "MXFP4" | "NVFP4" => &[],
        _ => &[1],
    }
}

#[test]
fn blocks_have_the_values_that_llama_cpp_gives_them() {
    let bytes = read("blocks.safetensors");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("a header");
    let digests = metadata.metadata().clone().expect("digests");
    let own: Vec<&str> = Packing::all().map(Packing::name).collect();
    assert_eq!(own.len(), digests.len(), "{own:?}");
    for packing in Packing::all() {
        let name = packing.name();
        let part = |part: &str| file.tensor(&format!("{name}.{part}")).expect("a golden");
        assert_eq!(part("blocks").shape()[1] as u64, packing.bytes(), "{name}");
        assert_eq!(part("values").shape()[1] as u64, packing.elements(), "{name}");
        assert_eq!(unpacked(packing, part("blocks").data()), part("values").data(), "{name}");
        // Any NaN is as good as another.
        let (odd, values) = (unpacked(packing, part("odd_blocks").data()), part("odd_values"));
        let (odd, values) = (odd.as_chunks::<4>().0, values.data().as_chunks::<4>().0);
        assert_eq!(odd.len(), values.len(), "{name}");
        for (own, wanted) in odd.iter().zip(values) {
            let nans = [own, wanted].map(|word| f32::from_le_bytes(*word).is_nan());
            assert!(own == wanted || nans == [true, true], "{name}: {own:?} {wanted:?}");
        }
        let size = packing.bytes() as usize;
        let mut more = stream(512 * size);
        for block in more.chunks_exact_mut(size) {
            scales(packing).iter().for_each(|at| block[*at] &= 0xbf);
        }
        let digest = Sha256::digest(unpacked(packing, &more));
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Some(&digest), digests.get(name), "{name}");
    }
}

#[derive(Deserialize)]
struct Golden {
    tokens: Vec<String>,
    scores: Vec<f32>,
    kinds: Vec<u8>,
    texts: Vec<Text>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
    decoded: String,
}

#[test]
fn sentencepiece_gives_the_tokens_of_its_own_library() {
    let goldens: BTreeMap<String, Golden> =
        serde_json::from_slice(&read("pieces.json")).expect("JSON");
    assert_eq!(goldens.len(), 2);
    for (name, golden) in &goldens {
        let of = |wanted: &[u8]| -> Vec<u32> {
            let all = golden.kinds.iter().zip(0..).filter(|(kind, _)| wanted.contains(kind));
            all.map(|(_, id)| id).collect()
        };
        let pieces = Pieces {
            tokens: &golden.tokens,
            special: of(&[2, 3]),
            added: of(&[4]),
            first: Some(1),
            last: Some(2),
        };
        let scored = Scored {
            scores: golden.scores.clone(),
            joined: golden.kinds.iter().map(|kind| ![2, 3, 6].contains(kind)).collect(),
            unknown: Some(0),
            leading_space: name == "leading",
        };
        let document = sentencepiece::write(&pieces, &scored).expect("written");
        let tokenizer = Tokenizer::from_bytes(document).expect("read");
        assert!(golden.texts.len() > 25);
        for text in &golden.texts {
            let encoded = tokenizer.encode(text.text.as_str(), false).expect("tokens");
            assert_eq!(encoded.get_ids(), text.ids, "{name}: {:?}", text.text);
            let decoded = tokenizer.decode(&text.ids, true).expect("text");
            assert_eq!(decoded, text.decoded, "{name}: {:?}", text.text);
        }
        let around = tokenizer.encode("the", true).expect("tokens");
        assert_eq!((around.get_ids().first(), around.get_ids().last()), (Some(&1), Some(&2)));
    }
}

#[derive(Deserialize)]
struct Pairs {
    tokens: Vec<String>,
    merges: Vec<String>,
    texts: Vec<String>,
    ways: BTreeMap<String, Vec<Vec<u32>>>,
}

#[test]
fn text_is_split_as_the_published_tokenizers_split_it() {
    let golden: Pairs = serde_json::from_slice(&read("pairs.json")).expect("JSON");
    assert_eq!(golden.ways.len(), 9);
    for (way, ids) in &golden.ways {
        let pieces = Pieces {
            tokens: &golden.tokens,
            special: Vec::new(),
            added: Vec::new(),
            first: None,
            last: None,
        };
        let document = byte_pairs::write(&pieces, &golden.merges, way).expect("written");
        let tokenizer = Tokenizer::from_bytes(document).expect("read");
        assert_eq!(ids.len(), golden.texts.len());
        for (text, ids) in golden.texts.iter().zip(ids) {
            let encoded = tokenizer.encode(text.as_str(), true).expect("tokens");
            assert_eq!(encoded.get_ids(), ids, "{way}: {text:?}");
            // NFC joins what the text has apart.
            if way != "qwen2" {
                assert_eq!(tokenizer.decode(ids, true).expect("text"), *text, "{way}");
            }
        }
    }
}
