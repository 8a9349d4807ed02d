"""The ways in which published `config.json` files state one fact, and facts that few files state.

Each change has a name, the families that it fits, and a function of a draft and a random generator. `keys` are the
texts of which a refusal should name one.
"""
from __future__ import annotations

import dataclasses
import random
import typing

from models import DECODERS, ENCODERS, HEAD, HEADS, HIDDEN, INNER, KEY_HEADS, LAYERS, POSITIONS, ROTARY, Draft

GATED = ROTARY
EVERY = (*DECODERS, *ENCODERS)


@dataclasses.dataclass(frozen=True)
class Change:
    name: str
    families: tuple[str, ...]
    apply: typing.Callable[[Draft, random.Random], None]
    keys: tuple[str, ...] = ()
    # Changes of one group exclude each other.
    group: str = ""


CHANGES: list[Change] = []


def change(name: str, families: tuple[str, ...], *keys: str, group: str = "") -> typing.Callable:
    def keep(apply: typing.Callable[[Draft, random.Random], None]) -> typing.Callable:
        CHANGES.append(Change(name, families, apply, keys, group))
        return apply
    return keep


def base(draft: Draft, rng: random.Random) -> float:
    """Another base than usual, on the meant side; the published side has none yet."""
    theta = rng.choice([50.0, 500.0, 100000.0])
    draft.meant["rope_parameters"] = {"rope_type": "default", "rope_theta": theta}
    for field in ("rope_theta", "rope_parameters"):
        draft.config.pop(field, None)
    return theta


def published(name: str, make: typing.Callable[[float], dict[str, typing.Any]], *keys: str) -> None:
    """A place for the base of rotary positions."""
    def apply(draft: Draft, rng: random.Random) -> None:
        draft.config.update(make(base(draft, rng)))
    change(name, ROTARY, "rope_theta", *keys, group="rope")(apply)


published("rope: base at the top", lambda b: {"rope_theta": b})
published("rope: base at the top, whole number", lambda b: {"rope_theta": int(b)})
published("rope: base at the top, scaling null", lambda b: {"rope_theta": b, "rope_scaling": None})
published("rope: base at the top, scaling empty", lambda b: {"rope_theta": b, "rope_scaling": {}})
published("rope: base in rope_parameters",
          lambda b: {"rope_parameters": {"rope_type": "default", "rope_theta": b}})
published("rope: base in rope_parameters without a type", lambda b: {"rope_parameters": {"rope_theta": b}})
published("rope: base in rope_scaling", lambda b: {"rope_scaling": {"rope_type": "default", "rope_theta": b}})
published("rope: base in rope_scaling, old type key", lambda b: {"rope_scaling": {"type": "default", "rope_theta": b}})
published("rope: base in both, equal",
          lambda b: {"rope_theta": b, "rope_parameters": {"rope_type": "default", "rope_theta": b}})
published("rope: base in both, different",
          lambda b: {"rope_theta": 10000.0, "rope_parameters": {"rope_type": "default", "rope_theta": b}})
published("rope: base in rope_scaling and top, different",
          lambda b: {"rope_theta": 10000.0, "rope_scaling": {"rope_type": "default", "rope_theta": b}})
published("rope: rope_scaling and rope_parameters, different",
          lambda b: {"rope_scaling": {"rope_type": "default", "rope_theta": b},
                     "rope_parameters": {"rope_type": "default", "rope_theta": 2 * b}})
published("rope: per layer type", lambda b: {"layer_types": ["full_attention"] * LAYERS, "rope_parameters": {
    "full_attention": {"rope_type": "default", "rope_theta": b}}}, "full_attention")
published("rope: per layer type, others too", lambda b: {"layer_types": ["full_attention"] * LAYERS, "rope_parameters": {
    "full_attention": {"rope_type": "default", "rope_theta": b},
    "sliding_attention": {"rope_type": "default", "rope_theta": 7 * b}}}, "full_attention", "sliding_attention")
published("rope: per layer type, no layer_types", lambda b: {"rope_theta": b, "rope_parameters": {
    "full_attention": {"rope_type": "default", "rope_theta": b}}}, "full_attention")
