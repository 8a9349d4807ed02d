//! `--seed`: one spelling for all commands.

/// Digits of a seed as reports print it.
const DIGITS: usize = 16;

/// Reads a seed: a decimal number, or hex digits after `0x`. Sixteen hex digits alone are read as
/// hex, because reports print a seed so.
///
/// # Errors
/// A text that is none of them, or a number of more than 64 bits.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let hex = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => Some(digits),
        None => (text.len() == DIGITS).then_some(text),
    };
    let plain = |digits: &str| digits.chars().all(|digit| digit.is_ascii_hexdigit());
    match hex {
        Some(digits) if plain(digits) => u64::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        // `from_str` takes a sign.
        None => text.parse().ok().filter(|_| !text.starts_with('+')),
    }
    .ok_or_else(|| {
        "expected a decimal number, hex digits after `0x`, or 16 hex digits, below 2^64".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn seeds_are_decimal_or_hex() {
        for (text, wanted) in [
            ("0", 0),
            ("10", 10),
            ("0x10", 16),
            ("0XfF", 255),
            ("00000000000000aa", 0xaa),
            ("f9f65acc66f826be", 0xf9f6_5acc_66f8_26be),
            ("0xf9f65acc66f826be", 0xf9f6_5acc_66f8_26be),
            // Sixteen digits are hex, also where all of them are decimal.
            ("0000000000000010", 16),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "0x",
            "xyz",
            "ff",
            "-1",
            "+1",
            "1.5",
            "0x10000000000000000",
            "18446744073709551616",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("decimal") && error.contains("0x"), "{text}: {error}");
        }
    }
}
