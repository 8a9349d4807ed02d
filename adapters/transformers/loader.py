"""transformers as a loader: models by `from_pretrained`, tables of tensors as safetensors reads them.

Needs transformers, torch and safetensors. What the library accepts is accepted: where it fills missing tensors of a
checkpoint with random numbers and warns, the model loads, and the warning is in the log.

The library's default is to hold and compute in the type that the configuration names. With `--f32` a model holds the type
that the file has and computes in F32: each module widens its own weights while it runs.
"""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

from weighbridge_adapter import CAPABILITIES, Refused, serve
from weighbridge_adapter.safetensors import written

from safetensors_torch import SafetensorsTorch, Tensors, held_bytes

# `from_pretrained` is given a folder and finds files by these names.
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
NAMES = {"config": "config.json", "tokenizer": "tokenizer.json", "template": "tokenizer_config.json",
         "generation": "generation_config.json"}


class Transformers(SafetensorsTorch):
    name = "transformers-f32" if "--f32" in sys.argv else "transformers"
    version = f"{version('transformers')}+torch.{version('torch').partition('+')[0]}"
    capabilities = {
        **SafetensorsTorch.capabilities,
        **dict.fromkeys(["embedding", "text", "trace", "logits", "generate", "chat", "sharded", "unused"], True),
        "digest": "the library hashes nothing", "gates": "the library looks at no values",
        **dict.fromkeys([name for name in CAPABILITIES if name.startswith("model.")], True),
        "model.projection": "a layer alone is no model of the library's",
        "validate": "the library knows no goldens", "plan": "the library plans nothing",
        "streaming": "layer-by-layer streaming is accelerate's, which is not used here",
    }

    def prepare(self):
        super().prepare()
        global Running, compute_in_f32, load_file, refused, revert_weight_conversion
        global safe_open, save_file, tokens_of, torch, transformers
        import torch
        import transformers
        from running import Running, compute_in_f32, tokens_of
        from safetensors import safe_open
        from safetensors.torch import load_file, save_file
        from transformers.core_model_loading import revert_weight_conversion
        from transformers_errors import refused

    def load(self, path, device, admit, keep="stored", inference=None, **_):
        if inference is None:
            return self.tables(path, device, admit, keep)
        folder = self.folder(path, inference)
        try:
            shards = shards_of(path)
            size = sum(os.stat(shard).st_size for shard in shards)
            torch.empty(0, device=device)
            gives, head = next((name, head) for name, head in inference["head"].items() if head is not None)
            kind = getattr(transformers, class_of(gives, head))
            stored = dtypes_of(shards)
            exact = "--f32" in sys.argv
            dtype = torch.float32 if keep == "f32" else most_of(stored.values()) if exact else "auto"
            model, info = kind.from_pretrained(
                folder, dtype=dtype, attn_implementation="eager", local_files_only=True, use_safetensors=True,
                output_loading_info=True)
            model = model.to(device).eval()
            if exact:
                compute_in_f32(model)
        except Exception as error:
            raise refused(error, path, device) from error
        projection = self.projection(shards, head.get("projection"), device)
        tokenizer = self.tokenizer(folder, model.config.pad_token_id) if inference["tokenizer"] else None
        running = Running(model, (gives, head), projection, tokenizer)
        dtypes = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}
        table = [{"name": name, "stored": stored.get(name, dtypes[tensor.dtype]), "dtype": dtypes[tensor.dtype],
                  "shape": list(tensor.shape), "bytes": tensor.nbytes} for name, tensor in as_in_file(running).items()]
        return {"handle": self.hold(running), "device": named(model.device), "file_bytes": size,
                "held_bytes": held_bytes(running.tensors), "tensors": table,
                "unused": sorted(set(info["unexpected_keys"]) - projection.keys())}

    def tables(self, path, device, admit, keep):
        """A table of tensors, which is no model of the library's: each file as safetensors reads it."""
        if not path.endswith(".json"):
            return super().load(path=path, device=device, admit=admit, keep=keep)
        try:
            shards = shards_of(path)
        except Exception as error:
            raise refused(error, path, device) from error
        parts, tensors = [], {}
        for shard in shards:
            parts.append(super().load(path=shard, device=device, admit=admit, keep=keep))
            tensors |= self.models.pop(parts[-1]["handle"]).tensors
        return {**parts[0], "handle": self.hold(Tensors(tensors)), "file_bytes": sum(part["file_bytes"] for part in parts),
                "held_bytes": held_bytes(tensors), "tensors": [row for part in parts for row in part["tensors"]]}

    def folder(self, path, inference):
        """A folder with all named files, under the names that the library looks for."""
        folder = Path(path).parent
        asked = {path: WEIGHTS} | {inference[key]: (name,) for key, name in NAMES.items() if inference[key]}
        for file, names in asked.items():
            if Path(file).parent != folder or Path(file).name not in names:
                raise Refused("request", "unsupported_capability", f"from_pretrained would not find {file}",
                              "unsupported", expected=" or ".join(str(folder / name) for name in names), actual=file,
                              remedy="lay the files side by side under their usual names")
        return folder

    def projection(self, shards, name, device):
        """The head's layer, which is not part of the library's model: its tensors by name."""
        if name is None:
            return {}
        whole = {}
        for shard in shards:
            with safe_open(shard, framework="pt", device=device) as file:
                # A file whose names all have a prefix has it here too.
                for key in file.keys():
                    if f".{key}".endswith((f".{name}.weight", f".{name}.bias")):
                        whole[key] = file.get_tensor(key)
        # The bare name comes first, then the shortest prefix.
        weight = min((key for key in whole if key.endswith(".weight")), key=len, default=None)
        if weight is None:
            raise Refused("header", "incomplete_model", f"no tensor {name}.weight", tensor=f"{name}.weight",
                          expected="the layer that the head names", actual="none", remedy="give the whole checkpoint")
        bias = weight.removesuffix("weight") + "bias"
        return {key: whole[key] for key in (weight, bias) if key in whole}

    def tokenizer(self, folder, padding):
        """By AutoTokenizer where there is a tokenizer_config.json; otherwise tokenizer.json unchanged."""
        try:
            if (folder / NAMES["template"]).exists():
                return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            lone = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / NAMES["tokenizer"]))
            lone.pad_token = lone.convert_ids_to_tokens(padding) if padding is not None else None
            return lone
        except Exception as error:
            raise Refused("header", "invalid_tokenizer", f"{type(error).__name__}: {error}", path=folder,
                          expected="a tokenizer that transformers reads", actual=str(error)[:300],
                          remedy="give the model's own tokenizer.json") from error

    def read(self, handle, into):
        running = self.held(handle)
        if not isinstance(running, Running):
            return super().read(handle=handle, into=into)
        save_file({name: tensor.contiguous() for name, tensor in as_in_file(running).items()}, into)
        return written(into)

    def exported(self, model):
        if not isinstance(model, Running):
            return super().exported(model)
        tensors, held = as_in_file(model), {storage(tensor) for tensor in model.tensors.values()}
        for name, tensor in tensors.items():
            if storage(tensor) not in held:
                raise Refused("read", "unsupported_capability", f"the library holds {name} in another form", "unsupported",
                              tensor=name, expected="a tensor as the file has it", actual="its parts, or several in one",
                              remedy="read the tensors in place of an export")
        return tensors

    def forward(self, handle, input, into, trace=False):
        running = self.runs(handle)
        try:
            if input["texts"] is not None:
                batch = self.texts(running, input["texts"])
            else:
                batch = tokens_of(load_file(input["file"]))
            output, states = running.forward(batch, trace)
        except Exception as error:
            raise refused(error, device=str(running.device), phase="infer") from error
        tensors = {running.gives: output} | {f"trace.{name}": state for name, state in states.items()}
        # Where the output is the pooled state itself, both are written.
        save_file({name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}, into)
        return {"written": written(into), "device": named(running.device),
                "output": {running.gives: {"shape": list(output.shape)}}}

    def texts(self, running, texts):
        if running.tokenizer is None:
            raise Refused("infer", "invalid_tokenizer", "the model was loaded without a tokenizer",
                          expected="a tokenizer", actual="none", remedy="load the model with its tokenizer")
        if not texts:
            raise Refused("infer", "invalid_input", "no text to run", expected="at least one text", actual="none",
                          remedy="give one")
        longest = min(running.tokenizer.model_max_length, running.longest)
        return dict(running.tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt"))

    def generate(self, handle, prompt, limit, sampling, into=None):
        running = self.runs(handle)
        tokens = prompt["tokens"] if prompt["tokens"] is not None else self.chat(running, prompt["chat"])
        try:
            given, stop, logits = running.generate(tokens, limit, sampling, into is not None)
        except Exception as error:
            raise refused(error, device=str(running.device), phase="infer") from error
        reply = {"prompt": tokens, "tokens": given, "stop": stop, "device": named(running.device)}
        if running.tokenizer is not None:
            reply["text"] = running.tokenizer.decode(given, skip_special_tokens=True)
        if into is not None:
            save_file({"logits": logits}, into)
            reply["written"] = written(into)
        return reply

    def chat(self, running, turns):
        if running.tokenizer is None:
            raise Refused("infer", "invalid_tokenizer", "the model was loaded without a tokenizer",
                          expected="a tokenizer", actual="none", remedy="load the model with its tokenizer")
        try:
            given = running.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)
            return given["input_ids"]
        except Exception as error:
            raise Refused("infer", "invalid_template", f"{type(error).__name__}: {error}",
                          expected="a chat template that takes the conversation", actual=str(error)[:300],
                          remedy="give the model's own chat template") from error

    def runs(self, handle):
        running = self.held(handle)
        if not isinstance(running, Running):
            raise Refused("infer", "invalid_input", "the model was not loaded to be run", expected="an inference model",
                          actual="tensors", remedy="load it with a configuration")
        return running

    def release(self, model):
        if not isinstance(model, Running):
            return super().release(model)
        on_device = model.device.type == "cuda"
        del model.model, model.projection
        if on_device:
            torch.cuda.empty_cache()


