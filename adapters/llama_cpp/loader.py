"""llama.cpp behind the contract: loads GGUF and generates, greedily, on the host or on a CUDA card.

    python3 loader.py FOLDER

Standard library only. The folder holds llama.cpp's shared libraries, libllama and libggml with its backends: a
build of one's own, or those that the npm package @node-llama-cpp/linux-x64 (or linux-x64-cuda) carries in
`bins`. Seen to work with releases b6845 (package 3.14.2, on an H200) and 0.5.0 (3.22.1, on a host).
"""

import ctypes
import hashlib
import json
import os
import struct
import sys
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int32, c_void_p
from pathlib import Path

# What is said in answer goes to the harness; whatever the libraries print goes to stderr.
ANSWERS = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

LONGEST = 8192  # tokens that a sequence may have, prompt included
SERVED = ["device.cpu", "device.cuda", "format.gguf", "forward", "generate", "stat"]
NOT_SERVED = {
    "format.safetensors": "GGUF alone",
    "dtype.f32": "safetensors are not read", "dtype.f16": "safetensors are not read",
    "dtype.bf16": "safetensors are not read", "dtype.i64": "safetensors are not read",
    "widen": "keeps tensors as stored", "digest": "does not hash", "gates": "looks at no values",
    "metadata": "not told", "read": "weights stay in the library", "export": "weights stay in the library",
    "preflight": "not offered", "synchronize": "not offered", "stream": "not offered",
    "multiply": "not offered", "sharded": "one file at a time", "format.apr": "GGUF alone",
    "sealed": "no seals", "embed": "not offered", "text": "not offered", "trace": "not offered",
    "validate": "not offered", "chat": "prompts are tokens", "plan": "not told", "streaming": "not offered",
    "unused": "not told", "times": "not told",
}
models, counter = {}, 0


class Refused(Exception):
    """A request that is answered with a failure."""

    def __init__(self, phase, code, message, cls="refused", **more):
        super().__init__(message)
        self.failure = {"class": cls, "phase": phase, "code": code, "effects": "none", "device": "ok",
                        "message": message, "remedy": "give a sound GGUF file", **more}


class ModelParams(ctypes.Structure):
    """The first fields of llama_model_params, and room for whatever follows."""
    _fields_ = [("devices", c_void_p), ("overrides", c_void_p), ("gpu_layers", c_int32), ("rest", ctypes.c_char * 492)]


class ContextParams(ctypes.Structure):
    """The same of llama_context_params. Passed on the stack, more room than the library reads is no harm."""
    _fields_ = [("context", ctypes.c_uint32), ("batch", ctypes.c_uint32), ("rest", ctypes.c_char * 504)]


class Batch(ctypes.Structure):
    _fields_ = [("count", c_int32), ("token", c_void_p), ("embd", c_void_p), ("pos", c_void_p),
                ("n_seq_id", c_void_p), ("seq_id", c_void_p), ("logits", c_void_p)]


class Library:
    """The functions that are used, each with its types."""

    def __init__(self):
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else "lib").absolute()
        names = sorted(folder.glob("libllama.*so*"))
        ggml = sorted(folder.glob("libggml.*so*"))
        if not names or not ggml:
            raise OSError(f"no libllama and libggml in {folder}")
        loaded = ctypes.CDLL(str(ggml[0]), mode=ctypes.RTLD_GLOBAL)
        # The backends are libraries of their own in some builds.
        if hasattr(loaded, "ggml_backend_load_all_from_path"):
            loaded.ggml_backend_load_all_from_path(str(folder).encode())
        self.so = ctypes.CDLL(str(names[0]))
        loaded.ggml_version.restype = c_char_p
        self.version = loaded.ggml_version().decode()
        for name, result, arguments in [
            ("backend_init", None, []),
            ("model_default_params", ModelParams, []),
            ("context_default_params", ContextParams, []),
            ("model_load_from_file", c_void_p, [c_char_p, ModelParams]),
            ("model_free", None, [c_void_p]),
            ("model_get_vocab", c_void_p, [c_void_p]),
            ("model_n_ctx_train", c_int32, [c_void_p]),
            ("model_size", ctypes.c_uint64, [c_void_p]),
            ("vocab_n_tokens", c_int32, [c_void_p]),
            ("vocab_is_eog", c_bool, [c_void_p, c_int32]),
            ("init_from_model", c_void_p, [c_void_p, ContextParams]),
            ("free", None, [c_void_p]),
            ("get_memory", c_void_p, [c_void_p]),
            ("memory_clear", None, [c_void_p, c_bool]),
            ("batch_get_one", Batch, [c_void_p, c_int32]),
            ("decode", c_int32, [c_void_p, Batch]),
            ("get_logits_ith", POINTER(c_float), [c_void_p, c_int32]),
            ("sampler_init_greedy", c_void_p, []),
            ("sampler_sample", c_int32, [c_void_p, c_void_p, c_int32]),
            ("sampler_free", None, [c_void_p]),
            ("supports_gpu_offload", c_bool, []),
        ]:
            function = getattr(self.so, f"llama_{name}")
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)
        self.backend_init()
        # Structures may change from one release to the next: what is known of them must be there.
        context = self.context_default_params()
        if (context.context, context.batch) != (512, 2048):
            raise OSError("llama_context_params is not laid out as expected: another release of llama.cpp?")


library = None


def needed():
    """The library, opened by the first who needs it."""
    global library
    if library is None:
        try:
            library = Library()
        except (OSError, AttributeError) as error:
            raise Refused("preflight", "internal", f"llama.cpp cannot be opened: {error}", "resource",
                          expected="llama.cpp's shared libraries", actual=str(error)) from error
    return library


