//! The plan of a parallel load: from `config.json` and the headers alone, without a GPU, which rank holds which
//! slice of every tensor and which bytes of which file it reads. Without the files, an index has the names, and
//! the configuration the shapes ([`ByConfig`]); where in a file a slice lies is then unknown.
//!
//! [`Headers`] reads the files, [`Grid`] is the ranks, [`Plan`] is what each of them holds. [`judge()`] holds a
//! plan that a loader claims (a [`Document`]) against both and names each [`Rule`] that it breaks. Whether the
//! bytes that arrive are the right ones, no plan can tell.
//!
//! The judge makes the plan on its own, from the sizes in the configuration: [`role`] says what each weight is
//! for, [`division`] how many heads, features or words a rank gets, [`cut`] which indices these are, and
//! [`spans`] which bytes.

pub mod by_config;
pub mod cut;
pub mod division;
pub mod document;
pub mod files;
mod folder;
pub mod grid;
pub mod header;
pub mod interval;
pub mod judge;
pub mod layout;
pub mod refusal;
pub mod role;
pub mod rule;
pub mod share;
pub mod spans;
mod stages;
pub mod weights;

pub use self::by_config::ByConfig;
pub use self::division::Division;
pub use self::document::Document;
pub use self::files::Headers;
pub use self::grid::{Grid, Place};
pub use self::interval::Interval;
pub use self::judge::{Finding, Judgement, judge};
pub use self::layout::{Entry, Plan};
pub use self::refusal::{Fault, Refusal};
pub use self::rule::Rule;
pub use self::share::Share;
pub use self::spans::Spans;
