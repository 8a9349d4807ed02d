"""Loaders of others for `weighbridge bench load`: each of ARMS, started as `timed_loaders.py ARM DEVICE`.

A load ends with every tensor of the file on the device, held at the same time. Its times in the reply go from an idle
device to an idle one; importing, the table of tensors and letting go are not in them. No library says what it does
when, so all of it is told as one step, reading.
"""

import contextlib
import gc
import importlib
import importlib.metadata
import os
import sys
import time

from weighbridge_adapter import CAPABILITIES, Loader, Refused, serve
from weighbridge_adapter.safetensors import write

THREADS = 16


def safetensors(path, device):
    from safetensors.torch import load_file

    yield load_file(path, device=device)


def safetensors_prefetch(path, device):
    from safetensors import safe_open

    with safe_open(path, "pt", device=device, backend="pread") as file:
        with file.prefetch(threads=THREADS) as loader:
            tensors = {name: tensor for name, tensor in loader}
    yield tensors


def fastsafetensors(path, device):
    from fastsafetensors import SafeTensorsFileLoader, SingleGroup

    loader = SafeTensorsFileLoader(SingleGroup(), device, nogds=True, max_threads=THREADS)
    try:
        loader.add_filenames({0: [path]})
        buffer = loader.copy_files_to_device()
        try:
            yield {name: buffer.get_tensor(name) for name in loader.get_keys()}
        finally:
            buffer.close()
    finally:
        loader.close()


def runai(path, device):
    from runai_model_streamer import SafetensorsStreamer

    tensors = {}
    with SafetensorsStreamer() as streamer:
        streamer.stream_file(path)
        for name, tensor in streamer.get_tensors():
            # What is handed out is a view of a buffer that is used again.
            tensor = tensor.pin_memory() if device != "cpu" else tensor.clone()
            tensors[name] = tensor.to(device, non_blocking=True)
    yield tensors


def in_memory(path):
    """Whether InstantTensor would choose its reader for memory file systems, its best one there."""
    from instanttensor._impl import file_in_memory

    return file_in_memory(path)


def instanttensor(path, device, **options):
    from instanttensor import BackendPolicy, safe_open

    # By default a file on a disk is read past the page cache, where this one lies already.
    backend = None if in_memory(path) else BackendPolicy.BUFFERED
    with safe_open(path, framework="pt", device=device, backend=backend, **options) as file:
        tensors = dict(file.tensors())
        if not options.get("copy", True):
            # Views of the buffer, which goes with this block.
            yield tensors
            return
    yield tensors


def instanttensor_views(path, device):
    with open(path, "rb") as file:
        header = int.from_bytes(file.read(8), "little")
    # A buffer as large as the tensors: in a smaller one the first are overwritten by the last.
    size = max(os.path.getsize(path) - 8 - header, 1)
    return instanttensor(path, device, copy=False, buffer_size=size, max_free_mem_usage=0.9)


# Name: package, module to import, how to load.
ARMS = {
    "safetensors": ("safetensors", "safetensors.torch", safetensors),
    "safetensors-prefetch": ("safetensors", "safetensors.torch", safetensors_prefetch),
    "fastsafetensors": ("fastsafetensors", "fastsafetensors", fastsafetensors),
    "runai": ("runai-model-streamer", "runai_model_streamer", runai),
    "instanttensor": ("instanttensor", "instanttensor", instanttensor),
    "instanttensor-views": ("instanttensor", "instanttensor", instanttensor_views),
}


class Held:
    """A model's tensors, and what must be closed when they go."""

    def __init__(self, tensors, stack):
        self.tensors, self.stack = tensors, stack


class Timed(Loader):
    capabilities = {
        **dict.fromkeys([name for name, verbs in CAPABILITIES.items() if verbs == ("load",)], "loads one file as it is"),
        **dict.fromkeys(["device.cpu", "device.cuda", "format.safetensors", "dtype.f32", "dtype.f16", "dtype.bf16",
                         "dtype.i64", "times", "read"], True),
    }

    def __init__(self, arm, device):
        super().__init__()
        self.name, self.on = arm, device

    @property
    def version(self):
        """Of the package and of PyTorch; imports both, so that a missing one is known before anything is asked."""
        global torch
        package, module, self.arm = ARMS[self.name]
        try:
            import torch
            if self.on != "cpu":
                # Streams and pinned memory of the packages belong to the current card.
                torch.cuda.set_device(self.on)
            # Before the packages that open CUDA libraries by name: they find those of torch.
            torch.zeros(1, device=self.on)
            importlib.import_module(module)
            found = importlib.metadata.version(package)
            if self.name == "safetensors-prefetch":
                from safetensors import safe_open
                if not hasattr(safe_open, "prefetch"):
                    raise ImportError(f"safetensors {found} has no prefetch, 0.9 is the first")
        except ImportError as error:
            raise Refused("preflight", "unsupported_capability", f"{type(error).__name__}: {error}", "unsupported",
                          expected=package, actual="not installed", remedy=f"install {package}") from error
        return f"{found} (torch {torch.__version__})"

    def idle(self):
        if self.on != "cpu":
            torch.cuda.synchronize(self.on)

    def load(self, path, device, admit, **_):
        with contextlib.ExitStack() as stack:
            loading = contextlib.contextmanager(self.arm)(path, device)
            self.idle()
            begin = time.perf_counter()
            tensors = stack.enter_context(loading)
            self.idle()
            took = time.perf_counter() - begin
            stack = stack.pop_all()
        sizes = {name: tensor.numel() * tensor.element_size() for name, tensor in tensors.items()}
        table = [{"name": name, "stored": dtype(tensor), "dtype": dtype(tensor),
                  "shape": list(tensor.shape), "bytes": sizes[name]} for name, tensor in tensors.items()]
        where = str(next(iter(tensors.values())).device) if tensors else device
        steps = dict.fromkeys(["parse_us", "allocate_us", "check_weights_us", "copy_us", "register_us"], 0)
        times = {**steps, "read_and_hash_us": round(took * 1e6), "overlapped": ["parse", "allocate", "copy"]}
        return {"handle": self.hold(Held(tensors, stack)), "device": where, "file_bytes": os.path.getsize(path),
                "held_bytes": sum(sizes.values()), "tensors": table, "times": times}

    def read(self, handle, into):
        tensors = self.held(handle).tensors
        return write(into, ((name, dtype(tensor), tensor.shape, host_bytes(tensor))
                            for name, tensor in tensors.items()))

    def release(self, model):
        model.tensors = None
        model.stack.close()
        gc.collect()
        if self.on != "cpu":
            torch.cuda.empty_cache()


def dtype(tensor):
    """The contract's name of an element type."""
    return {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}[tensor.dtype]


def host_bytes(tensor):
    flat = tensor.detach().contiguous().reshape(-1).cpu()
    return memoryview(flat.view(torch.uint8).numpy())


os.environ.setdefault("RUNAI_STREAMER_CONCURRENCY", str(THREADS))
os.environ.setdefault("RUNAI_STREAMER_LOG_LEVEL", "WARNING")
serve(Timed(*sys.argv[1:3]))
