"""A weight loader in plain Python: host memory only, standard library only.

It answers the contract on stdin and stdout, one JSON object a line, and shows how little that
takes. What it cannot do it says in its hello, and the report shows it as unsupported.
"""

import hashlib
import json
import os
import stat
import sys

BITS = {"F16": 16, "BF16": 16, "F32": 32, "I64": 64}
FOREIGN = {b"version ": "git_lfs_pointer", b"<!DOCTYP": "html_page", b"<html": "html_page",
           b"PK\x03\x04": "pickle", b"\x80\x02": "pickle", b"GGUF": "gguf"}
OTHER_DTYPES = ("BOOL F4 F6_E2M3 F6_E3M2 U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ "
                "I16 U16 I32 U32 C64 F64 U64").split()
SERVED = ["device.cpu", "format.safetensors", "dtype.f32", "dtype.f16", "dtype.bf16", "dtype.i64", "digest", "metadata", "read", "stat"]
NOT_SERVED = {
    "device.cuda": "host memory only", "widen": "keeps tensors as stored", "gates": "looks at no values",
    "export": "no device memory", "preflight": "no devices", "synchronize": "no devices",
    "stream": "no devices", "multiply": "no arithmetic", "sharded": "one file at a time",
    "format.gguf": "safetensors alone", "format.apr": "safetensors alone", "sealed": "no manifests",
    "embed": "no inference", "text": "no inference", "trace": "no inference",
    "validate": "no inference", "forward": "no inference", "generate": "no inference",
    "chat": "no inference", "plan": "no inference", "streaming": "no inference", "unused": "no inference",
    "times": "takes none of its steps' times",
}
models, counter = {}, 0


class Refused(Exception):
    """A request that is answered with a failure."""

    def __init__(self, phase, code, message, cls="refused", **more):
        super().__init__(message)
        self.failure = {"class": cls, "phase": phase, "code": code, "effects": "none", "device": "ok",
                        "message": message, "remedy": "give a sound safetensors file", **more}


def unique(pairs):
    """Builds an object, refusing a key that comes twice."""
    if len({key for key, _ in pairs}) != len(pairs):
        raise Refused("header", "duplicate_key", "the same key twice in one object")
    return dict(pairs)


def no_constant(text):
    raise ValueError(f"{text} is not JSON")


def whole(value):
    return type(value) is int and 0 <= value < 2**64


def parse(data):
    """Returns the tensor table and the metadata of a file's bytes, or refuses them."""
    for magic, code in FOREIGN.items():
        if data.startswith(magic):
            raise Refused("open", code, "not a safetensors file", expected="safetensors", actual=code)
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > 100_000_000 or 8 + length > len(data):
        code = ("too_short" if len(data) < 8 else
                "header_too_large" if length > 100_000_000 else "header_truncated")
        raise Refused("header", code, "the header does not fit", expected="a header inside the file",
                      actual=f"{length} bytes of header in {len(data)} bytes of file")
    text, buffer = data[8:8 + length], len(data) - 8 - length
    if not text.startswith(b"{") or text.rstrip(b" ")[-1:] in (b"\t", b"\n", b"\r", b"\0"):
        raise Refused("header", "header_padding", "the header is not one object padded with spaces",
                      expected="{...} and spaces", actual=repr(text[:16]))
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique, parse_constant=no_constant)
        json.dumps(header, ensure_ascii=False).encode("utf-8")  # refuses lone surrogates
    except (ValueError, RecursionError) as error:
        code = "header_not_utf8" if isinstance(error, UnicodeDecodeError) else "header_not_json"
        raise Refused("header", code, str(error)[:200], expected="strict JSON", actual=str(error)[:200])
    metadata = header.pop("__metadata__", None)
    if (metadata is None and b'"__metadata__"' in text) or not (
            metadata is None or type(metadata) is dict and all(type(v) is str for v in metadata.values())):
        raise Refused("header", "invalid_metadata", "__metadata__ is no map of strings",
                      expected="an object of strings", actual=type(metadata).__name__)
    table = [entry(name, info) for name, info in header.items()]
    at = 0
    for name, dtype, shape, begin, end in sorted(table, key=lambda row: (row[3], row[4])):
        if begin != at:
            raise layout("overlap" if begin < at else "gap", name, at, begin)
        at = end
    if at != buffer:
        raise layout("truncated" if at > buffer else "trailing_bytes", None, at, buffer)
    return table, metadata, 8 + length


def layout(code, tensor, expected, actual):
    more = {"tensor": tensor} if tensor is not None else {}
    return Refused("header", code, f"offsets do not cover the data: {code}",
                   expected=str(expected), actual=str(actual), **more)


