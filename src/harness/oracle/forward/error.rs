//! Errors of the oracle.

/// Why the oracle cannot compute a model's output.
#[derive(Debug, thiserror::Error)]
pub enum OracleError {
    /// A tensor operation failed: the tensors' shapes do not match the architecture.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// The configuration lacks a field, or has a value that the oracle does not know.
    #[error("configuration: {0}")]
    Config(String),
    /// The model lacks a tensor that its architecture needs.
    #[error("the model has no tensor {0}")]
    Missing(String),
    /// The input does not suit the model.
    #[error("input: {0}")]
    Input(String),
}

/// The result type of oracle code.
pub(super) type Result<T> = std::result::Result<T, OracleError>;
