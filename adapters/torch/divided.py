"""Divided loads with a library of PyTorch: a process for each rank, as engines have it.

A model has its processes for itself. After an unload they serve the next load to the same devices. If one rank fails,
all of the model are ended, because the others may wait for it in the middle of an exchange.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection, wait
from pathlib import Path

from weighbridge_adapter import Refused

from slices import Plan, check_grid

# Seconds until a rank counts as lost, at its start and for each answer.
PATIENCE = 120
MODELS = ("llama", "qwen2", "qwen3", "mistral", "phi3", "gpt2")
CAPABILITIES = dict.fromkeys(["parallel", *(f"model.{name}" for name in MODELS)], True)


class Set:
    """The processes of some ranks, each on its device. A place is a number in the list of the devices."""

    def __init__(self, adapter, devices):
        self.folder = tempfile.TemporaryDirectory()
        self.processes, self.ends, self.ended = [], [], False
        for _ in devices:
            own, theirs = socket.socketpair()
            with theirs:
                command = [sys.executable, str(Path(__file__).with_name("rank.py")), adapter, str(theirs.fileno())]
                self.processes.append(subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL))
            self.ends.append(Connection(own.detach()))
        meeting = os.path.join(self.folder.name, "meeting")
        self.ask("join", {at: (device, at, len(devices), meeting) for at, device in enumerate(devices)})

    def ask(self, verb, arguments):
        """The answers of ranks, by their places. If one fails, all processes of the set are ended."""
        waiting, answers = {}, {}
        for at, each in arguments.items():
            try:
                self.ends[at].send((verb, each))
            except OSError:  # Its end is closed, or it ended by itself.
                raise self.failed(lost(verb, f"the process at place {at} ended")) from None
            waiting[self.ends[at]] = at
        while waiting:
            ready = wait(list(waiting), PATIENCE)
            if not ready:
                raise self.failed(lost(verb, f"no answer within {PATIENCE} s"))
            for end in ready:
                at = waiting.pop(end)
                try:
                    good, said = end.recv()
                except (EOFError, OSError):
                    good, said = False, lost(verb, f"the process at place {at} ended")
                if not good:
                    raise self.failed(said)
                answers[at] = said
        return answers

    def is_whole(self):
        """Whether all of its processes live."""
        return not self.ended and all(process.poll() is None for process in self.processes)

    def end(self):
        for process, end in zip(self.processes, self.ends):
            end.close()
            process.kill()
            process.wait()
        self.folder.cleanup()
        self.ended = True

    def failed(self, failure):
        """The exception for a failure of a rank."""
        self.end()
        refused = Refused.__new__(Refused)
        refused.failure = failure
        return refused


def lost(verb, words):
    return Refused("request", "internal", f"{verb}: {words}", "internal", "unknown", expected="an answer of every rank",
                   actual=words, remedy="see standard error").failure


def equal_shares(shapes, slices):
    """The tensors that are divided in the order of the ranks, and the dimension: what a scatter does by itself."""
    shared = {}
    for name, shape in shapes.items():
        for dim, side in enumerate(shape):
            each = -(-side // len(slices))
            wanted = [[[min(at * each, side), min((at + 1) * each, side)]] for at in range(len(slices))]
            whole = [[[0, one]] for one in shape]
            if len(slices) > 1 and all(one.get(name) == whole[:dim] + [share] + whole[dim + 1:]
                                       for one, share in zip(slices, wanted)):
                shared[name] = dim
    return shared


class Divided:
    """A model over the ranks of a set, which it has for itself."""

    def __init__(self, ranks, devices, of_set, sizes):
        self.ranks, self.devices, self.set, self.sizes = ranks, devices, of_set, sizes

    def one(self, rank, verb, *arguments):
        """The answer of one rank."""
        if rank not in self.ranks:
            raise Refused("request", "invalid_request", f"the model has no rank {rank}", expected=f"one of {self.ranks}",
                          actual=rank, remedy="name a rank that was loaded")
        place = self.ranks.index(rank)
        return self.set.ask(verb, {place: arguments})[place]


class DividedLoads:
    """A mixin: `load`, `release`, `read`, `export` and `stat` of divided models. The class behind it serves the rest.

    That class has `table`, `held_slices` and `refusal`, and `adapter` is its file.
    """

    def __init__(self):
        super().__init__()
        self.idle = {}

    def load(self, path, device, admit, inference=None, parallel=None, **more):
        if parallel is None:
            return super().load(path=path, device=device, admit=admit, **more)
        check_grid(parallel)
        try:
            table = self.table(path)
        except Exception as error:
            raise self.refusal(error, path, device) from error
        with open(inference["config"], encoding="utf-8") as file:
            config = json.load(file)
        if config.get("model_type") not in MODELS:
            words = f"{config.get('model_type')} is not divided"
            raise Refused("request", "unsupported_capability", words, "unsupported", expected=f"one of {MODELS}",
                          actual=config.get("model_type"), remedy="load it whole")
        plan = Plan(config, {entry["name"]: entry["shape"] for entry in table}, parallel)
        ranks = [one["rank"] for one in parallel["ranks"]]
        devices = tuple(one["device"] for one in parallel["ranks"])
        slices = [plan.slices(rank) for rank in ranks]
        of_set = self.idle_set(devices) or Set(self.adapter, devices)
        ranges = [{name: one["ranges"] for name, one in each.items()} for each in slices]
        shared = equal_shares(plan.shapes, ranges)
        held = of_set.ask("load", {at: (path, each, shared) for at, each in enumerate(ranges)})
        sizes, busy = zip(*(held[at] for at in range(len(ranks))))
        parts = [{"rank": rank, "device": on, "held_bytes": size, "elsewhere": len(plan.shapes) - len(each),
                  "tensors": list(each.values()), "busy_us": took}
                 for rank, on, size, took, each in zip(ranks, devices, sizes, busy, slices)]
        return {"handle": self.hold(Divided(ranks, devices, of_set, sizes)), "device": device,
                "file_bytes": os.stat(path).st_size, "held_bytes": sum(sizes), "tensors": table, "parts": parts}

    def idle_set(self, devices):
        """Processes without a model. Those that have lost one are ended."""
        idle = self.idle.get(devices, [])
        while idle:
            of_set = idle.pop()
            if of_set.is_whole():
                return of_set
            of_set.end()

    def release(self, model):
        if not isinstance(model, Divided):
            return super().release(model)
        if not model.set.is_whole():
            return model.set.end()
        model.set.ask("unload", {at: () for at in range(len(model.ranks))})
        self.idle.setdefault(model.devices, []).append(model.set)

    def read(self, handle, into, rank=None):
        if rank is None:
            return super().read(handle=handle, into=into)
        return self.divided(handle).one(rank, "read", into)

    def export(self, handle, rank=None):
        if rank is None:
            return super().export(handle=handle)
        return self.divided(handle).one(rank, "export")

    def divided(self, handle):
        model = self.held(handle)
        if not isinstance(model, Divided):
            raise Refused("request", "invalid_request", "the model is not divided", expected="a divided model",
                          actual="a whole one", remedy="name no rank")
        return model

    def stat(self):
        everything = self.models
        self.models = {handle: model for handle, model in everything.items() if not isinstance(model, Divided)}
        try:
            sizes = super().stat()
        finally:
            self.models = everything
        for model in everything.values():
            if isinstance(model, Divided):
                for device, size in zip(model.devices, model.sizes):
                    sizes["host_bytes" if device == "cpu" else "device_bytes"] += size
        return {**sizes, "models": len(everything)}


def divided(loader, adapter):
    """A class of loaders that also divides models. `adapter` is the file that has it as `LOADER`."""
    capabilities = {**loader.capabilities, **CAPABILITIES}
    return type("Loader", (DividedLoads, loader), {"adapter": adapter, "capabilities": capabilities})
