//! The conditions, loops and blocks of text that stand around a tag.

use minijinja::Error;

use super::expression::{DEEPEST, too_deep};
use super::tokens::{Token, unsupported};

/// Most `elif` of a template. The library keeps them in each other.
const MOST_BRANCHES: usize = 1000;

/// What stands around a tag.
enum Around {
    /// A condition.
    Condition,
    /// A loop, and whether there was a break in it.
    Loop { broken: bool },
    /// A block whose text is kept or filtered.
    Text,
}

/// Everything around a tag, the innermost last, and the number of `elif` so far.
#[derive(Default)]
pub struct Blocks(Vec<Around>, usize);

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
            ("if", _) => self.0.push(Around::Condition),
            ("for", _) => self.0.push(Around::Loop { broken: false }),
            ("filter", _) => self.0.push(Around::Text),
            ("set", _) if keeps_text(tokens) => self.0.push(Around::Text),
            ("elif", _) => {
                self.1 += 1;
                if self.1 > MOST_BRANCHES {
                    return Err(unsupported(format!("more than {MOST_BRANCHES} elif")));
                }
            }
            ("endif" | "endfor" | "endset" | "endfilter", _) => drop(self.0.pop()),
            ("break" | "continue", _) => {
                let mut around = self.0.iter_mut().rev();
                match around.find(|one| !matches!(one, Around::Condition)) {
                    Some(Around::Loop { broken }) => *broken |= word == "break",
                    // The library loses what it keeps there.
                    Some(Around::Text) => {
                        return Err(unsupported(format!("{word} out of a block of text")));
                    }
                    _ => {}
                }
            }
            // Jinja runs it even after a loop that was left.
            ("else", Some(Around::Loop { broken: true })) => {
                return Err(unsupported("else of a loop with break"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a condition stands around. Jinja looks up the filters in it where they are reached.
    pub fn is_conditional(&self) -> bool {
        self.0.iter().any(|one| matches!(one, Around::Condition))
    }
}

/// Whether an assignment has no value, and takes the text up to its end.
fn keeps_text(tokens: &[Token]) -> bool {
    let mut target = tokens.iter().take_while(|token| !matches!(token, Token::Sign("|")));
    !target.any(|token| matches!(token, Token::Sign("=")))
}
