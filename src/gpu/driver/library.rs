//! Finds the CUDA libraries at run time, and turns their status codes into errors.
//!
//! The bindings open a library on the first call, and panic if the library or a symbol is missing.
//! So this module probes each library once, symbol by symbol, and returns a token. The holder of a
//! token can call the functions of its table without a panic.

use std::error::Error;
use std::ffi::{CStr, c_char, c_int};
use std::sync::OnceLock;

use cudarc::cublas::sys as blas_sys;
use cudarc::cublaslt::sys as lt_sys;
use cudarc::driver::sys as driver_sys;
use cudarc::nvrtc::sys as nvrtc_sys;
use libloading::Library;

use super::error::{GpuError, Origin};

/// The driver library, open, with every symbol that this module calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DriverLoaded(&'static Library);

/// NVRTC, open, with every symbol that this module calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CompilerLoaded(&'static Library);

/// cuBLAS, open, with every symbol that this module calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlasLoaded(&'static Library);

/// cuBLASLt, open, with every symbol that this module calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LightBlasLoaded(&'static Library);

/// Defines how a library is opened, once per process, and how a function of it is looked up.
macro_rules! library {
    ($token:ident, $module:ident, $name:literal, $installed:literal) => {
        impl $token {
            /// Opens the library, once per process.
            pub(crate) fn find(symbols: &[&str]) -> Result<Self, GpuError> {
                static FOUND: OnceLock<Result<$token, GpuError>> = OnceLock::new();
                let find = || {
                    // SAFETY: opening the vendor's library runs only its own initialisers, which
                    // have no conditions for the caller.
                    if !unsafe { $module::is_culib_present() } {
                        return Err(not_found($name, $installed));
                    }
                    // SAFETY: the library was found a moment ago under the same list of names.
                    let library = unsafe { $module::culib() };
                    symbols.iter().try_for_each(|symbol| probe(library, symbol))?;
                    Ok($token(library))
                };
                FOUND.get_or_init(find).clone()
            }

            /// The address of a function.
            ///
            /// # Safety
            ///
            /// `F` must be a function pointer type with the signature that the C header gives
            /// `symbol`.
            pub(crate) unsafe fn function<F: Copy>(self, symbol: &str) -> Result<F, GpuError> {
                // SAFETY: the caller vouches for the type.
                unsafe { function(self.0, symbol) }
            }
        }
    };
}

library!(DriverLoaded, driver_sys, "cuda", "libcuda.so.1");
library!(BlasLoaded, blas_sys, "cublas", "libcublas.so.13");
library!(LightBlasLoaded, lt_sys, "cublasLt", "libcublasLt.so.13");
library!(CompilerLoaded, nvrtc_sys, "nvrtc", "libnvrtc.so.13");

impl DriverLoaded {
    /// Turns a status into a result, with the driver's own name and text for it.
    pub(crate) fn check(self, call: &'static str, status: c_int) -> Result<(), GpuError> {
        type Describe = unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int;
        if status == 0 {
            return Ok(());
        }
        let describe = |symbol| {
            let mut text = std::ptr::null();
            // SAFETY: both functions asked for have this signature.
            let told = unsafe { self.function::<Describe>(symbol) }.map(|describe| {
                // SAFETY: the target outlives the call; a status that the driver does not know
                // leaves null there.
                unsafe { describe(status, &raw mut text) }
            });
            // SAFETY: on success the driver gives its own static, zero-terminated text.
            unsafe { static_text(if told == Ok(0) { text } else { std::ptr::null() }) }
        };
        let (name, text) = (describe("cuGetErrorName"), describe("cuGetErrorString"));
        Err(GpuError::reported(Origin::Driver, call, Some(status), name, text))
    }
}

impl BlasLoaded {
    /// Turns a status into a result, with the library's own name and text for it.
    pub(crate) fn check(self, call: &'static str, status: c_int) -> Result<(), GpuError> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: both have the signature that is asked for, and give static texts.
        let describe = |symbol| unsafe { described(self.function(symbol), status) };
        let (name, text) = (describe("cublasGetStatusName"), describe("cublasGetStatusString"));
        Err(GpuError::reported(Origin::Blas, call, Some(status), name, text))
    }
}

