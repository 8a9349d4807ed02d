"""One loader of others, timed on request.

Started by `weighbridge bench load` as `python -c TEXT NAME DEVICE`. Each line `load PATH` on stdin
is answered by one line of JSON on stdout: seconds, bytes, tensors and a checksum, or an error. The
first line tells what was found at the start. Everything that a package prints goes to stderr.

What is timed: from a device that is idle to one that is idle again, with every tensor of the file
on it, held at the same time. What is not: importing, the checksum, letting go.
"""

import contextlib
import gc
import importlib.metadata
import json
import os
import sys
import time

THREADS = 16
PRIME = 2**61 - 1


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
PEERS = {
    "safetensors": ("safetensors", "safetensors.torch", safetensors),
    "safetensors-prefetch": ("safetensors", "safetensors.torch", safetensors_prefetch),
    "fastsafetensors": ("fastsafetensors", "fastsafetensors", fastsafetensors),
    "runai": ("runai-model-streamer", "runai_model_streamer", runai),
    "instanttensor": ("instanttensor", "instanttensor", instanttensor),
    "instanttensor-views": ("instanttensor", "instanttensor", instanttensor_views),
}


def checksum(torch, tensors):
    """A number over every byte: sums on the device, joined in the order of the names."""
    total = 0
    for name in sorted(tensors):
        flat = tensors[name].detach().contiguous().reshape(-1)
        count = flat.numel() * flat.element_size()
        summed = 0
        if count:
            # In parts, since the sum first widens what it adds up.
            for part in flat.view(torch.uint8).split(1 << 26):
                summed += int(part.sum(dtype=torch.int64).item())
        total = (total * 1000003 + summed + count) % PRIME
    return total


def describe(error):
    return f"{type(error).__name__}: {error}"


def main():
    # Packages print; what they print must not pass for an answer.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**fields):
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    name, device = sys.argv[1], sys.argv[2]
    os.environ.setdefault("RUNAI_STREAMER_CONCURRENCY", str(THREADS))
    os.environ.setdefault("RUNAI_STREAMER_LOG_LEVEL", "WARNING")
    package, module, load = PEERS[name]
    try:
        import torch

        # Before the packages that open CUDA libraries by name: they find those of torch.
        torch.zeros(1, device=device)
        importlib.import_module(module)
        version = importlib.metadata.version(package)
        if name == "safetensors-prefetch":
            from safetensors import safe_open

            if not hasattr(safe_open, "prefetch"):
                raise ImportError(f"safetensors {version} has no prefetch, 0.9 is the first")
    except ImportError as error:
        return answer(missing=describe(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return answer(error=describe(error))
    answer(package=package, version=version, torch=torch.__version__)

    def idle():
        if device != "cpu":
            torch.cuda.synchronize(device)

    for line in sys.stdin:
        path = line.rstrip("\n").removeprefix("load ")
        try:
            with contextlib.ExitStack() as stack:
                loading = contextlib.contextmanager(load)(path, device)
                idle()
                start = time.perf_counter()
                tensors = stack.enter_context(loading)
                idle()
                seconds = time.perf_counter() - start
                held = sum(t.numel() * t.element_size() for t in tensors.values())
                found = dict(
                    seconds=seconds,
                    bytes=held,
                    tensors=len(tensors),
                    device=str(next(iter(tensors.values())).device) if tensors else device,
                    checksum=checksum(torch, tensors),
                )
                tensors = None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            found = dict(error=describe(error))
        tensors = loading = None
        gc.collect()
        if device != "cpu":
            torch.cuda.empty_cache()
        answer(**found)


main()
