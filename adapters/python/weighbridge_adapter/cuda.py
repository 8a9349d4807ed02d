"""Exports device memory by CUDA IPC, and gives the driver's own error. Uses libcuda by ctypes; no framework is needed.

The memory must come from cudaMalloc or cuMemAlloc. Memory of a virtual memory pool (PyTorch's expandable segments,
cudaMallocAsync) has no handle of this kind, and the driver reports an error.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any

from .contract import Refused, Reply

# The exporting context must be current on the calling thread. It is current after a framework has used it.
_SIGNATURES: dict[str, list[Any]] = {
    "cuInit": [ctypes.c_uint],
    "cuGetErrorName": [ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)],
    "cuMemGetAddressRange_v2": [ctypes.POINTER(ctypes.c_uint64), ctypes.POINTER(ctypes.c_size_t), ctypes.c_uint64],
    "cuIpcGetMemHandle": [ctypes.c_char * 64, ctypes.c_uint64],
}


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