def hello(protocol, nonce, scratch):
    capabilities = {name: {"supported": True} for name in SERVED}
    capabilities |= {name: {"supported": False, "reason": why} for name, why in NOT_SERVED.items()}
    return {"protocol": 1, "nonce": nonce, "name": "llama.cpp", "version": needed().version,
            "capabilities": capabilities}


def load(path, device, admit, format="safetensors", keep="stored", inference=None, **more):
    global counter
    if format != "gguf" or keep != "stored" or more:
        raise Refused("request", "unsupported_capability", f"not served: {format}, {keep}", "unsupported")
    lib = needed()
    on_card = device != "cpu"
    if on_card and not lib.supports_gpu_offload():
        raise Refused("preflight", "cuda_unavailable", "this llama.cpp has no GPU", "device",
                      expected="a backend for CUDA", actual="none")
    try:
        size = os.stat(path).st_size
    except OSError as error:
        raise Refused("open", "not_found", str(error), path=path, expected="a file", actual=str(error)) from error
    parameters = lib.model_default_params()
    parameters.gpu_layers = 999 if on_card else 0
    model = lib.model_load_from_file(path.encode(), parameters)
    if not model:
        raise Refused("header", "invalid_field", "llama.cpp does not take the file", path=path,
                      expected="a GGUF file that llama.cpp knows", actual="refused; its reason is on stderr")
    parameters = lib.context_default_params()
    parameters.context = min(LONGEST, lib.model_n_ctx_train(model))
    context = lib.init_from_model(model, parameters)
    if not context:
        lib.model_free(model)
        raise Refused("alloc", "out_of_device_memory", "no room for a context", "resource")
    counter += 1
    models[counter] = (model, context, device, parameters.context)
    return {"handle": counter, "device": device, "file_bytes": size, "held_bytes": lib.model_size(model),
            "tensors": [], "gates": []}


def held(handle):
    if handle not in models:
        raise Refused("request", "unknown_handle", f"no such model: {handle}")
    return models[handle]


def generate(handle, prompt, limit, sampling, into=None):
    model, context, device, longest = held(handle)
    lib = library
    tokens = prompt.get("tokens")
    if tokens is None or sampling.get("temperature", 0) != 0:
        raise Refused("request", "unsupported_capability", "greedy behind tokens alone", "unsupported")
    vocabulary = lib.vocab_n_tokens(lib.model_get_vocab(model))
    if not tokens or len(tokens) > longest or any(not 0 <= token < vocabulary for token in tokens):
        raise Refused("infer", "invalid_input", "a prompt that the model cannot be given",
                      expected=f"1 to {longest} tokens below {vocabulary}", actual=f"{len(tokens)} tokens")
    lib.memory_clear(lib.get_memory(context), True)
    vocab, sampler = lib.model_get_vocab(model), lib.sampler_init_greedy()
    given, rows, stop, following = [], [], "limit", list(tokens)
    try:
        while True:
            ids = (c_int32 * len(following))(*following)
            if lib.decode(context, lib.batch_get_one(ids, len(following))):
                raise Refused("infer", "device_fault", "llama_decode failed", "device")
            if into is not None:
                rows.append(bytes((c_float * vocabulary).from_address(
                    ctypes.addressof(lib.get_logits_ith(context, -1).contents))))
            token = lib.sampler_sample(sampler, context, -1)
            given.append(token)
            if lib.vocab_is_eog(vocab, token):
                stop = "end_of_sequence"
            elif len(given) < limit and len(tokens) + len(given) < longest:
                following = [token]
                continue
            elif len(given) < limit:
                stop = "context"
            break
    finally:
        lib.sampler_free(sampler)
    reply = {"prompt": tokens, "tokens": given, "stop": stop, "device": device}
    return reply if into is None else {**reply, "written": write(into, rows, vocabulary)}


def write(into, rows, vocabulary):
    """The logits as a safetensors file."""
    data = b"".join(rows)
    entry = {"dtype": "F32", "shape": [len(rows), vocabulary], "data_offsets": [0, len(data)]}
    header = json.dumps({"logits": entry}).encode()
    header += b" " * (-len(header) % 8)
    written = struct.pack("<Q", len(header)) + header + data
    Path(into).write_bytes(written)
    return {"bytes": len(written), "sha256": hashlib.sha256(written).hexdigest()}


def unload(handle):
    model, context, _, _ = held(handle)
    library.free(context)
    library.model_free(model)
    del models[handle]
    return {}


def stat():
    size = {True: 0, False: 0}
    for model, _, device, _ in models.values():
        size[device == "cpu"] += library.model_size(model)
    return {"models": len(models), "host_bytes": size[True], "device_bytes": size[False]}


VERBS = {"hello": hello, "load": load, "generate": generate, "unload": unload, "stat": stat, "bye": dict}
ELSEWHERE = ("device", "export", "synchronize", "stream", "multiply", "read", "embed", "validate")


def main():
    for line in sys.stdin:
        question = json.loads(line)
        verb = None
        try:
            (verb, fields), = question["request"].items()
            if verb in ELSEWHERE:
                raise Refused("request", "unsupported_capability", f"not served: {verb}", "unsupported")
            if verb not in VERBS:
                raise TypeError(f"no such verb: {verb}")
            answer = {"reply": {verb: VERBS[verb](**fields)}}
        except Refused as refused:
            answer = {"failure": refused.failure}
        except (TypeError, ValueError, AttributeError) as error:
            answer = {"failure": Refused("request", "invalid_request", str(error)).failure}
        print(json.dumps({"id": question["id"], **answer}), file=ANSWERS, flush=True)
        if verb == "bye":
            break


main()
