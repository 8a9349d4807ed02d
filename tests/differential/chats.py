"""Tokenizers and their settings, as published files state them."""
from __future__ import annotations

import functools
import json
import random
import typing

import tokenizers
from tokenizers import decoders, models as kinds, pre_tokenizers, trainers

from models import DECODERS, ENCODERS, VOCABULARY, Draft
from spellings import EVERY, change

SPECIAL = ["<|pad|>", "<|im_start|>", "<|im_end|>", "<unk>", "<s>", "</s>", "<sep>", "<mask>"]
CHATML = ("{%- for message in messages -%}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
          "LOOP{%- endfor -%}{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}")
CORPUS = ["the quick brown fox jumps over the lazy dog", "the weather in the north is not there", "we're sure it's 1984 and 3.14"] * 4
TURNS = [
    [{"role": "user", "content": "What is 37+45?"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who's there — in 1984?"}],
    [{"role": "user", "content": "Grüße, é/ü \"quoted\" <b>&amp;</b> 'x'"}, {"role": "assistant", "content": "日本語 🙂\ttab\\n"},
     {"role": "user", "content": "  and\n\nthen 2²?  "}],
    [{"role": "system", "content": ""}, {"role": "user", "content": "a{{ b }}c {% if %}"}],
]
TEXTS = ["The quick brown fox", "it's 1984 — naïve café"]


@functools.cache
def _plain() -> str:
    made = tokenizers.Tokenizer(kinds.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=SPECIAL, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    made.train_from_iterator(CORPUS, trainer)
    return made.to_str()


def plain() -> dict[str, typing.Any]:
    return json.loads(_plain())


def give(draft: Draft) -> None:
    """The plain documents of a conversation, or of texts."""
    draft.files["tokenizer.json"] = tokenizer = plain()
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>",
              "pad_token": "<|pad|>", "unk_token": "<unk>", "model_max_length": 64, "clean_up_tokenization_spaces": False}
    if draft.kind in ENCODERS:
        tokenizer["post_processor"] = {
            "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                                                     {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {t: {"id": t, "ids": [SPECIAL.index(t)], "tokens": [t]} for t in ("<s>", "</s>")}}
    else:
        config["chat_template"] = CHATML.replace("LOOP", "")
        draft.files["generation_config.json"] = {"eos_token_id": 2, "pad_token_id": 0}
    draft.files["tokenizer_config.json"] = config


def tokenizer(name: str, make: typing.Callable[[dict[str, typing.Any], random.Random], None], families: tuple[str, ...] = EVERY,
              *keys: str, group: str = "tokenizer") -> None:
    change("tokenizer: " + name, families, *keys, group=group)(lambda draft, rng: make(draft.files["tokenizer.json"], rng))


def split(pattern: str) -> dict[str, typing.Any]:
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}]}


QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN.replace(r"\p{N}|", r"\p{N}{1,3}|")
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
tokenizer("Qwen's splitting, NFC", lambda t, r: t.update(pre_tokenizer=split(QWEN), normalizer={"type": "NFC"}))
tokenizer("Llama 3's splitting", lambda t, r: (t.update(pre_tokenizer=split(LLAMA3)), t["model"].update(ignore_merges=True)))
tokenizer("digits one by one", lambda t, r: t.update(pre_tokenizer={"type": "Sequence", "pretokenizers": [
    {"type": "Digits", "individual_digits": True}, BYTES]}))
