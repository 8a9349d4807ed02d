//! A row of the table, the macro that writes the rows of one area, and the remedies that many rows share.

use crate::contract::Code;

/// A cause, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// The code of every error with this cause.
    pub code: Code,
    /// The cause, in a few words.
    pub cause: &'static str,
    /// What to do. Each `{}` stands for a name that the error fills in.
    pub text: &'static str,
    /// Who may see it.
    pub shown: Shown,
}

/// Where errors of a cause are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// By every command that reads a model, and to clients of the protocol.
    Everywhere,
    /// By the commands that can use a GPU, all of which have `--device`, and to clients.
    Devices,
    /// By `weighbridge warm`.
    Warm,
    /// To clients of the protocol and callers of the library: what they name is theirs.
    Protocol,
}

/// The cause of one error: code and remedy, with the names filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    pub(in crate::loader) code: Code,
    pub(in crate::loader) text: String,
}

impl Remedy {
    /// Fills in the names, in the order of their places in the text.
    pub fn about<const N: usize>(&self, names: [&str; N]) -> Cause {
        let mut parts = self.text.split("{}");
        let mut text = parts.next().unwrap_or_default().to_owned();
        let mut names = names.into_iter();
        for part in parts {
            // A place without a name would be a fault of the loader's source; tests look for it.
            debug_assert!(names.len() > 0, "a name is missing for: {}", self.text);
            text += names.next().unwrap_or_default();
            text += part;
        }
        debug_assert!(names.len() == 0, "a name without a place in: {}", self.text);
        Cause { code: self.code, text }
    }
}

impl From<Remedy> for Cause {
    fn from(remedy: Remedy) -> Cause {
        remedy.about([])
    }
}

/// Defines the rows of one area: a name, a code, where it is shown, the cause and the remedy.
macro_rules! remedies {
    ($($name:ident: $code:ident, $shown:ident, $cause:expr => $text:expr;)*) => {
        $(
            #[doc = $cause]
            pub const $name: $crate::loader::remedies::row::Remedy =
                $crate::loader::remedies::row::Remedy {
                code: $crate::contract::Code::$code,
                cause: $cause,
                text: $text,
                shown: $crate::loader::remedies::row::Shown::$shown,
            };
        )*
        /// All rows of this area.
        pub(super) const ROWS: &[$crate::loader::remedies::row::Remedy] = &[$($name),*];
    };
}
pub(super) use remedies;

/// For a file that breaks its format's rules: a damaged download, or a faulty writer.
pub(super) const DAMAGED: &str = "If the file was downloaded, compare its size and SHA-256 with the publisher's, \
    and download it again if they differ. Otherwise correct the program that wrote it.";

/// For a file that ends too early.
pub(super) const INCOMPLETE: &str = "The file is not complete: download it again. If it was not downloaded, \
    write it again.";
