//! Which tokens a token attends to.

/// Which tokens a token attends to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// Whether it attends only to itself and earlier tokens.
    pub(super) causal: bool,
    /// Size of the sliding window, the token itself included.
    pub(super) window: Option<usize>,
}
