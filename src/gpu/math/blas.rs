//! One matrix product by cuBLAS, to show that weights can be used without a copy.

use std::ptr;

use crate::gpu::driver::calls::{BlasLibrary, cublasHandle_t, cublasMath_t, cublasOperation_t};
use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::{GpuError, report};
use crate::gpu::driver::memory::DeviceRange;

/// A cuBLAS handle that multiplies in plain F32.
#[derive(Debug)]
pub struct Blas {
    context: Context,
    library: BlasLibrary,
    handle: cublasHandle_t,
}

// SAFETY: a cuBLAS handle may be used by any thread, one at a time; `multiply` takes `&mut self`.
unsafe impl Send for Blas {}

impl Blas {
    /// Opens cuBLAS on a device. The library is not part of the driver and may be missing.
    pub fn new(context: &Context) -> Result<Blas, GpuError> {
        let library = BlasLibrary::load()?;
        context.bind()?;
        let mut handle = ptr::null_mut();
        // SAFETY: `handle` outlives the call and a context is current.
        unsafe { library.cublasCreate_v2(&raw mut handle) }?;
        let blas = Blas { context: context.clone(), library, handle };
        // The pedantic mode rules out TF32 and any other narrowing of the inputs.
        // SAFETY: the handle was made above.
        unsafe { library.cublasSetMathMode(blas.handle, cublasMath_t::CUBLAS_PEDANTIC_MATH) }?;
        Ok(blas)
    }

    /// C = A x B in F32, all row-major without padding: A is `m` x `k`, B is `k` x `n`, and the
    /// `m` x `n` result comes back to the host.
    ///
    /// # Errors
    ///
    /// Refused when a side is zero, the ranges' lengths are not those of the shapes, or a range is
    /// not aligned to four bytes.
    pub fn multiply(
        &mut self,
        a: DeviceRange<'_>,
        b: DeviceRange<'_>,
        (m, k, n): (usize, usize, usize),
    ) -> Result<Vec<f32>, GpuError> {
        let side = |length: usize| match i32::try_from(length) {
            Ok(length) if length > 0 => Ok(length),
            _ => Err(GpuError::refused("multiply", format!("side out of range: {length}"))),
        };
        let (rows, inner, columns) = (side(m)?, side(k)?, side(n)?);
        check_matrix(&self.context, a, m, k)?;
        check_matrix(&self.context, b, k, n)?;
        let c = self.context.allocate(matrix_bytes(m, n)?)?;
        self.context.bind()?;
        let (one, zero) = (1.0f32, 0.0f32);
        let plain = cublasOperation_t::CUBLAS_OP_N;
        // cuBLAS is column-major, where these bytes read as the transposes. The transpose of
        // A x B is the product of the transposes in reverse order, so B goes first.
        // SAFETY: the three ranges are live, aligned and exactly as long as their shapes, which
        // the strides repeat; the scalars are host memory and outlive the call, which reads them
        // at once in the handle's default pointer mode.
        unsafe {
            self.library.cublasSgemm_v2(
                self.handle,
                plain,
                plain,
                columns,
                rows,
                inner,
                &raw const one,
                b.pointer() as *const f32,
                columns,
                a.pointer() as *const f32,
                inner,
                &raw const zero,
                c.pointer() as *mut f32,
                columns,
            )
        }?;
        self.context.synchronize_null_stream()?;
        let mut bytes = vec![0; c.bytes()];
        c.read(0, &mut bytes)?;
        Ok(bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect())
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        let destroyed = self.context.bind().and_then(|_| {
            // SAFETY: the handle is destroyed only here, with its context current.
            unsafe { self.library.cublasDestroy_v2(self.handle) }
        });
        report(destroyed);
    }
}

fn check_matrix(
    context: &Context,
    range: DeviceRange<'_>,
    rows: usize,
    columns: usize,
) -> Result<(), GpuError> {
    let refuse = |why: &str| {
        let text = format!("{why}: {} bytes for a {rows} x {columns} matrix", range.bytes());
        Err(GpuError::refused("multiply", text))
    };
    if range.bytes() != matrix_bytes(rows, columns)? {
        return refuse("wrong length");
    }
    if !range.pointer().is_multiple_of(size_of::<f32>() as u64) {
        return refuse("misaligned");
    }
    match context.is_same(range.context()) {
        true => Ok(()),
        false => refuse("on another device"),
    }
}

fn matrix_bytes(rows: usize, columns: usize) -> Result<usize, GpuError> {
    rows.checked_mul(columns)
        .and_then(|count| count.checked_mul(size_of::<f32>()))
        .ok_or_else(|| GpuError::refused("multiply", format!("{rows} x {columns} values overflow")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrix_sizes_do_not_wrap() {
        assert_eq!(matrix_bytes(3, 5).ok(), Some(60));
        assert!(matrix_bytes(usize::MAX, 2).is_err());
        assert!(matrix_bytes(usize::MAX / 2, 1).is_err());
    }
}