def class_of(gives, head):
    """The library's class for a head."""
    if gives == "logits":
        return "AutoModelForCausalLM"
    return "AutoModelForMaskedLM" if head.get("pooling") == "splade" else "AutoModel"


def named(device):
    return f"cuda:{device.index or 0}" if device.type == "cuda" else device.type


def shards_of(path):
    """The weight files: the named file, or the files of an index."""
    if not path.endswith(".json"):
        return [path]
    return sorted({str(Path(path).with_name(name)) for name in json.loads(Path(path).read_text())["weight_map"].values()})


def dtypes_of(shards):
    """The element types as they are stored, by the library that reads them."""
    stored = {}
    for shard in shards:
        with safe_open(shard, framework="pt") as file:
            stored.update((name, file.get_slice(name).get_dtype()) for name in file.keys())
    return stored


def most_of(names):
    """The type that most tensors of a file have, of those in which the library can hold a model."""
    known = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    return known[max(known, key=list(names).count)]


def storage(tensor):
    return tensor.untyped_storage().data_ptr()


def as_in_file(running):
    """A model's tensors under the names that the library would save; parts that it split are joined."""
    model, saved = running.model, running.model.state_dict().keys()
    own = {name: tensor for name, tensor in [*model.named_parameters(), *model.named_buffers()] if name in saved}
    return revert_weight_conversion(model, own) | running.projection


serve(Transformers())
