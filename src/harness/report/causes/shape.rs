//! Reduces a text to its shape: what is left once paths, names, shapes, numbers and digests are taken out.
//! Two failures of one fault differ only in these.

/// The longest shape that is compared.
const LONGEST: usize = 240;

/// A text without what changes from case to case. Element types stay.
pub fn shape(text: &str) -> String {
    reduced(text, true)
}

/// What a loader says, without what changes from case to case. It may name the type that it was given.
pub fn shape_of_message(text: &str) -> String {
    reduced(text, false)
}

fn reduced(text: &str, with_dtypes: bool) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (taken, word) = next(rest, first, out.chars().next_back(), with_dtypes);
        out.push_str(&word);
        rest = &rest[taken..];
        if out.len() > LONGEST {
            break;
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How many bytes of a text to take, and what they become.
fn next(text: &str, first: char, before: Option<char>, with_dtypes: bool) -> (usize, String) {
    let apart = !before.is_some_and(char::is_alphanumeric);
    if (matches!(first, '"' | '`') || (first == '\'' && apart))
        && let Some(end) = closing(text, first)
    {
        let inside = &text[1..end];
        let kept = if with_dtypes && is_dtype(inside) { inside } else { "*" };
        return (end + 1, kept.to_owned());
    }
    if first == '['
        && let Some(end) = text.find(']')
        && text[1..end].chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | ',' | '-'))
    {
        return (end + 1, "[*]".to_owned());
    }
    let end = text.find(|c| !is_of_word(c)).unwrap_or(text.len());
    match text[..end].trim_end_matches(['.', '-', '/']) {
        "" => (first.len_utf8(), first.to_string()),
        word if is_dtype(word) => {
            (word.len(), if with_dtypes { word.to_owned() } else { "*".to_owned() })
        }
        word => (word.len(), of_word(word)),
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | '+')
}

/// The end of a quotation, where there is one.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().skip(1).find_map(|(at, c)| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })
}

fn of_word(word: &str) -> String {
    let is_digest = word.len() >= 16 && word.chars().all(|c| c.is_ascii_hexdigit());
    if is_digest || word.starts_with("0x") || word.parse::<f64>().is_ok_and(f64::is_finite) {
        "#".to_owned()
    } else if is_name(word) {
        "*".to_owned()
    } else {
        without_digits(word)
    }
}

/// Whether a word is a path, or the name of a file or of a tensor.
fn is_name(word: &str) -> bool {
    let dotted = word.matches('.').count() > 1 && word.chars().any(char::is_alphabetic);
    let ending = word.rsplit_once('.').map_or("", |(_, ending)| ending);
    let known = ["safetensors", "json", "gguf", "apr", "bin", "weight", "bias"].contains(&ending);
    word.starts_with(['/', '.']) || dotted || known
}

fn without_digits(word: &str) -> String {
    let mut out = String::new();
    for c in word.chars() {
        match c.is_ascii_digit() {
            false => out.push(c),
            true if out.ends_with('#') => {}
            true => out.push('#'),
        }
    }
    out
}

/// Whether a word is an element type of a weight file: `F32`, `BF16`, `F8_E4M3`, `I64`, `Q4_0`.
fn is_dtype(word: &str) -> bool {
    let width = word.trim_start_matches("BF").trim_start_matches(['F', 'I', 'U', 'C', 'Q']);
    word == "BOOL"
        || (width.len() < word.len()
            && word.len() <= 12
            && width.starts_with(|c: char| c.is_ascii_digit())
            && width.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::{shape, shape_of_message};

    #[test]
    fn what_changes_from_case_to_case_goes_and_the_rest_stays() {
        for (text, wanted) in [
            ("1.55e0 off at value 3675: 8.433062, not -7.340928", "# off at value #: #, not #"),
            ("\"w0\": byte 0 is 0x08", "*: byte # is #"),
            ("\"w\" BF16 as F32 [2, 30], 24 bytes", "* BF16 as F32 [*], # bytes"),
            (
                "Refused/Header/shape_mismatch: model.layers.0.q_proj.weight, got: [24, 23]",
                "Refused/Header/shape_mismatch: *, got: [*]",
            ),
            ("cannot open /tmp/.tmpA/x.safetensors: No such file", "cannot open *: No such file"),
            ("the codec can't encode 'a b' at 7", "the codec can't encode * at #"),
            ("unknown variant `F64`, expected `F32`", "unknown variant F64, expected F32"),
            ("tensor 't7' of layers12", "tensor * of layers#"),
            ("killed by signal SIGSEGV (11)", "killed by signal SIGSEGV (#)"),
            ("digest 91e03a6afb9d36fd91e03a6afb9d36fd", "digest #"),
            ("an \"open end", "an \"open end"),
            ("loaded", "loaded"),
        ] {
            assert_eq!(shape(text), wanted);
        }
        assert_eq!(shape_of_message("unknown variant `I64`, not F32"), "unknown variant *, not *");
        assert!(shape(&"word ".repeat(1000)).len() < 300);
    }
}
