//! Loads that divide one model over several ranks.
//!
//! [`Grid`] numbers the ranks, [`roles`] says how each weight of a model is divided, and [`Divided`] has the
//! slices of every rank and their positions in its memory. The pass over the data is that of any other load:
//! each byte of the files is read, hashed and scanned once, and a [`scatter`] sink copies it to the ranks that
//! hold it.

pub mod divided;
pub mod grid;
pub mod rank_model;
pub mod roles;
pub mod scatter;

pub use self::divided::{Divided, HeldSlice, RankMemory};
pub use self::grid::{Grid, RankAt};
pub use self::rank_model::rank_model;
