"""InstantTensor as a loader: one safetensors file onto a CUDA device; every tensor is a copy that it gives away.

Needs instanttensor and torch. Everything except loading is PyTorch's, as in the adapter for safetensors in the folder
`torch`. The library has no path to host memory.
"""

import os
import re
from importlib.metadata import version

from weighbridge_adapter import Refused, serve
from weighbridge_adapter.contract import DTYPES

from divided import divided
from safetensors_torch import SafetensorsTorch, Tensors, device_of, entry, held_bytes

# By a part of its message, or of PyTorch's message about the view that it makes.
SAID = [
    # It reads a header in a thread of its own. The thread prints its error and ends, and this is what the caller
    # gets for every header that it does not take, and for every file that it cannot open.
    ("cannot unpack non-iterable NoneType object", "invalid_header"),
    ("data offsets must be contiguous", "invalid_layout"),
    ("Unsupported safetensors dtype", "unsupported_dtype"),
    ("must be divisible by", "size_mismatch"),
    ("is invalid for input of size", "size_mismatch"),
    ("only one dimension can be inferred", "invalid_header"),
    ("invalid shape dimension", "invalid_header"),
    ("only supports pytorch format", "invalid_metadata"),
]
MEMORY = ("exceeds device memory budget", "is too small for one I/O operation", "out of memory")


class InstantTensor(SafetensorsTorch):
    name = "instanttensor"
    version = f"{version('instanttensor')}+torch.{version('torch').partition('+')[0]}"
    capabilities = {**SafetensorsTorch.capabilities, "device.cpu": "the library loads onto CUDA devices alone",
                    "sharded": "an index is not read", "widen": "types are not widened"}

    def prepare(self):
        super().prepare()
        global read_safetensors_metadata, safe_open, translated
        from instanttensor import safe_open
        from instanttensor._impl import read_safetensors_metadata
        from torch_errors import translated

    def table(self, path):
        _, tensors, _ = read_safetensors_metadata(path)
        return [entry(name, one["dtype"], one["shape"]) for name, one in tensors.items()]

    def held_slices(self, path, device, group, slices, shared):
        """Every rank reads a part of the file and gets the other parts from the others: it sees all tensors."""
        from rank import cut
        with safe_open(path, framework="pt", device=device, process_group=group) as file:
            return {name: cut(tensor, slices[name]) for name, tensor in file.tensors() if name in slices}

    def refusal(self, error, path, device):
        return refused(error, path, device)

    def load(self, path, device, admit, **_):
        try:
            with safe_open(path, framework="pt", device=device) as file:
                entries = dict(file.ordered_tensor_metadatas)
                # `metadata()` fails where the file has none, so the attribute behind it is read.
                tensors, metadata = dict(file.tensors()), file.file_metadata
            size = os.stat(path).st_size
        except Exception as error:
            raise refused(error, path, device) from error
        table = [{"name": name, "stored": entry["dtype"], "dtype": entry["dtype"], "shape": list(tensors[name].shape),
                  "bytes": tensors[name].nbytes} for name, entry in entries.items()]
        reply = {"handle": self.hold(Tensors(tensors)), "device": device_of(tensors, device), "file_bytes": size,
                 "held_bytes": held_bytes(tensors), "tensors": table}
        # The library accepts any metadata; the contract can only express a map of strings.
        told = metadata is None or isinstance(metadata, dict) and all(isinstance(one, str) for one in metadata.values())
        return {**reply, "metadata": metadata} if told else reply


def refused(error, path, device):
    """The failure for an exception of the library; PyTorch's exceptions about a device go to `torch_errors`."""
    text = f"{type(error).__name__}: {error}"
    # PyTorch's own message about memory says "Tried to allocate"; `torch_errors` reads its figures.
    if any(part in text for part in MEMORY) and "Tried to allocate" not in text:
        sizes = [int(size) for size in re.findall(r"(\d+) B\b", text)]
        budget = re.search(r"budget \((\d+) B\)", text)
        return Refused("alloc", "out_of_device_memory", text, "resource", path=path, expected="room on the device",
                       actual=text, requested_bytes=max(sizes, default=None), remedy="free device memory",
                       available_bytes=int(budget[1]) if budget else None)
    code = next((code for part, code in SAID if part in text), None)
    if isinstance(error, KeyError) and error.args[0] in ("dtype", "shape", "data_offsets"):
        code = "missing_field"
    elif code is None and isinstance(error, (LookupError, TypeError, AttributeError, OverflowError)):
        # It works on Python's own objects and checks only what it needs.
        code = "invalid_header"
    if code is None or isinstance(error, OSError):
        return translated(error, path, device)
    dtype = re.search(r"Unsupported safetensors dtype: (.*)", text)
    known = dtype and dtype[1] in DTYPES
    return Refused("header", code, text, path=path, dtype=dtype[1] if known else None, actual=text,
                   expected="a file that InstantTensor takes", remedy="give a sound safetensors file")


LOADER = divided(InstantTensor, __file__)
if __name__ == "__main__":
    serve(LOADER())
