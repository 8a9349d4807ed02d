"""How published weight files differ: types, prefixes, old names, buffers, heads of training, shards, what lies beside."""
from __future__ import annotations

import json
import pathlib
import random
import struct
import typing

import torch

from models import DECODERS, HIDDEN, LAYERS, POSITIONS, ROTARY, VOCABULARY, Draft
from spellings import EVERY, change

TYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.uint8: "U8", torch.bool: "BOOL",
         torch.int64: "I64", torch.int32: "I32", torch.float64: "F64"}
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


def write_file(path: pathlib.Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None) -> int:
    header: dict[str, typing.Any] = {} if metadata is None else {"__metadata__": metadata}
    at, parts = 0, []
    for name, tensor in tensors.items():
        raw = tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        header[name] = {"dtype": TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        parts.append(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))
    return at


def write(folder: pathlib.Path, draft: Draft) -> str:
    """Writes the published side. Returns the name of the weight file, or of its index."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(draft.config, indent=2))
    for name, content in draft.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2, ensure_ascii=False))
    layout, tensors = draft.layout, draft.tensors
    metadata = layout.get("metadata", {"format": "pt"})
    if "stored" in layout:
        tensors = {name: layout["stored"](name, tensor) for name, tensor in tensors.items()}
    if layout.get("linked"):
        # As a hub cache: the folder has links to blobs.
        blobs = folder / "blobs"
        blobs.mkdir()
        write_file(blobs / "0123abcd", tensors, metadata)
        (folder / SINGLE).symlink_to("blobs/0123abcd")
        return SINGLE
    shards = layout.get("shards", 1)
    if shards == 1:
        write_file(folder / layout.get("name", SINGLE), tensors, metadata)
        return layout.get("name", SINGLE)
    names = [f"model-{n + 1:05}-of-{shards:05}.safetensors" for n in range(shards)]
    places = {name: names[at % shards] for at, name in enumerate(tensors)}
    total = sum(write_file(folder / file, {n: tensors[n] for n in tensors if places[n] == file}, metadata) for file in names)
    index = {"metadata": layout.get("index", lambda t: {"total_size": t})(total), "weight_map": places}
    (folder / INDEX).write_text(json.dumps(index if index["metadata"] != "ABSENT" else {"weight_map": places}))
    return INDEX


def write_meant(folder: pathlib.Path, draft: Draft) -> None:
    """Writes the meant side, plainly. Stored types narrow its weights too."""
    folder.mkdir(parents=True)
    config = {key: value for key, value in draft.meant.items() if value is not None or key != "rope_parameters"}
    (folder / "config.json").write_text(json.dumps(config))
    weights = draft.weights
    if "stored" in draft.layout:
        weights = {name: draft.layout["stored"](name, tensor) for name, tensor in weights.items()}
    if "generation_config.json" in draft.files:
        (folder / "generation_config.json").write_text(json.dumps(draft.files["generation_config.json"]))
    write_file(folder / SINGLE, weights, {"format": "pt"})


def layout(name: str, families: tuple[str, ...] = EVERY, *keys: str, group: str = "layout", **fields: typing.Any) -> None:
    change(name, families, *keys, group=group)(lambda draft, rng: draft.layout.update(fields))


def floats(to: torch.dtype) -> typing.Callable[[str, torch.Tensor], torch.Tensor]:
    return lambda name, tensor: tensor.to(to) if tensor.dtype == torch.float32 else tensor


def mixed(name: str, tensor: torch.Tensor) -> torch.Tensor:
    return tensor if "norm" in name.lower() or ".ln" in name or tensor.dtype != torch.float32 else tensor.to(torch.bfloat16)


layout("stored: F16", stored=floats(torch.float16), group="stored")
layout("stored: BF16", stored=floats(torch.bfloat16), group="stored")
layout("stored: BF16, norms F32", stored=mixed, group="stored")
layout("stored: F64", EVERY, "F64", "floating-point", stored=floats(torch.float64), group="stored")
layout("metadata: absent", metadata=None, group="metadata")
layout("metadata: other format", metadata={"format": "mlx"}, group="metadata")
layout("metadata: more", metadata={"format": "pt", "total_parameters": "123"}, group="metadata")
layout("files: a link", linked=True)
layout("files: two shards", shards=2)
layout("files: five shards", shards=5)
layout("index: size a float", shards=2, index=lambda t: {"total_size": float(t)})
layout("index: size a count", shards=2, index=lambda t: {"total_size": t // 4})
layout("index: size a text", shards=2, index=lambda t: {"total_size": str(t)})
layout("index: more metadata", shards=2, index=lambda t: {"total_size": t, "total_parameters": 333312})
layout("index: metadata null", shards=2, index=lambda t: None)
layout("index: metadata empty", shards=2, index=lambda t: {})
layout("index: metadata absent", shards=2, index=lambda t: "ABSENT")


@change("files: a stale index beside", EVERY, group="layout")
def _(draft, rng):
    places = {name: f"model-0000{1 + at % 2}-of-00002.safetensors" for at, name in enumerate(draft.tensors)}
    draft.files[INDEX] = {"metadata": {"total_size": 1}, "weight_map": places}


@change("files: an adapter beside", ROTARY, "adapter", group="beside")
def _(draft, rng):
    draft.files["adapter_config.json"] = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"],
                                          "base_model_name_or_path": "a/b"}


@change("files: others beside", EVERY, group="beside")
def _(draft, rng):
    draft.files["pytorch_model.bin"] = "not read"
    draft.files["README.md"] = "# A model"
    draft.files[".gitattributes"] = "*.bin filter=lfs"
    draft.files["onnx/model.onnx"] = "not read"


def renamed(name: str, families: tuple[str, ...], rename: typing.Callable[[str], str], *keys: str, group: str = "names") -> None:
    def apply(draft: Draft, rng: random.Random) -> None:
        draft.tensors = {rename(old): tensor for old, tensor in draft.tensors.items()}
    change(name, families, *keys, group=group)(apply)


def bare(name: str) -> str:
    for prefix in ("model.", "transformer.", "bert.", "roberta."):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


renamed("names: body without its prefix", (*DECODERS, "bert", "roberta"), bare)
for _prefix in ("module.", "_orig_mod.", "model.", "base_model.model.", "language_model.", "transformer."):
    renamed(f"names: {_prefix} before all", EVERY, lambda old, p=_prefix: p + old, _prefix)
renamed("names: nomic with bert.", ("nomic_bert",), lambda old: "bert." + old)
renamed("names: gamma and beta", ("bert", "roberta", "nomic_bert"),
        lambda old: old.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"), "gamma", "beta", group="gamma")
renamed("names: RoBERTa under bert.", ("roberta",), lambda old: old.replace("roberta.", "bert."), "bert.")
renamed("names: BERT under roberta.", ("bert",), lambda old: old.replace("bert.", "roberta."), "roberta.")
renamed("names: decoder under transformer.", ROTARY, lambda old: old.replace("model.", "transformer."), "transformer.")
renamed("names: head under model.", ROTARY, lambda old: old.replace("lm_head", "model.lm_head"), "lm_head")
renamed("names: head as output", ROTARY, lambda old: old.replace("lm_head", "output"), "lm_head", "output")


def extra(name: str, families: tuple[str, ...], make: typing.Callable[[Draft], dict[str, torch.Tensor]], *keys: str, group: str = "") -> None:
    change(name, families, *keys, group=group or name)(lambda draft, rng: draft.tensors.update(make(draft)))


def masks(to: torch.dtype | None, masked: torch.Tensor | None) -> typing.Callable[[Draft], dict[str, torch.Tensor]]:
    def make(draft: Draft) -> dict[str, torch.Tensor]:
        mask = torch.tril(torch.ones(1, 1, POSITIONS, POSITIONS))
        made = {}
        for layer in range(LAYERS):
            at = ("transformer." if any(n.startswith("transformer.") for n in draft.tensors) else "") + f"h.{layer}.attn."
            if to is not None:
                made[at + "bias"] = mask.to(to)
            if masked is not None:
                made[at + "masked_bias"] = masked
        return made
    return make


for _said, _type in (("F32", torch.float32), ("U8", torch.uint8), ("BOOL", torch.bool), ("F16", torch.float16)):
    extra(f"buffers: masks {_said}", ("gpt2",), masks(_type, torch.tensor(-10000.0)), "attn.bias", group="masks")
extra("buffers: masked_bias -inf", ("gpt2",), masks(torch.bool, torch.tensor(float("-inf"), dtype=torch.float16)), "masked_bias", group="masks")
extra("buffers: inv_freq", ROTARY, lambda d: {f"model.layers.{n}.self_attn.rotary_emb.inv_freq": torch.tensor(
    [1.0, 0.1, 0.01, 0.001]) for n in range(LAYERS)}, "inv_freq")
extra("buffers: inv_freq of the model", ROTARY, lambda d: {"model.rotary_emb.inv_freq": torch.tensor([1.0, 0.1, 0.01, 0.001])}, "inv_freq")
extra("buffers: cosines", ("llama",), lambda d: {"model.layers.0.self_attn.rotary_emb.cos_cached": torch.ones(1, 1, 8, 8)})
for _said, _type in (("I64", torch.int64), ("F32", torch.float32)):
    extra(f"buffers: position_ids {_said}", ("bert", "roberta"),
          lambda d, t=_type: {f"{d.kind}.embeddings.position_ids": torch.arange(POSITIONS).to(t)[None]}, "position_ids", group="position_ids")
extra("buffers: position_ids without prefix", ("bert", "roberta"), lambda d: {"embeddings.position_ids": torch.arange(POSITIONS)[None]}, group="position_ids")
extra("buffers: token_type_ids", ("bert", "roberta"), lambda d: {f"{d.kind}.embeddings.token_type_ids": torch.zeros(1, POSITIONS, dtype=torch.int64)})
extra("heads: pooler", ("bert", "roberta"), lambda d: {
    f"{d.kind}.pooler.dense.weight": torch.randn(HIDDEN, HIDDEN), f"{d.kind}.pooler.dense.bias": torch.randn(HIDDEN)})
extra("heads: masked language model", ("bert",), lambda d: {
    "cls.predictions.bias": torch.randn(VOCABULARY), "cls.predictions.transform.dense.weight": torch.randn(HIDDEN, HIDDEN),
    "cls.predictions.transform.dense.bias": torch.randn(HIDDEN), "cls.predictions.transform.LayerNorm.weight": torch.ones(HIDDEN),
    "cls.predictions.transform.LayerNorm.bias": torch.zeros(HIDDEN), "cls.seq_relationship.weight": torch.randn(2, HIDDEN),
    "cls.seq_relationship.bias": torch.randn(2)})
extra("heads: RoBERTa's", ("roberta",), lambda d: {
    "lm_head.bias": torch.zeros(VOCABULARY), "lm_head.dense.weight": torch.randn(HIDDEN, HIDDEN), "lm_head.dense.bias": torch.randn(HIDDEN),
    "lm_head.layer_norm.weight": torch.ones(HIDDEN), "lm_head.layer_norm.bias": torch.zeros(HIDDEN)})
extra("heads: score", ROTARY, lambda d: {"score.weight": torch.randn(2, HIDDEN)})
extra("heads: v_head", ("llama", "gpt2"), lambda d: {"v_head.summary.weight": torch.randn(1, HIDDEN), "v_head.summary.bias": torch.zeros(1)})
extra("heads: multi-token prediction", ("qwen2", "qwen3"), lambda d: {"model.mtp.proj.weight": torch.randn(HIDDEN, HIDDEN)})
extra("extra: another unused tensor", EVERY, lambda d: {"some.other.weight": torch.randn(3, 3)})
extra("extra: a third layer", ROTARY, lambda d: {name.replace("layers.1.", "layers.2."): tensor.clone()
                                                 for name, tensor in d.tensors.items() if "layers.1." in name}, "layers.2")
extra("extra: LoRA tensors among the weights", ROTARY, lambda d: {
    "model.layers.0.self_attn.q_proj.lora_A.weight": torch.randn(4, HIDDEN), "model.layers.0.self_attn.q_proj.lora_B.weight": torch.randn(32, 4)}, "lora")
extra("extra: an empty tensor", EVERY, lambda d: {"empty.weight": torch.zeros(0, 4)})
extra("extra: both LayerNorm names", ("bert",), lambda d: {name.replace("LayerNorm.weight", "LayerNorm.gamma"): tensor + 1
                                                         for name, tensor in d.tensors.items() if "LayerNorm.weight" in name}, "gamma", group="gamma")
extra("extra: body twice, with and without prefix", ("bert", "llama"), lambda d: {bare(name): tensor * 0.5 for name, tensor in d.tensors.items()
                                                                              if bare(name) != name}, "prefix", group="names")


def normal(name: str, families: tuple[str, ...], of: typing.Callable[[str], bool], to: typing.Callable[[torch.Tensor], torch.Tensor], *keys: str) -> None:
    """A published state of weights that looks like damage."""
    def apply(draft: Draft, rng: random.Random) -> None:
        for side in (draft.tensors, draft.weights):
            for tensor in [n for n in side if of(n)]:
                side[tensor] = to(side[tensor])
    change(name, families, *keys, group=name)(apply)


def row_zero(row: int) -> typing.Callable[[torch.Tensor], torch.Tensor]:
    def to(tensor: torch.Tensor) -> torch.Tensor:
        made = tensor.clone()
        made[row] = 0
        return made
    return to


normal("values: all biases zero", ("bert", "roberta", "gpt2", "qwen2"), lambda n: n.endswith(".bias"), torch.zeros_like)
normal("values: norms one", EVERY, lambda n: "norm" in n.lower() and n.endswith("weight") or ".ln" in n and n.endswith("weight"), torch.ones_like)
normal("values: norm biases zero", ("bert", "roberta", "gpt2", "nomic_bert"), lambda n: ("norm" in n.lower() or ".ln" in n) and n.endswith("bias"), torch.zeros_like)
normal("values: token types zero", ("roberta", "bert", "nomic_bert"), lambda n: "token_type" in n, torch.zeros_like)
normal("values: padding row zero", ("roberta", "bert"), lambda n: "word_embeddings" in n, row_zero(1))
normal("values: padding row of the embeddings zero", ROTARY, lambda n: "embed_tokens" in n, row_zero(0))
normal("values: unused half of the vocabulary zero", ROTARY, lambda n: "embed_tokens" in n or "lm_head" in n,
       lambda t: torch.cat([t[:160], torch.zeros_like(t[160:])]))
normal("values: position row of padding zero", ("roberta",), lambda n: "position_embeddings" in n, row_zero(1))
normal("values: head all zero", ROTARY, lambda n: "lm_head" in n, torch.zeros_like)
normal("values: one projection all zero", ("llama", "bert"), lambda n: "layers.0.mlp.down_proj" in n or "layer.0.output.dense.weight" in n, torch.zeros_like)
normal("values: a norm all zero", ("llama",), lambda n: n == "model.norm.weight", torch.zeros_like)
normal("values: NaN in a weight", ("llama", "bert"), lambda n: "layers.0.mlp.up_proj" in n or "layer.0.intermediate.dense.weight" in n,
       lambda t: torch.where(torch.arange(t.numel()).view_as(t) == 5, torch.nan, t))
