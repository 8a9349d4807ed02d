//! Why the oracle cannot say what a model must give.

/// Why the oracle cannot say.
#[derive(Debug, thiserror::Error)]
pub enum OracleError {
    /// A tensor operation that does not go together: the model is not of its architecture.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
    /// The configuration lacks a field, or has a value that the oracle does not know.
    #[error("configuration: {0}")]
    Config(String),
    /// A tensor that the architecture needs is not there.
    #[error("no tensor {0}")]
    Missing(String),
    /// The input does not fit the model.
    #[error("input: {0}")]
    Input(String),
}

/// What oracle code answers.
pub(super) type Result<T> = std::result::Result<T, OracleError>;
