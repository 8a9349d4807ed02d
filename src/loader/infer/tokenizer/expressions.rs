//! Bounds the regular expressions of a tokenizer. Those with a look at what follows are matched by trying,
//! and some would try for years.
//!
//! Only the form of an expression is read, not its meaning: groups, alternatives and repetitions. What the
//! published expressions of tokenizers have is allowed.

use crate::loader::error::quote;

/// What is allowed, and what was found instead.
pub type Beyond = (String, String);

/// Longest expression, in bytes: several times the longest one in use.
const LONGEST: usize = 8 << 10;

/// Most repetitions by count of all expressions together. Each becomes as many copies.
const COUNTED: usize = 256;

/// The expressions of one tokenizer.
#[derive(Default)]
pub struct Seen {
    counted: usize,
    bytes: usize,
}

/// A group that is open, or the expression itself.
#[derive(Clone, Copy, Default)]
struct Group {
    /// Whether it only looks ahead or behind.
    looks: bool,
    /// Whether it has a repetition without end, or alternatives.
    endless: bool,
    branches: bool,
    /// How many copies its repetitions make.
    copies: usize,
}

impl Seen {
    /// Checks one more expression.
    ///
    /// # Errors
    /// What it has that is not allowed.
    pub fn check(&mut self, expression: &str) -> Result<(), Beyond> {
        let refused = |allowed: String| Err((allowed, quote(expression)));
        self.bytes += expression.len();
        if self.bytes > 2 * LONGEST || expression.len() > LONGEST {
            return refused(format!("expressions of at most {LONGEST} bytes"));
        }
        let bytes = expression.as_bytes();
        let mut open = vec![Group::default()];
        // The group that ended just before, which a repetition would repeat.
        let mut ended: Option<Group> = None;
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let last = ended.take();
            let top = open.len() - 1;
            match byte {
                b'\\' => at += 1,
                b'[' => at = class_end(bytes, at),
                b'(' => {
                    let rest = &expression[at..];
                    let looks =
                        ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|mark| rest.starts_with(mark));
                    open.push(Group { looks, ..Group::default() });
                }
                b')' if top > 0 => {
                    let group = open.pop().unwrap_or_default();
                    if group.looks && group.endless {
                        return refused(
                            "no repetition without end in a look ahead or behind".to_owned(),
                        );
                    }
                    let outer = &mut open[top - 1];
                    outer.endless |= group.endless;
                    outer.copies = outer.copies.saturating_add(group.copies);
                    ended = Some(group);
                }
                b'|' => open[top].branches = true,
                b'*' | b'+' | b'{' => {
                    let Some((least, most, end)) = repetition(bytes, at) else {
                        at += 1;
                        continue;
                    };
                    at = end;
                    let group = last.unwrap_or_default();
                    let many = most.is_none_or(|most| most > 16);
                    if many && (group.endless || group.branches) {
                        return refused(
                            "no repetition of a group with repetitions or alternatives".to_owned(),
                        );
                    }
                    let times = most.unwrap_or(least).max(1);
                    let copies = times.saturating_mul(group.copies.max(1));
                    let outer = &mut open[top];
                    outer.endless |= most.is_none();
                    // What the group had counted itself, it now has so many times.
                    outer.copies = outer.copies.saturating_add(if times > 1 { copies } else { 0 });
                }
                _ => {}
            }
            at += 1;
        }
        let copies: usize = open.iter().fold(0, |sum, group| sum.saturating_add(group.copies));
        self.counted = self.counted.saturating_add(copies);
        if self.counted > COUNTED {
            return refused(format!("at most {COUNTED} repetitions by count"));
        }
        Ok(())
    }
}

/// The last byte of a class of characters.
fn class_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    // A bracket that comes first, also behind a caret, is a character.
    if bytes.get(at) == Some(&b'^') {
        at += 1;
    }
    if bytes.get(at) == Some(&b']') {
        at += 1;
    }
    let mut depth = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
        at += 1;
    }
    at
}

/// A repetition's least and most times, and its last byte; `None` where the brace is a character.
fn repetition(bytes: &[u8], at: usize) -> Option<(usize, Option<usize>, usize)> {
    match bytes[at] {
        b'*' => return Some((0, None, at)),
        b'+' => return Some((1, None, at)),
        _ => {}
    }
    let length = bytes[at..].iter().position(|byte| *byte == b'}')?;
    let inner = std::str::from_utf8(&bytes[at + 1..at + length]).ok()?;
    let number = |text: &str| match text.trim() {
        "" => Some(None),
        digits => digits.parse::<usize>().ok().map(Some),
    };
    let (least, most) = match inner.split_once(',') {
        Some((least, most)) => (number(least)?, number(most)?),
        None => (number(inner)?, number(inner)?),
    };
    if inner.trim().is_empty() {
        return None;
    }
    Some((least.unwrap_or(0), most, at + length))
}

#[cfg(test)]
mod tests {
    use super::Seen;

    #[test]
    fn expressions_in_use_are_allowed() {
        for expression in [
            r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}",
            r" ?[^(\s|.,!?…。，、।۔،)]+",
            r"<\|startoftext\|>|<\|endoftext\|>|'s|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
            r" {2,}",
            r"(?=(\d{3})+(?!\d))",
        ] {
            let allowed = Seen::default().check(expression);
            let known = expression.starts_with("(?=(");
            assert_eq!(allowed.is_err(), known, "{expression}: {allowed:?}");
        }
    }

    #[test]
    fn what_tries_for_years_or_takes_all_memory_is_refused() {
        for expression in [
            r"(a+)+b",
            r"(?=a)(a|a)*b",
            r"((a*)*)*",
            r"(?:\w{200}){200}",
            r"\w{300}",
            r"(?:(?:\w{9}){9}){9}",
            r"(?=.*x)",
            r"(?<!\s*)x",
            r"(?:a*){17,}",
            r"(\d+|x){1,}",
        ] {
            assert!(Seen::default().check(expression).is_err(), "{expression}");
        }
        assert!(Seen::default().check(&"a".repeat(9000)).is_err());
        let mut seen = Seen::default();
        let several = (0..3).map(|_| seen.check(r"\w{100}").is_ok()).collect::<Vec<_>>();
        assert_eq!(several, [true, true, false]);
        // What only looks like a repetition is none.
        for expression in
            [r"\(a+\)+", r"[(a+)+]", r"a{x}", r"[]*]+", r"{", r"a{", r"(", r")", r"[", "\\"]
        {
            assert!(Seen::default().check(expression).is_ok(), "{expression}");
        }
    }
}
