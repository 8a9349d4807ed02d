"""transformers for `weighbridge bench encode` and `bench decode`, started as `timed_transformers.py ARM DEVICE`.

The adapter in the folder `transformers` runs models so that they can be compared state by state. This one runs them as
their users do who want speed: the library's own choice of attention, compiled where the arm says so. Every reply
tells the time from ids on the host to the result on the host. No TF32.
"""

import sys
import time
from pathlib import Path

from weighbridge_adapter import CAPABILITIES, Loader, Refused, serve
from weighbridge_adapter.safetensors import written

# Encoders: the mode of torch.compile.
ENCODERS = {"encoder-eager": None, "encoder-compiled": "default", "encoder-compiled-graphs": "reduce-overhead"}
# Decoders: the cache. The static one makes generate() compile its step, the mode that its documentation names. The one
# in F64 is not timed: its logits are the truth that others are compared with.
DECODERS = {"decoder-eager": None, "decoder-static": "static", "decoder-f64": None}


class Timed(Loader):
    name = "transformers"
    capabilities = {
        **dict.fromkeys(CAPABILITIES, "runs models for their speed"),
        **dict.fromkeys(["device.cpu", "device.cuda", "format.safetensors", "dtype.f32", "dtype.bf16", "embedding",
                         "logits", "generate", "model.bert", "model.qwen2"], True),
    }

    def __init__(self, arm, device):
        super().__init__()
        self.arm, self.on = arm, device

    @property
    def version(self):
        """Of transformers and PyTorch; imports both, so that a missing one is known before anything is asked."""
        global load_file, save_file, torch, transformers
        try:
            import torch
            import transformers
            from safetensors.torch import load_file, save_file
        except ImportError as error:
            raise Refused("preflight", "unsupported_capability", f"{type(error).__name__}: {error}", "unsupported",
                          expected="transformers, torch and safetensors", actual="not installed",
                          remedy="install them") from error
        if self.on != "cpu":
            # What transformers compiles and records belongs to the current card.
            torch.cuda.set_device(self.on)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
        transformers.logging.set_verbosity_error()
        return f"{transformers.__version__}, torch {torch.__version__}"

    def load(self, path, device, admit, inference, **_):
        folder = Path(path).parent
        if self.arm in DECODERS:
            model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
            # Every arm generates as many tokens as it is asked for.
            model.generation_config.eos_token_id = None
            model.generation_config.pad_token_id = 0
        else:
            config = transformers.AutoConfig.from_pretrained(folder)
            # BERT's pooling layer would only cost time, and so would the keys and values that a decoder keeps.
            config.use_cache = False
            unused = {"add_pooling_layer": False} if config.model_type == "bert" else {}
            model = transformers.AutoModel.from_pretrained(folder, config=config, **unused)
            model = model.to(dtype=torch.float32)
        model = model.to(device).eval()
        if self.arm == "decoder-f64":
            # On the device, where the weights lie already.
            model = model.double()

        def forward(ids, mask):
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state
            seen = mask.unsqueeze(-1).to(states.dtype)
            return torch.nn.functional.normalize((states * seen).sum(1) / seen.sum(1), dim=-1)

        mode = ENCODERS.get(self.arm)
        run = forward if mode is None else torch.compile(forward, mode=mode)
        tensors = dict(model.named_parameters())
        names = {torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}
        table = [{"name": name, "stored": names[tensor.dtype], "dtype": names[tensor.dtype],
                  "shape": list(tensor.shape), "bytes": tensor.nbytes} for name, tensor in tensors.items()]
        return {"handle": self.hold((model, run)), "device": device, "file_bytes": Path(path).stat().st_size,
                "held_bytes": sum(row["bytes"] for row in table), "tensors": table}

    def forward(self, handle, input, into, trace=False):
        _, run = self.held(handle)
        batch = load_file(input["file"])
        ids, mask = (batch[name].pin_memory() if self.on != "cpu" else batch[name]
                     for name in ("input_ids", "attention_mask"))

        def once():
            with torch.inference_mode():
                return run(ids.to(self.on, non_blocking=True), mask.to(self.on, non_blocking=True)).cpu()

        # The first brings processor and device back from reading and writing files; the second is timed.
        once()
        begin = time.perf_counter()
        output = once()
        took = time.perf_counter() - begin
        save_file({"embedding": output.float().contiguous()}, into)
        return {"written": written(into), "device": self.on,
                "output": {"embedding": {"shape": list(output.shape)}}, "elapsed_us": round(took * 1e6)}

    def generate(self, handle, prompt, limit, sampling, into=None):
        model, _ = self.held(handle)
        begin = time.perf_counter()
        with torch.inference_mode():
            given = torch.tensor([prompt["tokens"]], dtype=torch.int64).to(self.on)
            output = model.generate(
                given, attention_mask=torch.ones_like(given), do_sample=False, min_new_tokens=limit,
                max_new_tokens=limit, cache_implementation=DECODERS[self.arm],
                return_dict_in_generate=into is not None, output_logits=into is not None)
            sequences = output if into is None else output.sequences
            tokens = sequences[0, len(prompt["tokens"]):].tolist()
        took = time.perf_counter() - begin
        reply = {"prompt": prompt["tokens"], "tokens": tokens, "stop": "limit", "device": self.on,
                 "elapsed_us": round(took * 1e6)}
        if into is not None:
            # As the model gives them, one row for each token.
            save_file({"logits": torch.cat(output.logits).float().cpu().contiguous()}, into)
            reply["written"] = written(into)
        return reply


serve(Timed(*sys.argv[1:3]))
