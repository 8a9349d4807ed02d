"""safetensors with PyTorch, loaded by `safetensors.torch.load_file`: on the host or on a CUDA device.

This module does not check files. What the library accepts is accepted, and `torch_errors` translates the library's
errors to the contract's codes.
"""

import math
import os
from importlib.metadata import version

from weighbridge_adapter import Loader, Refused
from weighbridge_adapter.contract import DTYPES
from weighbridge_adapter.cuda import export
from weighbridge_adapter.safetensors import written


class Tensors:
    """A model that consists only of tensors, by name."""

    def __init__(self, tensors):
        self.tensors = tensors


class SafetensorsTorch(Loader):
    name = "safetensors-torch"
    version = f"{version('safetensors')}+torch.{version('torch').partition('+')[0]}"
    capabilities = {
        **dict.fromkeys(["device.cpu", "device.cuda", "format.safetensors", "dtype.f32", "dtype.f16", "dtype.bf16",
                         "dtype.i64", "widen", "metadata", "read", "export", "stat", "synchronize", "stream",
                         "multiply"], True),
        "digest": "the library hashes nothing", "gates": "the library looks at no values",
        "preflight": "the library checks no profile", "sharded": "the library loads one file",
        "format.gguf": "safetensors alone", "format.apr": "safetensors alone",
        "sealed": "the library knows no seals", "plan": "plans nothing", "streaming": "runs no models",
        "unused": "runs no models", "times": "the library takes no times",
    }

    def prepare(self):
        # PyTorch takes seconds to import, so the hello does not wait for it.
        global safe_open, save_file, torch, translated
        import torch
        from safetensors import safe_open
        from safetensors.torch import save_file
        from torch_errors import translated
        torch.backends.cuda.matmul.allow_tf32 = False

    def load(self, path, device, admit, keep="stored", **_):
        try:
            with safe_open(path, framework="pt", device=device) as file:
                tensors, metadata = file.get_tensors(), file.metadata()
                slices = {name: file.get_slice(name) for name in file.keys()}
                stored = {name: (part.get_dtype(), part.get_shape()) for name, part in slices.items()}
            if keep == "f32":
                halves = (torch.float16, torch.bfloat16)
                tensors = {name: tensor.float() if tensor.dtype in halves else tensor
                           for name, tensor in tensors.items()}
            size = os.stat(path).st_size
        except Exception as error:
            raise translated(error, path, device) from error
        table = [{"name": name, "stored": stored[name][0], "shape": stored[name][1], "bytes": tensor.nbytes,
                  "dtype": "F32" if tensor.dtype == torch.float32 else stored[name][0]}
                 for name, tensor in tensors.items()]
        return {"handle": self.hold(Tensors(tensors)), "device": device_of(tensors, device), "file_bytes": size,
                "held_bytes": held_bytes(tensors), "tensors": table, "metadata": metadata}

    def table(self, path):
        """The tensors of a file, as a reply tells them."""
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}
            return [entry(name, part.get_dtype(), part.get_shape()) for name, part in slices.items()]

    def refusal(self, error, path, device):
        """The failure for an exception of the library."""
        return translated(error, path, device)

    def release(self, model):
        on_device = any(tensor.is_cuda for tensor in model.tensors.values())
        del model.tensors
        if on_device:
            torch.cuda.empty_cache()

    def stat(self):
        sizes = {"cpu": 0, "cuda": 0}
        for model in self.models.values():
            for tensor in model.tensors.values():
                sizes[tensor.device.type] += held_bytes({"": tensor})
        return {"models": len(self.models), "host_bytes": sizes["cpu"], "device_bytes": sizes["cuda"]}

    def read(self, handle, into):
        save_file(self.held(handle).tensors, into)
        return written(into)

    def exported(self, model):
        """What is exported of a model: tensors by the names that the file has."""
        return model.tensors

    def export(self, handle):
        model = self.exported(self.held(handle))
        # A library may leave a tensor without elements on the host; there is nothing of it to export.
        if any(tensor.nbytes and not tensor.is_cuda for tensor in model.values()):
            raise Refused("read", "unsupported_capability", "host memory has no CUDA IPC handle", "unsupported",
                          expected="a model on a CUDA device", actual="host memory", remedy="load it on a device")
        # The device's context must be current to get handles for its memory.
        with torch.cuda.device(next((tensor.device for tensor in model.values() if tensor.is_cuda), None)):
            torch.cuda.synchronize()
            return export((name, tensor.data_ptr(), tensor.nbytes) for name, tensor in model.items())

    def device(self, device, profile=None):
        if device == "cpu":
            page = os.sysconf("SC_PAGE_SIZE")
            return {"device": device, "name": "host", "total_bytes": page * os.sysconf("SC_PHYS_PAGES"),
                    "free_bytes": page * os.sysconf("SC_AVPHYS_PAGES"), "count": 1}
        try:
            properties = torch.cuda.get_device_properties(device)
            free, total = torch.cuda.mem_get_info(device)
            count = torch.cuda.device_count()
        except Exception as error:
            raise translated(error, device=device) from error
        return {"device": device, "name": properties.name, "total_bytes": total, "free_bytes": free, "count": count,
                "compute_capability": [properties.major, properties.minor], "uuid": f"GPU-{properties.uuid}"}

    def synchronize(self, device):
        try:
            if device != "cpu":
                torch.cuda.synchronize(device)
        except Exception as error:
            raise translated(error, device=device) from error
        return {}

    def stream(self, device, path, rounds, into):
        if device == "cpu":
            raise Refused("request", "unsupported_capability", "PyTorch has no streams on the host", "unsupported",
                          expected="a CUDA device", actual=device, remedy="name one")
        try:
            size = os.stat(path).st_size
            here = torch.empty(size, dtype=torch.uint8, pin_memory=True)
            with open(path, "rb") as file:
                file.readinto(here.numpy())
            back = torch.empty_like(here, pin_memory=True)
            there = torch.empty(size, dtype=torch.uint8, device=device)
            stream = torch.cuda.Stream(device)
            with torch.cuda.stream(stream):
                for _ in range(rounds):
                    there.copy_(here, non_blocking=True)
                    back.copy_(there, non_blocking=True)
            stream.synchronize()
            with open(into, "wb") as file:
                file.write(back.numpy())
        except Exception as error:
            raise translated(error, path, device) from error
        return written(into)

    def multiply(self, handle, a, b, into):
        model = self.held(handle).tensors
        for name in (a, b):
            if name not in model:
                raise Refused("request", "unknown_tensor", f"no such tensor: {name}", tensor=name,
                              expected=f"one of {sorted(model)[:20]}", actual=name, remedy="name one of the model's")
        try:
            save_file({"c": torch.matmul(model[a], model[b])}, into)
        except Exception as error:
            raise translated(error, device=str(model[a].device)) from error
        return written(into)


def entry(name, dtype, shape):
    """A tensor of a file that is held as it is stored."""
    return {"name": name, "stored": dtype, "dtype": dtype, "shape": list(shape),
            "bytes": math.prod(shape) * DTYPES[dtype] // 8}


def device_of(tensors, device):
    """The one device of all tensors. Where some are on another one than was asked for, that one is told."""
    on = {str(tensor.device) for tensor in tensors.values()} - {device}
    return min(on, default=device)


def held_bytes(tensors):
    """The bytes of tensors; shared memory counts once."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors.values()}
    return sum(storages.values())

