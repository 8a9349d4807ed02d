//! The conditions and loops that stand around a tag.

use minijinja::Error;

use super::expression::{DEEPEST, too_deep};
use super::tokens::{Token, unsupported};

/// Most `elif` of a template. The library keeps them in each other.
const MOST_BRANCHES: usize = 1000;

/// The conditions and loops around a tag, and whether each is a loop with a break in it.
#[derive(Default)]
pub struct Blocks(Vec<(bool, bool)>, usize);

impl Blocks {
    /// Passes a statement.
    ///
    /// # Errors
    /// If too many stand in each other, or one is not served.
    pub fn pass(&mut self, tokens: &[Token]) -> Result<(), Error> {
        let Some(Token::Name(word)) = tokens.first() else { return Ok(()) };
        if self.0.len() > DEEPEST {
            return Err(too_deep());
        }
        match (word.as_str(), self.0.last()) {
            ("if", _) => self.0.push((false, false)),
            ("for", _) => self.0.push((true, false)),
            ("elif", _) => {
                self.1 += 1;
                if self.1 > MOST_BRANCHES {
                    return Err(unsupported(format!("more than {MOST_BRANCHES} elif")));
                }
            }
            ("endif" | "endfor", _) => drop(self.0.pop()),
            ("break", _) => {
                if let Some((_, broken)) = self.0.iter_mut().rev().find(|(is_loop, _)| *is_loop) {
                    *broken = true;
                }
            }
            // Jinja runs it even after a loop that was left.
            ("else", Some((true, true))) => return Err(unsupported("else of a loop with break")),
            _ => {}
        }
        Ok(())
    }

    /// Whether a condition stands around. Jinja looks up the filters in it where they are reached.
    pub fn is_conditional(&self) -> bool {
        self.0.iter().any(|(is_loop, _)| !is_loop)
    }
}