def entry(name, info):
    """Checks one tensor's description."""
    def bad(code, actual):
        return Refused("header", code, f"tensor {name!r}: {code}", tensor=name,
                       expected="dtype, shape and data_offsets", actual=str(actual)[:200])
    if type(info) is not dict:
        raise bad("invalid_field", info)
    for missing in {"dtype", "shape", "data_offsets"} - info.keys():
        raise bad("missing_field", f"no {missing}")
    for extra in info.keys() - {"dtype", "shape", "data_offsets"}:
        raise bad("unknown_field", extra)
    dtype, shape, offsets = info["dtype"], info["shape"], info["data_offsets"]
    if type(shape) is not list or not all(map(whole, shape)) or type(dtype) is not str:
        raise bad("invalid_field", info)
    if type(offsets) is not list or len(offsets) != 2 or not all(map(whole, offsets)):
        raise bad("invalid_field", offsets)
    if dtype in OTHER_DTYPES:
        raise Refused("header", "unsupported_dtype", f"{name!r} is {dtype}", tensor=name, dtype=dtype,
                      expected="F16, BF16 or F32", actual=dtype)
    if dtype not in BITS:
        raise bad("unknown_dtype", dtype)
    size = BITS[dtype] // 8
    for dimension in shape:
        size *= dimension
    if size >= 2**64 and 0 not in shape:
        raise bad("size_overflow", size)
    if offsets[0] > offsets[1]:
        raise bad("offsets_reversed", offsets)
    if offsets[1] - offsets[0] != size:
        raise bad("size_mismatch", f"{size} bytes by shape, {offsets[1] - offsets[0]} by offsets")
    return name, dtype, shape, *offsets


def hello(protocol, nonce, scratch):
    capabilities = {name: {"supported": True} for name in SERVED}
    capabilities |= {name: {"supported": False, "reason": why} for name, why in NOT_SERVED.items()}
    return {"protocol": 1, "nonce": nonce, "name": "plain-python", "version": "1.0.0",
            "capabilities": capabilities}


def load(path, device, admit, keep="stored", expect_sha256=None):
    global counter
    if device != "cpu" or keep != "stored":
        raise Refused("request", "unsupported_capability", f"not served: {device}, {keep}", "unsupported")
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise Refused("open", "not_a_file", f"{path}: not a regular file", path=path,
                              expected="a regular file", actual="something else")
            data = file.read()
            after = os.fstat(file.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise Refused("copy", "file_changed", f"{path}: changed while it was read", path=path,
                              expected=f"{before.st_size} bytes", actual=f"{after.st_size} bytes")
    except OSError as error:
        code = {FileNotFoundError: "not_found", IsADirectoryError: "not_a_file"}.get(type(error), "unreadable")
        raise Refused("open", code, str(error), path=path, expected="a readable file", actual=str(error))
    table, metadata, start = parse(data)
    digest = hashlib.sha256(data).hexdigest()
    if expect_sha256 not in (None, digest):
        raise Refused("verify", "checksum_mismatch", f"{path}: other bytes than asked for",
                      expected=expect_sha256, actual=digest)
    counter += 1
    models[counter] = (data, table, start)
    reply = {"handle": counter, "device": "cpu", "file_bytes": len(data), "sha256": digest,
             "held_bytes": len(data) - start, "gates": [], "tensors": [
                 {"name": name, "stored": dtype, "dtype": dtype, "shape": shape, "bytes": end - begin}
                 for name, dtype, shape, begin, end in table]}
    return reply if metadata is None else {**reply, "metadata": metadata}


def held(handle):
    if handle not in models:
        raise Refused("request", "unknown_handle", f"no such model: {handle}")
    return models[handle]


def read(handle, into):
    data, table, start = held(handle)
    header = json.dumps({name: {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
                         for name, dtype, shape, begin, end in table}).encode()
    written = len(header).to_bytes(8, "little") + header + data[start:]
    with open(into, "wb") as file:
        file.write(written)
    return {"bytes": len(written), "sha256": hashlib.sha256(written).hexdigest()}


def unload(handle):
    held(handle)
    del models[handle]
    return {}


def stat_():
    return {"models": len(models), "device_bytes": 0,
            "host_bytes": sum(len(data) - start for data, _, start in models.values())}


VERBS = {"hello": hello, "load": load, "read": read, "unload": unload, "stat": stat_, "bye": dict}

ELSEWHERE = ("device", "export", "synchronize", "stream", "multiply")
TYPES = {"path": str, "into": str, "device": str, "keep": str, "admit": bool, "handle": int, "protocol": int}

for line in sys.stdin:
    question = json.loads(line)
    try:
        if len(question["request"]) != 1:
            raise TypeError("not one verb")
        (verb, fields), = question["request"].items()
        if verb in ELSEWHERE:
            raise Refused("request", "unsupported_capability", f"not served: {verb}", "unsupported")
        if verb not in VERBS or any(type(fields[name]) is not TYPES[name] for name in fields.keys() & TYPES):
            raise TypeError(f"no such verb, or a field of the wrong type: {verb}")
        answer = {"reply": {verb: VERBS[verb](**fields)}}
    except Refused as refused:
        answer = {"failure": refused.failure}
    except TypeError as error:
        answer = {"failure": Refused("request", "invalid_request", str(error)).failure}
    print(json.dumps({"id": question["id"], **answer}), flush=True)
    if verb == "bye":
        break
