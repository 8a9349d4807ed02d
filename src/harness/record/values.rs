//! One wrong value of a tensor, as the judge read it: what a check found before it gave a verdict.

use serde::{Deserialize, Serialize};

/// One wrong element of a tensor, and what is wrong with all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Values {
    /// What is wrong with every wrong element, such as `BF16 read as F16`; `None` where no rule explains
    /// all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
    /// What else explains every wrong element, as where a tensor has but one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub or: Vec<String>,
    /// The tensor's name.
    pub tensor: String,
    /// Element type in the file.
    pub dtype: String,
    /// Element type in memory, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// Index of the element.
    pub element: u64,
    /// Its bits in the file, or the length of the tensor there, where the lengths differ.
    pub stored: String,
    /// The bits that it must have in memory, where they are others than those in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The bits found, or the length found.
    pub found: String,
    /// How many elements are wrong; 0 where the lengths differ.
    pub wrong: u64,
    /// How many elements the tensor has.
    pub of: u64,
}

impl Values {
    /// The difference and its values, in a few words: `BF16 read as F16: stored 0xbec6, found 0xbfd8c000`.
    pub fn line(&self) -> String {
        let dtype = &self.dtype;
        match (self.named().into_iter().next(), &self.expected) {
            (Some(name), _) => format!("{name}: stored {}, found {}", self.stored, self.found),
            (None, Some(expected)) => format!(
                "{dtype} wrong: stored {}, expected {expected}, found {}",
                self.stored, self.found
            ),
            (None, None) => {
                format!("{dtype} wrong: stored {}, found {}", self.stored, self.found)
            }
        }
    }

    /// What may be wrong, with the element type, the most telling first: `BF16 read as F16`, or `BF16, sign
    /// lost`.
    pub fn named(&self) -> Vec<String> {
        let all = self.difference.iter().chain(&self.or);
        let named = all.map(|name| match name.contains(self.dtype.as_str()) {
            true => name.clone(),
            false => format!("{}, {name}", self.dtype),
        });
        named.collect()
    }

    /// The same with the one of `named` that explains most of a report, at this place.
    #[must_use]
    pub fn told_as(&self, at: usize) -> Values {
        let mut all: Vec<String> = self.difference.iter().chain(&self.or).cloned().collect();
        if at < all.len() {
            all.swap(0, at);
        }
        let mut all = all.into_iter();
        Values { difference: all.next(), or: all.collect(), ..self.clone() }
    }

    /// Where it is: `"w0", element 3; 5 of 64 elements are wrong`.
    pub fn place(&self) -> String {
        let tensor = &self.tensor;
        match self.wrong {
            0 => format!("{tensor:?}, {} elements", self.of),
            wrong => {
                format!(
                    "{tensor:?}, element {}; {wrong} of {} elements wrong",
                    self.element, self.of
                )
            }
        }
    }
}
