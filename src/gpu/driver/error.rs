//! The error type of all GPU calls: which call failed, the code and name that it returned, and the
//! library's own text.
//!
//! The predicates tell what a failure means for the caller. They use the code together with the
//! library that returned it, because the driver and cuBLAS number their errors differently.

use std::fmt;

/// A call to the CUDA driver, cuBLAS or NVML that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuError {
    /// The entry point that failed, by its C name (`cuMemAlloc_v2`), or by the name of the method
    /// of this module that refused its arguments before any call.
    pub call: &'static str,
    /// The number the library returned; absent where no library answered or NVML hides it.
    pub code: Option<i32>,
    /// The symbolic name: `CUDA_ERROR_OUT_OF_MEMORY`, or one of this module's own for failures
    /// that no library reported (`LIBRARY_NOT_FOUND`, `SYMBOL_NOT_FOUND`, `REFUSED`).
    pub name: String,
    /// What the library, or the dynamic linker, says about it.
    pub text: String,
    origin: Origin,
}

/// Name of NVML's answer about a card that fell off the bus.
pub(crate) const GPU_IS_LOST: &str = "GPU_IS_LOST";
/// Name of NVML's answer about a card that must be reset first.
pub(crate) const RESET_REQUIRED: &str = "RESET_REQUIRED";

/// Which library reported the failure. It defines the meaning of [`GpuError::code`].
#[allow(dead_code, reason = "a build has either libraries that answer or the lack of them")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The CUDA driver.
    Driver,
    /// cuBLAS.
    Blas,
    /// NVRTC.
    Compiler,
    /// NVML, which answered.
    Nvml,
    /// A library or a symbol that could not be opened.
    Missing,
    /// This module, because of arguments that it does not pass on to a library.
    Refused,
}

impl GpuError {
    /// An answer of one of the libraries, or of the dynamic linker.
    pub(crate) fn reported(
        origin: Origin,
        call: &'static str,
        code: Option<i32>,
        name: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        Self { call, code, name: name.into(), text: text.into(), origin }
    }

    /// An error for arguments that this module refuses before any library sees them.
    pub(crate) fn refused(call: &'static str, text: impl Into<String>) -> Self {
        Self {
            call,
            code: None,
            name: "REFUSED".to_owned(),
            text: text.into(),
            origin: Origin::Refused,
        }
    }

    /// The device (or the pinnable host memory) has no room for the request.
    pub fn is_out_of_memory(&self) -> bool {
        matches!((self.origin, self.code), (Origin::Driver, Some(2)) | (Origin::Blas, Some(3)))
    }

    /// The ordinal names no device (`CUDA_ERROR_INVALID_DEVICE`).
    pub fn is_invalid_device(&self) -> bool {
        self.origin == Origin::Driver && self.code == Some(101)
    }

    /// The device reaches that peer already (`CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED`).
    pub fn is_peer_access_enabled(&self) -> bool {
        self.origin == Origin::Driver && self.code == Some(704)
    }

    /// The driver rejected an argument (`CUDA_ERROR_INVALID_VALUE`), for example an address that it
    /// does not know.
    pub fn is_invalid_value(&self) -> bool {
        self.origin == Origin::Driver && self.code == Some(1)
    }

    /// There is no usable GPU here at all: no driver library, no device, or no `cuda` feature.
    ///
    /// Counts these driver codes: 34 (stub library), 46 (device unavailable), 100 (no device),
    /// 802-804 (system not ready, driver mismatch, compatibility mode unsupported).
    pub fn is_unavailable(&self) -> bool {
        match self.origin {
            Origin::Missing => true,
            Origin::Driver => matches!(self.code, Some(34 | 46 | 100 | 802 | 803 | 804)),
            Origin::Blas | Origin::Compiler | Origin::Nvml | Origin::Refused => false,
        }
    }

    /// NVML has lost the card, or it must be reset before anything else.
    pub fn is_lost(&self) -> bool {
        self.name == GPU_IS_LOST || self.name == RESET_REQUIRED
    }

    /// The driver found the hardware at fault: 214 (uncorrectable ECC), 220 (uncorrectable NVLink), 226
    /// (contained memory fault). Other codes that lose a context may be a program's fault.
    pub fn is_hardware_fault(&self) -> bool {
        self.origin == Origin::Driver && matches!(self.code, Some(214 | 220 | 226))
    }

