//! Compiles CUDA C++ to machine code for one device, with NVRTC.
//!
//! Kernels are compiled at run time for the device's own architecture. So a build needs no CUDA
//! toolkit, and the driver does not translate PTX. The image is cached for the next process
//! (`image_cache.rs`).

use std::ffi::{CString, c_char};
use std::ptr;

use super::image_cache;
use crate::gpu::driver::calls::{Compiler, nvrtcProgram};
use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::{GpuError, report};

/// The language standard of the kernels.
const STANDARD: &str = "--std=c++17";

/// The instructions that a source may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instructions {
    /// Those that every later architecture has too.
    Common,
    /// Also those of this architecture alone, such as `wgmma` of capability 9.0.
    Specific,
}

/// The image of `source` for the context's device: from the image cache, or compiled now.
pub(crate) fn compile(
    context: &Context,
    name: &str,
    source: &str,
    instructions: Instructions,
) -> Result<Vec<u8>, GpuError> {
    let compiler = Compiler::load()?;
    let (major, minor) = context.compute_capability()?;
    let specific = if instructions == Instructions::Specific { "a" } else { "" };
    let architecture = format!("--gpu-architecture=sm_{major}{minor}{specific}");
    let version = compiler.version()?;
    let words = [version.as_str(), &architecture, STANDARD, name, source];
    image_cache::image(image_cache::folder().as_deref(), &words, || {
        compiled(compiler, &[&architecture, STANDARD], name, source)
    })
}

fn compiled(
    compiler: Compiler,
    options: &[&str],
    name: &str,
    source: &str,
) -> Result<Vec<u8>, GpuError> {
    let texts: Vec<CString> = options.iter().map(|one| text(*one)).collect::<Result<_, _>>()?;
    let options: Vec<*const c_char> = texts.iter().map(|one| one.as_ptr()).collect();
    let program = Program::new(compiler, name, source)?;
    // SAFETY: the program is alive, and the options are zero-terminated and outlive the call.
    let compiled = unsafe {
        compiler.nvrtcCompileProgram(program.raw, options.len() as i32, options.as_ptr())
    };
    if let Err(mut error) = compiled {
        error.text = format!("{}: {}", error.text, program.log()?);
        return Err(error);
    }
    let mut bytes = 0;
    // SAFETY: the target outlives the call; the program has been compiled.
    unsafe { compiler.nvrtcGetCUBINSize(program.raw, &raw mut bytes) }?;
    let mut image = vec![0u8; bytes];
    // SAFETY: the target is as long as the library said a moment ago.
    unsafe { compiler.nvrtcGetCUBIN(program.raw, image.as_mut_ptr().cast()) }?;
    Ok(image)
}

/// The error where a thread that compiles has panicked.
pub(crate) fn thread_lost() -> GpuError {
    GpuError::refused("compile", "the compiling thread was lost")
}

impl Compiler {
    /// NVRTC's version, `major.minor`. Other versions make other images, so it is part of the key.
    fn version(self) -> Result<String, GpuError> {
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both targets outlive the call.
        unsafe { self.nvrtcVersion(&raw mut major, &raw mut minor) }?;
        Ok(format!("{major}.{minor}"))
    }
}

struct Program {
    compiler: Compiler,
    raw: nvrtcProgram,
}

impl Program {
    fn new(compiler: Compiler, name: &str, source: &str) -> Result<Program, GpuError> {
        let (name, source) = (text(name)?, text(source)?);
        let mut raw = ptr::null_mut();
        // SAFETY: `raw` outlives the call, which copies both texts; there are no headers.
        unsafe {
            compiler.nvrtcCreateProgram(
                &raw mut raw,
                source.as_ptr(),
                name.as_ptr(),
                0,
                ptr::null(),
                ptr::null(),
            )
        }?;
        Ok(Program { compiler, raw })
    }

    /// The compiler's log of errors and warnings.
    fn log(&self) -> Result<String, GpuError> {
        let mut bytes = 0;
        // SAFETY: the target outlives the call and the program is alive.
        unsafe { self.compiler.nvrtcGetProgramLogSize(self.raw, &raw mut bytes) }?;
        let mut log = vec![0u8; bytes];
        // SAFETY: the target is as long as the library said a moment ago.
        unsafe { self.compiler.nvrtcGetProgramLog(self.raw, log.as_mut_ptr().cast::<c_char>()) }?;
        Ok(String::from_utf8_lossy(&log).trim_end_matches('\0').trim().to_owned())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: the program is destroyed only here.
        report(unsafe { self.compiler.nvrtcDestroyProgram(&raw mut self.raw) });
    }
}

fn text(text: impl Into<Vec<u8>>) -> Result<CString, GpuError> {
    CString::new(text).map_err(|_| GpuError::refused("compile", "a text contains a zero byte"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nvrtc_is_found_or_its_absence_explained() {
        let told = Compiler::load().map(drop);
        let explained = |error: &GpuError| {
            error.is_unavailable()
                && ["nvrtc", "feature"].iter().any(|why| error.text.contains(why))
        };
        assert!(told.as_ref().map_or_else(explained, |()| true), "{told:?}");
    }
}