impl LightBlasLoaded {
    /// Turns a status into a result, with the library's own name and text for it.
    pub(crate) fn check(self, call: &'static str, status: c_int) -> Result<(), GpuError> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: both have the signature that is asked for, and give static texts.
        let describe = |symbol| unsafe { described(self.function(symbol), status) };
        let (name, text) = (describe("cublasLtGetStatusName"), describe("cublasLtGetStatusString"));
        Err(GpuError::reported(Origin::Blas, call, Some(status), name, text))
    }
}

impl CompilerLoaded {
    /// Turns a status into a result. NVRTC has one text for a status, which is its name.
    pub(crate) fn check(self, call: &'static str, status: c_int) -> Result<(), GpuError> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: it has the signature that is asked for, and gives static texts.
        let name = unsafe { described(self.function("nvrtcGetErrorString"), status) };
        let text = "the kernels were not compiled";
        Err(GpuError::reported(Origin::Compiler, call, Some(status), name, text))
    }
}

/// A library's function that returns the text for a status.
type Describe = unsafe extern "C" fn(c_int) -> *const c_char;

/// Calls that function.
///
/// # Safety
///
/// The texts that it returns must be zero-terminated and never freed.
unsafe fn described(describe: Result<Describe, GpuError>, status: c_int) -> String {
    let text = describe.map_or(std::ptr::null(), |describe| {
        // SAFETY: any number may be asked about.
        unsafe { describe(status) }
    });
    // SAFETY: the caller vouches for the text.
    unsafe { static_text(text) }
}

/// A library's text for a status, or `unnamed` for null.
///
/// # Safety
///
/// A pointer that is not null must be to a zero-terminated string that is never freed.
unsafe fn static_text(text: *const c_char) -> String {
    match text.is_null() {
        true => "unnamed".to_owned(),
        // SAFETY: not null, and the caller vouches for the rest.
        false => unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned(),
    }
}

/// Checks that `library` exports `symbol`, so that a library that is too old is refused early.
fn probe(library: &Library, symbol: &str) -> Result<(), GpuError> {
    // SAFETY: the address is looked up and dropped; nothing is called through this type.
    unsafe { function::<unsafe extern "C" fn()>(library, symbol) }.map(drop)
}

/// Looks a function up.
///
/// # Safety
///
/// `F` must be a function pointer type with the symbol's own signature, if it is ever called.
unsafe fn function<F: Copy>(library: &Library, symbol: &str) -> Result<F, GpuError> {
    // SAFETY: the caller vouches for the type.
    match unsafe { library.get::<F>(symbol) } {
        Ok(address) => Ok(*address),
        Err(error) => Err(GpuError::reported(
            Origin::Missing,
            "dlsym",
            None,
            "SYMBOL_NOT_FOUND",
            linker_words(&error),
        )),
    }
}

/// The dynamic linker's own text about a library that does not open.
///
/// Every name that the bindings try is opened again. The text about a file that exists but does not
/// open (a missing dependency, a wrong architecture) is the most useful one and is returned first.
/// Otherwise the text about the name that installers use is returned.
fn not_found(library: &str, installed_name: &str) -> GpuError {
    let mut answer = String::new();
    for name in cudarc::get_lib_name_candidates(library) {
        // SAFETY: opening the vendor's library has no conditions; if it opens this time, it is
        // closed again and the next name is tried.
        let Err(error) = (unsafe { Library::new(&name) }) else { continue };
        let text = linker_words(&error);
        if !text.contains("No such file") {
            answer = text;
            break;
        }
        if answer.is_empty() || name == installed_name {
            answer = text;
        }
    }
    GpuError::reported(Origin::Missing, "dlopen", None, "LIBRARY_NOT_FOUND", answer)
}

/// The text of `dlerror`. The loading crate's own text only names the call that failed.
fn linker_words(error: &libloading::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_reported_in_the_linkers_words() {
        let error = not_found("weighbridge_no_such", "libweighbridge_no_such.so.1");
        assert!(error.is_unavailable());
        assert!(error.text.contains("libweighbridge_no_such.so.1:"), "{error}");
        assert!(error.text.contains("No such file"), "{error}");
    }

    #[test]
    fn a_missing_symbol_is_an_error_and_not_a_panic() {
        // SAFETY: the C library is loaded already; opening it again runs nothing.
        let library = unsafe { Library::new("libc.so.6") }.expect("glibc is here");
        assert!(probe(&library, "strlen").is_ok());
        let error = probe(&library, "cuNoSuchCall").expect_err("glibc has no CUDA in it");
        assert_eq!(error.name, "SYMBOL_NOT_FOUND");
        assert!(error.text.contains("cuNoSuchCall"), "{error}");
    }
}
