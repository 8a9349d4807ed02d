"""fastsafetensors as a loader: whole files are copied to the device, and tensors are views of that copy.

Needs fastsafetensors and torch. Files go through its bounce buffers (`nogds`), so GPUDirect Storage is not needed.
Everything except loading is PyTorch's, as in the adapter for safetensors in the folder `torch`.
"""

import json
import os
import re
from importlib.metadata import version

from weighbridge_adapter import Refused, cuda, serve

from divided import divided
from safetensors_torch import SafetensorsTorch, Tensors, device_of, entry

# By a part of its header reader's message, the most specific first.
SAID = [
    ("HeaderTooSmall", "too_short"),
    ("HeaderTooLarge", "header_too_large"),
    ("InvalidHeaderLength", "header_truncated"),
    ("InvalidOffset", "invalid_layout"),
    ("TensorInvalidInfo", "size_mismatch"),
    ("MetadataIncompleteBuffer", "truncated"),
    ("UnexpectedEOF", "truncated"),
    ("is not a valid DType", "unknown_dtype"),
    ("shape must contain", "invalid_field"),
]
# Its native part throws this with the number of the cudaError_t alone (state::check in its ext.cpp).
NUMBERED = re.compile(r"nogds GPU operation failed: (\d+)")


class FastSafetensors(SafetensorsTorch):
    name = "fastsafetensors"
    version = f"{version('fastsafetensors')}+torch.{version('torch').partition('+')[0]}"
    capabilities = {**SafetensorsTorch.capabilities, "sharded": "an index is not read",
                    "widen": "types are not widened"}

    def prepare(self):
        super().prepare()
        global SafeTensorsFileLoader, live_allocation_bytes, translated
        from fastsafetensors import SafeTensorsFileLoader, live_allocation_bytes
        from torch_errors import translated

    def table(self, path):
        loader = SafeTensorsFileLoader(None, "cpu", nogds=True)
        try:
            loader.add_filenames({0: [path]})
            return [entry(name, frame.dtype.value, frame.shape) for name, frame in loader.frames.items()]
        finally:
            loader.close()

    def held_slices(self, path, device, group, slices, shared):
        """The first rank reads the file, and the others get each tensor from it: a scatter or a broadcast."""
        from rank import cut
        loader = SafeTensorsFileLoader(group, device, nogds=True)
        held = {}
        try:
            loader.add_filenames({0: [path]})
            buffers = loader.copy_files_to_device()
            # Every rank asks for the same tensors in the same order.
            for name in loader.frames:
                if name in shared:
                    held[name] = buffers.get_sharded(name, shared[name])
                else:
                    whole = buffers.get_tensor(name)
                    if name in slices:
                        held[name] = cut(whole, slices[name])
            buffers.close()
        finally:
            loader.close()
        return held

    def refusal(self, error, path, device):
        return refused(error, path, device)

    def load(self, path, device, admit, **_):
        before = live_allocation_bytes()
        loader = None
        try:
            size = os.stat(path).st_size
            loader = SafeTensorsFileLoader(None, device, nogds=True)
            loader.add_filenames({0: [path]})
            frames, metadata = dict(loader.frames), loader.meta[path][0].metadata
            buffers = loader.copy_files_to_device()
            # The tensors themselves hold a reference to the copy.
            tensors = {name: buffers.get_tensor(name) for name in frames}
            buffers.close()
        except Exception as error:
            raise refused(error, path, device) from error
        finally:
            if loader is not None:
                loader.close()
        table = [{"name": name, "stored": frame.dtype.value, "dtype": frame.dtype.value, "shape": list(frame.shape),
                  "bytes": tensors[name].nbytes} for name, frame in frames.items()]
        model = Tensors(tensors)
        model.held = live_allocation_bytes() - before
        reply = {"handle": self.hold(model), "device": device_of(tensors, device), "file_bytes": size,
                 "held_bytes": model.held, "tensors": table}
        # The library accepts any metadata; the contract can only express a map of strings.
        told = isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
        return {**reply, "metadata": metadata} if told else reply

    def stat(self):
        sizes = {True: 0, False: 0}
        for model in self.models.values():
            sizes[any(tensor.is_cuda for tensor in model.tensors.values())] += model.held
        return {"models": len(self.models), "host_bytes": sizes[False], "device_bytes": sizes[True]}


def refused(error, path, device):
    """The failure for an exception of its header reader; PyTorch's exceptions go to `torch_errors`."""
    text = f"{type(error).__name__}: {error}"
    if number := NUMBERED.search(text):
        return cuda.failure(text, device, path, int(number[1]))
    code = next((code for part, code in SAID if part in text), None)
    if isinstance(error, json.JSONDecodeError):
        code = "header_not_json"
    elif isinstance(error, UnicodeDecodeError):
        code = "header_not_utf8"
    elif isinstance(error, KeyError) and error.args[0] in ("dtype", "shape", "data_offsets"):
        code = "missing_field"
    elif "ProcessGroup" in text:
        # An exchange between ranks failed, after the header was read.
        return translated(error, path, device)
    elif code is None and isinstance(error, (LookupError, TypeError, ValueError, AttributeError, RecursionError)):
        # Its header reader works on Python's own objects and checks only what it needs.
        code = "invalid_header"
    if code is None or isinstance(error, OSError):
        return translated(error, path, device)
    tensor = re.search(r"validate\(tensor (.*?)\):", text)
    return Refused("header", code, text, path=path, tensor=tensor and tensor[1], actual=text,
                   expected="a file that fastsafetensors takes", remedy="give a sound safetensors file")


LOADER = divided(FastSafetensors, __file__)
if __name__ == "__main__":
    serve(LOADER())
