//! The operations of an encoder's forward pass on a device: kernels, cuBLASLt, and a [`Runner`] that
//! queues them, keeps activations and can record a run to repeat it as one graph.

mod arrange;
mod linear;
mod mix;
mod runner;
mod shape;

use std::thread;

use super::context::Context;
use super::error::GpuError;
use super::kernel::{Kernel, Module};

use shape::{HEAD_SIZES, QUERIES, attention_bytes};

pub use mix::Columns;
pub use runner::{Floats, Runner, Words};
pub use shape::{Activated, Attending, Normed, Pooled, Stored};

/// Every kernel of an encoder, ready to run on one device. A clone is another name for the same ones.
#[derive(Clone, Debug)]
pub struct EncoderKernels {
    context: Context,
    gather: Kernel,
    norm: Kernel,
    gated: Kernel,
    add: Kernel,
    bias_and_activate: Kernel,
    widen: Kernel,
    rotate: Kernel,
    pool: Kernel,
    splade: Kernel,
    normalize: Kernel,
    blank: Kernel,
    linear: [Kernel; 3],
    attend: [[Kernel; 2]; 3],
}

impl EncoderKernels {
    /// Compiles and loads them: some tenths of a second, the two sources side by side.
    ///
    /// # Errors
    ///
    /// [`GpuError::is_unavailable`] where NVRTC is missing.
    pub fn new(context: &Context) -> Result<EncoderKernels, GpuError> {
        const VALUES: &str = include_str!("../kernels/values.cu");
        let load = |name: &str, parts: &[&str]| Module::load(context, name, &parts.concat());
        let (parts, attention) = thread::scope(|scope| {
            let attention = scope
                .spawn(|| load("attention.cu", &[VALUES, include_str!("../kernels/attention.cu")]));
            let parts = load(
                "encoder.cu",
                &[
                    VALUES,
                    include_str!("../kernels/encoder.cu"),
                    include_str!("../kernels/linear.cu"),
                ],
            );
            let lost = |_| Err(GpuError::refused("compile", "the compiling thread was lost"));
            (parts, attention.join().unwrap_or_else(lost))
        });
        let (parts, attention) = (parts?, attention?);
        let pair = |few, many| Ok::<_, GpuError>([attention.kernel(few)?, attention.kernel(many)?]);
        let attend = [
            pair(c"attend_32_1", c"attend_32_4")?,
            pair(c"attend_64_1", c"attend_64_4")?,
            pair(c"attend_128_1", c"attend_128_2")?,
        ];
        for ((kernels, size), queries) in attend.iter().zip(HEAD_SIZES).zip(QUERIES) {
            for (kernel, queries) in kernels.iter().zip(queries) {
                kernel.allow_shared(attention_bytes(size, queries))?;
            }
        }
        Ok(EncoderKernels {
            context: context.clone(),
            gather: parts.kernel(c"gather_rows")?,
            norm: parts.kernel(c"norm_rows")?,
            gated: parts.kernel(c"gated_product")?,
            add: parts.kernel(c"add_values")?,
            bias_and_activate: parts.kernel(c"bias_and_activate")?,
            widen: parts.kernel(c"widen_values")?,
            rotate: parts.kernel(c"rotate_heads")?,
            pool: parts.kernel(c"pool_tokens")?,
            splade: parts.kernel(c"splade_tokens")?,
            normalize: parts.kernel(c"normalize_rows")?,
            blank: parts.kernel(c"blank_rows")?,
            linear: [
                parts.kernel(c"linear_f16")?,
                parts.kernel(c"linear_bf16")?,
                parts.kernel(c"linear_f32")?,
            ],
            attend,
        })
    }

    /// The device that they run on.
    pub fn context(&self) -> &Context {
        &self.context
    }
}
