//! Tests the table of tensors.

use super::{File, check, llama, refused, whole, with};
use crate::contract::{Code, DType};
use crate::loader::format::blocks::Packing;

/// A llama with these tensors only.
fn listed(tensors: &[(&str, &[u64], u32, u64)]) -> File {
    let mut file = llama();
    file.tensors = tensors
        .iter()
        .map(|(name, sides, kind, offset)| ((*name).to_owned(), sides.to_vec(), *kind, *offset))
        .collect();
    file
}

#[test]
fn tensors_have_their_published_names_and_shapes() {
    let model = llama().read().expect("a sound file");
    let found = model.tensors.iter().map(|one| {
        let place = one.info.begin..one.info.end;
        (one.info.name.as_str(), one.info.shape.as_slice(), one.import.heads, place)
    });
    assert_eq!(
        found.collect::<Vec<_>>(),
        [
            ("model.embed_tokens.weight", &[5, 8][..], None, 0..160),
            ("model.layers.0.self_attn.q_proj.weight", &[8, 8], Some(2), 160..416),
        ]
    );
    // Only the family llama has rows in another order.
    let model = llama().of_family("qwen3").read().expect("a sound file");
    assert!(model.tensors.iter().all(|one| one.import.heads.is_none()));
    let mut file =
        listed(&[("blk.0.attn_k.weight", &[8, 4], 1, 0), ("blk.0.ffn_up.weight", &[32, 1], 8, 64)]);
    file.set("llama.attention.head_count_kv", whole(1));
    file.data = 98;
    let model = file.read().expect("a sound file");
    let found =
        model.tensors.iter().map(|one| (one.info.dtype, one.import.packing, one.import.heads));
    let packed = Packing::all().find(|packing| packing.name() == "Q8_0");
    assert!(packed.is_some());
    assert_eq!(
        found.collect::<Vec<_>>(),
        [(DType::F16, None, Some(1)), (DType::F32, packed, None)]
    );
}

#[test]
fn entries_that_contradict_themselves_are_refused() {
    let name = "output.weight";
    /// What is wrong, sides, type, offset, and what is told: a code, what was expected, and what was found.
    type Row<'r> = (&'r str, &'r [u64], u32, u64, Code, &'r str, &'r str);
    let cases: [Row<'_>; 8] = [
        ("no sides", &[], 0, 0, Code::InvalidField, "1 to 4", "0"),
        ("five sides", &[1; 5], 0, 0, Code::InvalidField, "1 to 4", "5"),
        ("an empty side", &[8, 0], 0, 0, Code::InvalidField, "sides of at least 1", "0"),
        ("no alignment", &[8], 0, 33, Code::InvalidLayout, "a multiple of 32", "33"),
        (
            "an end beyond 64 bits",
            &[8],
            0,
            u64::MAX - 31,
            Code::SizeOverflow,
            "a place below 2^64",
            "18446744073709551584",
        ),
        (
            "a shape beyond 64 bits",
            &[1 << 40, 1 << 40],
            0,
            0,
            Code::SizeOverflow,
            "a size below 2^64",
            "shape [1099511627776, 1099511627776]",
        ),
        (
            "a cut block",
            &[33],
            8,
            0,
            Code::InvalidLayout,
            "rows of a multiple of 32 elements",
            "33",
        ),
        ("beyond the end", &[8], 0, 32, Code::Gap, "a tensor that begins at byte 0", "32"),
    ];
    for (of, sides, kind, offset, code, expected, actual) in cases {
        let error = refused(&listed(&[(name, sides, kind, offset)]), of);
        check(&error, (code, expected, actual), of);
        let named = error.failure().tensor.as_deref().expect("a tensor");
        assert!([name, "lm_head.weight"].contains(&named), "{named}");
    }
    let long = "x".repeat(65);
    let wanted = (Code::InvalidField, "at most 64 bytes", "65 bytes");
    check(&refused(&listed(&[(&long, &[8], 0, 0)]), "a long name"), wanted, "a long name");
}

#[test]
fn element_types_that_are_not_read_are_refused_by_name() {
    for (kind, code, shown) in [
        (24, Code::UnsupportedDtype, "I8"),
        (31, Code::UnsupportedDtype, "Q4_0_4_4"),
        (99, Code::UnknownDtype, "type 99"),
    ] {
        let error = refused(&listed(&[("output.weight", &[8], kind, 0)]), shown);
        let failure = error.failure();
        assert_eq!((failure.code, failure.actual.as_deref()), (code, Some(shown)));
        let expected = failure.expected.as_deref().expect("what is read");
        assert!(expected.starts_with("F32, F16, BF16, Q4_0, "), "{expected}");
        assert_eq!(failure.tensor.as_deref(), Some("output.weight"));
    }
}

#[test]
fn tensors_that_the_family_does_not_have_are_refused() {
    for (file, name) in [
        (listed(&[("blk.0.ffn_gate_exps.weight", &[8], 0, 0)]), "blk.0.ffn_gate_exps.weight"),
        (listed(&[("rope_freqs.weight", &[8], 0, 0)]).of_family("qwen2"), "rope_freqs.weight"),
    ] {
        let wanted = "the tensors of qwen2, qwen3 or llama";
        let found = format!("\"{name}\"");
        check(&refused(&file, name), (Code::UnknownArchitecture, wanted, &found), name);
    }
    let mut file = listed(&[("rope_freqs.weight", &[2], 0, 0)]);
    file.data = 8;
    let model = file.read().expect("a llama may have divisors");
    assert_eq!(model.documents.rope_factors.as_deref(), Some("rope_freqs.weight"));
    assert_eq!(llama().read().expect("a sound file").documents.rope_factors, None);

    let twice = listed(&[("output.weight", &[8], 0, 0), ("output.weight", &[8], 0, 32)]);
    let wanted = (Code::DuplicateKey, "every name once", "\"output.weight\"");
    check(&refused(&twice, "a name"), wanted, "a name twice");
}

#[test]
fn rows_that_are_no_whole_heads_are_refused() {
    for (file, name, expected, actual) in [
        (
            listed(&[("blk.0.attn_q.weight", &[8, 6], 0, 0)]),
            "blk.0.attn_q.weight",
            "2 heads of an even size",
            "6 rows",
        ),
        (
            with("llama.attention.head_count_kv", whole(3)),
            "blk.0.attn_k.weight",
            "3 heads of an even size",
            "8 rows",
        ),
        (
            with("llama.attention.head_count_kv", whole(0)),
            "blk.0.attn_k.weight",
            "0 heads of an even size",
            "8 rows",
        ),
    ] {
        let mut file = file;
        if let Some(last) = file.tensors.last_mut() {
            last.0 = name.to_owned();
        }
        let error = refused(&file, name);
        check(&error, (Code::ShapeMismatch, expected, actual), name);
        assert_eq!(error.failure().tensor.as_deref(), Some(name));
    }
}
