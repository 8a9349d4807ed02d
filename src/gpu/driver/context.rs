//! A CUDA device and its primary context, which all other GPU objects use.

use std::ffi::{CStr, c_char};
use std::fmt::Write;
use std::ptr;
use std::sync::Arc;

use super::calls::{CUcontext, CUdevice, CUdevice_attribute, CUstream, CUuuid, Driver};
use super::error::{GpuError, report};

/// The null stream, on which the synchronous calls run.
pub(crate) const NULL_STREAM: CUstream = ptr::null_mut();

/// One CUDA device, through its primary context. A clone refers to the same context.
///
/// The primary context is shared with every other user of the CUDA runtime in the process; it is
/// retained here and released when the last clone, buffer or stream made from it is gone.
#[derive(Clone, Debug)]
pub struct Context {
    inner: Arc<Inner>,
}

impl Context {
    /// Retains the primary context of the device with this CUDA ordinal.
    ///
    /// The first one in a process costs some hundred milliseconds and a few hundred MiB of device
    /// memory, as the driver sets up its own state.
    ///
    /// # Errors
    ///
    /// [`GpuError::is_unavailable`] without driver, device or `cuda` feature;
    /// [`GpuError::is_invalid_device`] if no device has this ordinal.
    pub fn open(ordinal: u32) -> Result<Context, GpuError> {
        let driver = Driver::load()?;
        let device = device(driver, ordinal)?;
        let mut raw = ptr::null_mut();
        // SAFETY: `raw` outlives the call and `device` came from `cuDeviceGet`.
        unsafe { driver.cuDevicePrimaryCtxRetain(&raw mut raw, device) }?;
        let context = Context { inner: Arc::new(Inner { driver, raw, device, ordinal }) };
        context.bind()?;
        Ok(context)
    }

    /// The CUDA ordinal that this was opened with.
    pub fn ordinal(&self) -> u32 {
        self.inner.ordinal
    }

    /// The device's marketing name, such as `NVIDIA H200`.
    pub fn name(&self) -> Result<String, GpuError> {
        let mut name: [c_char; 256] = [0; 256];
        // SAFETY: the buffer outlives the call and is as long as the length says; the driver
        // terminates the text with a zero within it.
        unsafe {
            self.inner.driver.cuDeviceGetName(name.as_mut_ptr(), 256, self.inner.device)?;
            Ok(CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned())
        }
    }

    /// The device's UUID in the driver's spelling, `GPU-` and five groups of hexadecimal digits.
    pub fn uuid(&self) -> Result<String, GpuError> {
        uuid(self.inner.driver, self.inner.device)
    }

    /// Major and minor compute capability, such as `(9, 0)`.
    pub fn compute_capability(&self) -> Result<(u32, u32), GpuError> {
        Ok((
            self.attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            self.attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ))
    }

    /// How many multiprocessors the device has.
    ///
    /// # Errors
    ///
    /// The driver's error.
    pub fn multiprocessors(&self) -> Result<usize, GpuError> {
        let attribute = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        Ok(self.attribute(attribute)?.max(1) as usize)
    }

    /// Shared memory of a multiprocessor, in bytes.
    ///
    /// # Errors
    ///
    /// The driver's error.
    pub fn shared_bytes(&self) -> Result<usize, GpuError> {
        let attribute =
            CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR;
        Ok(self.attribute(attribute)? as usize)
    }

    /// A number of the device, none of which is negative.
    fn attribute(&self, attribute: CUdevice_attribute) -> Result<u32, GpuError> {
        let mut value = 0;
        // SAFETY: `value` outlives the call and the device handle is the driver's own.
        unsafe {
            self.inner.driver.cuDeviceGetAttribute(&raw mut value, attribute, self.inner.device)
        }?;
        Ok(value.unsigned_abs())
    }

    /// Free and total device memory in bytes, over all processes.
    pub fn memory(&self) -> Result<(usize, usize), GpuError> {
        let driver = self.bind()?;
        let (mut free, mut total) = (0, 0);
        // SAFETY: both targets outlive the call.
        unsafe { driver.cuMemGetInfo_v2(&raw mut free, &raw mut total) }?;
        Ok((free, total))
    }

    /// Waits for all work of this process on the device. Returns an error if any of it failed.
    pub fn synchronize(&self) -> Result<(), GpuError> {
        // SAFETY: no precondition beyond the current context, which `bind` has set.
        unsafe { self.bind()?.cuCtxSynchronize() }
    }

    /// Waits for the null stream, on which the synchronous copies and fills run.
    pub(crate) fn synchronize_null_stream(&self) -> Result<(), GpuError> {
        // SAFETY: the null stream always exists while a context is current.
        unsafe { self.bind()?.cuStreamSynchronize(NULL_STREAM) }
    }

    /// Makes this context current on the calling thread, and returns the token to call the driver.
    ///
    /// Every call does this, so that objects may move between threads freely. It is cheap, because
    /// the driver uses thread-local state.
    pub(crate) fn bind(&self) -> Result<Driver, GpuError> {
        // SAFETY: the context is retained for as long as `inner` lives.
        unsafe { self.inner.driver.cuCtxSetCurrent(self.inner.raw) }?;
        Ok(self.inner.driver)
    }

