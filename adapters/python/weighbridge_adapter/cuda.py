"""Exports device memory by CUDA IPC, gives the driver's own error, and translates the errors that libraries pass on.

Uses libcuda by ctypes; no framework is needed.

The memory must come from cudaMalloc or cuMemAlloc. Memory of a virtual memory pool (PyTorch's expandable segments,
cudaMallocAsync) has no handle of this kind, and the driver reports an error.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable, Mapping
from typing import Any

from .contract import Class, Phase, Refused, Reply

# The exporting context must be current on the calling thread. It is current after a framework has used it.
_SIGNATURES: dict[str, list[Any]] = {
    "cuInit": [ctypes.c_uint],
    "cuGetErrorName": [ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)],
    "cuMemGetAddressRange_v2": [ctypes.POINTER(ctypes.c_uint64), ctypes.POINTER(ctypes.c_size_t), ctypes.c_uint64],
    "cuIpcGetMemHandle": [ctypes.c_char * 64, ctypes.c_uint64],
}

# What CUDA reports, by number: the runtime's name, the driver's name, and the runtime's text. Numbers and names are
# those of driver_types.h (cudaError_t) and cuda.h (CUresult) of CUDA 13.2; the texts are from its cudaGetErrorString.
# Where both headers have a number, it means the same in both.
_Said = tuple[Class, Phase, str]
FULL: _Said = ("resource", "alloc", "out_of_device_memory")
UNAVAILABLE: _Said = ("device", "preflight", "cuda_unavailable")
NO_SUCH_DEVICE: _Said = ("device", "preflight", "invalid_device")
FAULT: _Said = ("device", "copy", "device_fault")
ERRORS: Mapping[int, tuple[str, str, str, _Said]] = {
    2: ("cudaErrorMemoryAllocation", "CUDA_ERROR_OUT_OF_MEMORY", "out of memory", FULL),
    3: ("cudaErrorInitializationError", "CUDA_ERROR_NOT_INITIALIZED", "initialization error", UNAVAILABLE),
    34: ("cudaErrorStubLibrary", "CUDA_ERROR_STUB_LIBRARY", "CUDA driver is a stub library", UNAVAILABLE),
    35: ("cudaErrorInsufficientDriver", "", "CUDA driver version is insufficient for CUDA runtime version",
         UNAVAILABLE),
    46: ("cudaErrorDevicesUnavailable", "CUDA_ERROR_DEVICE_UNAVAILABLE",
         "CUDA-capable device(s) is/are busy or unavailable", UNAVAILABLE),
    100: ("cudaErrorNoDevice", "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected", UNAVAILABLE),
    101: ("cudaErrorInvalidDevice", "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal", NO_SUCH_DEVICE),
    802: ("cudaErrorSystemNotReady", "CUDA_ERROR_SYSTEM_NOT_READY", "system not yet initialized", UNAVAILABLE),
    803: ("cudaErrorSystemDriverMismatch", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
          "system has unsupported display driver / cuda driver combination", UNAVAILABLE),
    804: ("cudaErrorCompatNotSupportedOnDevice", "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
          "forward compatibility was attempted on non supported HW", UNAVAILABLE),
    805: ("cudaErrorMpsConnectionFailed", "CUDA_ERROR_MPS_CONNECTION_FAILED",
          "MPS client failed to connect to the MPS control daemon or the MPS server", UNAVAILABLE),
    # After these the process can do nothing more with CUDA, as driver_types.h says of each.
    226: ("cudaErrorContained", "CUDA_ERROR_CONTAINED", "Invalid access of peer GPU memory", FAULT),
    700: ("cudaErrorIllegalAddress", "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered", FAULT),
    702: ("cudaErrorLaunchTimeout", "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated", FAULT),
    710: ("cudaErrorAssert", "CUDA_ERROR_ASSERT", "device-side assert triggered", FAULT),
    714: ("cudaErrorHardwareStackError", "CUDA_ERROR_HARDWARE_STACK_ERROR", "hardware stack error", FAULT),
    715: ("cudaErrorIllegalInstruction", "CUDA_ERROR_ILLEGAL_INSTRUCTION", "an illegal instruction was encountered",
          FAULT),
    716: ("cudaErrorMisalignedAddress", "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address", FAULT),
    717: ("cudaErrorInvalidAddressSpace", "CUDA_ERROR_INVALID_ADDRESS_SPACE",
          "operation not supported on global/shared address space", FAULT),
    718: ("cudaErrorInvalidPc", "CUDA_ERROR_INVALID_PC", "invalid program counter", FAULT),
    719: ("cudaErrorLaunchFailure", "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure", FAULT),
    721: ("cudaErrorTensorMemoryLeak", "CUDA_ERROR_TENSOR_MEMORY_LEAK", "tensor memory not completely freed", FAULT),
    810: ("cudaErrorMpsClientTerminated", "CUDA_ERROR_MPS_CLIENT_TERMINATED",
          "the MPS client has been terminated by the server", FAULT),
    911: ("cudaErrorExternalDevice", "CUDA_ERROR_EXTERNAL_DEVICE",
          "an async error has occured in external entity outside of CUDA", FAULT),
}
# A number counts where the text says that a function of CUDA gave it. cuFile and cuBLAS have numbers of their own.
_NUMBERED = [
    re.compile(r"\b(?:cuda[A-Z]|cu(?!File)[A-Z][a-z])\w*\b[^\n]{0,80}?"
               r"\b(?:err|error|code|status|returned|failed)\b\W{1,4}(\d+)\b"),
    re.compile(r"\bCUDA(?: \w+)? (?:error|failure|status)(?: code)?\W{1,3}(\d+)\b", re.IGNORECASE),
    re.compile(r"\bcudaError(?:_t)?\W{1,3}(\d+)\b"),
]


def failure(text: str, device: str, path: str | None = None, number: int | None = None) -> Refused | None:
    """The failure for an error of CUDA that a library passes on, or None where the text has no such error.

    Give `number` where the library is known to put CUDA's numbers into its message without saying so. Otherwise the
    number, the name or CUDA's own text is looked for; its own text counts only where the message speaks of CUDA.
    """
    if number is None:
        found = next((match for match in (pattern.search(text) for pattern in _NUMBERED) if match), None)
        number = int(found[1]) if found else _named(text)
    if not number:
        return None
    name, _, meaning, said = ERRORS.get(number, (f"error {number}", "", "", FAULT))
    cls, phase, code = said
    actual = f"{text} ({name}: {meaning})" if meaning and meaning not in text else text
    if said is UNAVAILABLE:
        actual = f"{actual}; the driver: {driver_words()}"
    ended = said is FAULT and number in ERRORS
    return Refused(phase, code, actual, cls, "unknown" if said is FAULT else "none",
                   "poisoned" if ended else "ok", path=path, actual=actual,
                   expected="room on the device" if said is FULL else f"{device} to work",
                   remedy="free device memory" if said is FULL else "run where this device is, or ask for another one")


def _named(text: str) -> int | None:
    """The number of the error that a text names, in the table's words."""
    for number, (runtime, driver, meaning, _) in ERRORS.items():
        names = "|".join(re.escape(name) for name in (runtime, driver) if name)
        if re.search(rf"\b(?:{names})\b", text) or meaning in text and "cuda" in text.lower():
            return number
    return None