    /// The context is lost: every later call in this process will fail too.
    ///
    /// The driver codes after which a context and all that it held cannot be used again: 4 (driver
    /// shut down), 214 (uncorrectable ECC), 220 (uncorrectable NVLink), 226 (contained memory
    /// fault), 709 (context destroyed), and what a faulting kernel leaves behind, 700, 702, 710,
    /// 714-719 and 721.
    pub fn is_sticky(&self) -> bool {
        self.origin == Origin::Driver
            && matches!(
                self.code,
                Some(4 | 214 | 220 | 226 | 700 | 702 | 709 | 710 | 714..=719 | 721)
            )
    }
}

impl fmt::Display for GpuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.call, self.name)?;
        if let Some(code) = self.code {
            write!(f, " ({code})")?;
        }
        write!(f, ": {}", self.text)
    }
}

impl std::error::Error for GpuError {}

/// Prints the error of a failed release to stderr, because a destructor cannot return it.
pub(crate) fn report(result: Result<(), GpuError>) {
    if let Err(error) = result {
        eprintln!("gpu: while releasing: {error}");
    }
}

/// Refuses a byte range that does not lie inside an allocation of `available` bytes.
pub(crate) fn check_range(
    call: &'static str,
    offset: usize,
    bytes: usize,
    available: usize,
) -> Result<(), GpuError> {
    match offset.checked_add(bytes) {
        Some(end) if end <= available => Ok(()),
        _ => Err(GpuError::refused(
            call,
            format!("range of {bytes} bytes at {offset} leaves an allocation of {available} bytes"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(origin: Origin, code: i32) -> GpuError {
        GpuError {
            call: "cuCall",
            code: Some(code),
            name: "NAME".to_owned(),
            text: "its words".to_owned(),
            origin,
        }
    }

    #[test]
    fn display_shows_call_name_code_and_text() {
        assert_eq!(with(Origin::Driver, 2).to_string(), "cuCall failed: NAME (2): its words");
        assert_eq!(GpuError::refused("read", "why").to_string(), "read failed: REFUSED: why");
    }

    #[test]
    fn a_code_means_something_only_with_its_library() {
        assert!(with(Origin::Driver, 2).is_out_of_memory());
        assert!(!with(Origin::Blas, 2).is_out_of_memory());
        assert!(with(Origin::Blas, 3).is_out_of_memory());
        assert!(!with(Origin::Driver, 3).is_out_of_memory());
        assert!(with(Origin::Driver, 101).is_invalid_device());
        assert!(!with(Origin::Nvml, 101).is_invalid_device());
        assert!(with(Origin::Driver, 1).is_invalid_value());
    }

    #[test]
    fn unavailable_and_sticky_do_not_overlap() {
        for code in 0..1000 {
            let error = with(Origin::Driver, code);
            assert!(!(error.is_unavailable() && error.is_sticky()), "code {code}");
        }
        assert!(with(Origin::Driver, 700).is_sticky());
        assert!(!with(Origin::Driver, 720).is_sticky());
        assert!(with(Origin::Driver, 100).is_unavailable());
        assert!(!with(Origin::Nvml, 100).is_unavailable());
        let faults: Vec<i32> =
            (0..1000).filter(|code| with(Origin::Driver, *code).is_hardware_fault()).collect();
        assert_eq!(faults, [214, 220, 226]);
        assert!(faults.iter().all(|code| with(Origin::Driver, *code).is_sticky()));
    }

    #[test]
    fn a_lost_card_is_known_by_its_name() {
        let named = |name: &str| GpuError::reported(Origin::Nvml, "nvmlCall", None, name, "text");
        assert!(named(GPU_IS_LOST).is_lost() && named(RESET_REQUIRED).is_lost());
        assert!(!named("NVML_ERROR").is_lost());
    }

    #[test]
    fn ranges_are_checked_without_overflow() {
        assert!(check_range("read", 3, 5, 8).is_ok());
        assert!(check_range("read", 8, 0, 8).is_ok());
        assert!(check_range("read", 4, 5, 8).is_err());
        assert!(check_range("read", usize::MAX, 2, 8).is_err());
    }
}
