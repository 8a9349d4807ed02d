//! Attention and rotary positions.

use super::arrange::MOST_HIGH;
use super::runner::{Floats, Runner, Words};
use super::shape::{
    AttentionParams, HEAD_SIZES, LARGEST_HEAD, QUERIES, attention_any_bytes, attention_bytes, word,
};
use crate::gpu::driver::error::{GpuError, check_range};
use crate::gpu::kernel::Kernel;
use crate::gpu::kernel::launch::{BLOCK, argument, blocks};

/// Threads of an attention block.
const THREADS: u32 = 256;

/// The struct `Heads` of `heads.cu`.
#[repr(C)]
pub(super) struct Heads {
    tokens: u32,
    heads: u32,
    key_heads: u32,
    head_size: u32,
    causal: u32,
    window: u32,
    query_stride: u32,
    key_stride: u32,
    value_stride: u32,
    scale: f32,
}

/// How attention is computed.
struct Form<'k> {
    kernel: &'k Kernel,
    /// Queries of a block, and its shared memory in bytes.
    queries: usize,
    shared: u32,
}

/// Columns of a matrix: the matrix, the first column, and the number of columns of the matrix.
pub type Columns = (Floats, usize, usize);

impl Runner {
    /// Attention of every head; `out` has `heads * head_size` columns.
    ///
    /// # Errors
    ///
    /// Refused if sizes do not fit, or if a head is larger than [`LARGEST_HEAD`]; or the driver's error.
    pub fn attend(
        &mut self,
        of: AttentionParams,
        queries: Columns,
        keys: Columns,
        values: Columns,
        mask: Words,
        out: Floats,
    ) -> Result<(), GpuError> {
        let fits = (1..=LARGEST_HEAD).contains(&of.head_size)
            && of.key_heads > 0
            && of.heads.is_multiple_of(of.key_heads);
        if !fits {
            return Err(GpuError::refused("attend", "no kernel for this size or number of heads"));
        }
        let count = of.rows * of.tokens;
        let (wide, narrow) = (of.heads * of.head_size, of.key_heads * of.head_size);
        let mut q = self.column(queries, count, wide)?;
        let mut k = self.column(keys, count, narrow)?;
        let mut v = self.column(values, count, narrow)?;
        let mut seen = self.word_address(mask, count, usize::MAX)?;
        let mut to = self.address(out, count * wide)?;
        let mut heads = Heads {
            tokens: word(of.tokens)?,
            heads: word(of.heads)?,
            key_heads: word(of.key_heads)?,
            head_size: word(of.head_size)?,
            causal: u32::from(of.causal),
            window: word(of.window.filter(|_| of.causal).unwrap_or(0))?,
            query_stride: word(queries.2)?,
            key_stride: word(keys.2)?,
            value_stride: word(values.2)?,
            scale: of.scale,
        };
        if let Some(form) = self.attends_by_parts(&of) {
            return self.attend_by_parts(form, &of, heads, [q, k, v, seen, to]);
        }
        let form = self.attention(&of)?;
        let blocks = word(of.tokens.div_ceil(form.queries))?;
        let grid = [blocks, word(of.heads)?, word(of.rows)?];
        if grid[1] > 65_535 || grid[2] > 65_535 {
            return Err(GpuError::refused("attend", "too many heads or rows for one launch"));
        }
        // SAFETY: the arguments are those of the kernel, and every range was checked to hold what
        // the sizes say; shared memory of this size was allowed for the kernel.
        unsafe {
            form.kernel.launch_grid(
                self.queueing(),
                grid,
                THREADS,
                form.shared,
                &mut [
                    argument(&mut heads),
                    argument(&mut q),
                    argument(&mut k),
                    argument(&mut v),
                    argument(&mut seen),
                    argument(&mut to),
                ],
            )
        }
    }

    /// Chooses a kernel.
    fn attention(&self, of: &AttentionParams) -> Result<Form<'_>, GpuError> {
        let Some(size) = HEAD_SIZES.iter().position(|size| of.head_size <= *size as usize) else {
            let shared = attention_any_bytes(word(of.head_size)?);
            return Ok(Form { kernel: &self.kernels.attend_any, queries: 1, shared });
        };
        // The largest block that the tokens fill by more than half, if there are 256 or more of
        // them. With fewer blocks, smaller ones use more of the device.
        let blocks = |queries: u32| of.rows * of.heads * of.tokens.div_ceil(queries as usize);
        let suits = |queries: u32| blocks(queries) >= 256 && of.tokens > queries as usize / 2;
        let form =
            (1..QUERIES[size].len()).rev().find(|form| suits(QUERIES[size][*form])).unwrap_or(0);
        let queries = QUERIES[size][form];
        let shared = attention_bytes(HEAD_SIZES[size], queries);
        Ok(Form { kernel: &self.kernels.attend[size][form], queries: queries as usize, shared })
    }

    /// Applies rotary positions in place. Rotates each pair of elements of each head, by an angle
    /// that depends on the token's position and on j. The pairs are (j, j + head_size / 2), or
    /// (2j, 2j + 1) if `of.neighbours`. `turns` holds the cosine and sine of each angle:
    /// `[tokens, head_size / 2, 2]`.
    ///
    /// # Errors
    ///
    /// Refused if sizes do not fit; or the driver's error.
    pub fn rotate(
        &mut self,
        x: Columns,
        heads: usize,
        of: AttentionParams,
        turns: Floats,
    ) -> Result<(), GpuError> {
        if !of.head_size.is_multiple_of(2) || of.head_size == 0 {
            return Err(GpuError::refused("rotate", "heads of an odd size cannot be rotated"));
        }
        let rows = of.rows * of.tokens;
        self.column(x, rows, heads * of.head_size)?;
        let mut from = self.address(x.0, rows * x.2)?;
        let mut turns = self.address(turns, of.tokens * of.head_size)?;
        // A thread has four pairs of a row, or one; blocks of the second dimension share the rows.
        let fours = of.head_size.is_multiple_of(8)
            && !of.neighbours
            && [x.1, x.2].iter().all(|columns| columns.is_multiple_of(4))
            && [from, turns].iter().all(|address| address.is_multiple_of(16));
        let mut each: u32 = if fours { 4 } else { 1 };
        let threads = (heads * of.head_size / 2) as u64 / u64::from(each);
        let grid = [blocks(threads)?, word(rows.clamp(1, MOST_HIGH))?, 1];
        let (mut column, mut stride, mut heads) = (word(x.1)?, word(x.2)?, word(heads)?);
        let (mut size, mut tokens) = (word(of.head_size)?, word(of.tokens)?);
        let (mut neighbours, mut rows) = (u32::from(of.neighbours), word(rows)?);
        let arguments = &mut [
            argument(&mut from),
            argument(&mut column),
            argument(&mut stride),
            argument(&mut heads),
            argument(&mut size),
            argument(&mut tokens),
            argument(&mut neighbours),
            argument(&mut each),
            argument(&mut turns),
            argument(&mut rows),
        ];
        // SAFETY: as for attention.
        unsafe { self.kernels.rotate.launch_grid(self.queueing(), grid, BLOCK, 0, arguments) }
    }

    /// The address of the first column, after a check that the matrix contains `columns` columns
    /// from there on.
    pub(super) fn column(&self, of: Columns, rows: usize, columns: usize) -> Result<u64, GpuError> {
        let (matrix, column, stride) = of;
        check_range("columns", column, columns, stride)?;
        Ok(self.address(matrix, rows * stride)? + column as u64 * 4)
    }
}
