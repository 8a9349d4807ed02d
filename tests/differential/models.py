"""Tiny random models as they are published: configuration, tensors and documents, before anything is respelled.

A `Draft` has two sides. The published side (`config`, `tensors`, `files`, `layout`) is what is written and judged.
The meant side (`meant`, `weights`) is the same model in today's plain spelling. A change of spelling touches the
published side alone; a change of a fact touches both.
"""
from __future__ import annotations

import dataclasses
import typing

import torch

VOCABULARY, HIDDEN, LAYERS, HEADS, KEY_HEADS, INNER, POSITIONS = 320, 32, 2, 4, 2, 48, 256
HEAD = HIDDEN // HEADS
DECODERS = ("llama", "mistral", "qwen2", "qwen3", "phi3", "gpt2")
ROTARY = ("llama", "mistral", "qwen2", "qwen3", "phi3")
ENCODERS = ("bert", "roberta", "nomic_bert")
CLASSES = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM",
           "qwen3": "Qwen3ForCausalLM", "phi3": "Phi3ForCausalLM", "gpt2": "GPT2LMHeadModel", "bert": "BertModel",
           "roberta": "RobertaModel", "nomic_bert": "NomicBertModel"}


@dataclasses.dataclass
class Draft:
    kind: str
    config: dict[str, typing.Any]
    meant: dict[str, typing.Any]
    tensors: dict[str, torch.Tensor]
    weights: dict[str, torch.Tensor]
    # Further files of the folder: text as it is, anything else as JSON.
    files: dict[str, typing.Any] = dataclasses.field(default_factory=dict)
    # How the weights are stored: see layout.py.
    layout: dict[str, typing.Any] = dataclasses.field(default_factory=dict)
    # What a refusal may name: any of these texts.
    names: list[str] = dataclasses.field(default_factory=list)

    def both(self, **fields: typing.Any) -> None:
        """Sets a fact whose spelling is the same on both sides."""
        self.config.update(fields)
        self.meant.update(fields)


def draft(kind: str, generator: torch.Generator) -> Draft:
    """A model of this kind in the plain spelling of its family."""
    config = CONFIGS[kind]() | {"architectures": [CLASSES[kind]], "model_type": kind}
    weights = WEIGHTS[kind](kind, generator)
    # Newer configurations have the base inside `rope_parameters`; older ones, at the top.
    meant = dict(config)
    if kind in ROTARY or kind == "nomic_bert":
        meant["rope_parameters"] = {"rope_type": "default", "rope_theta": meant.pop("rope_theta", 1000.0)}
    if kind == "nomic_bert":
        config["rope_parameters"] = dict(meant["rope_parameters"])
    return Draft(kind, config, meant, dict(weights), dict(weights))


def _decoder() -> dict[str, typing.Any]:
    return {"hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
            "num_key_value_heads": KEY_HEADS, "intermediate_size": INNER, "vocab_size": VOCABULARY,
            "max_position_embeddings": POSITIONS, "rms_norm_eps": 1e-05, "hidden_act": "silu", "rope_theta": 10000.0,
            "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32"}


def _encoder() -> dict[str, typing.Any]:
    return {"hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
            "intermediate_size": INNER, "vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS,
            "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu", "pad_token_id": 0}


CONFIGS = {
    "llama": _decoder,
    "mistral": lambda: _decoder() | {"sliding_window": None},
    "qwen2": lambda: _decoder() | {"use_sliding_window": False, "sliding_window": 32, "max_window_layers": 2},
    "qwen3": lambda: _decoder() | {"head_dim": HEAD, "attention_bias": False},
    "phi3": lambda: _decoder() | {"pad_token_id": 0, "sliding_window": None},
    "gpt2": lambda: {"n_embd": HIDDEN, "n_head": HEADS, "n_layer": LAYERS, "n_positions": POSITIONS,
                     "vocab_size": VOCABULARY, "layer_norm_epsilon": 1e-05, "activation_function": "gelu_new",
                     "bos_token_id": 0, "eos_token_id": 2},
    "bert": _encoder,
    "roberta": lambda: _encoder() | {"type_vocab_size": 1, "layer_norm_eps": 1e-05, "pad_token_id": 1,
                                     "bos_token_id": 0, "eos_token_id": 2},
    "nomic_bert": lambda: _encoder() | {"hidden_act": "silu"},
}


def values(generator: torch.Generator, *shape: int, scale: float = 0.3) -> torch.Tensor:
    return torch.randn(*shape, generator=generator) * scale


def gains(generator: torch.Generator, size: int = HIDDEN) -> torch.Tensor:
    return 1 + torch.randn(size, generator=generator) * 0.2


