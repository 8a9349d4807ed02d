"""The two that answer: transformers, and a loader that speaks Weighbridge's protocol.

Both give the same things of a folder: logits or token states of two rows of token ids, greedy tokens, and the tokens
of a conversation.
"""
from __future__ import annotations

import json
import pathlib
import select
import shutil
import subprocess
import tempfile
import typing
import warnings

import torch
import transformers
from safetensors.torch import load_file, save_file

from models import DECODERS

LONGEST, SHORTER, STEPS = 14, 9, 8
PATIENCE = 20.0

transformers.utils.logging.set_verbosity(50)
transformers.utils.logging.disable_progress_bar()
warnings.filterwarnings("ignore")


class Truth(Exception):
    """Why transformers has no answer."""


class Refusal(Exception):
    """A coded failure of the loader."""

    def __init__(self, failure: dict[str, typing.Any]) -> None:
        super().__init__(failure.get("code", ""))
        self.failure = failure


class Lost(Exception):
    """The loader's process ended, or did not answer."""


def batch(seed: int, vocabulary: int, padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two rows of ids without special tokens, the second padded."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(8, vocabulary, (2, LONGEST), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, SHORTER:] = 0
    ids[1, SHORTER:] = padding
    return ids, mask


def transformers_model(folder: pathlib.Path, kind: str) -> typing.Any:
    """The folder's model. Raises `Truth` if transformers refuses it, or makes up a part of it."""
    auto = transformers.AutoModelForCausalLM if kind in DECODERS else transformers.AutoModel
    try:
        model, told = auto.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    except Exception as error:  # Whatever it is: transformers has no answer.
        raise Truth(f"refused: {type(error).__name__}: {str(error).strip().splitlines()[:1]}") from error
    made_up = sorted(name for name in told["missing_keys"] if not name.startswith("pooler."))
    if made_up or told["mismatched_keys"]:
        raise Truth(f"made up: {made_up[:3]} {sorted(map(str, told['mismatched_keys']))[:2]}")
    return model.eval()


def transformers_states(model: typing.Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    try:
        with torch.no_grad():
            if hasattr(model, "lm_head"):
                return model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            return model(input_ids=ids, attention_mask=mask).last_hidden_state
    except Exception as error:
        raise Truth(f"cannot run: {type(error).__name__}: {str(error)[:120]}") from error


def transformers_greedy(model: typing.Any, ids: list[int]) -> tuple[list[int], list[float]]:
    """Greedy tokens as `generate` makes them with the folder's settings, and by how much each leads."""
    try:
        out = model.generate(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                             max_new_tokens=STEPS, do_sample=False, use_cache=False, output_scores=True,
                             return_dict_in_generate=True)
    except Exception as error:
        raise Truth(f"cannot generate: {type(error).__name__}: {str(error)[:120]}") from error
    tokens = out.sequences[0, len(ids):].tolist()
    leads = []
    for scores in out.scores:
        best = scores[0].topk(2).values
        leads.append(float(best[0] - best[1]))
    return tokens, leads


def transformers_chat(folder: pathlib.Path, turns: list[dict[str, str]]) -> tuple[str, list[int]]:
    """The rendered conversation, and its tokens as `tokenizer.json` makes them."""
    try:
        tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
        rendered = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return rendered, tokenizer(rendered, add_special_tokens=False).input_ids
    except Exception as error:
        raise Truth(f"cannot render: {type(error).__name__}: {str(error)[:160]}") from error


def transformers_texts(folder: pathlib.Path, texts: list[str]) -> dict[str, torch.Tensor]:
    try:
        tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
        return tokenizer(texts, padding=True, return_tensors="pt")
    except Exception as error:
        raise Truth(f"cannot tokenize: {type(error).__name__}: {str(error)[:160]}") from error


class Loader:
    """One process of the loader for many folders."""

    def __init__(self, program: list[str]) -> None:
        self.program, self.process, self.last = program, None, 0
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="differential-"))

    def close(self) -> None:
        self._end()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(self, verb: str, **fields: typing.Any) -> dict[str, typing.Any]:
        if self.process is None:
            self.process = subprocess.Popen(self.program, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.PIPE, text=True)
            self.ask("hello", protocol=2, nonce="a", scratch=str(self.scratch))
        self.last += 1
        try:
            self.process.stdin.write(json.dumps({"id": self.last, "request": {verb: fields}}) + "\n")
            self.process.stdin.flush()
            while True:
                ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
                line = self.process.stdout.readline() if ready else ""
                if not ready:
                    raise Lost(f"no answer to {verb} in {PATIENCE:.0f} s")
                if not line:
                    raise Lost(f"ended at {verb}: {self.process.stderr.read()[-400:]}")
                answer = json.loads(line)
                if "progress" not in answer:
                    break
        except (Lost, OSError, ValueError) as error:
            self._end()
            raise error if isinstance(error, Lost) else Lost(f"{verb}: {error}") from error
        if "failure" in answer:
            raise Refusal(answer["failure"])
        return answer["reply"][verb]

    def load(self, folder: pathlib.Path, weights: str, kind: str, chat: bool) -> dict[str, typing.Any]:
        head: dict[str, typing.Any] = {"logits": {}} if kind in DECODERS else {"token_states": {"normalize": False}}
        inference: dict[str, typing.Any] = {"config": str(folder / "config.json"), "head": head}
        if chat:
            inference["tokenizer"] = str(folder / "tokenizer.json")
            if kind in DECODERS:
                inference["template"] = str(folder / "tokenizer_config.json")
        if kind in DECODERS and (folder / "generation_config.json").exists():
            inference["generation"] = str(folder / "generation_config.json")
        return self.ask("load", path=str(folder / weights), device="cpu", admit=True, inference=inference)

    def states(self, handle: int, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        given, made = self.scratch / "in.safetensors", self.scratch / "out.safetensors"
        save_file({"input_ids": ids.contiguous(), "attention_mask": mask.contiguous()}, given)
        self.ask("forward", handle=handle, input={"file": str(given)}, into=str(made))
        return next(iter(load_file(made).values()))

    def texts(self, handle: int, texts: list[str]) -> torch.Tensor:
        made = self.scratch / "out.safetensors"
        self.ask("forward", handle=handle, input={"texts": texts}, into=str(made))
        return next(iter(load_file(made).values()))

    def generate(self, handle: int, prompt: dict[str, typing.Any], limit: int = STEPS) -> dict[str, typing.Any]:
        sampling = {"temperature": 0.0, "top_p": 1.0, "seed": 0}
        return self.ask("generate", handle=handle, prompt=prompt, limit=limit, sampling=sampling)

    def unload(self, handle: int) -> None:
        self.ask("unload", handle=handle)