published("rope: base as text", lambda b: {"rope_theta": str(b)})
published("rope: base null", lambda b: {"rope_theta": None})
published("rope: scaling with a null type", lambda b: {"rope_theta": b, "rope_scaling": {"type": None, "factor": 2.0}},
          "rope_scaling", "rope_type", "type")
published("rope: factor without a type", lambda b: {"rope_theta": b, "rope_scaling": {"factor": 8.0}}, "rope_scaling",
          "rope_type", "factor")
published("rope: two types that differ", lambda b: {"rope_theta": b, "rope_scaling": {
    "rope_type": "default", "type": "linear", "factor": 4.0}}, "rope_scaling", "rope_type", "type", "factor")
published("rope: unknown key inside", lambda b: {"rope_parameters": {
    "rope_type": "default", "rope_theta": b, "attention_factor": 2.0}}, "attention_factor")
published("rope: mrope", lambda b: {"rope_theta": b, "rope_scaling": {
    "type": "mrope", "mrope_section": [1, 1, 2]}}, "mrope", "rope_scaling")
published("rope: made-up type", lambda b: {"rope_theta": b, "rope_scaling": {"rope_type": "su", "factor": 4.0}}, "su")
published("rope: absent", lambda b: {})
published("rope: rotary_emb_base", lambda b: {"rotary_emb_base": b}, "rotary_emb_base")


SCALINGS: dict[str, dict[str, typing.Any]] = {
    "linear": {"factor": 4.0},
    "dynamic": {"factor": 4.0},
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 16},
    "llama3": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16},
    "longrope": {"short_factor": [1.0, 1.5, 2.0, 3.0], "long_factor": [2.0, 3.0, 4.0, 5.0], "factor": 4.0,
                 "original_max_position_embeddings": 16},
}


def scaled(kind: str, place: str, key: str, theta_within: bool, layered: bool = False) -> None:
    def apply(draft: Draft, rng: random.Random) -> None:
        theta = base(draft, rng)
        body = {key: kind, **SCALINGS[kind]}
        draft.meant["rope_parameters"] = {"rope_type": kind, "rope_theta": theta, **SCALINGS[kind]}
        if theta_within:
            body["rope_theta"] = theta
        else:
            draft.config["rope_theta"] = theta
        if layered:
            draft.config["layer_types"] = ["full_attention"] * LAYERS
            body = {"full_attention": body}
        draft.config[place] = body
    name = f"rope: {kind} in {place} ({key}{', with base' if theta_within else ''}{', per layer type' if layered else ''})"
    change(name, ROTARY, "rope_scaling", "rope_parameters", "rope_type", kind, group="rope")(apply)


for _kind in SCALINGS:
    scaled(_kind, "rope_scaling", "type", False)
    scaled(_kind, "rope_scaling", "rope_type", False)
    scaled(_kind, "rope_scaling", "rope_type", True)
    scaled(_kind, "rope_parameters", "rope_type", True)
    scaled(_kind, "rope_parameters", "rope_type", False, layered=True)


@change("rope: llama3 without its original length", ROTARY, "original_max_position_embeddings", group="rope")
def _(draft, rng):
    draft.config["rope_scaling"] = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    draft.meant["rope_parameters"] = None


