"""Writes tiny GGUF models, each with one thing about it, and gives them to a loader's adapter program.

Each is a decoder of one layer with F32 values from a fixed rule, a few kilobytes, without a tokenizer. A line for each
says what the format or the model's definition says of it, and what the program did. Needs Python 3.11 alone; the
program needs what it needs.

    python3 tiny_gguf.py --list
    python3 tiny_gguf.py --write FOLDER
    python3 tiny_gguf.py "python3 adapters/llama_cpp/loader.py adapters/llama_cpp/lib" trailing_bytes
"""

import os
import shlex
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tiny_files import answers, command_line

WIDTH, HEADS, INNER, TOKENS, ALIGNED = 32, 4, 32, 24, 32
U16, U32, I32, F32, BOOL, STRING, ARRAY = 2, 4, 5, 6, 7, 8, 9


@dataclass
class Model:
    """Metadata and tensors of a file; `behind` are bytes after the last tensor."""

    architecture: str = "llama"
    head: int = WIDTH // HEADS
    keys: dict[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    behind: bytes = b""

    def metadata(self) -> dict[str, Any]:
        """Every key with its value."""
        own = {"context_length": 64, "embedding_length": WIDTH, "block_count": 1, "feed_forward_length": INNER,
               "attention.head_count": HEADS, "attention.head_count_kv": HEADS, "attention.key_length": self.head,
               "attention.value_length": self.head, "rope.dimension_count": self.head, "rope.freq_base": 10000.0,
               "attention.layer_norm_rms_epsilon": 1e-6, "vocab_size": TOKENS} | self.keys
        own = {name if name.startswith("tokenizer.") else f"{self.architecture}.{name}": value
               for name, value in own.items() if name not in self.without and not name.startswith("split.")}
        return {"general.architecture": self.architecture, "tokenizer.ggml.model": "no_vocab"} | own | {
            name: value for name, value in self.keys.items() if name.startswith("split.")}

    def tensors(self) -> dict[str, list[int]]:
        """Every tensor with its sides, the innermost first."""
        wide = self.head * HEADS
        sides = {"token_embd": [WIDTH, TOKENS], "output_norm": [WIDTH], "output": [WIDTH, TOKENS],
                 "blk.0.attn_norm": [WIDTH], "blk.0.ffn_norm": [WIDTH], "blk.0.attn_q": [WIDTH, wide],
                 "blk.0.attn_k": [WIDTH, wide], "blk.0.attn_v": [WIDTH, wide], "blk.0.attn_output": [wide, WIDTH],
                 "blk.0.ffn_gate": [WIDTH, INNER], "blk.0.ffn_up": [WIDTH, INNER], "blk.0.ffn_down": [INNER, WIDTH]}
        named = {f"{name}.weight": shape for name, shape in sides.items()}
        if self.architecture == "qwen2":
            named |= {f"blk.0.attn_{part}.bias": [wide] for part in "qkv"}
        return named

    def content(self) -> bytes:
        """The file's bytes."""
        metadata, infos, data = self.metadata(), b"", b""
        for name, sides in self.tensors().items():
            count = 1
            for side in sides:
                count *= side
            infos += text(name) + struct.pack(f"<I{len(sides)}QIQ", len(sides), *sides, 0, len(data))
            data += struct.pack(f"<{count}f", *(((at * 37) % 101 - 50) / 500 for at in range(count)))
            data += bytes(-len(data) % ALIGNED)
        head = b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors()), len(metadata))
        head += b"".join(text(name) + value_of(name, value) for name, value in metadata.items()) + infos
        return head + bytes(-len(head) % ALIGNED) + data + self.behind


def text(words: str) -> bytes:
    """A string of the format."""
    return struct.pack("<Q", len(words)) + words.encode()


