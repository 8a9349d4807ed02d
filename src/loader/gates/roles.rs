//! What a tensor is for, by its name and shape, and which values are normal for it.
//!
//! The kind decides which gates check a tensor. Beyond that, some tensors have a role in which zeros
//! are sound; `spec/gates.yaml` has the list with its reasons.

use std::borrow::Cow;
use std::ops::Range;

use crate::contract::DType;
use crate::contract::reply::Gate;
use crate::loader::format::buffers;
use crate::loader::format::safetensors::TensorInfo;

/// The kind of a tensor, which decides the gates that check it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Integers: positions, not weights.
    Index,
    /// A mask, positions or a rotary table of an older export: computed, not learned.
    Buffer,
    /// No elements.
    Empty,
    /// One element.
    Scalar,
    /// A bias, of rank 0 or 1.
    Vector,
    /// The weights of a norm, of rank 0 or 1.
    Scale,
    /// An embedding table.
    Embedding,
    /// Any other tensor.
    Weight,
}

impl Kind {
    /// Determines the kind from dtype, shape and name.
    pub fn of(tensor: &TensorInfo) -> Kind {
        match (tensor.dtype, tensor.elements()) {
            (DType::I64, _) => return Kind::Index,
            (_, Some(0)) => return Kind::Empty,
            _ if buffers::is_buffer(tensor) => return Kind::Buffer,
            (_, Some(1)) => return Kind::Scalar,
            _ => {}
        }
        let name = lower_case(&tensor.name);
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_vector = tensor.shape.len() <= 1;
        if is_vector && (last.ends_with("bias") || last == "beta") {
            Kind::Vector
        } else if is_vector && (last == "gamma" || name.split('.').any(is_norm)) {
            Kind::Scale
        } else if name.contains("embed") || name.split('.').any(|s| matches!(s, "wte" | "wpe")) {
            Kind::Embedding
        } else {
            Kind::Weight
        }
    }

    /// Returns whether `gate` checks tensors of this kind.
    pub const fn answers_to(self, gate: Gate) -> bool {
        match (self, gate) {
            (Kind::Index | Kind::Empty | Kind::Buffer, _) => false,
            (Kind::Embedding | Kind::Weight, _) | (Kind::Scale, Gate::Norm) => true,
            (Kind::Scalar | Kind::Vector | Kind::Scale, gate) => matches!(gate, Gate::NonFinite),
        }
    }
}

/// A name in lower case. Nearly all names are, and this is asked often.
fn lower_case(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

/// Whether a segment of a name is that of a norm.
fn is_norm(segment: &str) -> bool {
    segment.contains("norm")
        || segment.ends_with("_ln")
        || segment.strip_prefix("ln").is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(|c: char| c == '_' || c.is_ascii_digit())
        })
}

/// Whether all zeros are sound in a tensor: the token types of a model that has one type, and the
/// second matrix of a LoRA adapter.
pub fn may_be_zero(tensor: &TensorInfo) -> bool {
    let one_row = tensor.shape.len() == 2 && tensor.shape.first() == Some(&1);
    let segments = || tensor.name.split('.');
    one_row && segments().any(|segment| segment == "token_type_embeddings")
        || segments().any(|segment| matches!(segment, "lora_B" | "lora_embedding_A"))
}

/// Endings of the names of heads with a row for each token.
const HEADS: [&str; 3] =
    ["lm_head.weight", "lm_head.decoder.weight", "cls.predictions.decoder.weight"];

/// Whether whole rows of zeros are sound in a tensor: each row belongs to one token or position, and
/// not all of them are in use. So are the embeddings, and the heads that give a token's logit by row.
pub fn may_have_zero_rows(tensor: &TensorInfo) -> bool {
    let head = || HEADS.iter().any(|head| tensor.name.ends_with(head));
    tensor.shape.len() == 2 && (Kind::of(tensor) == Kind::Embedding || head())
}

/// The whole rows that a window of a tensor touches, as elements.
pub fn rows_of(tensor: &TensorInfo, window: &Range<u64>) -> Range<u64> {
    let width = tensor.shape.last().copied().unwrap_or(1).max(1);
    let end = window.end.div_ceil(width).saturating_mul(width);
    window.start / width * width..end.min(tensor.elements().unwrap_or(0))
}
