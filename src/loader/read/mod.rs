//! Reading files: the open file, its page cache, a stream of pieces, digests.

pub mod digest;
pub mod file;
pub mod page_cache;
pub mod stream;
