//! Kernels of a forward pass begin before the one before them has ended (`early.cu`).

use std::ffi::CStr;
use std::sync::Arc;

use crate::gpu::driver::error::GpuError;
use crate::gpu::kernel::{Kernel, Module};

/// A kernel of these sources, which begins early where the device supports that.
pub(super) fn early(module: &Arc<Module>, name: &CStr) -> Result<Kernel, GpuError> {
    // SAFETY: every kernel of a forward pass waits for earlier work before it reads what this work
    // may write, or writes anything.
    unsafe { module.kernel(name)?.begins_early() }
}

#[cfg(test)]
mod tests {
    /// All sources of kernels that begin early.
    const SOURCES: [(&str, &str); 9] = [
        ("encoder.cu", include_str!("../kernels/encoder.cu")),
        ("split.cu", include_str!("../kernels/split.cu")),
        ("linear/tiles.cu", include_str!("../kernels/linear/tiles.cu")),
        ("linear/join.cu", include_str!("../kernels/linear/join.cu")),
        ("attention.cu", include_str!("../kernels/attention.cu")),
        ("attention_any.cu", include_str!("../kernels/attention_any.cu")),
        ("attention_parts/tiles.cu", include_str!("../kernels/attention_parts/tiles.cu")),
        ("attention_parts/attend.cu", include_str!("../kernels/attention_parts/attend.cu")),
        ("warpgroup/products.cu", include_str!("../kernels/warpgroup/products.cu")),
    ];

    #[test]
    fn every_kernel_waits_for_earlier_work() {
        for (name, source) in SOURCES {
            let count = |text: &str| source.matches(text).count();
            let waits = count("begin_behind();") + count("wait_for_last();");
            assert_eq!(count("__global__ void"), waits, "{name}");
        }
    }
}
