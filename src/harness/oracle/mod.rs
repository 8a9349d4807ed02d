//! What must be true, worked out by the harness alone and in the plainest way: the yardsticks
//! that claims are held against. Nothing here shares code with a loader.

pub mod forward;
pub mod gates;
pub mod widen;
