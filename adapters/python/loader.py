"""A weight loader in plain Python: host memory only, standard library only.

It shows how small an adapter can be. `capabilities` says what it does not support, and the report shows that as
unsupported.
"""

import hashlib

from weighbridge_adapter import Loader, Refused, serve
from weighbridge_adapter.safetensors import parse, read_file, write


class PlainPython(Loader):
    name = "plain-python"
    version = "2.0.0"
    capabilities = {
        **dict.fromkeys(["device.cpu", "format.safetensors", "dtype.f32", "dtype.f16", "dtype.bf16", "dtype.i64",
                         "digest", "metadata", "read", "stat"], True),
        "device.cuda": "host memory only", "widen": "keeps tensors as stored", "gates": "looks at no values",
        "sharded": "one file at a time", "format.gguf": "safetensors alone", "format.apr": "safetensors alone",
        "sealed": "no manifests", "plan": "no inference", "streaming": "no inference", "unused": "no inference",
        "times": "takes none of its steps' times",
    }

    def load(self, path, device, admit, expect_sha256=None, **_):
        data = read_file(path)
        header = parse(data)
        digest = hashlib.sha256(data).hexdigest()
        if expect_sha256 not in (None, digest):
            raise Refused("verify", "checksum_mismatch", f"{path}: other bytes than asked for",
                          expected=expect_sha256, actual=digest, remedy="give the file that was meant")
        tensors = [{"name": tensor.name, "stored": tensor.dtype, "dtype": tensor.dtype, "shape": tensor.shape,
                    "bytes": tensor.end - tensor.begin} for tensor in header.tensors]
        return {"handle": self.hold((header, data[header.start:])), "device": device, "file_bytes": len(data),
                "sha256": digest, "held_bytes": len(data) - header.start, "tensors": tensors,
                "metadata": header.metadata}

    def stat(self):
        return {"models": len(self.models), "host_bytes": sum(len(data) for _, data in self.models.values()),
                "device_bytes": 0}

    def read(self, handle, into):
        header, data = self.held(handle)
        return write(into, [(tensor.name, tensor.dtype, tensor.shape, data[tensor.begin:tensor.end])
                            for tensor in header.tensors])


serve(PlainPython())
