//! Tests the beginning of a file, and the values under its keys.

use super::{
    Stored, array, check, flag, llama, number, numbers, read, refused, signed, text, texts,
};
use super::{whole, with};
use crate::contract::Code;

#[test]
fn a_beginning_of_another_file_is_refused() {
    let whole = llama().bytes();
    let begin = |new: &[u8]| [new, &whole[new.len()..]].concat();
    let version = |number: u32| [&b"GGUF"[..], &number.to_le_bytes(), &whole[8..]].concat();
    let short = "at least 24 bytes";
    let wanted = "version 2 or 3, little-endian";
    for (of, bytes, code, expected, actual) in [
        ("two bytes", whole[..2].to_vec(), Code::TooShort, short, "2 bytes"),
        ("23 bytes", whole[..23].to_vec(), Code::TooShort, short, "23 bytes"),
        (
            "another magic",
            begin(b"GGML"),
            Code::ForeignFormat,
            "a file in GGUF",
            r#"a file that begins "GGML\x03\x00\x00\x00""#,
        ),
        ("a page", begin(b"<html>"), Code::HtmlPage, "a file in GGUF", "a web page"),
        ("version 1", version(1), Code::InvalidHeader, wanted, "version 1"),
        (
            "big-endian",
            version(3u32.swap_bytes()),
            Code::InvalidHeader,
            wanted,
            "version 3 in big-endian order",
        ),
    ] {
        let error = read(&bytes).expect_err(of);
        check(&error, (code, expected, actual), of);
    }
    assert!(read(&version(2)).is_ok(), "version 2");
}

#[test]
fn counts_that_the_file_has_no_room_for_are_refused() {
    let mut bytes = llama().bytes();
    bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    let room = (bytes.len() - 24) / 32;
    let wanted =
        (Code::HeaderTruncated, &*format!("at most {room} tensors"), "18446744073709551615");
    check(&read(&bytes).expect_err("tensors"), wanted, "tensors");
    let mut bytes = llama().bytes();
    bytes[16..24].copy_from_slice(&1000u64.to_le_bytes());
    let room = (bytes.len() - 24) / 13;
    let wanted = (Code::HeaderTruncated, &*format!("at most {room} keys"), "1000");
    check(&read(&bytes).expect_err("keys"), wanted, "keys");
    bytes.resize(24 + 13 * 65_537, 0);
    bytes[16..24].copy_from_slice(&65_537u64.to_le_bytes());
    let wanted = (Code::HeaderTooLarge, "at most 65536 keys", "65537");
    check(&read(&bytes).expect_err("keys"), wanted, "keys");
}

