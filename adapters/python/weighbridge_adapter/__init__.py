"""An adapter between a weight loader and Weighbridge: subclass `Loader`, answer the verbs, call `serve`.

Standard library only. The signatures of `Loader` are the requests of the contract. Each request is checked against
them, so a method gets only valid values. A request for an undeclared capability is refused before any method runs.

Import this first. It makes file descriptor 1 standard error and 0 empty, so that a library that prints or reads
cannot disturb the protocol.
"""

from __future__ import annotations

import json
import os
import traceback
import typing
from collections.abc import Mapping
from typing import Any

from .contract import (
    CAPABILITIES, MAX_LINE, PROTOCOL, U32, U64, Device, Format, HardwareProfile, Head, Inference, Input, Keep,
    Parallel, Prompt, RankPlace, Refused, Reply, Sampling, Seal, Turn, checked_fields, invalid, other_protocol, unserved)

__all__ = [
    "CAPABILITIES", "HardwareProfile", "Head", "Inference", "Input", "Loader", "Parallel", "Prompt", "RankPlace",
    "Refused", "Reply", "Sampling", "Seal", "Turn", "serve"]

_ASKED, _ANSWERS = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(2, 1)

VERBS = ("load", "unload", "stat", "device", "read", "export", "synchronize", "stream", "multiply", "forward",
         "validate", "generate")


class Loader:
    """A loader: a name, a version, what it can do, and one method a verb.

    `capabilities` gives for capabilities of the contract True, or the reason why not. One that is left out is not
    claimed: it costs nothing, and a request for it is refused. A method returns the reply's fields, or raises
    `Refused`. Any other exception becomes an internal failure. Options that a request does not use are left out of
    the call.
    """

    name: str
    version: str
    capabilities: Mapping[str, bool | str]

    def __init__(self) -> None:
        self.models: dict[int, Any] = {}
        self._last = 0
        self._prepared = False

    def prepare(self) -> None:
        """Called once, before the first request after the hello. Import slow libraries here."""

    def hold(self, model: Any) -> int:
        """Stores a model and returns its handle."""
        self._last += 1
        self.models[self._last] = model
        return self._last

    def held(self, handle: int) -> Any:
        """The model of a handle."""
        if handle not in self.models:
            raise Refused("request", "unknown_handle", f"no loaded model has this handle: {handle}",
                          expected=f"one of {sorted(self.models)}", actual=handle, remedy="load the model first")
        return self.models[handle]

    def release(self, model: Any) -> None:
        """Frees an unloaded model where dropping the object is not enough."""

    def unload(self, *, handle: U64) -> Reply:
        self.held(handle)
        self.release(self.models.pop(handle))
        return {}

    def load(self, *, path: str, device: Device, admit: bool, format: Format = "safetensors", keep: Keep = "stored",
             expect_sha256: str | None = None, seal: Seal | None = None, inference: Inference | None = None,
             parallel: Parallel | None = None) -> Reply:
        raise unserved("load")

    def stat(self) -> Reply:
        raise unserved("stat")

    def device(self, *, device: Device, profile: HardwareProfile | None = None) -> Reply:
        raise unserved("device")

    def read(self, *, handle: U64, into: str, rank: U32 | None = None) -> Reply:
        raise unserved("read")

    def export(self, *, handle: U64, rank: U32 | None = None) -> Reply:
        raise unserved("export")

    def synchronize(self, *, device: Device) -> Reply:
        raise unserved("synchronize")

    def stream(self, *, device: Device, path: str, rounds: U32, into: str) -> Reply:
        raise unserved("stream")

    def multiply(self, *, handle: U64, a: str, b: str, into: str) -> Reply:
        raise unserved("multiply")

    def forward(self, *, handle: U64, input: Input, into: str, trace: bool = False) -> Reply:
        raise unserved("forward")

    def validate(self, *, handle: U64, input: str, golden: str, tolerance: float) -> Reply:
        raise unserved("validate")

    def generate(self, *, handle: U64, prompt: Prompt, limit: U32, sampling: Sampling,
                 into: str | None = None) -> Reply:
        raise unserved("generate")


def serve(loader: Loader) -> None:
    """Answers requests until `bye` or the end of input."""
    while text := _ASKED.readline(MAX_LINE + 1):
        answer, last = exchange(loader, text)
        line = json.dumps(answer).encode() + b"\n"
        if len(line) > MAX_LINE:
            raise SystemExit(f"an answer of {len(line)} bytes is longer than a line may be: {MAX_LINE}")
        _ANSWERS.write(line)
        _ANSWERS.flush()
        if last:
            return


