//! Compiles and loads kernels. All launches of kernels go through this module.

pub mod chunk_digests;
pub mod compile;
mod hash_tools;
pub mod image_cache;
pub mod launch;
pub mod move_rows;
pub mod read_limit;
pub mod tensor_scan;
use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::{Arc, Mutex};

use self::compile::{Instructions, compile};
use self::hash_tools::Tools;
use super::driver::calls::{CUfunction, CUfunction_attribute, CUlaunchConfig, CUmodule};
use super::driver::context::Context;
use super::driver::error::{GpuError, report};
use super::driver::stream::Stream;

/// The kernels that hash, scan, move and read memory, ready to run on one device. A clone shares
/// them.
#[derive(Clone, Debug)]
pub struct Kernels {
    context: Context,
    pub(super) sha256_chunks: Kernel,
    pub(super) scan_spans: Kernel,
    pub(super) move_rows: Kernel,
    pub(super) read_all: Kernel,
    /// What hashing used before and may use again.
    spare: Arc<Mutex<Vec<Tools>>>,
}

impl Kernels {
    /// Compiles the kernels, or reads them from the image cache, and loads them. Compilation takes
    /// some tenths of a second.
    ///
    /// # Errors
    ///
    /// [`GpuError::is_unavailable`] where NVRTC is missing.
    pub fn new(context: &Context) -> Result<Kernels, GpuError> {
        let hash = Module::load(context, "sha256.cu", include_str!("../kernels/sha256.cu"))?;
        let tensors = Module::load(context, "tensors.cu", include_str!("../kernels/tensors.cu"))?;
        Ok(Kernels {
            context: context.clone(),
            sha256_chunks: hash.kernel(c"sha256_chunks")?,
            scan_spans: tensors.kernel(c"scan_spans")?,
            move_rows: tensors.kernel(c"move_rows")?,
            read_all: tensors.kernel(c"read_all")?,
            spare: Arc::default(),
        })
    }

    /// The context of the device that they run on.
    pub fn context(&self) -> &Context {
        &self.context
    }
}

/// One kernel of a loaded module.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    module: Arc<Module>,
    raw: CUfunction,
    /// Whether it may begin before earlier work of its stream has ended.
    early: bool,
}

// SAFETY: the driver's handles are valid in every thread, and its calls are thread-safe.
unsafe impl Send for Kernel {}
// SAFETY: as above; nothing in it changes after construction.
unsafe impl Sync for Kernel {}

impl Kernel {
    /// Queues `blocks` blocks of `threads` threads.
    ///
    /// # Safety
    ///
    /// The arguments must point to values of the types of the kernel's parameters, in their order,
    /// and every device range that the kernel touches must be live until it has ended.
    pub(super) unsafe fn launch(
        &self,
        stream: &Stream,
        blocks: u32,
        threads: u32,
        arguments: &mut [*mut c_void],
    ) -> Result<(), GpuError> {
        // SAFETY: as the caller vouches.
        unsafe { self.launch_grid(stream, [blocks, 1, 1], threads, 0, arguments) }
    }

    /// Has all its launches begin early, as in [`launch_behind`](Self::launch_behind), where the
    /// device supports that.
    ///
    /// # Safety
    ///
    /// The kernel must wait as `launch_behind` demands.
    pub(super) unsafe fn begins_early(self) -> Result<Kernel, GpuError> {
        let early = self.module.context.compute_capability()?.0 >= 9;
        Ok(Kernel { early, ..self })
    }

    /// Queues a grid of blocks, each with `shared_bytes` bytes of dynamic shared memory.
    ///
    /// # Safety
    ///
    /// As for [`launch`](Self::launch).
    pub(super) unsafe fn launch_grid(
        &self,
        stream: &Stream,
        blocks: [u32; 3],
        threads: u32,
        shared_bytes: u32,
        arguments: &mut [*mut c_void],
    ) -> Result<(), GpuError> {
        if self.early {
            // SAFETY: as the caller vouches, and the caller of `begins_early`.
            return unsafe {
                self.launch_behind(stream, blocks, threads, shared_bytes, arguments, true)
            };
        }
        let driver = self.module.context.bind()?;
        // SAFETY: the function belongs to a module that is kept loaded; the caller vouches for the
        // arguments, which the driver copies before it returns.
        unsafe {
            driver.cuLaunchKernel(
                self.raw,
                blocks[0],
                blocks[1],
                blocks[2],
                threads,
                1,
                1,
                shared_bytes,
                stream.raw(),
                arguments.as_mut_ptr(),
                ptr::null_mut(),
            )
        }
    }
}

