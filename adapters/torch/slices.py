"""Which slice of each tensor a rank holds. The libraries load tensors and slices; what to cut is their caller's choice.

A model's configuration says which tensors there are, which dimension of each is divided, and in which units: heads,
inner features or words. It needs no library.
"""

import re
from typing import NamedTuple

from weighbridge_adapter import Refused

LAYER = re.compile(r"(?:^|\.)(?:layers|h)\.(\d+)\.")
PREFIXES = ("model.", "transformer.", "")


class Run(NamedTuple):
    """Indices of one dimension that are divided on their own, such as the queries of a fused matrix."""
    begin: int
    units: int
    size: int = 1
    repeats: bool = False   # of key heads: if there are fewer than ranks, neighbours hold the same one

    def of(self, rank, tp):
        """The interval of a rank. The last shares may be smaller or empty."""
        if self.repeats and self.units < tp:
            first = rank * self.units // tp
            last = first + 1
        else:
            each = -(-self.units // tp)
            first, last = min(rank * each, self.units), min((rank + 1) * each, self.units)
        return [self.begin + first * self.size, self.begin + last * self.size]


class Weight(NamedTuple):
    """A tensor as the configuration asks for it. `runs` are those of the dimension `cut`; without them it is whole."""
    shape: list
    cut: int = 0
    runs: tuple = ()
    adds: bool = False      # the bias of a layer whose partial sums are added up
    needed: bool = True


def refused(code, message, expected, actual, cls="refused", **more):
    return Refused("request", code, message, cls, expected=expected, actual=actual,
                   remedy="ask for a grid that divides the model", **more)


def check_grid(parallel):
    """Refuses ranks that make no grid."""
    tp, pp, replicas = parallel["tp"], parallel["pp"], parallel["replicas"]
    replicas = 1 if replicas is None else replicas
    size, places = tp * pp * replicas, parallel["ranks"]
    ranks, devices = [one["rank"] for one in places], [one["device"] for one in places if one["device"] != "cpu"]
    for wrong, expected, actual in [
            (size == 0, "tp, pp and replicas of at least 1", f"{tp} x {pp} x {replicas}"),
            (not ranks, "at least one rank", "none"),
            (any(rank >= size for rank in ranks), f"ranks below {size}", max(ranks, default=0)),
            (len(set(ranks)) < len(ranks), "each rank once", ranks),
            (len(set(devices)) < len(devices), "each CUDA device once", devices)]:
        if wrong:
            raise refused("invalid_request", f"not a grid: expected {expected}, found {actual}", expected, actual)


class Plan:
    """The tensors of a model that is divided over a grid. `shapes` are those of the file."""

    def __init__(self, config, shapes, parallel):
        self.tp, self.pp, self.shapes = parallel["tp"], parallel["pp"], shapes
        self.kind = config.get("model_type")
        gpt2 = self.kind == "gpt2"
        self.hidden = config["n_embd" if gpt2 else "hidden_size"]
        self.heads = config["n_head" if gpt2 else "num_attention_heads"]
        self.keys = self.heads if gpt2 else config.get("num_key_value_heads") or self.heads
        self.size = config.get("head_dim") or self.hidden // self.heads
        self.inner = config.get("n_inner") or 4 * self.hidden if gpt2 else config["intermediate_size"]
        self.layers = config["n_layer" if gpt2 else "num_hidden_layers"]
        self.tied = config.get("tie_word_embeddings", gpt2)
        words, positions = config["vocab_size"], config.get("n_positions")
        self._check_degrees()
        self.prefix = next(one for one in PREFIXES if any(name.startswith(one) for name in shapes))
        table = (Weight([words, self.hidden], 0, (Run(0, words),)))
        self.first = {self.prefix + ("wte.weight" if gpt2 else "embed_tokens.weight"): table}
        self.last = dict(self.first) if self.tied else {"lm_head.weight": table}
        if gpt2:
            self.first[self.prefix + "wpe.weight"] = Weight([positions, self.hidden])
        self.last |= {self.prefix + name: weight for name, weight in self._norm("ln_f" if gpt2 else "norm").items()}
        self.layer = self._gpt2() if gpt2 else self._llama()
        self._check_shapes()

    def _check_degrees(self):
        tp, pp = self.tp, self.pp
        few = self.keys < tp and tp % self.keys == 0
        for what, number, good in [("query heads", self.heads, self.heads % tp == 0),
                                   ("key heads", self.keys, self.keys % tp == 0 or few),
                                   ("inner features", self.inner, self.inner % tp == 0)]:
            if not good:
                raise refused("unsupported_capability", f"{number} {what} cannot be divided over {tp} ranks",
                              f"a degree that divides {number}", tp, "unsupported")
        if pp > self.layers:
            raise refused("unsupported_capability", f"{self.layers} layers cannot be divided over {pp} stages",
                          f"at most {self.layers} stages", pp, "unsupported")

    def _norm(self, name, size=None):
        shape = [size or self.hidden]
        return {f"{name}.weight": Weight(shape), f"{name}.bias": Weight(shape, needed=False)}

    def _outputs(self, name, inputs, runs, transposed=False):
        """A matrix whose outputs are divided, and its bias."""
        outputs = sum(run.units * run.size for run in runs)
        shape = [inputs, outputs] if transposed else [outputs, inputs]
        return {f"{name}.weight": Weight(shape, int(transposed), runs),
                f"{name}.bias": Weight([outputs], 0, runs, needed=False)}

    def _inputs(self, name, run, transposed=False):
        """A matrix whose inputs are divided. Its bias is whole, and one rank adds it."""
        inputs = run.units * run.size
        shape = [inputs, self.hidden] if transposed else [self.hidden, inputs]
        return {f"{name}.weight": Weight(shape, int(not transposed), (run,)),
                f"{name}.bias": Weight([self.hidden], adds=True, needed=False)}

    def _llama(self):
        queries, keys = Run(0, self.heads, self.size), Run(0, self.keys, self.size, True)
        gate, hidden = Run(0, self.inner), self.hidden
        behind = [keys._replace(begin=(self.heads + before) * self.size) for before in (0, self.keys)]
        layer = {**self._inputs("self_attn.o_proj", queries), **self._inputs("mlp.down_proj", gate),
                 **self._norm("input_layernorm"), **self._norm("post_attention_layernorm")}
        if self.kind == "phi3":
            return {**layer, **self._outputs("self_attn.qkv_proj", hidden, (queries, *behind)),
                    **self._outputs("mlp.gate_up_proj", hidden, (gate, gate._replace(begin=self.inner)))}
        for name, run in [("q", queries), ("k", keys), ("v", keys)]:
            layer |= self._outputs(f"self_attn.{name}_proj", hidden, (run,))
        for name in ("gate", "up"):
            layer |= self._outputs(f"mlp.{name}_proj", hidden, (gate,))
        if self.kind == "qwen3":
            layer |= {**self._norm("self_attn.q_norm", self.size), **self._norm("self_attn.k_norm", self.size)}
        return layer

    def _gpt2(self):
        queries, inner = Run(0, self.heads, self.size), Run(0, self.inner)
        fused = tuple(queries._replace(begin=part * self.hidden) for part in range(3))
        return {**self._outputs("attn.c_attn", self.hidden, fused, True), **self._inputs("attn.c_proj", queries, True),
                **self._outputs("mlp.c_fc", self.hidden, (inner,), True), **self._inputs("mlp.c_proj", inner, True),
                **self._norm("ln_1"), **self._norm("ln_2")}

    def _of_layer(self, number):
        root = f"{self.prefix}{'h' if self.kind == 'gpt2' else 'layers'}.{number}."
        return {root + name: weight for name, weight in self.layer.items()}

    def _of_stage(self, stage):
        """The weights of a stage. The first stages get the layers that remain."""
        each, more = divmod(self.layers, self.pp)
        begin = stage * each + min(stage, more)
        found = {}
        for number in range(begin, begin + each + (stage < more)):
            found |= self._of_layer(number)
        return {**(self.first if stage == 0 else {}), **found, **(self.last if stage == self.pp - 1 else {})}

    def _check_shapes(self):
        for stage in range(self.pp):
            for name, weight in self._of_stage(stage).items():
                shape = self.shapes.get(name)
                if shape is None and weight.needed:
                    raise Refused("header", "incomplete_model", f"tensor {name} is not in the file", tensor=name,
                                  expected=f"a tensor of shape {weight.shape}", actual="none", remedy="add the tensor")
                if shape is not None and list(shape) != weight.shape:
                    raise Refused("header", "shape_mismatch", f"tensor {name} has the shape {list(shape)}", tensor=name,
                                  expected=weight.shape, actual=list(shape),
                                  remedy="give the file and the configuration of one model")

    def slices(self, rank):
        """What a rank holds: for each tensor of the file the intervals of every dimension, and whether it adds it."""
        stage, tp_rank = rank // self.tp % self.pp, rank % self.tp
        held = {}
        for name, weight in self._of_stage(stage).items():
            if name not in self.shapes:
                continue
            ranges = [[[0, side]] for side in weight.shape]
            if weight.runs:
                found = [run.of(tp_rank, self.tp) for run in weight.runs]
                ranges[weight.cut] = [one for one in found if one[0] < one[1]]
            held[name] = {"tensor": name, "ranges": ranges, **({"adds": tp_rank == 0} if weight.adds else {})}
        return held
