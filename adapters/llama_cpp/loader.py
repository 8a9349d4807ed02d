"""llama.cpp as a loader: loads GGUF, and gives logits and the most likely tokens, on the host or on a CUDA card.

    python3 loader.py FOLDER

The folder holds llama.cpp's shared libraries; `library.py` says which. It was run with releases b6845 (package
3.14.2) and v0.5.0 (3.22.1), which calls itself 0.25.1, on an H200. For compute capability 9.0 the package of v0.5.0 has PTX
of CUDA 13.1 alone, which older drivers refuse: llama.cpp then aborts at its first kernel. Take your own build there.
"""

import os
import re
import sys

from weighbridge_adapter import CAPABILITIES, Loader, Refused, cuda, serve
from weighbridge_adapter.safetensors import unreadable, write

from library import Library
from running import Running, batch_of

LONGEST = 8192  # maximum tokens of a sequence, including the prompt
THREADS = 4  # the most: llama.cpp's own number where nobody sets one
# llama.cpp's messages about a file, by a part of its log, the most specific first. It has fewer kinds of faults than
# the contract; a file without a known message gets the code for a bad header.
SAID = [
    ("No such file or directory", "not_found"),
    ("invalid magic", "foreign_format"),
    ("failed to read magic", "too_short"),
    ("software only supports", "invalid_header"),
    ("is no longer supported", "invalid_header"),
    ("is extremely large", "invalid_header"),
    ("not a multiple of block size", "size_mismatch"),
    ("duplicate key", "duplicate_key"),
    ("duplicate tensor name", "duplicate_key"),
    ("is duplicated", "duplicate_key"),
    ("is not within the file bounds", "truncated"),
    ("invalid ggml type", "unknown_dtype"),
    ("has offset", "invalid_layout"),
    ("total number of elements", "size_overflow"),
    ("has a size in bytes >", "size_overflow"),
    ("unknown model architecture", "unknown_architecture"),
    ("unknown pre-tokenizer type", "invalid_tokenizer"),
    ("error loading model vocabulary", "invalid_tokenizer"),
    ("key not found in model", "invalid_config"),
    ("error loading model hyperparameters", "invalid_config"),
    ("missing tensor", "incomplete_model"),
    ("has wrong shape", "shape_mismatch"),
    # The file has more tensors than the architecture uses.
    ("wrong number of tensors", "unknown_architecture"),
    ("failed to read header", "header_truncated"),
    ("failed to read key-value pairs", "header_truncated"),
    ("failed to read tensor info", "header_truncated"),
    ("", "invalid_header"),
]


