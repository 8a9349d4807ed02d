"""Runs a model of transformers: its forward pass, the intermediate states, and the head over the token states.

transformers ends at token states or logits. Pooling, a linear layer after it and normalising are a few lines that its
users write themselves; this module has them.
"""

import torch
from torch.nn.functional import linear, normalize
from weighbridge_adapter import Refused

# The parts of a decoder's layer by the contract's names: its modules, and whether their input or output counts.
PARTS = {
    "input_norm": ([["input_layernorm"], ["ln_1"]], "out"),
    "forward_norm": ([["post_attention_layernorm"], ["ln_2"]], "out"),
    "qkv": ([["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], ["self_attn.qkv_proj"], ["attn.c_attn"]],
            "out"),
    "attention": ([["self_attn.o_proj"], ["attn.c_proj"]], "out"),
    "inner": ([["mlp.down_proj"], ["mlp.c_proj"]], "in"),
    "forward": ([["mlp.down_proj"], ["mlp.c_proj"]], "out"),
}

# generation_config.json is the library's default for what a call leaves out, and the request has no such cuts.
WITHOUT_CUTS = {"top_k": 0, "min_p": 0.0, "typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0}


class Running:
    """A loaded model with its head, and its tokenizer where it has one."""

    def __init__(self, model, head, projection, tokenizer):
        (self.gives, self.head), self.model = head, model
        self.projection, self.tokenizer = projection, tokenizer

    @property
    def tensors(self):
        """Everything that is held, under the library's own names."""
        return {**dict(self.model.named_parameters()), **dict(self.model.named_buffers()), **self.projection}

    @property
    def device(self):
        return self.model.device

    @property
    def longest(self):
        """The maximum number of tokens, by the positions of the configuration."""
        config = self.model.config
        most = config.max_position_embeddings
        # RoBERTa's positions begin after the padding token's.
        return most - config.pad_token_id - 1 if config.model_type in ("roberta", "xlm-roberta") else most

    def forward(self, batch, trace):
        """The output for a batch of tokens, and the states on the way where they are wanted."""
        batch = {name: tensor.to(self.device) for name, tensor in batch.items()}
        states, hooks = {}, []
        try:
            if trace:
                hooks = self.watch(states)
            with torch.inference_mode():
                given = self.model(**batch)
                mask = batch["attention_mask"].unsqueeze(-1).float()
                output = self.finish(given, mask, states)
        finally:
            for hook in hooks:
                hook.remove()
        return output, states if trace else {}

    def finish(self, output, mask, states):
        """What the head makes of the model's output, in F32: logits, or pooled, projected and normalised states."""
        if self.gives == "logits":
            return output.logits.float() * mask
        pooling = self.head.get("pooling")
        if pooling == "splade":
            pooled = (output.logits.float().relu().log1p() * mask).amax(1)
        else:
            last = output.last_hidden_state.float()
            rows = torch.arange(len(last), device=last.device)
            ends = (mask.squeeze(-1) * torch.arange(1, mask.shape[1] + 1, device=last.device)).argmax(1)
            pooled = {"mean": lambda: (last * mask).sum(1) / mask.sum(1), "cls": lambda: last[:, 0],
                      "last_token": lambda: last[rows, ends], None: lambda: last}[pooling]()
        states["pooled"] = pooled
        if self.projection:
            parts = {name.rpartition(".")[2]: tensor.float() for name, tensor in self.projection.items()}
            pooled = linear(pooled, parts["weight"], parts.get("bias"))
        if self.head["normalize"]:
            pooled = normalize(pooled, dim=-1, eps=1e-12)
        return pooled * mask if self.gives == "token_states" else pooled

    def watch(self, states):
        """Hooks that record every state that the contract names and this model has."""
        base = self.model.base_model
        layers = next(found for found in (find(base, name) for name in ("layers", "encoder.layer", "h")) if found)

        def keep(name, tensor):
            states[name] = (tensor[0] if isinstance(tensor, tuple) else tensor).float().clone()

        def first(args, kwargs):
            return args[0] if args else kwargs["hidden_states"]

        hooks = [layers[0].register_forward_pre_hook(
            lambda module, args, kwargs: keep("embeddings", first(args, kwargs)), with_kwargs=True)]
        for at, layer in enumerate(layers):
            hooks.append(layer.register_forward_hook(
                lambda module, args, out, name=f"layer.{at}": keep(name, out)))
            if not (find(layer, "input_layernorm") or find(layer, "ln_1")):
                continue
            for part, (choices, end) in PARTS.items():
                names = next(names for names in choices if find(layer, names[0]))
                whole = {}
                for name in names:
                    def hook(module, args, out, name=name, names=names, whole=whole, end=end, to=f"layer.{at}.{part}"):
                        whole[name] = args[0] if end == "in" else out
                        if len(whole) == len(names):
                            keep(to, torch.cat([whole[name] for name in names], -1))
                    hooks.append(find(layer, name).register_forward_hook(hook))
        norm = find(base, "norm") or find(base, "ln_f")
        if norm:
            hooks.append(norm.register_forward_hook(lambda module, args, out: keep("norm", out)))
        return hooks

    def generate(self, tokens, limit, sampling, logits):
        """Tokens after a prompt, the reason why they end, and on request the logits of each."""
        prompt = torch.tensor([tokens], dtype=torch.long, device=self.device)
        room = self.longest - len(tokens) + 1
        greedy = sampling["temperature"] == 0
        if not greedy:
            torch.manual_seed(sampling["seed"])
        chosen = {"do_sample": False} if greedy else {
            "do_sample": True, "temperature": sampling["temperature"], "top_p": sampling["top_p"], **WITHOUT_CUTS}
        with torch.inference_mode():
            output = self.model.generate(
                prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=min(limit, room) if room > 0 else limit,
                num_beams=1, return_dict_in_generate=True, output_logits=logits, **chosen)
        given = output.sequences[0, len(tokens):].tolist()
        ends = self.model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        stop = "end_of_sequence" if given[-1] in ends else "limit" if len(given) == limit else "context"
        return given, stop, torch.cat(output.logits).float() if logits else None


def compute_in_f32(model):
    """Makes each module with half-precision weights widen them while it runs. What is held stays as it is."""
    halves = (torch.float16, torch.bfloat16)

    def widen(module, *_):
        module.held = dict(module._parameters)
        for name, tensor in module.held.items():
            if tensor is not None and tensor.dtype in halves:
                module._parameters[name] = tensor.float()

    def restore(module, *_):
        module._parameters.update(module.held)
        del module.held

    for module in model.modules():
        if any(tensor is not None and tensor.dtype in halves for tensor in module._parameters.values()):
            module.register_forward_pre_hook(widen)
            module.register_forward_hook(restore, always_call=True)


def find(module, path):
    """A module inside another, or None."""
    for name in path.split("."):
        module = getattr(module, name, None)
    return module


def tokens_of(tensors):
    """A batch of the contract. This function checks its form; the model checks whether it fits."""
    def bad(what, actual):
        return Refused("infer", "invalid_input", f"the input is not a batch of tokens: {what}", expected=what,
                       actual=actual, remedy="give input_ids and attention_mask, I64, of one shape")
    if not {"input_ids", "attention_mask"} <= tensors.keys() <= {"input_ids", "attention_mask", "token_type_ids"}:
        raise bad("input_ids and attention_mask", sorted(tensors))
    mask = tensors["attention_mask"]
    for name, tensor in tensors.items():
        if tensor.dtype != torch.int64 or tensor.dim() != 2 or tensor.shape != mask.shape:
            raise bad("I64 of one shape [batch, tokens]", f"{name}: {tensor.dtype} {list(tensor.shape)}")
    if not bool(((mask == 0) | (mask == 1)).all() and mask.any(1).all()):
        raise bad("a mask of ones and zeros with a token in every row", mask.tolist())
    return tensors
