//! The CUDA driver behind safe types: libraries, contexts, streams, graphs, memory and errors.

pub mod calls;
pub mod context;
pub mod error;
pub mod graph;
pub mod library;
pub mod memory;
pub mod pinned;
pub mod pointer;
pub mod stream;
pub mod tensor_map;