def export(tensors: Iterable[tuple[str, int, int]]) -> Reply:
    """The reply to `export`: every tensor as name, device pointer and bytes, with its allocation."""
    driver = _driver()
    blocks: dict[int, Reply] = {}
    placements: list[Reply] = []
    for name, pointer, size in tensors:
        if size == 0:
            placements.append({"name": name, "offset": 0, "bytes": 0})
            continue
        base, length = ctypes.c_uint64(), ctypes.c_size_t()
        _call(driver, "cuMemGetAddressRange_v2", ctypes.byref(base), ctypes.byref(length), pointer)
        if base.value not in blocks:
            handle = (ctypes.c_char * 64)()
            _call(driver, "cuIpcGetMemHandle", handle, base.value)
            blocks[base.value] = {"ipc": handle.raw.hex(), "pointer": base.value, "bytes": length.value}
        placements.append({"name": name, "block": list(blocks).index(base.value), "offset": pointer - base.value,
                           "bytes": size})
    return {"blocks": list(blocks.values()), "tensors": placements}


def driver_words() -> str:
    """The driver's answer to its initialisation: the name of its error, or why there is no driver."""
    try:
        return _name(_driver(), _driver().cuInit(0))
    except OSError as error:
        return str(error)


def _driver() -> ctypes.CDLL:
    driver = ctypes.CDLL("libcuda.so.1")
    for name, arguments in _SIGNATURES.items():
        function = getattr(driver, name)
        function.argtypes, function.restype = arguments, ctypes.c_int
    return driver


def _call(driver: ctypes.CDLL, name: str, *arguments: Any) -> None:
    status = getattr(driver, name)(*arguments)
    if status != 0:
        said = _name(driver, status)
        raise Refused("read", "device_fault", f"{name}: {said}", "device", expected="CUDA_SUCCESS", actual=said,
                      remedy="export memory that cudaMalloc gave, with its context current")


def _name(driver: ctypes.CDLL, status: int) -> str:
    name = ctypes.c_char_p()
    if driver.cuGetErrorName(status, ctypes.byref(name)) != 0 or name.value is None:
        return f"CUDA error {status}"
    return name.value.decode()
