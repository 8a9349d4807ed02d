//! Tests the grammar with accepted and refused texts.

use crate::loader::format::safetensors::json::*;
use proptest::prelude::*;

#[test]
fn accepts_what_the_grammar_has() {
    for text in [
        "{}",
        "[]",
        "0",
        "-0",
        "-1.5e+10",
        "2E3",
        "true",
        "null",
        r#""""#,
        r#"{ "a" : [ 1 , { "b" : false } ] }"#,
        r#""\"\\\/\b\f\n\r\té""#,
        "\"\u{7f}\u{202e}é\"",
    ] {
        assert_eq!(check(text), Ok(text.len()), "{text}");
    }
}

#[test]
fn refuses_what_it_has_not() {
    for text in [
        "",
        "{",
        "[",
        "{]",
        "[1,]",
        "{\"a\":1,}",
        "{,}",
        "[,1]",
        "01",
        "-",
        "1.",
        ".5",
        "+1",
        "1e",
        "NaN",
        "Infinity",
        "tru",
        "'a'",
        "{a:1}",
        "{\"a\" 1}",
        "{\"a\":}",
        "// x",
        "/**/1",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"a\nb\"",
        "\"a\u{0}\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800x\"",
        "\u{feff}{}",
        "{1:2}",
        "\"\\u+123\"",
    ] {
        assert!(check(text).is_err(), "{text:?}");
    }
}

#[test]
fn decodes_escapes() {
    let text = |source: &str| Cursor::new(source).string().map(Cow::into_owned);
    assert_eq!(text(r#""x\u0061\ud83d\ude00y""#), Ok("xa\u{1f600}y".into()));
    assert_eq!(text(r#""plain""#), Ok("plain".into()));
}

#[test]
fn finds_duplicates_at_any_level_after_decoding() {
    for text in [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":1}"#, r#"[{"x":{"k":1,"l":2,"k":3}}]"#] {
        assert!(matches!(check(text), Err(JsonError::Duplicate { .. })), "{text}");
    }
    assert!(check(r#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
    for second in [0, 3, 4, 9] {
        let keys = (0..10).chain([second]).map(|key| format!(r#""key{key}":0"#));
        let text = format!("{{{}}}", keys.collect::<Vec<_>>().join(","));
        let wanted = JsonError::Duplicate { at: 91, key: format!("key{second}") };
        assert_eq!(check(&text), Err(wanted), "{text}");
    }
}

#[test]
fn bounds_nesting() {
    let nest = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(check(&nest(MAX_DEPTH)).is_ok());
    assert!(check(&nest(100_000)).is_err());
}

proptest! {
    #[test]
    fn never_panics_and_agrees_with_serde_json(text in r#"[\[\]{}",:0-9a-z\\ .eE+-]{0,40}"#) {
        let ours = check(&text).map(|end| text[end..].trim_ascii().is_empty());
        if ours == Ok(true) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok()
                || text.contains(['e', 'E']), "{}", text);
        } else if !matches!(ours, Err(JsonError::Duplicate { .. })) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_err(), "{}", text);
        }
    }
}