def exchange(loader: Loader, text: bytes) -> tuple[dict[str, Any], bool]:
    """The answer to one line, and whether it is the last one."""
    identity = 0
    try:
        try:
            question = json.loads(text, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise invalid("line", f"one JSON object ({error})", text[:80]) from error
        if type(question) is dict and type(question.get("id")) is int and 0 <= question["id"] < 2**64:
            identity = question["id"]
        request = checked_fields({"id": U64, "request": dict}, (), question, "line")["request"]
        if len(request) != 1:
            raise invalid("request", "one verb", sorted(request))
        (verb, fields), = request.items()
        reply = {verb: _answer(loader, verb, fields)}
        json.dumps(reply, allow_nan=False, ensure_ascii=False).encode()
        return {"id": identity, "reply": reply}, verb == "bye"
    except Refused as refused:
        failure = refused.failure
    except MemoryError as error:
        failure = Refused("alloc", "out_of_host_memory", f"out of memory: {error}", "resource", "unknown",
                          expected="room for the request", actual="none", remedy="free some memory").failure
    except Exception as error:  # A fault of the adapter, or an error of the loader that it does not know.
        traceback.print_exc()
        failure = Refused("request", "internal", f"{type(error).__name__}: {error}", "internal", "unknown",
                          expected="an answer", actual=type(error).__name__, remedy="see standard error").failure
    return {"id": identity, "failure": failure}, False


def _answer(loader: Loader, verb: str, asked: Any) -> Reply:
    if verb == "hello":
        return _hello(loader, checked_fields({"protocol": U32, "nonce": str, "scratch": str}, (), asked, verb))
    if verb == "bye":
        return checked_fields({}, (), asked, verb)
    if verb not in VERBS:
        raise invalid("request", f"one of hello, {', '.join(VERBS)}, bye", verb)
    signature = getattr(Loader, verb)
    kinds = typing.get_type_hints(signature, include_extras=True)
    del kinds["return"]
    fields = checked_fields(kinds, signature.__kwdefaults__ or (), asked, verb)
    declared = _declared(loader)
    for alternatives in _needed(verb, fields):
        if not any(declared.get(name) is True for name in alternatives):
            raise unserved(" or ".join(alternatives))
    if not loader._prepared:
        loader.prepare()
        loader._prepared = True
    reply: Reply = getattr(loader, verb)(**{name: value for name, value in fields.items() if value is not None})
    return reply


def _hello(loader: Loader, fields: Mapping[str, Any]) -> Reply:
    if fields["protocol"] != PROTOCOL:
        raise other_protocol(fields["protocol"])
    capabilities = {name: {"supported": True} if said is True else {"supported": False, "reason": str(said)}
                    for name, said in _declared(loader).items()}
    return {"protocol": PROTOCOL, "nonce": fields["nonce"], "name": loader.name, "version": loader.version,
            "capabilities": capabilities}


def _declared(loader: Loader) -> dict[str, bool | str]:
    """The named capabilities: served, or the reason why not. One that is left out is not claimed."""
    said = dict(loader.capabilities)
    for name, verbs in CAPABILITIES.items():
        if all(getattr(type(loader), verb) is getattr(Loader, verb) for verb in verbs):
            if said.setdefault(name, f"{' or '.join(verbs)} is not implemented") is True:
                raise ValueError(f"declared and not implemented: {name}")
    if wrong := said.keys() - CAPABILITIES.keys():
        raise ValueError(f"not capabilities of the contract: {', '.join(sorted(wrong))}")
    return said


def _needed(verb: str, fields: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The capabilities that a request needs; one of each group is enough."""
    device = fields.get("device", "cpu").partition(":")[0]
    needs = {
        (f"device.{device}",): "device" in fields,
        (f"format.{fields.get('format', 'safetensors')}",): verb == "load",
        # A divided load names the configuration, and need not run the model.
        ("embedding", "logits", "generate"): fields.get("inference") and not fields.get("parallel"),
        ("parallel",): fields.get("parallel") or fields.get("rank") is not None,
        ("widen",): fields.get("keep") == "f32", ("digest",): fields.get("expect_sha256"),
        ("sealed",): fields.get("seal"), ("gates",): fields.get("admit"), ("preflight",): fields.get("profile"),
        ("trace",): fields.get("trace"), ("text",): verb == "forward" and fields["input"]["texts"] is not None,
        ("chat",): verb == "generate" and fields["prompt"]["chat"] is not None,
    }
    return [names for names, asked in needs.items() if asked]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("the same key twice in one object")
    return dict(pairs)
