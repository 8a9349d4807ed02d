"""Settings of `generation_config.json`, as published and as nobody should write them."""
from __future__ import annotations

import random
import typing

from models import DECODERS, Draft
from spellings import change


def generation(name: str, fields: dict[str, typing.Any], *keys: str, drop: tuple[str, ...] = ()) -> None:
    def apply(draft: Draft, rng: random.Random) -> None:
        settings_ = draft.files["generation_config.json"]
        for gone in drop:
            settings_.pop(gone, None)
        settings_.update(fields)
    change("generation: " + name, DECODERS, *(keys or tuple(fields)), group="generation")(apply)


generation("eos a list", {"eos_token_id": [2, 5]})
generation("eos null", {"eos_token_id": None})
generation("eos -1", {"eos_token_id": -1})
generation("eos absent", {}, "eos_token_id", drop=("eos_token_id",))
generation("eos an empty list", {"eos_token_id": []})
generation("eos common tokens", {"eos_token_id": list(range(8, 200))})
generation("bos a list", {"bos_token_id": [1]})
generation("repetition_penalty 1.3", {"repetition_penalty": 1.3})
generation("repetition_penalty 1.05 as Qwen's", {"repetition_penalty": 1.05, "do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20})
generation("repetition_penalty 100", {"repetition_penalty": 100.0})
generation("repetition_penalty 1", {"repetition_penalty": 1.0})
generation("repetition_penalty whole", {"repetition_penalty": 2})
generation("repetition_penalty text", {"repetition_penalty": "a lot"})
generation("repetition_penalty 0", {"repetition_penalty": 0.0})
generation("repetition_penalty negative", {"repetition_penalty": -1.0})
generation("repetition_penalty null", {"repetition_penalty": None})
generation("suppress_tokens", {"suppress_tokens": list(range(100, 320))})
generation("suppress_tokens null", {"suppress_tokens": None})
generation("suppress_tokens empty", {"suppress_tokens": []})
generation("suppress_tokens too large", {"suppress_tokens": [5000]})
generation("begin_suppress_tokens", {"begin_suppress_tokens": list(range(100, 320))})
generation("no_repeat_ngram_size", {"no_repeat_ngram_size": 1})
generation("bad_words_ids", {"bad_words_ids": [[n] for n in range(150, 320)]})
generation("forced_bos_token_id", {"forced_bos_token_id": 9})
generation("forced_eos_token_id", {"forced_eos_token_id": 2})
generation("min_length", {"min_length": 100, "eos_token_id": list(range(8, 200))})
generation("min_new_tokens", {"min_new_tokens": 4, "eos_token_id": list(range(8, 200))})
generation("max_new_tokens", {"max_new_tokens": 3})
generation("max_length", {"max_length": 20})
generation("num_beams", {"num_beams": 3})
generation("do_sample, temperature", {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 50})
generation("temperature 0", {"do_sample": False, "temperature": 0.0})
generation("encoder_repetition_penalty", {"encoder_repetition_penalty": 1.5})
generation("sequence_bias", {"sequence_bias": [[[9], 100.0]]})
generation("presence_penalty", {"presence_penalty": 5.0})
generation("exponential_decay_length_penalty", {"exponential_decay_length_penalty": [2, 3.0]})
generation("guidance_scale", {"guidance_scale": 1.5})
generation("stop_strings", {"stop_strings": ["e"]})
generation("length_penalty", {"length_penalty": 2.0})
generation("usual", {"_from_model_config": True, "transformers_version": "4.40.0", "use_cache": True, "chat_format": "chatml", "max_window_size": 6144})
generation("key of nobody", {"frobnicate": 1})


@change("generation: file absent", DECODERS, "generation_config", group="generation")
def _(draft, rng):
    draft.files.pop("generation_config.json")


@change("generation: settings in config.json", DECODERS, "repetition_penalty", group="generation")
def _(draft, rng):
    draft.files.pop("generation_config.json")
    draft.config["repetition_penalty"] = 100.0


@change("generation: eos in config.json alone, common", DECODERS, "eos_token_id", group="generation")
def _(draft, rng):
    draft.files["generation_config.json"].pop("eos_token_id")
    draft.config["eos_token_id"] = list(range(8, 200))