#[test]
fn a_value_of_each_type_is_read_as_it_is() {
    let (one, two) = ([1; 8], [2; 8]);
    let elements = |kind: u32, width: usize| array(kind, &[&one[..width], &two[..width]]);
    for (value, shown) in [
        (Stored(0, vec![200]), "200"),
        (Stored(1, vec![0xff]), "-1"),
        (Stored(2, vec![0xff, 0xff]), "65535"),
        (Stored(3, vec![0xfe, 0xff]), "-2"),
        (whole(u32::MAX), "4294967295"),
        (signed(-3), "-3"),
        (number(0.5), "0.5"),
        (flag(true), "true"),
        (flag(false), "false"),
        (text("a\"b"), r#""a\"b""#),
        (Stored(10, u64::MAX.to_le_bytes().to_vec()), "18446744073709551615"),
        (Stored(11, i64::MIN.to_le_bytes().to_vec()), "-9223372036854775808"),
        (Stored(12, 0.1f64.to_le_bytes().to_vec()), "0.1"),
        (texts(&["a", "b", "c"]), "3 texts"),
        (elements(0, 1), "2 whole numbers"),
        (elements(10, 8), "2 whole numbers"),
        (numbers(&[0.5]), "1 numbers"),
        (elements(7, 1), "an array"),
        (elements(12, 8), "an array"),
    ] {
        // A key that the reader does not know goes along in the configuration.
        let config = with("strange.key", value).config();
        assert_eq!(config["strange.key"], shown);
    }
}

#[test]
fn an_array_of_each_type_has_its_numbers() {
    for (kind, heads) in [
        (0u32, &2u8.to_le_bytes()[..]),
        (1, &2i8.to_le_bytes()),
        (2, &2u16.to_le_bytes()),
        (3, &2i16.to_le_bytes()),
        (4, &2u32.to_le_bytes()),
        (5, &2i32.to_le_bytes()),
        (10, &2u64.to_le_bytes()),
        (11, &2i64.to_le_bytes()),
    ] {
        let file = with("llama.block_count", whole(3));
        let file = file.and("llama.attention.head_count", array(kind, &[heads; 3]));
        assert_eq!(file.config()["num_attention_heads"], 2, "type {kind}");
    }
    let negative = |kind, bytes: &[u8]| {
        let file = with("llama.attention.head_count", array(kind, &[bytes]));
        let wanted = (Code::InvalidField, "whole numbers, 0 or more", "another value or type");
        check(&refused(&file, "a negative number"), wanted, "a negative number");
    };
    negative(1, &[0xfe]);
    negative(3, &[0xfe, 0xff]);
    negative(5, &(-2i32).to_le_bytes());
    negative(11, &(-2i64).to_le_bytes());
    negative(10, &u64::MAX.to_le_bytes());
}

#[test]
fn values_that_the_format_does_not_have_are_refused() {
    let types = "a type from 0 to 12; within an array none that is an array";
    let long = array(0, &[&vec![0; (1 << 20) + 1]]);
    let mut counted = long.1[..4].to_vec();
    counted.extend_from_slice(&((1u64 << 20) + 1).to_le_bytes());
    counted.extend_from_slice(&long.1[12..]);
    for (value, code, expected, actual) in [
        (Stored(7, vec![2]), Code::InvalidField, "0 or 1", "another value or type"),
        (Stored(13, vec![0]), Code::InvalidField, types, "13"),
        (array(9, &[]), Code::InvalidField, types, "9"),
        (
            Stored(8, [&1u64.to_le_bytes()[..], b"\xff"].concat()),
            Code::HeaderNotUtf8,
            "UTF-8",
            "an invalid sequence at byte 0",
        ),
        (
            Stored(9, counted),
            Code::HeaderTooLarge,
            "at most 1048576 elements of an array",
            "1048577",
        ),
    ] {
        let error = refused(&with("strange.key", value), expected);
        check(&error, (code, expected, actual), expected);
    }
    let file = llama().and("k\u{e9}y", whole(1));
    let wanted = (Code::InvalidField, "keys in ASCII", "\"k\u{e9}y\"");
    check(&refused(&file, "a key"), wanted, "a key that is not ASCII");
    let mut file = llama();
    file.keys.push(file.keys[1].clone());
    let wanted = (Code::DuplicateKey, "every key once", "\"llama.block_count\"");
    check(&refused(&file, "a key"), wanted, "a key twice");
    let long = "k".repeat(65_536);
    let wanted = (Code::InvalidField, "at most 65535 bytes", "65536 bytes");
    check(&refused(&with(&long, whole(1)), "a key"), wanted, "a long key");
}

#[test]
fn a_key_whose_value_is_of_another_kind_is_refused() {
    let llama_words = || with("tokenizer.ggml.model", text("llama"));
    let scored = || llama_words().and("tokenizer.ggml.scores", numbers(&[0.0]));
    let listed = || scored().and("tokenizer.ggml.tokens", texts(&["a"]));
    for (key, file, wanted) in [
        ("llama.block_count", with("llama.block_count", text("1")), "a whole number"),
        ("llama.block_count", with("llama.block_count", signed(-1)), "a whole number, 0 or more"),
        ("llama.rope.freq_base", with("llama.rope.freq_base", whole(10_000)), "a number"),
        ("general.architecture", with("general.architecture", whole(1)), "a text"),
        (
            "tokenizer.ggml.tokens",
            scored().and("tokenizer.ggml.tokens", whole(1)),
            "an array of texts",
        ),
        (
            "tokenizer.ggml.scores",
            llama_words().and("tokenizer.ggml.scores", texts(&[])),
            "an array of numbers",
        ),
        (
            "tokenizer.ggml.token_type",
            listed().and("tokenizer.ggml.token_type", numbers(&[1.0])),
            "an array of whole numbers",
        ),
        (
            "tokenizer.ggml.add_bos_token",
            listed().and("tokenizer.ggml.add_bos_token", whole(1)),
            "a flag",
        ),
    ] {
        let error = refused(&file, key);
        check(&error, (Code::InvalidField, wanted, "another value or type"), key);
        assert_eq!(error.failure().message, format!("\"{key}\" has a wrong value"));
    }
}

#[test]
fn data_begins_at_the_alignment_that_the_file_names() {
    let mut file = with("general.alignment", whole(256));
    file.alignment = 256;
    file.tensors.truncate(1);
    file.data = 256;
    let model = file.read().expect("a sound file");
    assert_eq!(model.files[0].data.start % 256, 0);
    assert_eq!(model.files[0].data.end, file.bytes().len() as u64);
    for wrong in [4u32, 48, 131_072] {
        let error = refused(&with("general.alignment", whole(wrong)), "an alignment");
        let wanted = (Code::InvalidField, "a power of two from 8 to 65536", &*wrong.to_string());
        check(&error, wanted, "an alignment");
    }
}
