"""The contract's closed lists, the types of its requests, and the check of requests against them."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, TypedDict

PROTOCOL = 2
# What changed in this version, for the author of an adapter or a judge that speaks the version before it.
PROTOCOL_CHANGES = (
    "`embed` is now `forward`, its reply holds a tagged `output`, a head is `embedding`, `token_states` or `logits`, "
    "and the capabilities `embed` and `forward` are now `embedding` and `logits`")
PROTOCOL_GUIDE = 'see "What changed" in adapters/README.md'
MAX_LINE = 16 << 20

Class = Literal["refused", "unsupported", "device", "resource", "internal"]
Phase = Literal["request", "preflight", "open", "header", "verify", "admit", "alloc", "copy", "read", "infer"]
Effects = Literal["none", "unknown"]
DeviceState = Literal["ok", "poisoned"]
CODES = frozenset("""
    not_found not_a_file unreadable read_failed foreign_format git_lfs_pointer html_page pickle gguf invalid_header
    too_short header_too_large header_truncated header_not_utf8 header_not_json header_padding duplicate_key
    unknown_field missing_field invalid_field unknown_dtype invalid_metadata invalid_layout offsets_reversed
    size_overflow size_mismatch overlap gap trailing_bytes truncated unsupported_dtype checksum_mismatch invalid_index
    invalid_seal file_changed gate_failed non_finite density norm constant spot_check cuda_unavailable invalid_device
    compute_capability vram_insufficient device_fault out_of_device_memory out_of_host_memory out_of_disk
    invalid_config unknown_architecture incomplete_model shape_mismatch invalid_tokenizer invalid_template
    invalid_input output_not_finite invalid_golden golden_mismatch invalid_registry invalid_request unknown_handle
    unknown_tensor unsupported_capability internal""".split())
# The element types that the contract has a word for, with the bits of one element.
DTYPES: Mapping[str, int] = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}
DETAILS = frozenset("expected actual remedy tensor dtype path requested_bytes available_bytes".split())

# Every capability, with its verbs. A loader that declares it must implement one of them.
CAPABILITIES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys("""device.cpu device.cuda dtype.f32 dtype.f16 dtype.bf16 dtype.i64 widen digest gates metadata
        sharded format.safetensors format.gguf format.apr sealed plan streaming unused times
        parallel""".split(), ("load",)),
    **{verb: (verb,) for verb in "read export stat synchronize stream multiply validate generate".split()},
    "preflight": ("device",), "embedding": ("forward",), "text": ("forward",), "trace": ("forward",),
    "logits": ("forward", "generate"), "parallel.run": ("forward", "generate"),
    "chat": ("generate",),
    # A loader that divides a model knows its architecture, and need not run it.
    **{f"model.{one}": ("load", "forward", "generate") for one in
       "bert roberta nomic_bert qwen2 qwen3 llama mistral phi3 gpt2 projection head_dim".split()},
}


class Refused(Exception):
    """A request that is answered with a failure: the judge checks class, phase and code; the rest is for people.

    `details` are any of expected, actual, remedy, tensor, dtype, path, requested_bytes and available_bytes. A dtype is
    one of the format's; give a word that is none of them as `actual`.
    """

    def __init__(self, phase: Phase, code: str, message: str, cls: Class = "refused", effects: Effects = "none",
                 device: DeviceState = "ok", **details: Any) -> None:
        super().__init__(message)
        if code not in CODES or phase not in typing.get_args(Phase) or cls not in typing.get_args(Class):
            raise ValueError(f"not in the contract: class {cls}, phase {phase}, code {code}")
        if unknown := details.keys() - DETAILS:
            raise ValueError(f"a failure has no {sorted(unknown)}")
        if details.get("dtype") is not None and details["dtype"] not in DTYPES:
            raise ValueError(f"not a dtype of the contract: {details['dtype']}")
        details = {key: value if key.endswith("_bytes") else str(value) for key, value in details.items()
                   if value is not None}
        self.failure = {"class": cls, "phase": phase, "code": code, "effects": effects, "device": device,
                        "message": message, **details}


def _device(text: str) -> str:
    ordinal = "0" if text in ("cpu", "cuda") else text.removeprefix("cuda:")
    if text not in ("cpu", "cuda", f"cuda:{ordinal}") or not (ordinal.isascii() and ordinal.isdigit()):
        raise ValueError("cpu, cuda or cuda:N")
    return "cpu" if text == "cpu" else f"cuda:{_u32(int(ordinal))}"


def _u32(value: int) -> int:
    return _below(32, value)


def _u64(value: int) -> int:
    return _below(64, value)


def _below(bits: int, value: int) -> int:
    if not 0 <= value < 2**bits:
        raise ValueError(f"an unsigned integer of {bits} bits")
    return value


# A function next to a type makes the final decision about a value.
U32 = Annotated[int, _u32]
U64 = Annotated[int, _u64]
Device = Annotated[str, _device]
Format = Literal["safetensors", "gguf", "apr"]
Keep = Literal["stored", "f32"]
Pooling = Literal["none", "mean", "cls", "last_token", "splade"]
Reply = dict[str, Any]

# Nested objects. A field that may be None may be left out; where all of them may, exactly one is there.
HardwareProfile = TypedDict("HardwareProfile", {
    "name": str, "compute_capability": tuple[U32, U32], "vram_bytes": U64})
Seal = TypedDict("Seal", {"path": str, "sha256": str})
EmbeddingHead = TypedDict("EmbeddingHead", {"pooling": Pooling, "projection": str | None, "normalize": bool})
TokenStatesHead = TypedDict("TokenStatesHead", {"projection": str | None, "normalize": bool})
LogitsHead = TypedDict("LogitsHead", {})
Head = TypedDict("Head", {
    "embedding": EmbeddingHead | None, "token_states": TokenStatesHead | None, "logits": LogitsHead | None})
Inference = TypedDict("Inference", {
    "config": str | None, "tokenizer": str | None, "template": str | None, "generation": str | None, "head": Head})
RankPlace = TypedDict("RankPlace", {"rank": U32, "device": Device})
# Without `replicas` there is one copy of the model.
Parallel = TypedDict("Parallel", {"tp": U32, "pp": U32, "replicas": U32 | None, "ranks": list[RankPlace]})
Input = TypedDict("Input", {"file": str | None, "texts": list[str] | None})
Turn = TypedDict("Turn", {"role": Literal["system", "user", "assistant"], "content": str})
Prompt = TypedDict("Prompt", {"tokens": list[U32] | None, "chat": list[Turn] | None})
Sampling = TypedDict("Sampling", {"temperature": float, "top_p": float, "seed": U64})


def checked_fields(kinds: Mapping[str, Any], optional: Collection[str], value: Any, where: str) -> dict[str, Any]:
    """The fields of an object: no unknown field, no missing field, each of its type."""
    if type(value) is not dict:
        raise invalid(where, "an object", value)
    for name in [*value.keys() - kinds.keys(), *kinds.keys() - set(optional) - value.keys()]:
        raise invalid(f"{where}.{name}", f"the fields {', '.join(kinds) or '(none)'}", sorted(value))
    return {name: checked(kinds[name], part, f"{where}.{name}") for name, part in value.items()}


def checked(kind: Any, value: Any, where: str) -> Any:
    """A value of the required type, or a refusal that names the position."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        try:
            return arguments[1](checked(arguments[0], value, where))
        except ValueError as error:
            raise invalid(where, str(error), value) from error
    if origin in (typing.Union, types.UnionType):
        return None if value is None else checked(arguments[0], value, where)
    if origin is Literal and type(value) is str and value in arguments:
        return value
    if origin is list and type(value) is list:
        return [checked(arguments[0], item, f"{where}[{at}]") for at, item in enumerate(value)]
    if origin is tuple and type(value) is list and len(value) == len(arguments):
        return tuple(checked(kind, item, where) for kind, item in zip(arguments, value))
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if typing.is_typeddict(kind):
        kinds = typing.get_type_hints(kind, include_extras=True)
        optional = [name for name, kind in kinds.items() if type(None) in typing.get_args(kind)]
        fields = checked_fields(kinds, optional, value, where)
        if optional and len(optional) == len(kinds) and sum(part is not None for part in fields.values()) != 1:
            raise invalid(where, f"exactly one of {', '.join(kinds)}", value)
        return {name: fields.get(name) for name in kinds}
    if kind in (str, bool, int, dict) and type(value) is kind:
        return value
    named = ", ".join(arguments) if origin is Literal else getattr(kind, "__name__", str(kind))
    raise invalid(where, f"{'one of' if origin is Literal else 'a value of type'} {named}", value)


def invalid(where: str, expected: str, actual: Any) -> Refused:
    """The answer to a request that the contract does not define."""
    return Refused("request", "invalid_request", f"request not understood: {where}: expected {expected}",
                   expected=expected, actual=repr(actual)[:200],
                   remedy=f"send one request of protocol version {PROTOCOL}, without further fields")


def other_protocol(asked: int) -> Refused:
    """The answer to the hello of a judge that speaks another version."""
    return Refused("request", "invalid_request",
                   f"this adapter speaks protocol {PROTOCOL}, and the judge speaks {asked}: {PROTOCOL_CHANGES}",
                   expected=PROTOCOL, actual=asked, remedy=f"use a judge of protocol {PROTOCOL}; {PROTOCOL_GUIDE}")


def unserved(what: str) -> Refused:
    """The answer to a request for an undeclared capability."""
    return Refused("request", "unsupported_capability", f"not served: {what}", "unsupported",
                   expected="what the hello declares", actual=what, remedy="ask for something else")