impl Kernel {
    /// Queues a grid of blocks. If `early`, it may begin before the previously queued work has
    /// ended, and the kernel itself waits for that work where it must. Devices before compute
    /// capability 9.0 do not support `early`.
    ///
    /// # Safety
    ///
    /// As for [`launch`](Self::launch). With `early`, every thread of the kernel must wait for the
    /// previous work before it accesses memory that this work reads or writes.
    pub(super) unsafe fn launch_behind(
        &self,
        stream: &Stream,
        blocks: [u32; 3],
        threads: u32,
        shared_bytes: u32,
        arguments: &mut [*mut c_void],
        early: bool,
    ) -> Result<(), GpuError> {
        if !early {
            // SAFETY: as the caller vouches.
            return unsafe { self.launch_grid(stream, blocks, threads, shared_bytes, arguments) };
        }
        let driver = self.module.context.bind()?;
        let mut attribute = early_attribute();
        let launch = launch_config(stream, blocks, threads, shared_bytes, &mut attribute);
        // SAFETY: the function belongs to a module that is kept loaded; configuration and attribute
        // outlive the call; the caller vouches for the arguments, which the driver copies.
        unsafe {
            driver.cuLaunchKernelEx(
                &raw const launch,
                self.raw,
                arguments.as_mut_ptr(),
                ptr::null_mut(),
            )
        }
    }
}

fn early_attribute() -> cudarc::driver::sys::CUlaunchAttribute {
    use cudarc::driver::sys;
    sys::CUlaunchAttribute {
        id: sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
        pad: [0; 4],
        value: sys::CUlaunchAttributeValue { programmaticStreamSerializationAllowed: 1 },
    }
}

fn launch_config(
    stream: &Stream,
    blocks: [u32; 3],
    threads: u32,
    shared_bytes: u32,
    attribute: &mut cudarc::driver::sys::CUlaunchAttribute,
) -> CUlaunchConfig {
    CUlaunchConfig {
        gridDimX: blocks[0],
        gridDimY: blocks[1],
        gridDimZ: blocks[2],
        blockDimX: threads,
        blockDimY: 1,
        blockDimZ: 1,
        sharedMemBytes: shared_bytes,
        hStream: stream.raw(),
        attrs: ptr::from_mut(attribute),
        numAttrs: 1,
    }
}

impl Kernel {
    /// Asks for the largest shared memory carveout, even if the kernel needs less. Kernels run at
    /// the same time on a multiprocessor only if their carveouts are equal.
    pub(super) fn prefer_shared(&self) -> Result<(), GpuError> {
        /// Percent of the largest carveout.
        const MOST: i32 = 100;
        let driver = self.module.context.bind()?;
        let attribute = CUfunction_attribute::CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT;
        // SAFETY: the function is alive; the value is a percentage.
        unsafe { driver.cuFuncSetAttribute(self.raw, attribute, MOST) }
    }

    /// Allows launches with this many bytes of dynamic shared memory, and with what was allowed before.
    pub(super) fn allow_shared(&self, bytes: u32) -> Result<(), GpuError> {
        let (driver, mut allowed) = (self.module.context.bind()?, 0);
        let attribute = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: the function is alive, and `allowed` outlives the call.
        unsafe { driver.cuFuncGetAttribute(&raw mut allowed, attribute, self.raw) }?;
        if allowed >= bytes as i32 {
            return Ok(());
        }
        // SAFETY: the function is alive; the driver refuses a size that the device does not have.
        unsafe { driver.cuFuncSetAttribute(self.raw, attribute, bytes as i32) }
    }
}

#[derive(Debug)]
pub(super) struct Module {
    context: Context,
    raw: CUmodule,
}

// SAFETY: as for a kernel.
unsafe impl Send for Module {}
// SAFETY: as for a kernel.
unsafe impl Sync for Module {}

impl Module {
    /// Compiles a source and loads the image.
    pub(super) fn load(
        context: &Context,
        name: &str,
        source: &str,
    ) -> Result<Arc<Module>, GpuError> {
        Module::load_with(context, name, source, Instructions::Common)
    }

    /// The same for a source with these instructions.
    pub(super) fn load_with(
        context: &Context,
        name: &str,
        source: &str,
        instructions: Instructions,
    ) -> Result<Arc<Module>, GpuError> {
        let image = compile(context, name, source, instructions)?;
        let mut raw = ptr::null_mut();
        // SAFETY: `raw` outlives the call; the image is what the compiler made, and is copied.
        unsafe { context.bind()?.cuModuleLoadData(&raw mut raw, image.as_ptr().cast()) }?;
        Ok(Arc::new(Module { context: context.clone(), raw }))
    }

    /// A kernel of it.
    pub(super) fn kernel(self: &Arc<Self>, name: &CStr) -> Result<Kernel, GpuError> {
        let mut raw = ptr::null_mut();
        // SAFETY: `raw` outlives the call, the module is loaded and the name zero-terminated.
        unsafe { self.context.bind()?.cuModuleGetFunction(&raw mut raw, self.raw, name.as_ptr()) }?;
        Ok(Kernel { module: Arc::clone(self), raw, early: false })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        report(self.context.bind().and_then(|driver| {
            // SAFETY: unloaded only here, when no kernel of it is left; every launched kernel has
            // ended, because the buffers that it uses wait for the device when they are dropped.
            unsafe { driver.cuModuleUnload(self.raw) }
        }));
    }
}