def _llama(kind: str, generator: torch.Generator) -> dict[str, torch.Tensor]:
    # Small embeddings: so that the first norm's epsilon shows.
    made = {"model.embed_tokens.weight": values(generator, VOCABULARY, HIDDEN, scale=0.05)}
    rows = {"q_proj": HEADS * HEAD, "k_proj": KEY_HEADS * HEAD, "v_proj": KEY_HEADS * HEAD}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        made[at + "input_layernorm.weight"] = gains(generator)
        made[at + "post_attention_layernorm.weight"] = gains(generator)
        if kind == "phi3":
            made[at + "self_attn.qkv_proj.weight"] = values(generator, sum(rows.values()), HIDDEN)
            made[at + "mlp.gate_up_proj.weight"] = values(generator, 2 * INNER, HIDDEN)
        else:
            for name, size in rows.items():
                made[f"{at}self_attn.{name}.weight"] = values(generator, size, HIDDEN)
                if kind == "qwen2":
                    made[f"{at}self_attn.{name}.bias"] = values(generator, size)
            made[at + "mlp.gate_proj.weight"] = values(generator, INNER, HIDDEN)
            made[at + "mlp.up_proj.weight"] = values(generator, INNER, HIDDEN)
        if kind == "qwen3":
            made[at + "self_attn.q_norm.weight"] = gains(generator, HEAD)
            made[at + "self_attn.k_norm.weight"] = gains(generator, HEAD)
        made[at + "self_attn.o_proj.weight"] = values(generator, HIDDEN, HEADS * HEAD)
        made[at + "mlp.down_proj.weight"] = values(generator, HIDDEN, INNER)
    made["model.norm.weight"] = gains(generator)
    made["lm_head.weight"] = values(generator, VOCABULARY, HIDDEN)
    return made


def _norm(made: dict[str, torch.Tensor], name: str, generator: torch.Generator) -> None:
    made[name + ".weight"], made[name + ".bias"] = gains(generator), values(generator, HIDDEN)


def _gpt2(_: str, generator: torch.Generator) -> dict[str, torch.Tensor]:
    made = {"transformer.wte.weight": values(generator, VOCABULARY, HIDDEN, scale=0.3),
            "transformer.wpe.weight": values(generator, POSITIONS, HIDDEN, scale=0.1)}
    for layer in range(LAYERS):
        at = f"transformer.h.{layer}."
        for name, inputs, outputs in (("attn.c_attn", HIDDEN, 3 * HIDDEN), ("attn.c_proj", HIDDEN, HIDDEN),
                                      ("mlp.c_fc", HIDDEN, 4 * HIDDEN), ("mlp.c_proj", 4 * HIDDEN, HIDDEN)):
            made[f"{at}{name}.weight"] = values(generator, inputs, outputs)
            made[f"{at}{name}.bias"] = values(generator, outputs)
        _norm(made, at + "ln_1", generator)
        _norm(made, at + "ln_2", generator)
    _norm(made, "transformer.ln_f", generator)
    return made


def _bert(kind: str, generator: torch.Generator) -> dict[str, torch.Tensor]:
    at = f"{kind}."
    types = 1 if kind == "roberta" else 2
    made = {at + "embeddings.word_embeddings.weight": values(generator, VOCABULARY, HIDDEN),
            at + "embeddings.position_embeddings.weight": values(generator, POSITIONS, HIDDEN),
            at + "embeddings.token_type_embeddings.weight": values(generator, types, HIDDEN)}
    _norm(made, at + "embeddings.LayerNorm", generator)
    for layer in range(LAYERS):
        inside = f"{at}encoder.layer.{layer}."
        linear = [(f"attention.self.{name}", HIDDEN, HIDDEN) for name in ("query", "key", "value")]
        linear += [("attention.output.dense", HIDDEN, HIDDEN), ("intermediate.dense", INNER, HIDDEN)]
        for name, outputs, inputs in [*linear, ("output.dense", HIDDEN, INNER)]:
            made[f"{inside}{name}.weight"] = values(generator, outputs, inputs)
            made[f"{inside}{name}.bias"] = values(generator, outputs)
        _norm(made, inside + "attention.output.LayerNorm", generator)
        _norm(made, inside + "output.LayerNorm", generator)
    return made


def _nomic(_: str, generator: torch.Generator) -> dict[str, torch.Tensor]:
    made = {"embeddings.word_embeddings.weight": values(generator, VOCABULARY, HIDDEN),
            "embeddings.token_type_embeddings.weight": values(generator, 2, HIDDEN)}
    _norm(made, "emb_ln", generator)
    for layer in range(LAYERS):
        at = f"encoder.layers.{layer}."
        for name, outputs, inputs in (("attn.Wqkv", 3 * HIDDEN, HIDDEN), ("attn.out_proj", HIDDEN, HIDDEN),
                                      ("mlp.fc11", INNER, HIDDEN), ("mlp.fc12", INNER, HIDDEN),
                                      ("mlp.fc2", HIDDEN, INNER)):
            made[f"{at}{name}.weight"] = values(generator, outputs, inputs)
        _norm(made, at + "norm1", generator)
        _norm(made, at + "norm2", generator)
    return made


WEIGHTS = {kind: _llama for kind in ROTARY} | {"gpt2": _gpt2, "bert": _bert, "roberta": _bert, "nomic_bert": _nomic}
