//! Tests the plan of a device pass: what is read in which pieces, where it lands, where it moves, and
//! what is counted.

use std::fs;
use std::ops::Range;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::landing::{counted, evidence, is_direct, moves, places, scans};
use super::pieces::{PIECE, Piece, ReadPlan, Sizes, batches, lanes};
use super::shared::Place;
use crate::contract::request::{DtypePolicy, Format};
use crate::gpu::{Element, MoveKind, SLOT_BYTES, Tally};
use crate::loader::decisions::Honest;
use crate::loader::load::evidence::Hashed;
use crate::loader::load::tests::raw;
use crate::loader::open::files::Files;
use crate::loader::read::file::MARGIN;

/// A tensor of a file: name, type, sides, first byte, end.
type Listed<'n> = (&'n str, &'n str, &'n [u64], u64, u64);

/// Opens one file of zeros for each list, all of one model.
fn opened(folder: &TempDir, files: &[&[Listed<'_>]], keep: DtypePolicy, runs: bool) -> Files {
    let (mut map, count) = (serde_json::Map::new(), files.len());
    for (at, tensors) in files.iter().enumerate() {
        let name = format!("model-{:05}-of-{count:05}.safetensors", at + 1);
        let mut header = serde_json::Map::new();
        for (tensor, dtype, shape, begin, end) in *tensors {
            let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, end]});
            header.insert((*tensor).to_owned(), entry);
            map.insert((*tensor).to_owned(), json!(name));
        }
        let file = raw(&serde_json::Value::Object(header).to_string(), &[]);
        let end = tensors.iter().map(|(.., end)| *end).max().unwrap_or(0);
        let length = file.as_file().metadata().expect("there").len() + end;
        file.as_file().set_len(length).expect("long");
        fs::copy(file.path(), folder.path().join(name)).expect("copied");
    }
    let index = folder.path().join("model.safetensors.index.json");
    let text = json!({"metadata": {}, "weight_map": map}).to_string();
    fs::write(&index, text).expect("written");
    open(&index, keep, runs)
}

fn open(path: &Path, keep: DtypePolicy, runs: bool) -> Files {
    Files::open(path, Format::Safetensors, &Honest, keep, runs).expect("opens")
}

#[test]
fn the_first_and_the_last_pieces_are_small_and_those_between_are_large() {
    const MIB: u64 = 1 << 20;
    let folder = TempDir::new().expect("a folder");
    let (first, second) = (10 * MIB + 4, 40 * MIB);
    let files = opened(
        &folder,
        &[&[("a", "F32", &[first / 4], 0, first)], &[("b", "F32", &[second / 4], 0, second)]],
        DtypePolicy::Stored,
        false,
    );
    let all = ReadPlan::whole(files.all()).pieces;
    let large = (SLOT_BYTES - MARGIN) as u64;
    let sizes: Vec<(usize, u64)> = all.iter().map(|piece| (piece.file, piece.bytes)).collect();
    let mut wanted = vec![(0, MIB); 10];
    wanted.extend([(0, 4), (1, MIB)]);
    // 39 MiB are left. When no more than 24 are, all pieces are small again.
    wanted.extend([(1, large); 4]);
    wanted.extend([(1, MIB); 23]);
    assert_eq!(sizes, wanted);
    // The pieces of a file follow each other.
    for (file, bytes) in [(0, first), (1, second)] {
        let mut end = 0;
        for piece in all.iter().filter(|piece| piece.file == file) {
            assert_eq!(piece.at, end);
            end += piece.bytes;
        }
        assert_eq!(end, bytes);
    }
    assert_eq!((lanes(files.all(), 0, 1), lanes(files.all(), 1, 1)), (0, 1));
    assert!((1..=12).contains(&lanes(files.all(), 1000, 1)));
    // However many devices there are, each has a thread.
    assert_eq!(lanes(files.all(), 1000, 1000), 1);
}

#[test]
fn a_batch_has_pieces_of_one_file_and_not_too_many_bytes() {
    let of = |counts: &[usize], most: u64| {
        let pieces = counts.iter().enumerate().flat_map(|(file, count)| {
            (0..*count as u64).map(move |at| Piece { file, at: at * 3, bytes: 3 })
        });
        batches(&pieces.collect::<Vec<_>>(), most)
    };
    assert!(of(&[], 9).is_empty());
    assert_eq!(of(&[3, 1], 9), [0..3, 3..4]);
    assert_eq!(of(&[35, 2], 48), [0..16, 16..32, 32..35, 35..37]);
    assert_eq!(of(&[5], 10), [0..3, 3..5]);
    assert_eq!(of(&[2], 1), [0..1, 1..2], "a piece is not divided");

    let sizes = Sizes { piece: PIECE / 2, batch: 5 * PIECE };
    let plan = ReadPlan::of(vec![0..PIECE, 0..0, 7 * PIECE..60 * PIECE], sizes);
    assert!(plan.pieces.iter().all(|piece| piece.bytes <= sizes.piece));
    let all: Vec<(usize, Range<u64>)> =
        (0..plan.batches.len()).map(|batch| plan.batch(batch)).collect();
    let of_file =
        |file| all.iter().filter(move |batch| batch.0 == file).map(|batch| batch.1.clone());
    assert!(of_file(0).eq(std::iter::once(0..PIECE)) && of_file(1).count() == 0);
    let mut end = 7 * PIECE;
    for batch in of_file(2) {
        assert!(batch.start == end && batch.end - batch.start <= sizes.batch);
        end = batch.end;
    }
    assert_eq!(end, 60 * PIECE);
}

