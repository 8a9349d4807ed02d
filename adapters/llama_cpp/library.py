"""llama.cpp's shared libraries by ctypes: the functions that are used, each with its types, and their log.

The folder holds libllama and libggml with its backends: your own build, or those in `bins` of the npm package
@node-llama-cpp/linux-x64 (or linux-x64-cuda).
"""

import ctypes
import sys
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int, c_int32, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path

WARNING = 3  # ggml's log levels: 3 warns, 4 is an error, 5 continues the previous line.


class ModelParams(ctypes.Structure):
    """The first fields of llama_model_params, and space for the fields that follow."""
    _fields_ = [("devices", c_void_p), ("overrides", c_void_p), ("gpu_layers", c_int32), ("rest", ctypes.c_char * 492)]


class ContextParams(ctypes.Structure):
    """The same for llama_context_params. It is passed on the stack, so extra space does no harm."""
    _fields_ = [("context", c_uint32), ("batch", c_uint32), ("rest", ctypes.c_char * 504)]


class Batch(ctypes.Structure):
    _fields_ = [("count", c_int32), ("token", c_void_p), ("embd", c_void_p), ("pos", c_void_p),
                ("n_seq_id", c_void_p), ("seq_id", c_void_p), ("logits", c_void_p)]


LOG = ctypes.CFUNCTYPE(None, c_int, c_char_p, c_void_p)
LLAMA = {
    "backend_init": (None, []),
    "log_set": (None, [LOG, c_void_p]),
    "model_default_params": (ModelParams, []),
    "context_default_params": (ContextParams, []),
    "model_load_from_file": (c_void_p, [c_char_p, ModelParams]),
    "model_free": (None, [c_void_p]),
    "model_get_vocab": (c_void_p, [c_void_p]),
    "model_n_ctx_train": (c_int32, [c_void_p]),
    "model_size": (c_uint64, [c_void_p]),
    "vocab_n_tokens": (c_int32, [c_void_p]),
    "vocab_is_eog": (c_bool, [c_void_p, c_int32]),
    "init_from_model": (c_void_p, [c_void_p, ContextParams]),
    "set_n_threads": (None, [c_void_p, c_int32, c_int32]),
    "free": (None, [c_void_p]),
    "get_memory": (c_void_p, [c_void_p]),
    "memory_clear": (None, [c_void_p, c_bool]),
    "decode": (c_int32, [c_void_p, Batch]),
    "synchronize": (None, [c_void_p]),
    "get_logits_ith": (POINTER(c_float), [c_void_p, c_int32]),
    "sampler_init_greedy": (c_void_p, []),
    "sampler_sample": (c_int32, [c_void_p, c_void_p, c_int32]),
    "sampler_free": (None, [c_void_p]),
}
GGML = {
    "version": (c_char_p, []),
    "backend_dev_count": (c_size_t, []),
    "backend_dev_get": (c_void_p, [c_size_t]),
    "backend_dev_name": (c_char_p, [c_void_p]),
    "backend_dev_description": (c_char_p, [c_void_p]),
    "backend_dev_memory": (None, [c_void_p, POINTER(c_size_t), POINTER(c_size_t)]),
}


class Library:
    """llama.cpp, opened. Its log goes to standard error. Warnings and errors are also stored for the next refusal.

    Raises OSError and AttributeError where the libraries are missing or of another release.
    """

    def __init__(self, folder):
        folder = Path(folder).absolute()
        llama, ggml = sorted(folder.glob("libllama.*so*")), sorted(folder.glob("libggml.*so*"))
        if not llama or not ggml:
            raise OSError(f"no libllama and libggml in {folder}")
        loaded = ctypes.CDLL(str(ggml[0]), mode=ctypes.RTLD_GLOBAL)
        # In some builds the backends are separate libraries.
        if hasattr(loaded, "ggml_backend_load_all_from_path"):
            loaded.ggml_backend_load_all_from_path(str(folder).encode())
        for so, table, prefix in [(ctypes.CDLL(str(llama[0])), LLAMA, "llama_"), (loaded, GGML, "ggml_")]:
            for name, (result, arguments) in table.items():
                function = getattr(so, prefix + name)
                function.restype, function.argtypes = result, arguments
                setattr(self, name, function)
        self.complaints = []
        self.log = LOG(self.logged)
        self.log_set(self.log, None)
        self.backend_init()
        # Structures may change from one release to the next: the known fields must be there.
        context = self.context_default_params()
        if (context.context, context.batch) != (512, 2048):
            raise OSError("llama_context_params is not laid out as expected: another release of llama.cpp?")

    def logged(self, level, text, _):
        text = text.decode(errors="replace")
        sys.stderr.write(text)
        if WARNING <= level <= WARNING + 1 and text.strip():
            self.complaints.append(text.strip())

    def cards(self):
        """The CUDA devices that the backends see, in their order."""
        devices = [self.backend_dev_get(at) for at in range(self.backend_dev_count())]
        return [device for device in devices if self.backend_dev_name(device).startswith(b"CUDA")]

    def memory(self, card):
        """Free and total bytes of a card."""
        free, total = c_size_t(), c_size_t()
        self.backend_dev_memory(card, ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    def load(self, path, card):
        """A model, completely on a card, or completely on the host where there is no card; None where it is refused."""
        self.complaints.clear()
        parameters = self.model_default_params()
        parameters.gpu_layers = 999 if card else 0
        # A list that ends with null: these devices and no others.
        devices = (c_void_p * 2)(card, None)
        parameters.devices = ctypes.cast(devices, c_void_p)
        return self.model_load_from_file(path.encode(), parameters)
