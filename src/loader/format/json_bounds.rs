//! Bounds what a JSON document takes in memory before it is parsed: how deep it nests, and how much its
//! values take as a tree. A document of 16 MiB can become a gigabyte.

/// Deepest nesting. Documents of published models have less than 20.
const DEEPEST: usize = 100;

/// What a value, a list and an object take in memory, in bytes, beside their text.
const VALUE: usize = 64;
const LIST: usize = 64;
const OBJECT: usize = 512;

/// Checks a document against a bound of the memory that it takes as a tree. Whether it is JSON is not
/// checked: what is none takes no memory.
///
/// # Errors
/// What is beyond the bound.
pub fn check(text: &[u8], most: usize) -> Result<(), String> {
    let (mut depth, mut bytes, mut at) = (0_usize, 0_usize, 0_usize);
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let start = at;
                // To the quote that ends it. Behind a backslash stands no such quote.
                while let Some(byte) = text.get(at).filter(|byte| **byte != b'"') {
                    at += if *byte == b'\\' { 2 } else { 1 };
                }
                at += 1;
                bytes += at.saturating_sub(start);
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > DEEPEST {
                    return Err(format!("nested more than {DEEPEST} deep at byte {}", at - 1));
                }
                bytes += VALUE + if *byte == b'{' { OBJECT } else { LIST };
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' | b':' => bytes += VALUE,
            _ => {}
        }
        if bytes > most {
            return Err(format!("values of more than {} MiB in memory", most >> 20));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn depth_and_memory_are_bounded_and_texts_are_no_structure() {
        let deep = |count: usize| "[".repeat(count) + &"]".repeat(count);
        assert!(check(deep(100).as_bytes(), 1 << 20).is_ok());
        assert!(check(deep(101).as_bytes(), 1 << 20).is_err());
        assert!(check(format!("[{}0]", "{},".repeat(1000)).as_bytes(), 1 << 20).is_ok());
        assert!(check(format!("[{}0]", "{},".repeat(2000)).as_bytes(), 1 << 20).is_err());
        let text = format!("{{\"a\\\"{}\":0}}", deep(1000));
        assert!(check(text.as_bytes(), 1 << 20).is_ok());
        for cut in ["\"", "\"\\", "[\"a", "{\"\\\""] {
            assert!(check(cut.as_bytes(), 1 << 20).is_ok(), "{cut}");
        }
    }
}
