//! Tests files that the format allows, and files that it forbids with the code of their refusal.

use crate::contract::Code;
use proptest::prelude::*;

use crate::contract::DType;
use crate::loader::format::safetensors::*;

fn read(head: &[u8], data: u64) -> Result<Header> {
    let header = parse(head)?;
    layout::check(&header, data)?;
    layout::check_held(&header.tensors)?;
    Ok(header)
}

/// A file with one tensor `a` with this entry, and `data` bytes of data.
fn entry(entry: &str, data: u64) -> std::result::Result<Header, Code> {
    read(format!("{{\"a\":{entry}}}").as_bytes(), data).map_err(|error| error.code())
}

fn text(text: &str, data: u64) -> std::result::Result<Header, Code> {
    read(text.as_bytes(), data).map_err(|error| error.code())
}

const A: &str = r#"{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;

#[test]
fn accepts_the_legal_oddities() {
    assert!(entry(A, 8).is_ok());
    assert!(text("{}", 0).is_ok());
    assert!(text("{}      ", 0).is_ok());
    assert!(text("{ \n\t}", 0).is_ok(), "white space between tokens is JSON's own");
    assert!(entry(r#"{"dtype":"F32","shape":[],"data_offsets":[0,4]}"#, 4).is_ok());
    let rank100 =
        format!(r#"{{"dtype":"F16","shape":[{}],"data_offsets":[0,2]}}"#, vec!["1"; 100].join(","));
    assert_eq!(entry(&rank100, 2).unwrap().tensors[0].shape.len(), 100);
    for at in [0, 8] {
        let empty = format!(
            r#"{{"a":{A},"e":{{"dtype":"BF16","shape":[0,7],"data_offsets":[{at},{at}]}}}}"#
        );
        assert!(text(&empty, 8).is_ok(), "empty tensor at {at}");
    }
    let odd = r#"{"b":{"data_offsets":[1,5],"shape":[1],"dtype":"F32"},
        "":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    assert_eq!(text(odd, 5), Err(Code::UnsupportedDtype), "odd offsets pass, U8 is not held");
    let huge = r#"{"dtype":"F32","shape":[0,9223372036854775807,4],"data_offsets":[0,0]}"#;
    assert!(entry(huge, 0).is_ok(), "no elements, whatever the later dimensions");
    let metadata = text(r#"{"__metadata__":{"k":"v","l":""}}"#, 0).unwrap().metadata.unwrap();
    assert_eq!(metadata["k"], "v");
}

#[test]
fn refuses_bad_text() {
    for (head, code) in [
        ("", Code::HeaderNotJson),
        (" {}", Code::HeaderPadding),
        ("\u{feff}{}", Code::HeaderPadding),
        ("\n{}", Code::HeaderPadding),
        ("[]", Code::HeaderPadding),
        ("null", Code::HeaderPadding),
        ("{}\t", Code::HeaderPadding),
        ("{}  \n", Code::HeaderPadding),
        ("{}\0\0", Code::HeaderPadding),
        ("{}x", Code::HeaderNotJson),
        ("{}{}", Code::HeaderNotJson),
        ("{", Code::HeaderNotJson),
        ("{\"a\":1,}", Code::HeaderNotJson),
        ("{/**/}", Code::HeaderNotJson),
        ("{\"a\nb\":{}}", Code::HeaderNotJson),
        ("{\"\\ud800\":{}}", Code::HeaderNotJson),
    ] {
        assert_eq!(text(head, 0), Err(code), "{head:?}");
    }
    let not_utf8 = parse(b"{\"\xff\":{}}").unwrap_err();
    assert_eq!(not_utf8.code(), Code::HeaderNotUtf8);
    assert_eq!(not_utf8.failure().actual.as_deref(), Some("an invalid sequence at byte 2"));
}

#[test]
fn broken_text_counts_before_wrong_fields() {
    for (head, code) in [
        (r#"{"a":1,"b":}"#, Code::HeaderNotJson),
        (r#"{"a":{"dtype":1},"b":{"k":1,"k":2}}"#, Code::DuplicateKey),
        (r#"{"a":1}x"#, Code::HeaderNotJson),
        ("{\"a\":1} \t", Code::HeaderPadding),
        (r#"{"a":1} "#, Code::InvalidField),
    ] {
        assert_eq!(text(head, 0), Err(code), "{head:?}");
    }
}

#[test]
fn refuses_duplicates_everywhere() {
    for head in [
        format!(r#"{{"a":{A},"a":{A}}}"#),
        format!(r#"{{"a":{A},"\u0061":{A}}}"#),
        r#"{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#.to_string(),
        r#"{"__metadata__":{},"__metadata__":{}}"#.to_string(),
        r#"{"__metadata__":{"k":"1","k":"1"}}"#.to_string(),
    ] {
        assert_eq!(text(&head, 8), Err(Code::DuplicateKey), "{head}");
    }
}

#[test]
fn refuses_bad_fields() {
    let full = |dtype: &str, shape: &str, offsets: &str| {
        entry(&format!(r#"{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}}}"#), 8)
    };
    for shape in [
        "2",
        "null",
        "[-2]",
        "[2.0]",
        "[2e0]",
        "[-0]",
        "[\"2\"]",
        "[true]",
        "[{}]",
        "{}",
        "[18446744073709551616]",
        "[null]",
        "[[2]]",
    ] {
        assert_eq!(full("\"F32\"", shape, "[0,8]"), Err(Code::InvalidField), "shape {shape}");
    }
    for offsets in [
        "[0]",
        "[0,4,8]",
        "[]",
        "8",
        "\"0,8\"",
        "{}",
        "[-1,8]",
        "[0.0,8]",
        "[false,8]",
        "[\"0\",8]",
        "[0,18446744073709551616]",
    ] {
        assert_eq!(full("\"F32\"", "[2]", offsets), Err(Code::InvalidField), "offsets {offsets}");
    }
    for dtype in ["null", "1", "{\"F32\":null}", "[\"F32\"]"] {
        assert_eq!(full(dtype, "[2]", "[0,8]"), Err(Code::InvalidField), "dtype {dtype}");
    }
    for dtype in ["\"f32\"", "\"FP32\"", "\"\"", "\"F32 \""] {
        assert_eq!(full(dtype, "[2]", "[0,8]"), Err(Code::UnknownDtype), "dtype {dtype}");
    }
    assert_eq!(full("\"F32\"", "[02]", "[0,8]"), Err(Code::HeaderNotJson));
    assert_eq!(full("\"F32\"", "[NaN]", "[0,8]"), Err(Code::HeaderNotJson));
    for info in ["null", "3", "\"x\"", "[\"F32\",[2],[0,8]]", "true"] {
        assert_eq!(entry(info, 8), Err(Code::InvalidField), "entry {info}");
    }
    for missing in [
        "{}",
        r#"{"shape":[2],"data_offsets":[0,8]}"#,
        r#"{"dtype":"F32","data_offsets":[0,8]}"#,
        r#"{"dtype":"F32","shape":[2]}"#,
    ] {
        assert_eq!(entry(missing, 8), Err(Code::MissingField), "{missing}");
    }
    let extra = r#"{"dtype":"F32","shape":[2],"data_offsets":[0,8],"strides":[1]}"#;
    assert_eq!(entry(extra, 8), Err(Code::UnknownField));
    for metadata in ["null", "[]", "\"x\"", "{\"k\":1}", "{\"k\":null}", "{\"k\":{}}"] {
        let head = format!(r#"{{"__metadata__":{metadata}}}"#);
        assert_eq!(text(&head, 0), Err(Code::InvalidMetadata), "{metadata}");
    }
}

#[test]
fn refuses_bad_layouts() {
    let one = |dtype: &str, shape: &str, offsets: &str, data: u64| {
        entry(&format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#), data)
    };
    assert_eq!(one("F32", "[2]", "[8,0]", 8), Err(Code::OffsetsReversed));
    assert_eq!(one("F32", "[2]", "[0,4]", 4), Err(Code::SizeMismatch));
    assert_eq!(one("F32", "[2]", "[0,12]", 12), Err(Code::SizeMismatch));
    assert_eq!(one("F32", "[4294967296,4294967296]", "[0,8]", 8), Err(Code::SizeOverflow));
    assert_eq!(one("F64", "[2305843009213693952]", "[0,8]", 8), Err(Code::SizeOverflow));
    assert_eq!(one("F4", "[3]", "[0,2]", 2), Err(Code::SizeMismatch), "three nibbles");
    assert_eq!(one("F4", "[4]", "[0,2]", 2), Err(Code::UnsupportedDtype));
    assert_eq!(one("F32", "[2]", "[0,8]", 7), Err(Code::Truncated));
    assert_eq!(one("F32", "[2]", "[0,8]", 0), Err(Code::Truncated));
    assert_eq!(one("F32", "[2]", "[0,8]", 9), Err(Code::TrailingBytes));
    assert_eq!(one("F32", "[2]", "[1,9]", 9), Err(Code::Gap));
    assert_eq!(one("F32", "[0]", "[9,9]", 8), Err(Code::Truncated));
    assert_eq!(text("{}", 1), Err(Code::TrailingBytes));
    for (shape, at) in [("[9223372036854775807,4,0]", 0), ("[4611686018427387904,4,0,1]", 8)] {
        let empty = format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[{at},{at}]}}"#);
        let listed = [format!(r#"{{"e":{empty},"a":{A}}}"#), format!(r#"{{"a":{A},"e":{empty}}}"#)];
        for head in listed {
            assert_eq!(text(&head, 8), Err(Code::SizeOverflow), "{head}");
        }
    }
    for at in [1, 4, 7] {
        let empty = format!(r#"{{"dtype":"BF16","shape":[0,7],"data_offsets":[{at},{at}]}}"#);
        let listed = [format!(r#"{{"e":{empty},"a":{A}}}"#), format!(r#"{{"a":{A},"e":{empty}}}"#)];
        for head in listed {
            assert_eq!(text(&head, 8), Err(Code::Overlap), "{head}");
        }
    }
    let two = |first: &str, second: &str, data: u64| {
        let info = |shape: &str, offsets: &str| {
            format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}"#)
        };
        text(&format!(r#"{{"a":{},"b":{}}}"#, info("[2]", first), info("[2]", second)), data)
    };
    assert!(two("[8,16]", "[0,8]", 16).is_ok(), "any listing order");
    assert_eq!(two("[0,8]", "[0,8]", 8), Err(Code::Overlap));
    assert_eq!(two("[0,8]", "[4,12]", 12), Err(Code::Overlap));
    assert_eq!(two("[0,8]", "[12,20]", 20), Err(Code::Gap));
    assert_eq!(two("[8,16]", "[0,8]", 12), Err(Code::Truncated));
}

#[test]
fn names_the_tensor_and_the_dtype() {
    let head = r#"{"w":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}"#;
    let error = read(head.as_bytes(), 8).unwrap_err();
    assert_eq!(error.failure().tensor.as_deref(), Some("w"));
    assert_eq!(error.failure().dtype, Some(DType::F64));
    assert!(error.failure().expected.is_some() && error.failure().remedy.is_some());
}

#[test]
fn reads_the_prefix() {
    let code = |head: &[u8], bytes: u64| text_length(head, bytes).map_err(|error| error.code());
    assert_eq!(code(b"", 0), Err(Code::TooShort));
    assert_eq!(code(&[2, 0, 0, 0, 0, 0, 0], 7), Err(Code::TooShort));
    assert_eq!(code(b"\x02\0\0\0\0\0\0\0{}", 10), Ok(2));
    assert_eq!(code(b"\x03\0\0\0\0\0\0\0{}", 10), Err(Code::HeaderTruncated));
    assert_eq!(code(&100_000_000u64.to_le_bytes(), u64::MAX), Ok(100_000_000));
    for length in [100_000_001, 1 << 63, u64::MAX, 2u64.swap_bytes()] {
        assert_eq!(code(&length.to_le_bytes(), 1000), Err(Code::HeaderTooLarge), "{length}");
    }
}

#[test]
fn names_foreign_content() {
    let code = |head: &[u8]| text_length(head, 4096).map_err(|error| error.code());
    for (head, expected) in [
        (&b"version https://git-lfs.github.com/spec/v1\noid sha256:00"[..], Code::GitLfsPointer),
        (b"<!DOCTYPE html><html>", Code::HtmlPage),
        (b"\n  <HTML lang=en>", Code::HtmlPage),
        (b"<html>", Code::HtmlPage),
        (b"<?xml version='1.0'?><Error>", Code::ForeignFormat),
        (b"PK\x03\x04\x00\x00\x08\x08\x00\x00\x00", Code::Pickle),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j", Code::Pickle),
        (b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x00", Code::Pickle),
        (b"\x80\x02}q\x00.", Code::Pickle),
        (b"GGUF\x03\0\0\0\x01", Code::Gguf),
        (b"\xde\xad\xbe\xef\xde\xad\xbe\xef\xde", Code::HeaderTooLarge),
    ] {
        assert_eq!(code(head), Err(expected), "{head:?}");
    }
    assert_eq!(code(b"\x80\x02\0\0\0\0\0\0{\"a\":"), Ok(640), "a length, not a pickle");
}

/// An allowed file: tensors without gaps, listed in another order, some without elements.
fn legal() -> impl Strategy<Value = (Vec<TensorInfo>, Vec<usize>, u64)> {
    let shape = prop::collection::vec(0u64..5, 0..4);
    let tensor = (shape, prop::sample::select(layout::HELD.to_vec()));
    prop::collection::vec(tensor, 0..6).prop_flat_map(|specs| {
        let mut offset = 0;
        let tensors: Vec<TensorInfo> = specs
            .into_iter()
            .enumerate()
            .map(|(index, (shape, dtype))| {
                let begin = offset;
                offset += shape.iter().product::<u64>() * dtype.bits() / 8;
                TensorInfo { name: format!("t{index}\n"), dtype, shape, begin, end: offset }
            })
            .collect();
        let order: Vec<usize> = (0..tensors.len()).collect();
        (Just(tensors), Just(order).prop_shuffle(), Just(offset))
    })
}

fn write(tensors: &[TensorInfo], order: &[usize]) -> String {
    let entries: Vec<String> = order
        .iter()
        .map(|index| {
            let TensorInfo { name, dtype, shape, begin, end } = &tensors[*index];
            let name = serde_json::to_string(name).unwrap();
            format!(
                r#"{name}:{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{begin},{end}]}}"#
            )
        })
        .collect();
    format!("{{{}}}", entries.join(","))
}

proptest! {
    #[test]
    fn reads_back_every_legal_header((tensors, order, data) in legal(), pad in 0usize..9) {
        let header = read((write(&tensors, &order) + &" ".repeat(pad)).as_bytes(), data).unwrap();
        let listed: Vec<TensorInfo> = order.iter().map(|index| tensors[*index].clone()).collect();
        prop_assert_eq!(header.tensors, listed);
        prop_assert!(read(write(&tensors, &order).as_bytes(), data + 1).is_err());
    }

    #[test]
    fn never_panics_on_random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = text_length(&bytes, bytes.len() as u64);
        let _ = read(&bytes, 8);
    }

    #[test]
    fn never_panics_on_damaged_headers(
        (tensors, order, data) in legal(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut text = write(&tensors, &order).into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        match read(&text, data) {
            Ok(header) => prop_assert!(header.tensors.iter().all(|tensor| tensor.end <= data)),
            Err(error) => {
                let json = std::str::from_utf8(&text).ok().filter(|text| text.starts_with('{'));
                if let Some(Err(broken)) = json.map(json::check) {
                    prop_assert_eq!(error, refused(broken));
                }
            }
        }
    }
}