tokenizer("prefix space", lambda t, r: t.update(pre_tokenizer=BYTES | {"add_prefix_space": True}))
tokenizer("merges as text", lambda t, r: t["model"].update(merges=[" ".join(m) if isinstance(m, list) else m for m in t["model"]["merges"]]))
tokenizer("padding and truncation left there", lambda t, r: t.update(
    truncation={"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0},
    padding={"strategy": {"Fixed": 32}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "<|pad|>"}), group="padding")
tokenizer("a token that strips", lambda t, r: t["added_tokens"][2].update(lstrip=True, rstrip=True), group="added")
tokenizer("normalizer lowercase", lambda t, r: t.update(normalizer={"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]}), group="normalizer")
tokenizer("post-processor that begins", lambda t, r: t.update(post_processor={
    "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [4], "tokens": ["<s>"]}}}), DECODERS, group="post")


def settings(name: str, make: typing.Callable[[dict[str, typing.Any], Draft], None], *keys: str, group: str = "settings",
             families: tuple[str, ...] = DECODERS) -> None:
    change("settings: " + name, families, *keys, group=group)(lambda draft, rng: make(draft.files["tokenizer_config.json"], draft))


def token(content: str) -> dict[str, typing.Any]:
    return {"__type": "AddedToken", "content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}


SHOW = "{{ '[' ~ bos_token ~ '|' ~ eos_token ~ '|' ~ pad_token ~ '|' ~ unk_token ~ '|' ~ sep_token ~ '|' ~ cls_token ~ '|' ~ mask_token ~ ']' }}"


def shown(config: dict[str, typing.Any]) -> None:
    config["chat_template"] = SHOW + config["chat_template"]


settings("special tokens, plain", lambda c, d: shown(c))
settings("special tokens as objects", lambda c, d: (c.update(bos_token=token("<s>"), eos_token=token("</s>")), shown(c)))
settings("bos_token null", lambda c, d: (c.update(bos_token=None), shown(c)))
settings("all seven special tokens", lambda c, d: (c.update(sep_token="<sep>", cls_token="<s>", mask_token=token("<mask>")), shown(c)))
settings("special tokens absent", lambda c, d: ([c.pop(n) for n in ("bos_token", "pad_token", "unk_token")], shown(c)))
settings("special tokens in their map alone", lambda c, d: (
    [c.pop(n) for n in ("bos_token", "eos_token", "pad_token", "unk_token")], shown(c),
    d.files.update({"special_tokens_map.json": {"bos_token": "<s>", "eos_token": token("</s>"), "mask_token": "<mask>", "pad_token": "<|pad|>"}})))
settings("special tokens in their map, different", lambda c, d: (shown(c), d.files.update({"special_tokens_map.json": {"bos_token": "<s>", "sep_token": "<sep>"}})))
settings("bos_token null, map has it", lambda c, d: (c.update(bos_token=None), shown(c), d.files.update({"special_tokens_map.json": {"bos_token": "<s>"}})))
settings("special token false", lambda c, d: (c.update(bos_token=False), shown(c)))
settings("tools asked of additional_special_tokens", lambda c, d: c.update(
    additional_special_tokens=["<sep>", "<mask>"], chat_template="{{ additional_special_tokens }}" + c["chat_template"]))
settings("extra_special_tokens as a map", lambda c, d: c.update(
    extra_special_tokens={"image_token": "<mask>"}, chat_template="{{ '[' ~ image_token ~ ']' }}" + c["chat_template"]))
settings("model_specific_special_tokens", lambda c, d: c.update(
    model_specific_special_tokens={"image_token": "<mask>"}, chat_template="{{ '[' ~ image_token ~ ']' }}" + c["chat_template"]))
settings("an added token not in tokenizer.json", lambda c, d: (
    c.update(added_tokens_decoder={"319": {"content": "<|new|>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}}),
    c.update(chat_template="<|new|>" + c["chat_template"])), "added_tokens_decoder")
settings("add_bos_token", lambda c, d: c.update(add_bos_token=True, bos_token="<s>"))
settings("several templates", lambda c, d: c.update(chat_template=[
    {"name": "tool_use", "template": "TOOLS"}, {"name": "default", "template": c["chat_template"]}]), group="template")
settings("several templates, none default", lambda c, d: c.update(chat_template=[
    {"name": "rag", "template": "RAG"}, {"name": "tool_use", "template": c["chat_template"]}]), "default", group="template")
settings("several templates as a map", lambda c, d: c.update(chat_template={"default": c["chat_template"], "tool_use": "TOOLS"}), group="template")
settings("template null", lambda c, d: c.update(chat_template=None), "chat_template", "chat template", group="template")
settings("template absent", lambda c, d: c.pop("chat_template"), "chat_template", "chat template", group="template")
settings("template apart", lambda c, d: d.files.update({"chat_template.jinja": c.pop("chat_template")}), group="template")
settings("template apart and within, different", lambda c, d: d.files.update({"chat_template.jinja": "APART" + c["chat_template"]}), group="template")
settings("template in chat_template.json", lambda c, d: d.files.update({"chat_template.json": {"chat_template": c.pop("chat_template")}}), group="template")
settings("templates in additional_chat_templates", lambda c, d: d.files.update({
    "chat_template.jinja": c.pop("chat_template"), "additional_chat_templates/tool_use.jinja": "TOOLS"}), group="template")
settings("template apart that ends in a line break", lambda c, d: d.files.update({"chat_template.jinja": c.pop("chat_template") + "\n"}), group="template")
