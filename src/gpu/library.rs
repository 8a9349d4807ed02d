//! Finding the CUDA libraries at run time, and turning their status codes into errors.
//!
//! The bindings open a library on the first call and panic if it, or a symbol, is not there. So
//! each library is probed once here, symbol by symbol, and what comes out is a token: whoever
//! holds one may call the functions of its table without meeting that panic.

use std::ffi::CStr;
use std::sync::OnceLock;

use cudarc::cublas::sys as blas_sys;
use cudarc::driver::result::DriverError;
use cudarc::driver::sys as driver_sys;

use super::error::{GpuError, Origin};

/// Proof that the driver library is open and has every symbol that this module calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct DriverLoaded(());

/// Proof that cuBLAS is open and has every symbol that this module calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlasLoaded(());

impl DriverLoaded {
    /// Opens `libcuda`, once a process.
    pub(super) fn find(symbols: &[&str]) -> Result<Self, GpuError> {
        static FOUND: OnceLock<Result<DriverLoaded, GpuError>> = OnceLock::new();
        FOUND
            .get_or_init(|| {
                // SAFETY: opening the driver library runs its initialisers, which make no demand
                // on the caller; they are those of the vendor's library and of nothing else.
                if !unsafe { driver_sys::is_culib_present() } {
                    return Err(not_found("cuda"));
                }
                // SAFETY: the library was found a moment ago under the same list of names.
                let library = unsafe { driver_sys::culib() };
                // The two that turn a code into words are called by `check_driver` alone.
                let words = ["cuGetErrorName", "cuGetErrorString"];
                for symbol in symbols.iter().chain(&words) {
                    probe(library, symbol)?;
                }
                Ok(DriverLoaded(()))
            })
            .clone()
    }
}

impl BlasLoaded {
    /// Opens `libcublas`, once a process.
    pub(super) fn find(symbols: &[&str]) -> Result<Self, GpuError> {
        static FOUND: OnceLock<Result<BlasLoaded, GpuError>> = OnceLock::new();
        FOUND
            .get_or_init(|| {
                // SAFETY: as for the driver: opening the vendor's library asks nothing of us.
                if !unsafe { blas_sys::is_culib_present() } {
                    return Err(not_found("cublas"));
                }
                // SAFETY: the library was found a moment ago under the same list of names.
                let library = unsafe { blas_sys::culib() };
                for symbol in
                    symbols.iter().chain(&["cublasGetStatusName", "cublasGetStatusString"])
                {
                    probe(library, symbol)?;
                }
                Ok(BlasLoaded(()))
            })
            .clone()
    }
}

/// Turns a driver status into a result, with the driver's own name and text for it.
pub(super) fn check_driver(
    call: &'static str,
    status: driver_sys::CUresult,
) -> Result<(), GpuError> {
    let Err(error) = status.result() else { return Ok(()) };
    let words = |found: Result<&CStr, DriverError>| {
        found.map(|text| text.to_string_lossy().into_owned()).unwrap_or_else(|_| "unnamed".into())
    };
    Err(GpuError::reported(
        Origin::Driver,
        call,
        Some(status as i32),
        words(error.error_name()),
        words(error.error_string()),
    ))
}

/// Turns a cuBLAS status into a result, with the library's own name and text for it.
pub(super) fn check_blas(
    call: &'static str,
    status: blas_sys::cublasStatus_t,
) -> Result<(), GpuError> {
    if status == blas_sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS {
        return Ok(());
    }
    let words = |text: *const core::ffi::c_char| {
        if text.is_null() {
            return "unnamed".to_owned();
        }
        // SAFETY: cuBLAS returns pointers to its own static, zero-terminated strings.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    };
    // SAFETY: both take a status by value and have no other precondition.
    let (name, text) = unsafe {
        (
            words(blas_sys::cublasGetStatusName(status)),
            words(blas_sys::cublasGetStatusString(status)),
        )
    };
    Err(GpuError::reported(Origin::Blas, call, Some(status as i32), name, text))
}

/// Checks that `library` exports `symbol`, so that a too old one is an error and not a panic.
fn probe(library: &libloading::Library, symbol: &str) -> Result<(), GpuError> {
    // SAFETY: the address is looked up and dropped; nothing is called through this type.
    match unsafe { library.get::<unsafe extern "C" fn()>(symbol) } {
        Ok(_) => Ok(()),
        Err(error) => Err(GpuError::reported(
            Origin::Missing,
            "dlsym",
            None,
            "SYMBOL_NOT_FOUND",
            error.to_string(),
        )),
    }
}

/// The dynamic linker's own words about a library that would not open.
///
/// It is asked again under every name that the bindings try. A file that exists and still does
/// not open (a missing dependency, a wrong architecture) tells more than one that is not there,
/// so such an answer wins over "No such file".
fn not_found(library: &str) -> GpuError {
    let mut answer = String::new();
    for name in cudarc::get_lib_name_candidates(library) {
        // SAFETY: as above; should it open this time, it is closed again and the next is asked.
        let Err(error) = (unsafe { libloading::Library::new(&name) }) else { continue };
        let text = error.to_string();
        let telling = !text.contains("No such file");
        // Among the others the last name, `lib*.so.1`, is the one that drivers install.
        if telling || answer.is_empty() || name.ends_with(".so.1") {
            answer = text;
        }
        if telling {
            break;
        }
    }
    GpuError::reported(Origin::Missing, "dlopen", None, "LIBRARY_NOT_FOUND", answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_reported_in_the_linkers_words() {
        let error = not_found("weighbridge_has_no_such_library");
        assert!(error.is_unavailable());
        assert!(error.text.contains("weighbridge_has_no_such_library"), "{error}");
        assert!(error.text.contains("No such file"), "{error}");
    }

    #[test]
    fn a_missing_symbol_is_an_error_and_not_a_panic() {
        // SAFETY: the C library is loaded already; opening it again runs nothing.
        let library = unsafe { libloading::Library::new("libc.so.6") }.expect("glibc is here");
        assert!(probe(&library, "strlen").is_ok());
        let error = probe(&library, "cuNoSuchCall").expect_err("glibc has no CUDA in it");
        assert_eq!(error.name, "SYMBOL_NOT_FOUND");
        assert!(error.text.contains("cuNoSuchCall"), "{error}");
    }
}