#[test]
fn only_what_keeps_its_type_and_its_place_is_copied_there_at_once() {
    let direct = |tensors: &[Listed<'_>], keep, runs| {
        let folder = TempDir::new().expect("a folder");
        is_direct(&opened(&folder, &[tensors], keep, runs).all()[0])
    };
    let (stored, wide) = (DtypePolicy::Stored, DtypePolicy::F32);
    let aligned: [Listed<'_>; 3] =
        [("a", "F32", &[4], 0, 16), ("b", "F16", &[2], 16, 20), ("e", "F16", &[0], 20, 20)];
    assert!(direct(&aligned, stored, false));
    assert!(!direct(&aligned, wide, false), "one is widened");
    assert!(direct(&aligned[..1], wide, false), "nothing is");
    let odd: [Listed<'_>; 2] = [("a", "F32", &[1], 0, 4), ("b", "F32", &[1], 4, 8)];
    assert!(!direct(&odd, stored, false), "the second is not at its alignment");
    let buffer: [Listed<'_>; 2] =
        [("rotary_emb.inv_freq", "F32", &[4], 0, 16), ("a", "F32", &[4], 16, 32)];
    assert!(direct(&buffer, stored, false));
    assert!(!direct(&buffer, stored, true), "a buffer is left out of a model that runs");
}

#[test]
fn moved_tensors_go_from_where_they_landed_to_their_places() {
    let folder = TempDir::new().expect("a folder");
    let first: [Listed<'_>; 3] =
        [("a", "F16", &[3], 0, 6), ("b", "F32", &[2], 6, 14), ("e", "F16", &[0], 14, 14)];
    let second: [Listed<'_>; 1] = [("c", "BF16", &[2, 2], 0, 8)];
    let files = opened(&folder, &[&first, &second], DtypePolicy::F32, false);
    let all = files.all();
    let (landed, bytes) = places(all, false);
    let starts = |places: &[Place]| places.iter().map(|place| place.start).collect::<Vec<_>>();
    assert_eq!((starts(&landed), bytes), (vec![0, 256], 264), "each file aligned");
    assert_eq!(landed.iter().map(|place| place.data.clone()).collect::<Vec<_>>(), [0..14, 0..8]);
    let places = starts(&self::places(all, true).0);
    assert_eq!(places, all.iter().map(|file| file.part.start).collect::<Vec<_>>());
    let found: Vec<(u64, u64, u64, MoveKind)> =
        moves(all, &landed).iter().map(|one| (one.from, one.to, one.count, one.kind)).collect();
    let wanted = [
        (0, 0, 3, MoveKind::WidenF16),
        (6, 16, 8, MoveKind::Copy),
        (256, places[1], 4, MoveKind::WidenBf16),
    ];
    assert_eq!(found, wanted);
}

fn tally(zeros: u64) -> Tally {
    let (non_finite, first_non_finite) = (0, u64::MAX);
    Tally { zeros, non_finite, first_non_finite, squares: 4.0, varies: 1, hits: 7 }
}

#[test]
fn each_tensor_has_its_own_counts_and_rows_that_may_be_zeros_have_theirs() {
    let folder = TempDir::new().expect("a folder");
    let first: [Listed<'_>; 3] = [
        ("embed_tokens.weight", "F16", &[100, 4], 0, 800),
        ("empty", "F32", &[0], 800, 800),
        ("ids", "I64", &[2], 800, 816),
    ];
    let second: [Listed<'_>; 1] = [("w", "F32", &[4], 0, 16)];
    let files = opened(&folder, &[&first, &second], DtypePolicy::Stored, false);
    let all = files.all();
    let asked = counted(all);
    let found: Vec<(u64, u64, Element)> =
        asked.iter().map(|one| (one.offset, one.elements, one.element)).collect();
    let place = all[1].part.start;
    // The words, the rows of each of their windows, and the weight of the other file.
    let [first, second, third] = [40, 200, 336].map(|start| (start * 2, 64, Element::F16));
    assert_eq!(found, [(0, 400, Element::F16), first, second, third, (place, 4, Element::F32)]);
    assert_eq!(asked[0].windows, crate::loader::gates::windows(400));

    let tallies = vec![tally(300), tally(64), tally(1), tally(64), tally(2)];
    let found = evidence(vec![Some([7; 32]), None], scans(all, tallies));
    assert!(matches!(found[0].hashed, Hashed::Whole(digest) if digest == [7; 32]));
    assert!(matches!(found[1].hashed, Hashed::Nothing));
    let zeros = |file: usize| found[file].scans.iter().map(|scan| scan.zeros()).collect::<Vec<_>>();
    assert_eq!((zeros(0), zeros(1)), (vec![300, 0, 0], vec![2]));
    let elements = found[0].scans.iter().map(|scan| scan.elements()).collect::<Vec<_>>();
    assert_eq!(elements, [400, 0, 0], "what is not counted has no elements");
    assert!(found.iter().all(|file| file.tail.is_none()));
}
