"""Runs tiny models of transformers through an adapter program and compares with transformers itself.

Every case is a model of two layers with weights from a seed, and one thing changed: a field of its configuration, or
its file after it was written. The program loads that file; its logits and tokens are compared with transformers' own.
There is no verdict: a line gives the largest difference of any logit, position by position.

    python3 tiny_models.py --list
    python3 tiny_models.py PROGRAM                # all cases
    python3 tiny_models.py PROGRAM "llama plain"  # one case, by its whole name
"""

import argparse
import json
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

Fields = dict[str, Any]
Tensors = dict[str, Tensor]

ANSWER_WITHIN_S = 60
SIZES = {"vocab_size": 60, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}


@dataclass(frozen=True)
class Case:
    """One model; `beside` names other configurations with the same weights to compare with."""

    family: str
    changes: Fields = field(default_factory=dict)
    edit: Callable[[Tensors], Tensors] | None = None
    prompt: list[int] | None = None
    length: int = 12
    limit: int = 4
    likeliest: int | None = None
    beside: dict[str, Fields] = field(default_factory=dict)
    pooling: str = "logits"


def without(name: str) -> Callable[[Tensors], Tensors]:
    """An edit that leaves one tensor out of the file."""
    return lambda tensors: {key: tensor for key, tensor in tensors.items() if key != name}


def pairs(tensors: Tensors) -> Tensors:
    """Rows of q and k in the order of GGUF's NORM rotation, neighbouring pairs, instead of Hugging Face's two halves."""
    def reordered(rows: Tensor, heads: int) -> Tensor:
        return rows.reshape(heads, 2, -1, rows.shape[1]).transpose(1, 2).reshape(rows.shape).contiguous()

    heads = {"q": SIZES["num_attention_heads"], "k": SIZES["num_key_value_heads"]}
    return tensors | {key: reordered(rows, heads[key[-len("q_proj.weight")]]) for key, rows in tensors.items()
                      if key.endswith(("q_proj.weight", "k_proj.weight"))}


def window(size: int | None) -> Fields:
    """A sliding window, in every layer of Qwen2; Phi3 needs a padding token inside its vocabulary."""
    return {"sliding_window": size, "use_sliding_window": size is not None, "max_window_layers": 0, "pad_token_id": 0}


LINEAR = {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}}
LLAMA3 = {"rope_parameters": {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
                              "high_freq_factor": 4.0, "original_max_position_embeddings": 16}}
WINDOWS = {"window 5": window(5), "no window": window(None)}
UNTIED = {"tie_word_embeddings": False}
SHORT = {"max_position_embeddings": 16, "eos_token_id": None}
CASES = {
    "qwen2 plain": Case("Qwen2", UNTIED),
    "qwen2 head_dim=16": Case("Qwen2", {"head_dim": 16}),
    "qwen2 hidden_act gelu": Case("Qwen2", {"hidden_act": "gelu"}),
    "qwen2 window 4": Case("Qwen2", window(4), beside=WINDOWS),
    "qwen2 linear rope": Case("Qwen2", LINEAR, beside={"plain": {}}),
    "qwen2 without q_proj.bias": Case("Qwen2", edit=without("model.layers.0.self_attn.q_proj.bias")),
    "qwen2 without lm_head": Case("Qwen2", UNTIED, edit=without("lm_head.weight")),
    "qwen2 without gate_proj": Case("Qwen2", edit=without("model.layers.1.mlp.gate_proj.weight")),
    "qwen2 longer than its positions": Case("Qwen2", SHORT, limit=8),
    "qwen2 prompt longer than its positions": Case("Qwen2", SHORT, length=17, limit=1),
    "qwen2 id beyond the vocabulary": Case("Qwen2", prompt=[3, 4, SIZES["vocab_size"]], limit=2),
    "qwen2 likeliest token 0": Case("Qwen2", UNTIED | {"eos_token_id": 5}, prompt=[7, 8, 9], likeliest=0),
    "qwen3 plain": Case("Qwen3", {"head_dim": 8}),
    "qwen3 head_dim=16": Case("Qwen3", {"head_dim": 16}),
    "qwen3 without q_norm": Case("Qwen3", {"head_dim": 8}, edit=without("model.layers.0.self_attn.q_norm.weight")),
    "llama plain": Case("Llama"),
    "llama pairs": Case("Llama", edit=pairs),
    "llama head_dim=16": Case("Llama", {"head_dim": 16}),
    "llama attention_bias": Case("Llama", {"attention_bias": True}),
    "llama mlp_bias": Case("Llama", {"mlp_bias": True}),
    "llama llama3 rope": Case("Llama", LLAMA3),
    "llama llama3 rope pairs": Case("Llama", LLAMA3, edit=pairs, beside={"plain": {}}),
    "llama two end tokens": Case("Llama", {"eos_token_id": [1, 2]}),
    "llama without k_proj": Case("Llama", edit=without("model.layers.0.self_attn.k_proj.weight")),
    "mistral no window": Case("Mistral", window(None)),
    "mistral no window pairs": Case("Mistral", window(None), edit=pairs),
    "mistral window 4": Case("Mistral", window(4), beside=WINDOWS),
    "mistral window 4 pairs": Case("Mistral", window(4), edit=pairs, beside=WINDOWS),
    "mistral tied": Case("Mistral", window(None) | {"tie_word_embeddings": True}),
    "phi3 no window": Case("Phi3", window(None)),
    "phi3 window 4": Case("Phi3", window(4), beside=WINDOWS),
    "bert masked": Case("Bert", pooling="splade"),
}