@change("rope: llama3, whole numbers", ROTARY, "rope_scaling", group="rope")
def _(draft, rng):
    scaling = {"factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 16}
    draft.config["rope_scaling"] = {"rope_type": "llama3", **scaling}
    draft.meant["rope_parameters"] = {"rope_type": "llama3", "rope_theta": 10000.0, **scaling}


@change("rope: partial, at the top", ROTARY, "partial_rotary_factor", group="rope")
def _(draft, rng):
    draft.config["partial_rotary_factor"] = 0.5
    draft.meant["rope_parameters"] = None


@change("rope: partial, inside", ROTARY, "partial_rotary_factor", group="rope")
def _(draft, rng):
    draft.config.pop("rope_theta")
    draft.config["rope_parameters"] = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
    draft.meant["rope_parameters"] = None


@change("rope: partial of one", ROTARY, "partial_rotary_factor", group="rope")
def _(draft, rng):
    draft.config["partial_rotary_factor"] = rng.choice([1, 1.0])


def field(name: str, families: tuple[str, ...], fields: dict[str, typing.Any], *keys: str, drop: tuple[str, ...] = (),
          meant: dict[str, typing.Any] | None = None, group: str = "") -> None:
    """Fields that are set or dropped. `meant`: what they mean; None where transformers alone can say."""
    def apply(draft: Draft, rng: random.Random) -> None:
        for gone in drop:
            draft.config.pop(gone, None)
        draft.config.update(fields)
        if meant is not None:
            draft.meant.update(meant)
    change(name, families, *(keys or (*fields, *drop)), group=group or name)(apply)


GROUPED = ("llama", "mistral", "qwen2", "qwen3")


@change("heads: key heads absent", GROUPED, "num_key_value_heads", group="heads")
def _(draft, rng):
    for side in (draft.tensors, draft.weights):
        for name in list(side):
            if ".k_proj." in name or ".v_proj." in name:
                side[name] = side[name].repeat_interleave(HEADS // KEY_HEADS, 0) + 0
    draft.meant["num_key_value_heads"] = HEADS
    if draft.kind == "mistral" or draft.kind.startswith("qwen"):
        # The default of these families is another number, and files that lack the field are old Llama's.
        draft.config["num_key_value_heads"] = None
    else:
        draft.config.pop("num_key_value_heads")


field("heads: key heads absent, two meant", GROUPED, {}, drop=("num_key_value_heads",), group="heads")
field("heads: head_dim null", ("llama", "mistral", "qwen2"), {"head_dim": None})
field("heads: head_dim said", ("llama", "mistral", "qwen2", "phi3"), {"head_dim": HEAD})
field("heads: head_dim absent", ("qwen3",), {}, drop=("head_dim",))
field("heads: n_head names in Llama", ("llama", "qwen2"), {"n_embd": HIDDEN, "n_head": HEADS, "n_layer": LAYERS},
      drop=("hidden_size", "num_attention_heads", "num_hidden_layers"))


@change("heads: head_dim apart from the width", ("llama", "mistral", "qwen2", "qwen3"), "head_dim", group="heads")
def _(draft, rng):
    wide = HEAD * 2
    draft.both(head_dim=wide)
    for side in (draft.tensors, draft.weights):
        for name in list(side):
            if "_norm.weight" in name and "self_attn" in name:
                side[name] = side[name].repeat(2)
            elif any(part in name for part in (".q_proj.", ".k_proj.", ".v_proj.")):
                side[name] = side[name].repeat(2, *[1] * (side[name].dim() - 1)) * 0.9
            elif ".o_proj.weight" in name:
                side[name] = side[name].repeat(1, 2) * 0.7


for _eps in (1e-06, 1e-05, 0.001):
    field(f"eps: rms_norm_eps {_eps}", ROTARY, {"rms_norm_eps": _eps}, meant={"rms_norm_eps": _eps}, group="eps")
field("eps: rms_norm_eps absent", ROTARY, {}, drop=("rms_norm_eps",), group="eps")
field("eps: layer_norm_eps in Llama", ROTARY, {"layer_norm_eps": 0.001}, drop=("rms_norm_eps",), group="eps")
field("eps: layer_norm_epsilon in Llama", ROTARY, {"layer_norm_epsilon": 0.001}, drop=("rms_norm_eps",), group="eps")
field("eps: norm_eps in Llama", ROTARY, {"norm_eps": 0.001}, drop=("rms_norm_eps",), group="eps")
field("eps: layer_norm_eps 0.001", ("bert", "roberta", "nomic_bert"), {"layer_norm_eps": 0.01},
      meant={"layer_norm_eps": 0.01}, group="eps")
field("eps: layer_norm_eps absent", ("bert", "roberta", "nomic_bert"), {}, drop=("layer_norm_eps",), group="eps")
field("eps: layer_norm_epsilon in BERT", ("bert", "roberta", "nomic_bert"), {"layer_norm_epsilon": 0.01},
      drop=("layer_norm_eps",), group="eps")
field("eps: layer_norm_epsilon 0.01", ("gpt2",), {"layer_norm_epsilon": 0.01}, meant={"layer_norm_epsilon": 0.01}, group="eps")
field("eps: layer_norm_epsilon absent", ("gpt2",), {}, drop=("layer_norm_epsilon",), group="eps")
field("eps: layer_norm_eps in GPT-2", ("gpt2",), {"layer_norm_eps": 0.01}, drop=("layer_norm_epsilon",), group="eps")
field("eps: as text", ROTARY, {"rms_norm_eps": "1e-05"}, group="eps")
field("eps: null", ROTARY, {"rms_norm_eps": None}, group="eps")


ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate", "gelu_python", "quick_gelu",
               "silu", "swish", "relu", "relu2", "mish", "tanh", "sigmoid", "gelu_10", "linear", "leaky_relu", "SiLU")
for _name in ACTIVATIONS:
    for _families, _field in ((GATED, "hidden_act"), (("bert", "roberta", "nomic_bert"), "hidden_act"),
                              (("gpt2",), "activation_function")):
        field(f"activation: {_field} {_name}" + (" (encoders)" if _families[0] == "bert" else ""), _families,
              {_field: _name}, meant={_field: _name}, group="activation")
field("activation: absent", GATED + ("bert", "roberta", "nomic_bert"), {}, drop=("hidden_act",), group="activation")
field("activation: absent in GPT-2", ("gpt2",), {}, drop=("activation_function",), group="activation")
field("activation: hidden_activation", GATED, {"hidden_activation": "gelu"}, drop=("hidden_act",), group="activation")
field("activation: hidden_activation beside hidden_act", GATED, {"hidden_activation": "gelu"}, group="activation")
field("activation: hidden_act in GPT-2", ("gpt2",), {"hidden_act": "relu"}, drop=("activation_function",), group="activation")
field("activation: activation_function in BERT", ("bert", "roberta"), {"activation_function": "relu"},
      drop=("hidden_act",), group="activation")


field("sizes: GPT-2 by the newer names", ("gpt2",), {
    "hidden_size": HIDDEN, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "max_position_embeddings": POSITIONS},
    drop=("n_embd", "n_head", "n_layer", "n_positions"), group="sizes")
field("sizes: GPT-2 with n_ctx", ("gpt2",), {"n_ctx": POSITIONS, "n_inner": None}, group="sizes")
field("sizes: GPT-2 with a smaller n_ctx", ("gpt2",), {"n_ctx": POSITIONS // 2}, group="sizes")
field("sizes: GPT-2 with both names, different", ("gpt2",), {"hidden_size": 2 * HIDDEN}, group="sizes")
field("sizes: GPT-2 with the heads of another", ("gpt2",), {"num_attention_heads": 2}, group="sizes")
field("sizes: BERT by old names", ("bert", "roberta"), {"n_embd": HIDDEN, "n_head": HEADS, "n_layer": LAYERS},
      drop=("hidden_size", "num_attention_heads", "num_hidden_layers"), group="sizes")
field("sizes: d_model", ("bert", "llama"), {"d_model": HIDDEN}, drop=("hidden_size",), group="sizes")
field("sizes: intermediate_size absent", GATED + ("bert",), {}, drop=("intermediate_size",), group="sizes")
field("sizes: ffn_dim", ("llama",), {"ffn_dim": INNER}, drop=("intermediate_size",), group="sizes")
field("sizes: vocab_size absent", ("llama", "bert", "gpt2"), {}, drop=("vocab_size",), group="sizes")
field("sizes: padded_vocab_size", ("llama",), {"padded_vocab_size": 320}, group="sizes")
field("sizes: hidden_size as a float", ("llama", "bert"), {"hidden_size": float(HIDDEN)}, group="sizes")
field("sizes: fewer layers than the file", ("llama", "qwen2", "gpt2", "bert"), {}, group="layers")


@change("sizes: one layer of two", EVERY, "layer", group="layers")
def _(draft, rng):
    key = "n_layer" if draft.kind == "gpt2" else "num_hidden_layers"
    draft.config[key] = 1
    draft.meant[key] = 1
    draft.weights = {n: w for n, w in draft.weights.items() if not any(p in n for p in ("layers.1.", "layer.1.", ".h.1."))}


@change("sizes: max_position_embeddings absent", ROTARY + ("bert", "roberta"), "max_position_embeddings", group="positions")
def _(draft, rng):
    draft.config.pop("max_position_embeddings")


@change("sizes: max_position_embeddings apart from the table", ("bert", "roberta", "gpt2"), "position", group="positions")
def _(draft, rng):
    draft.config["n_positions" if draft.kind == "gpt2" else "max_position_embeddings"] = POSITIONS // 2


NOMIC = {"n_embd": HIDDEN, "n_head": HEADS, "n_layer": LAYERS, "n_inner": INNER, "n_positions": POSITIONS,
         "layer_norm_epsilon": 1e-12, "activation_function": "swiglu", "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0,
         "rotary_emb_interleaved": False, "rotary_emb_scale_base": None, "rotary_scaling_factor": None,
         "qkv_proj_bias": False, "mlp_fc1_bias": False, "mlp_fc2_bias": False, "prenorm": False, "causal": False,
         "fused_bias_fc": True, "use_rms_norm": False, "parallel_block": False, "scale_attn_weights": True,
         "max_trained_positions": 2048, "use_flash_attn": True, "pad_vocab_size_multiple": 64, "type_vocab_size": 2}
OLD_NOMIC = ("hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size", "max_position_embeddings",
             "layer_norm_eps", "hidden_act", "rope_parameters")
field("nomic: as published", ("nomic_bert",), NOMIC, "n_embd", drop=OLD_NOMIC, group="nomic")
for _key, _value in (("prenorm", True), ("causal", True), ("rotary_emb_fraction", 0.5), ("rotary_emb_interleaved", True),
                     ("use_rms_norm", True), ("rotary_emb_base", 50), ("activation_function", "gelu"),
                     ("activation_function", "geglu"), ("rotary_scaling_factor", 2.0), ("scale_attn_weights", False),
                     ("parallel_block", True), ("qkv_proj_bias", True), ("mlp_fc1_bias", True), ("rotary_emb_scale_base", 512),
                     ("scale_attn_by_inverse_layer_idx", True), ("layer_norm_epsilon", 0.01)):
    field(f"nomic: published, {_key} {_value}", ("nomic_bert",), NOMIC | {_key: _value}, _key, drop=OLD_NOMIC, group="nomic")


@change("tied: said, head left out", ("llama", "mistral", "qwen2", "qwen3", "phi3"), "tie_word_embeddings", group="tied")
def _(draft, rng):
    draft.both(tie_word_embeddings=True)
    draft.tensors.pop("lm_head.weight")
    draft.weights.pop("lm_head.weight")


@change("tied: said, the same head there", ("llama", "mistral", "qwen2", "qwen3", "phi3"), "tie_word_embeddings", group="tied")
def _(draft, rng):
    draft.both(tie_word_embeddings=True)
    draft.tensors["lm_head.weight"] = draft.tensors["model.embed_tokens.weight"].clone()
    draft.weights.pop("lm_head.weight")


@change("tied: said, another head there", ("llama", "mistral", "qwen2", "qwen3", "phi3"), "tie_word_embeddings", "lm_head",
        group="tied")
def _(draft, rng):
    draft.config["tie_word_embeddings"] = True


@change("tied: said, only the head there", ("llama", "mistral", "qwen2", "qwen3"), "embed_tokens", "lm_head", group="tied")
def _(draft, rng):
    draft.both(tie_word_embeddings=True)
    draft.weights["lm_head.weight"] = draft.weights["model.embed_tokens.weight"]
    draft.tensors["lm_head.weight"] = draft.tensors.pop("model.embed_tokens.weight")


@change("tied: absent, head there", ("llama", "mistral", "qwen2", "qwen3", "phi3"), "tie_word_embeddings", group="tied")
def _(draft, rng):
    draft.config.pop("tie_word_embeddings")


@change("tied: absent, no head there", ("llama", "mistral", "qwen2", "qwen3", "phi3"), "lm_head", group="tied")
def _(draft, rng):
    draft.config.pop("tie_word_embeddings")
    draft.tensors.pop("lm_head.weight")


@change("tied: denied, no head there", ("llama", "mistral", "qwen2", "qwen3", "phi3"), "lm_head", group="tied")
def _(draft, rng):
    draft.tensors.pop("lm_head.weight")


@change("tied: GPT-2 with its own head, flag absent", ("gpt2",), "lm_head", "tie_word_embeddings", group="tied")
def _(draft, rng):
    draft.tensors["lm_head.weight"] = draft.tensors["transformer.wte.weight"] * 0.5 + 0.1


@change("tied: GPT-2 with its own head, flag false", ("gpt2",), "lm_head", "tie_word_embeddings", group="tied")
def _(draft, rng):
    draft.tensors["lm_head.weight"] = draft.tensors["transformer.wte.weight"] * 0.5 + 0.1
    draft.weights["lm_head.weight"] = draft.tensors["lm_head.weight"]
    draft.both(tie_word_embeddings=False)


@change("tied: GPT-2 with a copy of its head", ("gpt2",), "lm_head", group="tied")
def _(draft, rng):
    draft.tensors["lm_head.weight"] = draft.tensors["transformer.wte.weight"].clone()


def biased(name: str, families: tuple[str, ...], key: str, parts: tuple[str, ...], said: bool = True) -> None:
    def apply(draft: Draft, rng: random.Random) -> None:
        import torch
        generator = torch.Generator().manual_seed(rng.randrange(1 << 30))
        for tensor in [n for n in draft.tensors if any(f".{part}.weight" in n for part in parts)]:
            bias = torch.randn(draft.tensors[tensor].shape[0], generator=generator) * 0.3
            draft.tensors[tensor.replace(".weight", ".bias")] = bias
            if said:
                draft.weights[tensor.replace(".weight", ".bias")] = bias
        if said:
            draft.both(**{key: True})
    change(name, families, key, "bias", group=key)(apply)


ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
biased("bias: attention_bias said", ("llama", "qwen3"), "attention_bias", ATTENTION)
biased("bias: attention biases there, not said", ("llama", "qwen3", "mistral"), "attention_bias", ATTENTION, said=False)
biased("bias: mlp_bias said", ("llama",), "mlp_bias", ("gate_proj", "up_proj", "down_proj"))
biased("bias: of the head, not said", ("llama", "qwen2"), "lm_head", ("lm_head",), said=False)


@change("bias: attention_bias said, none there", ("llama", "qwen3"), "attention_bias", "bias", group="attention_bias")
def _(draft, rng):
    draft.config["attention_bias"] = True


field("bias: attention_bias in Mistral", ("mistral", "phi3"), {"attention_bias": True}, group="attention_bias")
field("bias: attention_bias false in Qwen2", ("qwen2",), {"attention_bias": False}, group="attention_bias")
field("bias: qkv_bias false in Qwen2", ("qwen2",), {"qkv_bias": False}, group="attention_bias")


@change("bias: Qwen2 without biases in the file", ("qwen2",), "bias", group="attention_bias")
def _(draft, rng):
    for name in [n for n in draft.tensors if n.endswith("_proj.bias")]:
        draft.tensors.pop(name)


for _key in ("bos_token_id", "eos_token_id", "pad_token_id"):
    for _said, _value in (("null", None), ("-1", -1), ("a list", [2, 3]), ("a text", "2"), ("too large", 4096), ("a float", 2.0)):
        field(f"ids: {_key} {_said}", DECODERS, {_key: _value}, group=_key)
    field(f"ids: {_key} absent", DECODERS, {}, drop=(_key,), group=_key)
for _value in (0, 3, None, -1):
    field(f"ids: pad_token_id {_value} of an encoder", ("bert", "roberta", "nomic_bert"), {"pad_token_id": _value}, group="pad_token_id")
field("ids: pad_token_id absent of an encoder", ("bert", "roberta", "nomic_bert"), {}, drop=("pad_token_id",), group="pad_token_id")


WINDOW = 5
field("window: a number", ("mistral", "phi3"), {"sliding_window": WINDOW}, meant={"sliding_window": WINDOW}, group="window")
field("window: absent", ("mistral", "phi3"), {}, drop=("sliding_window",), group="window")
field("window: a number in Llama", ("llama",), {"sliding_window": WINDOW}, group="window")
field("window: zero", ("mistral", "phi3"), {"sliding_window": 0}, group="window")
field("window: used by Qwen from layer 0", ("qwen2", "qwen3"), {
    "use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 0}, group="window")
field("window: used by Qwen from layer 1", ("qwen2", "qwen3"), {
    "use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1}, group="window")
field("window: used by Qwen from no layer", ("qwen2", "qwen3"), {
    "use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": LAYERS}, group="window")
field("window: unused by Qwen, number there", ("qwen2", "qwen3"), {
    "use_sliding_window": False, "sliding_window": WINDOW, "max_window_layers": 1}, group="window")
field("window: number alone in Qwen", ("qwen2", "qwen3"), {"sliding_window": WINDOW}, drop=("use_sliding_window",), group="window")
field("window: layer_types full", ("qwen2", "qwen3", "mistral", "llama"), {"layer_types": ["full_attention"] * LAYERS}, group="window")
field("window: layer_types sliding", ("qwen2", "qwen3"), {
    "layer_types": ["sliding_attention"] * LAYERS, "use_sliding_window": True, "sliding_window": WINDOW}, group="window")
field("window: layer_types mixed", ("qwen2", "qwen3"), {
    "layer_types": ["sliding_attention", "full_attention"], "use_sliding_window": True, "sliding_window": WINDOW}, group="window")
field("window: layer_types sliding, use_sliding_window absent", ("qwen2", "qwen3"), {
    "layer_types": ["sliding_attention"] * LAYERS, "sliding_window": WINDOW}, drop=("use_sliding_window",), group="window")
field("window: layer_types sliding in Mistral", ("mistral",), {
    "layer_types": ["sliding_attention", "full_attention"], "sliding_window": WINDOW}, group="window")
field("window: attention_chunk_size", ("llama",), {"attention_chunk_size": 4}, group="window")


field("attention: is_causal false", ROTARY, {"is_causal": False}, group="causal")
field("attention: is_causal true", DECODERS, {"is_causal": True}, group="causal")
field("attention: is_causal true of an encoder", ("bert", "roberta", "nomic_bert"), {"is_causal": True}, group="causal")
field("attention: use_bidirectional_attention", ROTARY, {"use_bidirectional_attention": True}, group="causal")
field("attention: is_decoder", ("bert", "roberta"), {"is_decoder": True}, group="causal")
field("attention: is_decoder false", ("bert", "roberta", "nomic_bert"), {"is_decoder": False, "add_cross_attention": False}, group="causal")
field("attention: positions relative", ("bert", "roberta"), {"position_embedding_type": "relative_key"}, group="position_embedding_type")
field("attention: positions rotary by name", ("bert", "roberta"), {"position_embedding_type": "rotary"}, group="position_embedding_type")
field("attention: positions absolute", ("bert", "roberta"), {"position_embedding_type": "absolute"}, group="position_embedding_type")
field("attention: scale_attn_weights false", ("gpt2",), {"scale_attn_weights": False}, group="scale")
field("attention: scale_attn_by_inverse_layer_idx", ("gpt2",), {"scale_attn_by_inverse_layer_idx": True}, group="scale")
field("attention: reorder_and_upcast_attn", ("gpt2",), {"reorder_and_upcast_attn": True}, group="scale")
field("attention: attention_multiplier", ("llama",), {"attention_multiplier": 0.1}, group="scale")
field("attention: query_pre_attn_scalar", ("llama", "qwen3"), {"query_pre_attn_scalar": 4}, group="scale")
field("attention: attn_logit_softcapping", ("llama", "qwen3"), {"attn_logit_softcapping": 1.0}, group="scale")
field("attention: qk_layernorm", ("llama", "phi3"), {"qk_layernorm": True}, group="scale")
field("attention: use_qk_norm", ("llama", "qwen3"), {"use_qk_norm": True}, group="scale")
field("attention: no_rope_layers", ("llama",), {"no_rope_layers": [0, 1]}, group="scale")
field("scale: logits_scaling", ("llama",), {"logits_scaling": 8.0}, group="logits")
field("scale: logit_scale", ("llama", "mistral"), {"logit_scale": 0.25}, group="logits")
field("scale: final_logit_softcapping", ("llama", "mistral"), {"final_logit_softcapping": 1.0}, group="logits")
field("scale: embedding_multiplier", ("llama",), {"embedding_multiplier": 12.0}, group="embeddings")
field("scale: residual_multiplier", ("llama",), {"residual_multiplier": 0.22}, group="embeddings")
field("scale: scale_emb", ("llama",), {"scale_emb": 12}, group="embeddings")
field("scale: pretraining_tp", ("llama",), {"pretraining_tp": 2}, group="embeddings")
field("experts: num_local_experts", ("mistral", "qwen3"), {"num_local_experts": 4, "num_experts_per_tok": 2}, group="experts")
field("pruned heads", ("bert", "roberta"), {"pruned_heads": {"0": [1]}}, group="pruned")
field("pruned heads, none", ("bert", "roberta", "gpt2"), {"pruned_heads": {}}, group="pruned")
field("embedding_size of another width", ("bert",), {"embedding_size": 16}, group="pruned")
field("chunked feed-forward", ("bert", "roberta"), {"chunk_size_feed_forward": 4}, group="pruned")
field("quantised: said", ("llama", "qwen2", "bert"), {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, group="quantised")
field("quantised: null", ("llama", "qwen2", "bert"), {"quantization_config": None}, group="quantised")

USUAL = {"attention_dropout": 0.0, "use_cache": True, "transformers_version": "4.40.1", "_name_or_path": "a/b",
         "initializer_range": 0.02, "output_attentions": False, "output_hidden_states": False, "torchscript": False,
         "use_bfloat16": False, "return_dict": True, "tf_legacy_loss": False, "id2label": {"0": "LABEL_0", "1": "LABEL_1"},
         "label2id": {"LABEL_0": 0, "LABEL_1": 1}, "architectures": None, "finetuning_task": None, "prefix": None,
         "problem_type": None, "task_specific_params": None, "is_encoder_decoder": False, "tokenizer_class": None,
         "auto_map": {"AutoConfig": "configuration_x.XConfig"}, "hidden_dropout_prob": 0.1,
         "attention_probs_dropout_prob": 0.1, "classifier_dropout": None, "gradient_checkpointing": False,
         "resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1, "summary_type": "cls_index", "summary_use_proj": True,
         "summary_activation": None, "summary_first_dropout": 0.1, "summary_proj_to_labels": True,
         "transformers.js_config": {"dtype": "q4"}, "unsloth_fixed": True, "eos_token": "</s>"}


@change("usual: keys of older exports", EVERY, group="usual")
def _(draft, rng):
    for key in rng.sample(sorted(set(USUAL) - {"architectures", "auto_map"}), 12):
        draft.config[key] = USUAL[key]


field("usual: architectures null", EVERY, {"architectures": None}, group="architectures")
field("usual: architectures absent", EVERY, {}, drop=("architectures",), group="architectures")
field("usual: model_type absent", EVERY, {}, "model_type", drop=("model_type",), group="model_type")
field("usual: model_type in capitals", ("llama", "bert"), {"model_type": "Llama"}, "model_type", group="model_type")
field("usual: dtype in place of torch_dtype", EVERY, {"dtype": "float32"}, drop=("torch_dtype",), group="dtype")
field("usual: dtype with its module", EVERY, {"torch_dtype": "torch.float16"}, group="dtype")
field("usual: dtype null", EVERY, {"torch_dtype": None}, group="dtype")
field("usual: key of nobody", EVERY, {"frobnicate": 3}, group="nobody")
field("usual: auto_map", EVERY, {"auto_map": {"AutoModel": "modeling_x.XModel"}}, group="auto_map")
field("usual: nested text_config", ("llama",), {"text_config": {"hidden_size": 64}}, group="nested")
for _family, _other in (("llama", "MistralForCausalLM"), ("mistral", "LlamaForCausalLM"), ("qwen2", "Qwen2ForSequenceClassification"),
                        ("bert", "BertForMaskedLM"), ("roberta", "RobertaForMaskedLM"), ("gpt2", "GPT2Model"),
                        ("llama", "LlamaBidirectionalModel"), ("qwen2", "Qwen2Model"), ("bert", "CamembertModel")):
    field(f"usual: architectures {_other}", (_family,), {"architectures": [_other]}, group="architectures")
for _family, _other in (("roberta", "xlm-roberta"), ("roberta", "camembert"), ("llama", "mistral"), ("mistral", "llama"),
                        ("bert", "distilbert"), ("nomic_bert", "nomic-bert"), ("qwen2", "llama"), ("llama", "gemma")):
    def _typed(draft: Draft, rng: random.Random, other: str = _other) -> None:
        draft.config["model_type"] = other
        draft.config.pop("architectures")
    change(f"usual: model_type {_other} of {_family}", (_family,), "model_type", _other, group="model_type")(_typed)
