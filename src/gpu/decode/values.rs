//! The arguments of the decoder's kernels, with the memory layout that their sources declare.

use std::ffi::c_void;

use crate::gpu::kernel::launch::argument;

/// The struct `Entry` of `token.cu`: the embeddings of a token and its position.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) words: u64,
    pub(super) positions: u64,
    pub(super) word_element: u32,
    pub(super) position_element: u32,
    pub(super) width: u32,
    pub(super) vocabulary: u32,
    pub(super) longest: u32,
}

/// The struct `Product` of `input.cu`: up to three linear layers over one input.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Product {
    pub(super) weight: [u64; 3],
    pub(super) bias: [u64; 3],
    pub(super) outputs: [u32; 3],
    pub(super) bias_element: u32,
    pub(super) inner: u32,
    pub(super) norm_element: u32,
    pub(super) norm_bias_element: u32,
    pub(super) norm_kind: u32,
    pub(super) norm: u64,
    pub(super) norm_bias: u64,
    pub(super) epsilon: f32,
    pub(super) activation: u32,
    pub(super) add: u32,
    pub(super) weight_element: u32,
}

/// The struct `Mixing` of `cluster.cu`: attention of one token.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Mixing {
    pub(super) turns: u64,
    pub(super) query_norm: u64,
    pub(super) key_norm: u64,
    pub(super) epsilon: f32,
    pub(super) scale: f32,
    pub(super) key_heads: u32,
    pub(super) keys_at: u32,
    pub(super) values_at: u32,
    pub(super) window: u32,
    pub(super) splits: u32,
    pub(super) longest: u32,
}

/// An argument of a kernel.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Entry(Entry),
    Product(Product),
    Mixing(Mixing),
    Address(u64),
    Word(u32),
}

impl Value {
    pub(super) fn pointer(&mut self) -> *mut c_void {
        match self {
            Value::Entry(value) => argument(value),
            Value::Product(value) => argument(value),
            Value::Mixing(value) => argument(value),
            Value::Address(value) => argument(value),
            Value::Word(value) => argument(value),
        }
    }
}