    /// Lets kernels of this device write to memory of another one. Returns false if the machine has no way
    /// between the two. A device always reaches itself.
    ///
    /// # Errors
    ///
    /// The driver's error.
    pub fn reach(&self, other: &Context) -> Result<bool, GpuError> {
        if self.is_same(other) {
            return Ok(true);
        }
        let (driver, mut can) = (self.bind()?, 0);
        // SAFETY: `can` outlives the call and both handles are the driver's own.
        unsafe {
            driver.cuDeviceCanAccessPeer(&raw mut can, self.inner.device, other.inner.device)
        }?;
        if can == 0 {
            return Ok(false);
        }
        // SAFETY: this context is current, and the other one is retained for as long as `other` lives. The
        // access ends with either context.
        match unsafe { driver.cuCtxEnablePeerAccess(other.inner.raw, 0) } {
            Err(error) if !error.is_peer_access_enabled() => Err(error),
            _ => Ok(true),
        }
    }

    /// Whether both stand for the same device's context.
    pub(crate) fn is_same(&self, other: &Context) -> bool {
        ptr::eq(self.inner.raw, other.inner.raw)
    }
}

/// How many CUDA devices this process may use.
pub fn device_count() -> Result<u32, GpuError> {
    let driver = Driver::load()?;
    let mut count = 0;
    // SAFETY: `count` outlives the call.
    unsafe { driver.cuDeviceGetCount(&raw mut count) }?;
    Ok(count.unsigned_abs())
}

/// The newest CUDA version the driver supports, as 1000 x major + 10 x minor (13000 is 13.0).
pub fn driver_version() -> Result<u32, GpuError> {
    let driver = Driver::load()?;
    let mut version = 0;
    // SAFETY: `version` outlives the call.
    unsafe { driver.cuDriverGetVersion(&raw mut version) }?;
    Ok(version.unsigned_abs())
}

/// The UUID of a device by CUDA ordinal, without making a context on it.
pub fn device_uuid(ordinal: u32) -> Result<String, GpuError> {
    let driver = Driver::load()?;
    uuid(driver, device(driver, ordinal)?)
}

#[derive(Debug)]
struct Inner {
    driver: Driver,
    raw: CUcontext,
    device: CUdevice,
    ordinal: u32,
}

// SAFETY: the driver's handles are valid in every thread of the process, and its calls are
// thread-safe; the thread-bound part, the current context, is set anew before each call.
unsafe impl Send for Inner {}
// SAFETY: as above; nothing in it changes after construction.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: balances the retain in `open`; everything made in the context holds a clone of
        // it, so nothing of it is left.
        report(unsafe { self.driver.cuDevicePrimaryCtxRelease_v2(self.device) });
    }
}

fn device(driver: Driver, ordinal: u32) -> Result<CUdevice, GpuError> {
    // An ordinal beyond the C type is passed on as the largest one, for the driver to refuse.
    let ordinal = i32::try_from(ordinal).unwrap_or(i32::MAX);
    let mut device = 0;
    // SAFETY: `device` outlives the call; any ordinal may be asked for.
    unsafe { driver.cuDeviceGet(&raw mut device, ordinal) }?;
    Ok(device)
}

fn uuid(driver: Driver, device: CUdevice) -> Result<String, GpuError> {
    let mut uuid = CUuuid { bytes: [0; 16] };
    // SAFETY: `uuid` outlives the call and the device handle is the driver's own.
    unsafe { driver.cuDeviceGetUuid_v2(&raw mut uuid, device) }?;
    Ok(spell_uuid(uuid.bytes))
}

fn spell_uuid(bytes: [c_char; 16]) -> String {
    let mut text = String::from("GPU");
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 0 | 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a string cannot fail. The cast undoes the C `char`'s sign.
        let _ = write!(text, "{:02x}", *byte as u8);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_is_spelled_as_the_driver_tools_do() {
        let bytes: [c_char; 16] = std::array::from_fn(|index| (index as u8 * 17) as c_char);
        assert_eq!(spell_uuid(bytes), "GPU-00112233-4455-6677-8899-aabbccddeeff");
    }

    /// Without a driver, every function returns the same error. With a driver, none returns it.
    #[test]
    fn every_door_agrees_on_whether_there_is_a_gpu() {
        let doors = [
            ("open", Context::open(0).map(drop)),
            ("device_count", device_count().map(drop)),
            ("driver_version", driver_version().map(drop)),
            ("device_uuid", device_uuid(0).map(drop)),
        ];
        match Driver::load() {
            Err(reason) => {
                assert!(reason.is_unavailable(), "{reason}");
                assert!(!reason.text.is_empty());
                for (door, answer) in doors {
                    assert_eq!(answer.as_ref().err(), Some(&reason), "{door}");
                }
            }
            Ok(_) => {
                for (door, answer) in doors {
                    let missing = answer.is_err_and(|error| error.code.is_none());
                    assert!(!missing, "{door} found no driver where there is one");
                }
            }
        }
    }

    #[test]
    fn an_ordinal_beyond_all_devices_is_an_error() {
        let error = Context::open(u32::MAX).expect_err("no machine has so many devices");
        assert_eq!(error.is_invalid_device(), Driver::load().is_ok(), "{error}");
        assert_eq!(error.is_unavailable(), Driver::load().is_err(), "{error}");
    }
}
