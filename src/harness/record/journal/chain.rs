//! The chain of a journal: each line ends with the SHA-256 of the line before it and of itself, so that no line can
//! be edited, removed or inserted without a change of every line behind it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::harness::hex::hex;

/// The head of a chain, as a report names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// SHA-256 over the digest in the line before, in hex digits, and the last line without its own digest; empty
    /// before the first line.
    pub sha256: String,
    /// How many lines it has.
    pub lines: u64,
}

/// How the digest stands at the end of a line.
const BEFORE: &str = ",\"chain\":\"";
const BEHIND: &str = "\"}\n";

/// Hex digits of a digest.
const DIGITS: usize = 64;

impl Chain {
    /// Adds a line, given as a JSON object without a digest. Returns it with its digest and a newline.
    pub fn add(&mut self, object: &str) -> Vec<u8> {
        self.sha256 = self.digest(object.as_bytes());
        self.lines += 1;
        let open = object.strip_suffix('}').unwrap_or(object);
        [open, BEFORE, &self.sha256, BEHIND].concat().into_bytes()
    }

    /// Follows a line, given with its digest. Returns the object without it.
    ///
    /// # Errors
    /// Why it is not the next line of this chain.
    pub fn follow(&mut self, line: &[u8]) -> Result<Vec<u8>, String> {
        let (mut object, told) = split(line).ok_or("it does not end with the chain's digest")?;
        object.push(b'}');
        let derived = self.digest(&object);
        if derived != told {
            return Err(format!(
                "the chain is broken: expected {derived}, found {told}: this line was edited, or the one \
                 before it edited, removed or inserted"
            ));
        }
        self.sha256 = derived;
        self.lines += 1;
        Ok(object)
    }

    fn digest(&self, object: &[u8]) -> String {
        hex(&Sha256::new_with_prefix(&self.sha256).chain_update(object).finalize())
    }
}

/// A line without its end, and its digest.
fn split(line: &[u8]) -> Option<(Vec<u8>, &str)> {
    let rest = line.strip_suffix(BEHIND.as_bytes())?;
    let (rest, digest) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
    let object = rest.strip_suffix(BEFORE.as_bytes())?;
    Some((object.to_vec(), std::str::from_utf8(digest).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_behind_one_line_only() {
        let mut chain = Chain::default();
        let lines = ["{\"a\":1}", "{\"a\":2}", "{\"a\":1}"].map(|line| chain.add(line));
        let follow = |order: &[usize]| {
            let mut chain = Chain::default();
            order.iter().try_for_each(|at| chain.follow(&lines[*at]).map(drop)).map(|()| chain)
        };
        assert_eq!(follow(&[0, 1, 2]).as_ref(), Ok(&chain));
        assert_eq!(Chain::default().follow(&lines[0]).unwrap(), b"{\"a\":1}");
        for order in [&[0, 2][..], &[1, 0], &[0, 0], &[0, 1, 1], &[2]] {
            assert!(follow(order).is_err(), "{order:?}");
        }
        assert!(Chain::default().follow(b"{\"a\":1}\n").is_err());
        assert!(Chain::default().follow(b"\n").is_err());
    }
}
