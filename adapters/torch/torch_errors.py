"""Translates errors of PyTorch and safetensors to the contract's codes. Only the message counts: no file is read.

A message that is not in a table gets the broadest code of its table. So every error of these libraries has a code,
and no code says more than the library did.
"""

import errno
import re
import traceback

import torch
from safetensors import SafetensorError
from weighbridge_adapter import Refused, cuda

# Beginnings of the Rust crate's message after "Error while deserializing header: ", the most specific first.
HEADER = [
    ("header too small", "too_short"),
    ("header too large", "header_too_large"),
    ("invalid header length", "header_truncated"),
    ("invalid UTF-8 in header", "header_not_utf8"),
    ("invalid JSON in header: missing field", "missing_field"),
    ("invalid JSON in header: duplicate field", "duplicate_key"),
    ("invalid JSON in header: unknown field", "unknown_field"),
    ("invalid JSON in header: unknown variant", "unknown_dtype"),
    # A value of the wrong type: the crate gives the position in the text, but not whether it is an entry or the
    # metadata.
    ("invalid JSON in header: invalid type", "invalid_header"),
    ("invalid JSON in header: invalid value", "invalid_field"),
    ("invalid JSON in header: invalid length", "invalid_field"),
    ("invalid JSON in header", "header_not_json"),
    ("overflow computing buffer size", "size_overflow"),
    # Reversed, overlapping or with a gap: the crate has one message for the three.
    ("invalid offset for tensor", "invalid_layout"),
    ("invalid shape, data type, or offset for tensor", "size_mismatch"),
    # More bytes than tensors, or fewer: again one message.
    ("incomplete metadata, file not fully covered", "invalid_layout"),
    # Elements smaller than a byte that do not fill whole bytes.
    ("The slice is slicing for subbytes dtypes", "invalid_layout"),
    ("", "invalid_header"),
]
# PyTorch's messages about a device, by a part of the message: class, phase, code.
DEVICE = [
    ("Found no NVIDIA driver", "device", "preflight", "cuda_unavailable"),
    ("No CUDA GPUs are available", "device", "preflight", "cuda_unavailable"),
    ("not compiled with CUDA", "device", "preflight", "cuda_unavailable"),
    ("NVIDIA driver on your system is too old", "device", "preflight", "cuda_unavailable"),
    ("CUDA driver initialization failed", "device", "preflight", "cuda_unavailable"),
    # The messages of fastsafetensors, which uses this table too.
    ("GPU runtime library not found", "device", "preflight", "cuda_unavailable"),
    ("CUDA unknown error", "device", "preflight", "cuda_unavailable"),
    ("Invalid device id", "device", "preflight", "invalid_device"),
    ("DefaultCPUAllocator: can't allocate memory", "resource", "alloc", "out_of_host_memory"),
]
# The same for messages that name no error which `cuda` knows.
FAULT = [
    ("CUDA error", "device", "copy", "device_fault"),
    ("CUBLAS_STATUS", "device", "infer", "device_fault"),
]
SYSTEM = {errno.ENOENT: "not_found", errno.ENOTDIR: "not_found", errno.EISDIR: "not_a_file", errno.ENODEV: "not_a_file",
          errno.EACCES: "unreadable", errno.EPERM: "unreadable", errno.EIO: "read_failed"}


def translated(error, path=None, device=None):
    """The failure for an exception of the libraries."""
    text = str(error).split("\nException raised from")[0].strip()
    if isinstance(error, Refused):
        return error
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return out_of_memory(text, device)
    if isinstance(error, OSError):
        # Where Python's error number is not set, Rust's is in the text.
        number = error.errno or int((re.findall(r"os error (\d+)", text) or [0])[0])
        missing = isinstance(error, FileNotFoundError)
        return Refused("open", "not_found" if missing else SYSTEM.get(number, "unreadable"), text, path=path,
                       expected="a file that can be read", actual=text, remedy="name a readable file")
    known = next((row for row in DEVICE if row[0] in text), None)
    if known is None and (passed_on := cuda.failure(text, str(device), path)):
        return passed_on
    if known := known or next((row for row in FAULT if row[0] in text), None):
        _, cls, phase, code = known
        words = f"{text}; the driver: {cuda.driver_words()}" if code == "cuda_unavailable" else text
        return Refused(phase, code, text, cls, path=path, expected=f"{device} to work", actual=words,
                       device="poisoned" if code == "device_fault" else "ok",
                       effects="unknown" if code == "device_fault" else "none",
                       remedy="run where this device is, or ask for another one")
    if isinstance(error, SafetensorError):
        return of_format(text, path)
    traceback.print_exc()
    return Refused("copy", "internal", f"{type(error).__name__}: {text}", "internal", "unknown", path=path,
                   expected="loaded, or refused by name", actual=text, remedy="see standard error")


def of_format(text, path):
    """A refusal of the safetensors crate."""
    if dtype := re.match(r"Dtype not understood: (\w+)", text):
        return Refused("header", "unsupported_dtype", text, path=path, dtype=dtype[1], expected="a type of PyTorch",
                       actual=dtype[1], remedy="store the tensor in another type")
    said = text.removeprefix("Error while deserializing header: ")
    code = next(code for beginning, code in HEADER if said.startswith(beginning))
    tensor = re.search(r"for tensor `(.*)`", said)
    return Refused("header", code, text, path=path, tensor=tensor and tensor[1], expected="a sound safetensors file",
                   actual=said, remedy="give a sound safetensors file")


def out_of_memory(text, device):
    """Too little device memory, with the rounded figures of the message and those of the driver."""
    units = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
    asked = re.search(r"Tried to allocate ([0-9.]+) (bytes|KiB|MiB|GiB)", text)
    return Refused("alloc", "out_of_device_memory", text, "resource", expected="room on the device", actual=text,
                   requested_bytes=int(float(asked[1]) * units[asked[2]]) if asked else None,
                   available_bytes=torch.cuda.mem_get_info(device)[0], remedy="free device memory")
