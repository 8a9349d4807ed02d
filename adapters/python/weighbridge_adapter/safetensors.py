"""The safetensors format in plain Python: a strict header, and a writer. For loaders without their own
reader, and to write tensors back. Never use it to check a file instead of the loader under test."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .contract import DTYPES, Refused, Reply

HELD = ("F16", "BF16", "F32", "I64")
LONGEST_HEADER = 100_000_000
FOREIGN = {b"version ": "git_lfs_pointer", b"<!DOCTYP": "html_page", b"<html": "html_page",
           b"PK\x03\x04": "pickle", b"\x80\x02": "pickle", b"GGUF": "gguf"}
REMEDY = "give a sound safetensors file"


class Tensor(NamedTuple):
    """One tensor of a header; its bytes lie from `begin` to `end` of the data."""

    name: str
    dtype: str
    shape: list[int]
    begin: int
    end: int


class Header(NamedTuple):
    """A file's header; the data begins `start` bytes into the file."""

    tensors: list[Tensor]
    metadata: dict[str, str] | None
    start: int


def read_file(path: str) -> bytes:
    """The bytes of a regular file in one consistent state; any other object is refused without waiting."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise Refused("open", "not_a_file", f"{path}: not a regular file", path=path,
                              expected="a regular file", actual="something else", remedy=REMEDY)
            data = file.read()
            after = os.fstat(file.fileno())
    except OSError as error:
        raise unreadable(path, error) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise Refused("copy", "file_changed", f"{path}: changed while it was read", path=path, remedy="load it again",
                      expected=f"{before.st_size} bytes", actual=f"{after.st_size} bytes")
    return data


def unreadable(path: str, error: OSError) -> Refused:
    """The system's error for a file that cannot be opened."""
    codes = {FileNotFoundError: "not_found", NotADirectoryError: "not_found", IsADirectoryError: "not_a_file"}
    return Refused("open", codes.get(type(error), "unreadable"), str(error), path=path,
                   expected="a readable file", actual=error.strerror or str(error), remedy="name a readable file")


def parse(data: bytes, held: Iterable[str] = HELD) -> Header:
    """The header of a file's bytes, or a refusal with the broken rule. Unsupported types are refused."""
    for magic, code in FOREIGN.items():
        if data.startswith(magic):
            raise Refused("open", code, "not a safetensors file", expected="safetensors", actual=code, remedy=REMEDY)
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > LONGEST_HEADER or 8 + length > len(data):
        code = ("too_short" if len(data) < 8 else
                "header_too_large" if length > LONGEST_HEADER else "header_truncated")
        raise _bad(code, "the header does not fit", "a header inside the file",
                   f"{length} bytes of header in {len(data)} bytes of file")
    text, buffer = data[8:8 + length], len(data) - 8 - length
    if not text.startswith(b"{") or text.rstrip(b" ")[-1:] in (b"\t", b"\n", b"\r", b"\0"):
        raise _bad("header_padding", "the header is not one object padded with spaces", "{...} and spaces", text[:16])
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
        json.dumps(header, ensure_ascii=False).encode("utf-8")  # refuses lone surrogates
    except (ValueError, RecursionError) as error:
        code = "header_not_utf8" if isinstance(error, UnicodeDecodeError) else "header_not_json"
        raise _bad(code, str(error)[:200], "strict JSON", error) from error
    if "__metadata__" in header and not _is_map_of_strings(header["__metadata__"]):
        raise _bad("invalid_metadata", "__metadata__ is no map of strings", "an object of strings",
                   header["__metadata__"])
    metadata = header.pop("__metadata__", None)
    tensors = [_entry(name, info, held) for name, info in header.items()]
    at = 0
    for tensor in sorted(tensors, key=lambda tensor: (tensor.begin, tensor.end)):
        if tensor.begin != at:
            raise _layout("overlap" if tensor.begin < at else "gap", tensor.name, at, tensor.begin)
        at = tensor.end
    if at != buffer:
        raise _layout("truncated" if at > buffer else "trailing_bytes", None, at, buffer)
    return Header(tensors, metadata, 8 + length)


def write(path: str, tensors: Iterable[tuple[str, str, Iterable[int], bytes | memoryview]],
          metadata: Mapping[str, str] | None = None) -> Reply:
    """Writes tensors, each as name, dtype, shape and its bytes, and returns the reply's fields about the file."""
    rows, at = [], 0
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": dict(metadata)}
    for name, dtype, shape, data in tensors:
        data = memoryview(data).cast("B") if len(data) else memoryview(b"")
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        rows.append(data)
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    try:
        with open(path, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for data in rows:
                file.write(data)
    except OSError as error:
        raise Refused("read", "out_of_disk", str(error), "resource", path=path, expected="room for the file",
                      actual=error.strerror or str(error), remedy="name a place that can be written to") from error
    return written(path)


def written(path: str) -> Reply:
    """The reply's fields about a written file."""
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
            size += len(piece)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _entry(name: str, info: Any, held: Iterable[str]) -> Tensor:
    def bad(code: str, actual: Any) -> Refused:
        return _bad(code, f"tensor {name!r}: {code}", "dtype, shape and data_offsets", actual, tensor=name)
    if type(info) is not dict:
        raise bad("invalid_field", info)
    for missing in {"dtype", "shape", "data_offsets"} - info.keys():
        raise bad("missing_field", f"no {missing}")
    for extra in info.keys() - {"dtype", "shape", "data_offsets"}:
        raise bad("unknown_field", extra)
    dtype, shape, offsets = info["dtype"], info["shape"], info["data_offsets"]
    if type(shape) is not list or not all(map(_whole, shape)) or type(dtype) is not str:
        raise bad("invalid_field", info)
    if type(offsets) is not list or len(offsets) != 2 or not all(map(_whole, offsets)):
        raise bad("invalid_field", offsets)
    if dtype not in DTYPES:
        raise bad("unknown_dtype", dtype)
    if dtype not in held:
        raise _bad("unsupported_dtype", f"{name!r} is {dtype}", f"one of {', '.join(held)}", dtype, tensor=name,
                   dtype=dtype)
    bits = DTYPES[dtype]
    for dimension in shape:
        bits *= dimension
    if bits >= 2**67:
        raise bad("size_overflow", f"{bits} bits")
    if offsets[0] > offsets[1]:
        raise bad("offsets_reversed", offsets)
    if 8 * (offsets[1] - offsets[0]) != bits:
        raise bad("size_mismatch", f"{bits} bits by shape, {offsets[1] - offsets[0]} bytes by offsets")
    return Tensor(name, dtype, shape, offsets[0], offsets[1])


def _bad(code: str, message: str, expected: Any, actual: Any, **more: Any) -> Refused:
    return Refused("header", code, message, expected=expected, actual=str(actual)[:200], remedy=REMEDY, **more)


def _layout(code: str, tensor: str | None, expected: int, actual: int) -> Refused:
    return _bad(code, f"offsets do not cover the data: {code}", expected, actual, tensor=tensor)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise _bad("duplicate_key", "the same key twice in one object", "keys that differ", [key for key, _ in pairs])
    return dict(pairs)


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**64


def _is_map_of_strings(value: Any) -> bool:
    return type(value) is dict and all(type(part) is str for part in value.values())
