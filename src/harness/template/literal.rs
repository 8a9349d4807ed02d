//! Quoted texts and numbers.

use super::fault::{Result, failed, unknown};

/// The content of a quoted text, with Python's escapes.
pub fn unescaped(inner: &str) -> Result<String> {
    let mut out = String::with_capacity(inner.len());
    let mut letters = inner.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        let Some(code) = letters.next() else { return failed("a text that ends in a backslash") };
        match code {
            '\n' => {}
            '\\' | '\'' | '"' => out.push(code),
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\u{b}'),
            'x' | 'u' | 'U' => {
                let width = match code {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let digits: String = letters.by_ref().take(width).collect();
                let value = u32::from_str_radix(&digits, 16).ok();
                let Some(value) = value.filter(|_| digits.len() == width) else {
                    return failed(format!("the escape \\{code}{digits} is not complete"));
                };
                match char::from_u32(value) {
                    Some(letter) => out.push(letter),
                    None => return unknown(format!("the escape \\{code}{digits}")),
                }
            }
            '0'..='7' => {
                let mut value = code.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = letters.peek().and_then(|next| next.to_digit(8)) else {
                        break;
                    };
                    value = value * 8 + digit;
                    letters.next();
                }
                out.extend(char::from_u32(value));
            }
            'N' => return unknown("the escape \\N"),
            other => {
                out.push('\\');
                out.push(other);
            }
        }
    }
    Ok(out)
}

/// A number at the start of a text: its length, and whether it is a float.
pub fn number_length(text: &str) -> Option<(usize, bool)> {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        let mut end = from;
        while bytes.get(end).is_some_and(u8::is_ascii_digit)
            || (end > from
                && bytes.get(end) == Some(&b'_')
                && bytes.get(end + 1).is_some_and(u8::is_ascii_digit))
        {
            end += 1;
        }
        end
    };
    if bytes.first() == Some(&b'0') && bytes.get(1).is_some_and(|kind| b"bBoOxX".contains(kind)) {
        let rest = bytes[2..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        return Some((2 + rest, false));
    }
    let whole = digits(0);
    if whole == 0 {
        return None;
    }
    let mut end = whole;
    if bytes.get(end) == Some(&b'.') && digits(end + 1) > end + 1 {
        end = digits(end + 1);
    }
    if bytes.get(end).is_some_and(|byte| b"eE".contains(byte)) {
        let signed = bytes.get(end + 1).is_some_and(|byte| b"+-".contains(byte));
        let from = end + 1 + usize::from(signed);
        if digits(from) > from {
            end = digits(from);
        }
    }
    Some((end, end > whole))
}

/// The value of an integer as it is written.
pub fn integer(text: &str) -> Result<i64> {
    let plain = text.replace('_', "");
    if plain.starts_with('0')
        && plain.bytes().all(|one| one.is_ascii_digit())
        && !plain.trim_matches('0').is_empty()
    {
        return failed(format!("the number {text} begins with a zero"));
    }
    let value = match plain.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => i64::from_str_radix(&plain[2..], 16),
        Some("0o") => i64::from_str_radix(&plain[2..], 8),
        Some("0b") => i64::from_str_radix(&plain[2..], 2),
        _ => plain.parse(),
    };
    value.or_else(|_| unknown(format!("the number {text}")))
}
