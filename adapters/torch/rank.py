"""The process of one rank: it loads with one library, and keeps the slices that it is told to.

`python3 rank.py ADAPTER FD`: the parent sends requests over the socket FD. ADAPTER is the adapter's file; its `LOADER`
has the method `held_slices`.
"""

import importlib.util
import os
import sys
import time
from multiprocessing.connection import Connection

# Loads need no multicast over NVLink, and a fault of it stops the cards for every program of the machine.
os.environ |= {"NCCL_NVLS_ENABLE": "0", "TORCH_SYMM_MEM_DISABLE_MULTICAST": "1"}

import torch
from weighbridge_adapter import Refused, cuda
from weighbridge_adapter.safetensors import written
from safetensors.torch import save_file


def cut(whole, ranges):
    """A slice in memory of its own. `whole` is a tensor, or a tensor in a file that is read where it is indexed."""
    sides = [slice(part[0][0], part[-1][1]) if part else slice(0, 0) for part in ranges]
    several = next((dim for dim, part in enumerate(ranges) if len(part) > 1), None)
    if several is None:
        found = whole[tuple(sides)]
    else:
        parts = [whole[tuple(sides[:several] + [slice(*one)] + sides[several + 1:])] for one in ranges[several]]
        found = torch.cat(parts, several)
    return found.clone(memory_format=torch.contiguous_format)


class Rank:
    """What one rank holds of one model."""

    def __init__(self, adapter):
        spec = importlib.util.spec_from_file_location("adapter", adapter)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.loader, self.model, self.group, self.device = module.LOADER(), None, None, None
        self.loader.prepare()

    def join(self, device, rank, world, meeting):
        """Meets the other ranks. A rank alone needs no group."""
        self.device = device
        if device != "cpu":
            torch.cuda.set_device(device)
        if world > 1:
            backend = "gloo" if device == "cpu" else "nccl"
            # A library may use the communicator itself, so it must be there at once.
            own = None if device == "cpu" else torch.device(device)
            torch.distributed.init_process_group(
                backend, init_method=f"file://{meeting}", rank=rank, world_size=world, device_id=own)
            self.group = torch.distributed.group.WORLD

    def load(self, path, slices, shared):
        began = time.monotonic()
        held = self.loader.held_slices(path, self.device, self.group, slices, shared)
        self.model = {name: held[name] for name in slices}
        del held
        self.settle()
        return sum(tensor.nbytes for tensor in self.model.values()), round((time.monotonic() - began) * 1e6)

    def unload(self):
        self.model = None
        self.settle()

    def settle(self):
        """Waits for the device, and gives it back what is not held."""
        if self.device != "cpu":
            torch.cuda.synchronize()
            torch.cuda.empty_cache()

    def read(self, into):
        save_file(self.model, into)
        return written(into)

    def export(self):
        return cuda.export((name, tensor.data_ptr(), tensor.nbytes) for name, tensor in self.model.items())


def main():
    parent, rank = Connection(int(sys.argv[2])), Rank(sys.argv[1])
    while True:
        try:
            verb, arguments = parent.recv()
        except EOFError:
            # Without a farewell: a library's threads or another rank may be waiting.
            os._exit(0)
        try:
            parent.send((True, getattr(rank, verb)(*arguments)))
        except Exception as error:
            path = arguments[0] if verb == "load" else None
            failure = error if isinstance(error, Refused) else rank.loader.refusal(error, path, rank.device)
            parent.send((False, failure.failure))


if __name__ == "__main__":
    main()
