"""Run:ai Model Streamer as a loader: one safetensors file, streamed by `SafetensorsStreamer` to the host or a device.

Needs runai-model-streamer and torch. The streamer gives its tensors away (`owned`, its default), so they are kept as
they come. Everything except loading is PyTorch's, as in the adapter for safetensors in the folder `torch`.
"""

import os
import re
from importlib.metadata import version

from weighbridge_adapter import Refused, serve
from weighbridge_adapter.contract import DTYPES

from safetensors_torch import SafetensorsTorch, Tensors, device_of, held_bytes

# By a part of its message, or of PyTorch's message about the view that it makes; the most specific first.
SAID = [
    ("exceeds limit of", "header_too_large"),
    ("is not valid UTF-8", "header_not_utf8"),
    ("is not valid JSON", "header_not_json"),
    ("missing data_offsets", "missing_field"),
    ("Unsupported dtype", "unsupported_dtype"),
    ("but offsets reserve", "size_mismatch"),
    ("F4 packs 2 values per element", "unsupported_dtype"),
    ("overlaps with next tensor", "overlap"),
    ("Gaps between tensors", "gap"),
    ("does not start at the beginning", "gap"),
    ("is truncated - header declares", "truncated"),
    ("extra trailing bytes", "trailing_bytes"),
    ("failed to read header", "invalid_header"),
    ("only one dimension can be inferred", "invalid_header"),
    ("invalid shape dimension", "invalid_header"),
]
# The words of its native part, which name neither the file nor the system's reason.
NO_ACCESS, NO_MORE = "File access error", "End of file reached"


class RunaiStreamer(SafetensorsTorch):
    name = "runai-model-streamer"
    version = f"{version('runai-model-streamer')}+torch.{version('torch').partition('+')[0]}"
    capabilities = {**SafetensorsTorch.capabilities, "metadata": "the library passes over it",
                    "sharded": "an index is not read", "widen": "types are not widened"}

    def prepare(self):
        super().prepare()
        global SafetensorsStreamer, translated
        from runai_model_streamer import SafetensorsStreamer
        from torch_errors import translated

    def load(self, path, device, admit, **_):
        entries = {}
        try:
            with SafetensorsStreamer() as streamer:
                streamer.stream_file(path, device=device)
                entries = {entry.name: entry for entry in streamer.files_to_tensors_metadata[0]}
                tensors = dict(streamer.get_tensors())
            size = os.stat(path).st_size
        except MemoryError:
            raise  # NumPy's, for the host's buffer; the kit has the answer to it.
        except Exception as error:
            raise refused(error, path, device, bool(entries)) from error
        table = [{"name": name, "stored": entry.dtype, "dtype": entry.dtype, "shape": list(tensors[name].shape),
                  "bytes": tensors[name].nbytes} for name, entry in entries.items()]
        return {"handle": self.hold(Tensors(tensors)), "device": device_of(tensors, device), "file_bytes": size,
                "held_bytes": held_bytes(tensors), "tensors": table}


def refused(error, path, device, header_read):
    """The failure for an exception of the streamer; PyTorch's exceptions go to `torch_errors`."""
    text = f"{type(error).__name__}: {error}"
    if NO_ACCESS in text:
        return Refused("open", "unreadable", text, path=path, expected="a file that can be read", actual=text,
                       remedy="name a readable file")
    if NO_MORE in text:
        # Before the header is known, its length or its text is cut off: the message does not say which.
        phase, code = ("copy", "truncated") if header_read else ("header", "invalid_header")
        return Refused(phase, code, text, path=path, expected="a whole file", actual=text, remedy="give a whole file")
    code = next((code for part, code in SAID if part in text), None)
    if isinstance(error, KeyError) and error.args[0] in ("dtype", "shape"):
        code = "missing_field"
    elif code is None and isinstance(error, (LookupError, TypeError, AttributeError, OverflowError)):
        # Its header reader works on Python's own objects and checks only what it needs.
        code = "invalid_header"
    if code is None or isinstance(error, OSError):
        return translated(error, path, device)
    tensor, dtype = re.search(r"[Tt]ensor '(.*?)'", text), re.search(r"Unsupported dtype '(.*?)'", text)
    known = dtype and dtype[1] in DTYPES
    return Refused("header", code, text, path=path, tensor=tensor and tensor[1], dtype=dtype[1] if known else None,
                   expected="a file that the streamer takes", actual=text, remedy="give a sound safetensors file")


serve(RunaiStreamer())