class LlamaCpp(Loader):
    name = "llama.cpp"
    served = ("device.cpu", "device.cuda", "format.gguf", "logits", "generate", "stat", "model.qwen2",
              "model.qwen3", "model.llama", "model.mistral", "model.phi3", "model.gpt2")
    capabilities = {
        **dict.fromkeys([name for name, verbs in CAPABILITIES.items() if verbs == ("load",)], "not offered"),
        **dict.fromkeys(served, True),
        "format.safetensors": "GGUF alone", "format.apr": "GGUF alone", "sharded": "one file at a time",
        "digest": "does not hash", "gates": "looks at no values", "metadata": "not told",
        "preflight": "checks no profile", "chat": "prompts are tokens",
        **dict.fromkeys(["model.bert", "model.roberta", "model.nomic_bert"], "embeddings are not offered"),
        "model.projection": "GGUF has no such architecture",
        **dict.fromkeys(["dtype.f32", "dtype.f16", "dtype.bf16", "dtype.i64"], "safetensors are not read"),
    }

    def __init__(self, folder):
        super().__init__()
        try:
            self.library, self.fault = Library(folder), None
        except (OSError, AttributeError) as error:
            self.library, self.fault = None, error

    @property
    def version(self):
        """The library's version; without one the loader cannot answer the hello."""
        if self.library is None:
            raise Refused("preflight", "internal", f"llama.cpp cannot be opened: {self.fault}", "resource",
                          expected="llama.cpp's shared libraries", actual=self.fault, remedy="name their folder")
        return self.library.version().decode()

    def load(self, path, device, admit, inference=None, **_):
        if inference is not None and inference["generation"]:
            raise settings_unserved(inference["generation"])
        card = None if device == "cpu" else self.card(device)
        try:
            size = os.stat(path).st_size
        except OSError as error:
            raise unreadable(path, error) from error
        lib = self.library
        model = lib.load(path, card)
        if not model:
            raise self.refusal(path, device)
        parameters = lib.context_default_params()
        parameters.context = longest = min(LONGEST, lib.model_n_ctx_train(model))
        context = lib.init_from_model(model, parameters)
        if not context:
            lib.model_free(model)
            raise self.full(device, "no room for a context")
        # Threads that share a core wait for each other in busy loops, and the judge runs several loaders at once.
        threads = max(1, min(THREADS, len(os.sched_getaffinity(0)) // 2))
        lib.set_n_threads(context, threads, threads)
        running = Running(lib, model, context, device, longest)
        return {"handle": self.hold(running), "device": device, "file_bytes": size,
                "held_bytes": lib.model_size(model), "tensors": []}

    def refusal(self, path, device):
        """The refusal of a file, or the failure of a card, with the library's own message."""
        said = "; ".join(self.library.complaints) or "nothing"
        if "failed to allocate" in said or "unable to allocate" in said:
            return self.full(device if re.search(r"CUDA\d", said) else "cpu", said)
        if passed_on := cuda.failure(said, device, path):
            return passed_on
        code = next(code for part, code in SAID if part in said)
        tensor = re.search(r"tensor '([^']+)'", said)
        return Refused("header", code, f"llama.cpp does not take the file: {said}", path=path,
                       tensor=tensor and tensor[1], expected="a GGUF file that llama.cpp knows", actual=said,
                       remedy="give a sound GGUF file of a model that llama.cpp runs")

    def full(self, device, said):
        free = 0 if device == "cpu" else self.library.memory(self.card(device))[0]
        code = "out_of_host_memory" if device == "cpu" else "out_of_device_memory"
        return Refused("alloc", code, said, "resource", expected="room for the model", actual=said,
                       available_bytes=free or None, remedy="free some memory")

    def card(self, device):
        cards, ordinal = self.library.cards(), int(device.removeprefix("cuda:"))
        if not cards:
            raise Refused("preflight", "cuda_unavailable", "llama.cpp sees no CUDA device", "device",
                          expected="a CUDA device", actual=f"none; the driver: {cuda.driver_words()}",
                          remedy="run on a GPU machine with llama.cpp's CUDA backend, or ask for the CPU")
        if ordinal >= len(cards):
            raise Refused("preflight", "invalid_device", f"llama.cpp sees no {device}", "device",
                          expected=f"cuda:0 to cuda:{len(cards) - 1}", actual=device, remedy="name one of them")
        return cards[ordinal]

    def device(self, device, profile=None):
        if device == "cpu":
            page = os.sysconf("SC_PAGE_SIZE")
            return {"device": device, "name": "host", "total_bytes": page * os.sysconf("SC_PHYS_PAGES"),
                    "free_bytes": page * os.sysconf("SC_AVPHYS_PAGES"), "count": 1}
        card = self.card(device)
        free, total = self.library.memory(card)
        return {"device": device, "name": self.library.backend_dev_description(card).decode(), "total_bytes": total,
                "free_bytes": free, "count": len(self.library.cards())}

    def forward(self, handle, input, into, trace=False):
        running, rows = self.held(handle), batch_of(input["file"])
        shape = [len(rows), len(rows[0]) if rows else 0, running.width]
        told = write(into, [("logits", "F32", shape, running.forward(rows))])
        return {"written": told, "device": running.device, "output": {"logits": {"shape": shape}}}

    def generate(self, handle, prompt, limit, sampling, into=None):
        running, tokens = self.held(handle), prompt["tokens"]
        if sampling["temperature"] != 0:
            raise Refused("request", "unsupported_capability", "greedy alone", "unsupported",
                          expected="temperature 0", actual=sampling["temperature"], remedy="ask for it")
        given, stop, rows = running.generate(tokens, limit, into is not None)
        reply = {"prompt": tokens, "tokens": given, "stop": stop, "device": running.device}
        if into is not None:
            reply["written"] = write(into, [("logits", "F32", [len(rows), running.width], b"".join(rows))])
        return reply

    def release(self, model):
        self.library.free(model.context)
        self.library.model_free(model.model)

    def stat(self):
        sizes = {True: 0, False: 0}
        for running in self.models.values():
            sizes[running.device == "cpu"] += self.library.model_size(running.model)
        return {"models": len(self.models), "host_bytes": sizes[True], "device_bytes": sizes[False]}


def settings_unserved(path):
    """The refusal of a generation_config.json: llama.cpp reads end tokens from the GGUF file, and no settings."""
    return Refused("request", "unsupported_capability", f"llama.cpp does not read {path}", "unsupported", path=path,
                   expected="the GGUF file alone", actual=path, remedy="load it without `generation`")


serve(LlamaCpp(sys.argv[1] if len(sys.argv) > 1 else "lib"))