class Program:
    """An adapter program: one JSON object on each line, each way. It is stopped if it does not answer in time."""

    def __init__(self, command: list[str], scratch: Path) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.asked = 0
        self.ask("hello", protocol=2, nonce="tiny", scratch=str(scratch))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def ask(self, verb: str, **fields: Any) -> Fields:
        """The reply's body; a failure is raised with its class, its code and the first line of its message."""
        self.asked += 1
        timer = threading.Timer(ANSWER_WITHIN_S, self.process.kill)
        timer.start()
        try:
            print(json.dumps({"id": self.asked, "request": {verb: fields}}), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise RuntimeError(f"no answer: the program ended, or took over {ANSWER_WITHIN_S} s")
        answer = json.loads(line)
        if failure := answer.get("failure"):
            raise RuntimeError(f"{failure['class']}/{failure['code']}: {failure['message'].splitlines()[0][:200]}")
        return answer["reply"][verb]


def made(case: Case, changes: Fields) -> torch.nn.Module:
    """The case's family with these changes; the same weights wherever the shapes are the same."""
    config = getattr(transformers, case.family + "Config")(**SIZES | changes)
    head = "ForMaskedLM" if case.family == "Bert" else "ForCausalLM"
    model = getattr(transformers, case.family + head)(config).eval()
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3 + (parameter.dim() == 1))
        if case.likeliest is not None:
            state = model.model(torch.tensor([case.prompt])).last_hidden_state[0, -1]
            model.lm_head.weight[case.likeliest] = state * 10
    return model


def compare(verb: str, seen: Tensor, ids: list[int], models: dict[str, torch.nn.Module]) -> None:
    """The largest difference of any logit, position by position, from every model."""
    for name, model in models.items():
        try:
            with torch.no_grad():
                expected = model(torch.tensor([ids])).logits[0][-len(seen):]
        except IndexError as error:
            print(f"  {verb}, {name}: {error}")
            continue
        off = (seen - expected).abs().amax(-1).tolist()
        print(f"  {verb}, off {name} by:", " ".join(f"{difference:.2g}" for difference in off))


def forward(program: Program, handle: Any, _: Case, ids: list[int], folder: Path) -> tuple[Tensor, list[int]]:
    """Logits at every position of the prompt, and its ids."""
    tensor = torch.tensor([ids])
    save_file({"input_ids": tensor, "attention_mask": torch.ones_like(tensor)}, folder / "input")
    program.ask("forward", handle=handle, input={"file": str(folder / "input")}, into=str(folder / "output"))
    return load_file(folder / "output")["logits"][0], ids


def generate(program: Program, handle: Any, case: Case, ids: list[int], folder: Path) -> tuple[Tensor, list[int]]:
    """The logits from which each new token was chosen, and the ids before them."""
    sampling = {"temperature": 0.0, "top_p": 1.0, "seed": 0}
    reply = program.ask("generate", handle=handle, prompt={"tokens": ids}, limit=case.limit, sampling=sampling,
                        into=str(folder / "logits"))
    print(f"  generate: tokens {reply['tokens']}, stop {reply['stop']}")
    return load_file(folder / "logits")["logits"], ids + reply["tokens"][:-1]


def trial(command: list[str], case: Case, folder: Path) -> None:
    """Write the model, load it through the program, and compare."""
    models = {name: made(case, changes) for name, changes in {"transformers": case.changes, **case.beside}.items()}
    models["transformers"].save_pretrained(folder)
    file = folder / "model.safetensors"
    if case.edit:
        save_file(case.edit(load_file(file)), file, metadata={"format": "pt"})
    torch.manual_seed(1)
    ids = case.prompt or torch.randint(3, SIZES["vocab_size"], (case.length,)).tolist()
    head = {"logits": {}} if case.pooling == "logits" else {"embedding": {"pooling": case.pooling, "normalize": False}}
    inference = {"config": str(folder / "config.json"), "head": head}
    with Program(command, folder) as program:
        try:
            handle = program.ask("load", path=str(file), device="cpu", admit=False, inference=inference)["handle"]
        except RuntimeError as error:
            print(f"  load: {error}")
            return
        for part in (forward, generate) if case.pooling == "logits" else ():
            try:
                compare(part.__name__, *part(program, handle, case, ids, folder), models)
            except RuntimeError as error:
                print(f"  {part.__name__}: {error}")
    if case.pooling == "logits" and max(ids) < SIZES["vocab_size"]:
        tokens = models["transformers"].generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)),
                                                 max_new_tokens=case.limit, do_sample=False, pad_token_id=0)
        print(f"  transformers' tokens {tokens[0, len(ids):].tolist()}")


def main() -> None:
    """Read the command line and run the cases that it names."""
    parser = argparse.ArgumentParser(description="Tiny models through an adapter program, beside transformers itself.")
    parser.add_argument("program", nargs="?", help="the adapter's command, split as a shell would")
    parser.add_argument("name", nargs="?", choices=CASES, metavar="NAME", help="one case; all without it")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    asked = parser.parse_args()
    if not (asked.list or asked.program):
        parser.error("PROGRAM is missing")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    for name in [asked.name] if asked.name else CASES:
        print(name)
        if asked.list:
            continue
        with tempfile.TemporaryDirectory() as folder:
            trial(shlex.split(asked.program), CASES[name], Path(folder))


if __name__ == "__main__":
    main()