def value_of(name: str, value: Any) -> bytes:
    """A value with its type. The numbers of parts have types of their own, and bytes are a flag as it is stored."""
    if isinstance(value, bytes):
        return struct.pack("<I", BOOL) + value
    if name.startswith("split."):
        return struct.pack("<Ii", I32, value) if name == "split.tensors.count" else struct.pack("<IH", U16, value)
    if isinstance(value, str):
        return struct.pack("<I", STRING) + text(value)
    if isinstance(value, list):
        return struct.pack(f"<IIQ{len(value)}I", ARRAY, U32, len(value), *value)
    kind, form = (F32, "f") if isinstance(value, float) else (U32, "I")
    return struct.pack(f"<I{form}", kind, value)


MODELS: dict[str, tuple[str, Callable[[], Model]]] = {
    "plain": ("legal: every key and tensor of a Llama", Model),
    "plain_qwen2": ("legal: every key and tensor of a Qwen2", lambda: Model("qwen2")),
    "head_of_its_own": ("legal: transformers runs a Llama whose heads x head size is not the hidden size",
                        lambda: Model(head=16)),
    "head_of_its_own_qwen2": ("legal: transformers runs such a Qwen2 too", lambda: Model("qwen2", head=16)),
    "no_number_of_tokens": ("legal: the rows of the embeddings say it", lambda: Model(without=("vocab_size",))),
    "trailing_bytes": ("open: the format does not say that a file ends with its last tensor",
                       lambda: Model(behind=b"rest" * 8)),
    "unknown_key": ("open: a key of the architecture that nobody defines", lambda: Model(keys={"made.up": 7})),
    "flag": ("legal: a truth value, stored as 1", lambda: Model(keys={"tokenizer.ggml.add_bos_token": b"\1"})),
    "flag_of_two": ("broken: a truth value that is stored as 2; all but 0 and 1 is invalid",
                    lambda: Model(keys={"tokenizer.ggml.add_bos_token": b"\2"})),
    "two_scales": ("open: two keys scale the positions, by 4.5 and by 2",
                   lambda: Model(keys={"rope.scaling.factor": 4.5, "rope.scale_linear": 2.0})),
    "yarn": ("legal: positions scaled by YaRN",
             lambda: Model(keys={"rope.scaling.type": "yarn", "rope.scaling.factor": 4.5})),
    "inner_size_differs": ("broken: the metadata gives the layer another inner size than its tensors have",
                           lambda: Model(keys={"feed_forward_length": INNER * 2})),
    "inner_size_differs_in_a_list": ("broken: the same, where the metadata lists the size of each layer",
                                     lambda: Model(keys={"feed_forward_length": [INNER * 2]})),
    "inner_size_as_list": ("legal: an inner size for each layer", lambda: Model(keys={"feed_forward_length": [INNER]})),
    "second_part_missing": ("broken: the first of two files, without the second",
                            lambda: Model(keys={"split.no": 0, "split.count": 2, "split.tensors.count": 24})),
}


def written(name: str, folder: Path) -> Path:
    """The file in a folder. The first of several parts has its number in its name."""
    path = folder / f"{name}{'-00001-of-00002' if name == 'second_part_missing' else ''}.gguf"
    path.write_bytes(MODELS[name][1]().content())
    return path


def main() -> None:
    """Read the command line; list, write, or run the files."""
    asked = command_line("Tiny GGUF models, each with one thing about it.", MODELS)
    names = [asked.name] if asked.name else list(MODELS)
    if asked.list:
        print(*(f"{name}: {MODELS[name][0]}" for name in names), sep="\n")
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.write or Path(scratch)
        os.makedirs(folder, exist_ok=True)
        paths = [written(name, folder) for name in names]
        if not asked.program:
            return
        more = {"format": "gguf", "inference": {"head": {"logits": {}}}}
        for name, said in zip(names, answers(shlex.split(asked.program), paths, asked.device, Path(scratch), more)):
            print(f"{name} ({MODELS[name][0]})\n  {said}")


if __name__ == "__main__":
    main()
