//! Why a template gives no text.

/// A reason. The judge tells apart what the template's author demands, what Jinja itself refuses,
/// and what this renderer does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The template called `raise_exception`.
    #[error("the chat template refuses the conversation: {0}")]
    Raised(String),
    /// Jinja fails on the template as well.
    #[error("the chat template fails: {0}")]
    Failed(String),
    /// Jinja may know this construct; this renderer does not.
    #[error("unknown construct in the chat template: {0}")]
    Unknown(String),
    /// The template takes more steps, depth or text than the judge allows.
    #[error("the chat template takes too much {0}")]
    Limit(&'static str),
}

/// Result of parsing and rendering.
pub type Result<T> = std::result::Result<T, Fault>;

/// Jinja fails here, with this message.
pub fn failed<T>(message: impl Into<String>) -> Result<T> {
    Err(Fault::Failed(message.into()))
}

/// Nothing is known of this construct.
pub fn unknown<T>(construct: impl Into<String>) -> Result<T> {
    Err(Fault::Unknown(construct.into()))
}
