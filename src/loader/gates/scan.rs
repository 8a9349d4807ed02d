//! Counts a tensor's elements in one pass, piece by piece.

use std::ops::Range;

use super::roles::{may_have_zero_rows, rows_of};
use crate::contract::DType;
use crate::gpu::Tally;
use crate::loader::format::safetensors::TensorInfo;
use crate::loader::format::widen::{bf16_bits_to_f32, f16_bits_to_f32};

/// Elements in a window of the spot check. Our choice: a window fits in one row of any real
/// embedding, and is not all zeros by chance (0.8^64 is below one in a million).
pub const WINDOW: u64 = 64;

/// Start of each window, in percent of the elements. Source: F-DATA-QUALITY-004.
pub const POSITIONS: [u64; 3] = [10, 50, 90];

/// Number of independent sums of squares.
const LANES: usize = 8;

/// The counts that the gates need of a tensor.
#[derive(Clone, Debug)]
pub struct Scan {
    dtype: DType,
    seen: u64,
    zeros: u64,
    non_finite: u64,
    first_non_finite: Option<u64>,
    squares: f64,
    first: Option<f32>,
    varies: bool,
    windows: [Window; 3],
    /// The whole rows that each window touches, where rows may be zeros.
    rows: Option<[Window; 3]>,
}

#[derive(Clone, Debug)]
struct Window {
    elements: Range<u64>,
    hit: bool,
}

impl Scan {
    /// Creates a scan of this tensor with no elements counted.
    pub fn new(tensor: &TensorInfo) -> Self {
        let total = tensor.elements().unwrap_or(0);
        Scan {
            dtype: tensor.dtype,
            seen: 0,
            zeros: 0,
            non_finite: 0,
            first_non_finite: None,
            squares: 0.0,
            first: None,
            varies: false,
            windows: windows(total).map(|elements| Window { elements, hit: false }),
            rows: row_windows(tensor)
                .map(|all| all.map(|elements| Window { elements, hit: false })),
        }
    }

    /// Creates a finished scan from the device's tally of the whole tensor, and from those of its
    /// [`row_windows`] if it has them.
    pub fn counted(tensor: &TensorInfo, tally: &Tally, rows: Option<[Tally; 3]>) -> Self {
        let mut scan = Scan::new(tensor);
        scan.seen = tensor.elements().unwrap_or(0);
        scan.zeros = tally.zeros;
        scan.non_finite = tally.non_finite;
        scan.first_non_finite = (tally.non_finite > 0).then_some(tally.first_non_finite);
        scan.squares = tally.squares;
        scan.varies = tally.varies != 0;
        for (index, window) in scan.windows.iter_mut().enumerate() {
            window.hit = tally.hits >> index & 1 != 0;
        }
        for (window, tally) in scan.rows.iter_mut().flatten().zip(rows.iter().flatten()) {
            window.hit = tally.zeros < window.elements.end - window.elements.start;
        }
        scan
    }

    /// Counts the next elements, in order. `bytes` holds whole little-endian elements of the stored
    /// dtype.
    pub fn feed(&mut self, bytes: &[u8]) {
        match self.dtype {
            DType::F32 => {
                let (elements, _) = bytes.as_chunks::<4>();
                self.take(elements, |element| u32::from_le_bytes(*element));
            }
            DType::F16 => {
                let (elements, _) = bytes.as_chunks::<2>();
                self.take(elements, |element| f16_bits_to_f32(u16::from_le_bytes(*element)));
            }
            DType::BF16 => {
                let (elements, _) = bytes.as_chunks::<2>();
                self.take(elements, |element| bf16_bits_to_f32(u16::from_le_bytes(*element)));
            }
            _ => {}
        }
    }

    /// Number of elements counted so far.
    pub fn elements(&self) -> u64 {
        self.seen
    }

    /// Number of elements that are +0 or -0.
    pub fn zeros(&self) -> u64 {
        self.zeros
    }

    /// Number of elements that are NaN or infinite.
    pub fn non_finite(&self) -> u64 {
        self.non_finite
    }

    /// Index of the first NaN or infinite element.
    pub fn first_non_finite(&self) -> Option<u64> {
        self.first_non_finite
    }

    /// L2 norm: the root of the sum of squares, in F64.
    pub fn norm(&self) -> f64 {
        self.squares.sqrt()
    }

    /// Whether some value differs from the first.
    pub fn varies(&self) -> bool {
        self.varies
    }

    /// The first window of the spot check that holds only zeros. Where rows may be zeros, one whose
    /// rows hold another value.
    pub fn empty_window(&self) -> Option<Range<u64>> {
        let sound = |at: usize| self.rows.as_ref().is_some_and(|rows| !rows[at].hit);
        let mut windows = self.windows.iter().enumerate();
        let empty = windows.find(|(at, window)| !window.hit && !sound(*at));
        empty.map(|(_, window)| window.elements.clone())
    }

    /// Number of elements in the windows; an element of two windows counts once.
    pub fn sampled(&self) -> u64 {
        let mut end = 0;
        self.windows.iter().fold(0, |sum, Window { elements, .. }| {
            let start = elements.start.max(end);
            end = elements.end;
            sum + (elements.end - start)
        })
    }

    fn take<const W: usize>(&mut self, elements: &[[u8; W]], bits: impl Fn(&[u8; W]) -> u32) {
        let Some(head) = elements.first() else { return };
        let first = *self.first.get_or_insert_with(|| f32::from_bits(bits(head)));
        let (mut zeros, mut non_finite, mut varies) = (0u64, 0u64, false);
        // Eight independent sums, so that no addition waits for the previous one.
        let mut squares = [0f64; LANES];
        for group in elements.chunks(LANES) {
            for (element, squares) in group.iter().zip(&mut squares) {
                let bits = bits(element);
                let magnitude = bits & 0x7fff_ffff;
                zeros += u64::from(magnitude == 0);
                non_finite += u64::from(magnitude >= 0x7f80_0000);
                let value = f32::from_bits(bits);
                varies |= value != first;
                *squares += f64::from(value) * f64::from(value);
            }
        }
        if non_finite > 0 && self.first_non_finite.is_none() {
            let at = elements.iter().position(|e| bits(e) & 0x7fff_ffff >= 0x7f80_0000);
            self.first_non_finite = at.map(|at| self.seen + at as u64);
        }
        for window in self.windows.iter_mut().chain(self.rows.iter_mut().flatten()) {
            let here = |element: u64| {
                element.saturating_sub(self.seen).min(elements.len() as u64) as usize
            };
            let part = &elements[here(window.elements.start)..here(window.elements.end)];
            window.hit |= part.iter().any(|element| bits(element) & 0x7fff_ffff != 0);
        }
        self.zeros += zeros;
        self.non_finite += non_finite;
        self.varies |= varies;
        self.squares += squares.iter().sum::<f64>();
        self.seen += elements.len() as u64;
    }
}

/// Returns the spot check's windows over `total` elements. They are empty if `total` is 0.
pub fn windows(total: u64) -> [Range<u64>; 3] {
    let width = total.min(WINDOW);
    POSITIONS.map(|percent| {
        let at = (u128::from(total) * u128::from(percent) / 100) as u64;
        let start = at.min(total - width);
        start..start + width
    })
}

/// Returns the whole rows that the spot check's windows touch, for a tensor whose rows may be zeros.
pub fn row_windows(tensor: &TensorInfo) -> Option<[Range<u64>; 3]> {
    let total = tensor.elements().unwrap_or(0);
    may_have_zero_rows(tensor).then(|| windows(total).map(|window| rows_of(tensor, &window)))
}
