"""Writes tiny safetensors files, each with one thing about it, and gives them to a loader's adapter program.

Each file has at most a few tensors. `legal` or `broken` is what the definition of the format says of it, with the
rule; `other type` is a legal file that a loader need not hold. A line for each says what the program did: loaded, with
its table of tensors, or refused, with class, phase and code. A `!` marks a broken file that was loaded, and a legal
one that was not. Needs Python 3.11 alone; the program needs what it needs.

    python3 tiny_files.py --list
    python3 tiny_files.py --write FOLDER                  # every file, under its name
    python3 tiny_files.py PROGRAM                         # every file, given to the program
    python3 tiny_files.py PROGRAM NAME --device cuda:0    # one of them, onto a device
"""

import argparse
import json
import os
import shlex
import struct
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ANSWERS_WITHIN_S = 120
LEGAL, BROKEN, TYPE = "legal", "broken", "other type"
ONE = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
DATA = struct.pack("<f", 1.0)


@dataclass(frozen=True)
class File:
    """One file: its header and its data, what the definition says of it, and by which rule."""

    status: str
    rule: str
    header: str | bytes
    data: bytes = DATA
    length: int | None = None

    def content(self) -> bytes:
        """The file's bytes; the length is the header's own where no other is given."""
        header = self.header if isinstance(self.header, bytes) else self.header.encode("utf-8", "surrogatepass")
        return struct.pack("<Q", len(header) if self.length is None else self.length) + header + self.data


def entry(dtype: str, shape: list[Any], begin: Any, end: Any) -> str:
    """One tensor's entry."""
    return json.dumps({"dtype": dtype, "shape": shape, "data_offsets": [begin, end]})


def tensors(**entries: str) -> str:
    """A header of these entries, in this order."""
    return "{" + ",".join(f'"{name}":{text}' for name, text in entries.items()) + "}"


PLAIN = tensors(a=ONE)
OBJECT = "an entry is a map of dtype, shape and data_offsets"
INTEGERS = "shape and data_offsets are lists of whole numbers"
STRINGS = "__metadata__ is a map of strings to strings"
UNIQUE = "duplicate keys are disallowed"
BEGIN, PADDED = "the header begins with {", "the header may be padded at its end with 0x20"
COVERED = "the data is covered by the tensors, without holes and overlaps"
SIZE = "a range has as many bytes as dtype and shape say"
FILES = {
    "plain": File(LEGAL, "one tensor", PLAIN),
    "padded": File(LEGAL, PADDED, PLAIN + "   "),
    "no_tensors": File(LEGAL, "no rule asks for a tensor", "{}", b""),
    "scalar": File(LEGAL, "a shape may be empty", tensors(a=entry("F32", [], 0, 4))),
    "no_elements": File(LEGAL, "a dimension may be 0", tensors(a=entry("F32", [0], 0, 0)), b""),
    "no_elements_after_its_neighbour": File(
        LEGAL, "entries may be in any order", tensors(a=entry("F32", [2], 0, 8), b=entry("F32", [0], 0, 0)), 2 * DATA),
    "entries_in_another_order": File(
        LEGAL, "entries may be in any order", tensors(b=entry("F32", [1], 4, 8), a=ONE), 2 * DATA),
    "odd_start": File(
        TYPE, "data may begin anywhere", tensors(u=entry("U8", [1], 0, 1), a=entry("F32", [1], 1, 5)), b"\1" + DATA),
    "f64": File(TYPE, "F64 is a type of the format", tensors(a=entry("F64", [1], 0, 8)), 2 * DATA),
    "f4": File(TYPE, "two elements of F4 fill a byte", tensors(a=entry("F4", [4], 0, 2)), b"\x12\x34"),
    "f4_of_whole_bytes": File(BROKEN, SIZE, tensors(a=entry("F4", [4], 0, 4))),
    "f8_e4m3fnuz": File(TYPE, "a type of the format", tensors(a=entry("F8_E4M3FNUZ", [4], 0, 4))),
    "metadata_of_another_framework": File(
        LEGAL, "the value of a key is free", '{"__metadata__":{"format":"np"},"a":' + ONE + "}"),
    "name_twice": File(BROKEN, UNIQUE, f'{{"a":{ONE},"a":{ONE}}}'),
    "name_twice_other_range": File(BROKEN, UNIQUE, f'{{"a":{entry("F32", [1], 4, 8)},"a":{ONE}}}'),
    "field_twice": File(BROKEN, UNIQUE, '{"a":{"dtype":"I64","dtype":"F32","shape":[1],"data_offsets":[0,4]}}'),
    "unknown_field": File(BROKEN, OBJECT, f'{{"a":{ONE[:-1]},"x":1}}}}'),
    "entry_is_an_array": File(BROKEN, OBJECT, '{"a":["F32",[1],[0,4]]}'),
    "dtype_is_a_map": File(BROKEN, OBJECT, '{"a":{"dtype":{"F32":null},"shape":[1],"data_offsets":[0,4]}}'),
    "unknown_dtype": File(BROKEN, "dtype is one of the list", tensors(a=entry("Q9", [1], 0, 4))),
    "offsets_with_a_fraction": File(BROKEN, INTEGERS, tensors(a=entry("F32", [1], 0.0, 4.0))),
    "offsets_true_and_false": File(BROKEN, INTEGERS, tensors(a=entry("U8", [1], False, True)), b"\1"),
    "three_offsets": File(BROKEN, INTEGERS, '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,9]}}'),
    "negative_dimensions": File(BROKEN, INTEGERS, tensors(a=entry("F32", [-1, -1], 0, 4))),
    "shape_with_a_fraction": File(BROKEN, INTEGERS, tensors(a=entry("F32", [1.0], 0, 4))),
    "metadata_null": File(BROKEN, STRINGS, f'{{"__metadata__":null,"a":{ONE}}}'),
    "metadata_number": File(BROKEN, STRINGS, f'{{"__metadata__":{{"k":1}},"a":{ONE}}}'),
    "metadata_list": File(BROKEN, STRINGS, f'{{"__metadata__":[],"a":{ONE}}}'),
    "metadata_key_twice": File(BROKEN, UNIQUE, f'{{"__metadata__":{{"k":"1","k":"2"}},"a":{ONE}}}'),
    "not_a_number_in_the_header": File(BROKEN, "the header is JSON", f'{{"__metadata__":{{"k":NaN}},"a":{ONE}}}'),
    "lone_surrogate": File(BROKEN, "a string of the header has a form in UTF-8", f'{{"\\ud800":{ONE}}}'),
    "not_utf8": File(BROKEN, "the header is UTF-8", b'{"\xff":' + ONE.encode() + b"}"),
    "leading_space": File(BROKEN, BEGIN, " " + PLAIN),
    "trailing_newline": File(BROKEN, PADDED, PLAIN + "\n"),
    "hole_in_front": File(BROKEN, COVERED, tensors(a=entry("F32", [1], 4, 8)), 2 * DATA),
    "hole_between": File(BROKEN, COVERED, tensors(a=ONE, b=entry("F32", [1], 8, 12)), 3 * DATA),
    "overlap": File(BROKEN, COVERED, tensors(a=entry("F32", [2], 0, 8), b=entry("F32", [1], 4, 8)), 2 * DATA),
    "byte_behind": File(BROKEN, COVERED, PLAIN, DATA + b"\0"),
    "byte_missing": File(BROKEN, COVERED, PLAIN, DATA[:-1]),
    "byte_missing_of_the_last_by_range": File(
        BROKEN, COVERED, tensors(b=entry("F32", [1], 4, 8), a=ONE), (2 * DATA)[:-1]),
    "range_too_long": File(BROKEN, SIZE, tensors(a=entry("F32", [1], 0, 8)), 2 * DATA),
    "range_too_short": File(BROKEN, SIZE, tensors(a=entry("F32", [2], 0, 4))),
    "range_too_short_before_another": File(
        BROKEN, SIZE, tensors(a=entry("F32", [2], 0, 4), b=entry("F32", [1], 4, 8)), 2 * DATA),
    "offsets_reversed": File(BROKEN, SIZE, tensors(a=entry("F32", [1], 4, 0))),
    "header_longer_than_the_file": File(BROKEN, "the header lies in the file", "{}", b"", length=1000),
    "length_of_seven_bytes": File(BROKEN, "the length has eight bytes", b"", b""),
}


def written(name: str, folder: Path) -> Path:
    """The file in a folder."""
    content = FILES[name].content()
    path = folder / f"{name}.safetensors"
    path.write_bytes(content[:7] if name == "length_of_seven_bytes" else content)
    return path


def answers(program: list[str], paths: list[Path], device: str, scratch: Path,
            more: dict[str, Any] | None = None) -> list[str]:
    """What the program did with each file, in one line each. Where it stops to answer, it is started again.

    `more` are further fields of each load.
    """
    said: list[str] = []
    while len(said) < len(paths):
        asked = [{"hello": {"protocol": 2, "nonce": "tiny", "scratch": str(scratch)}}]
        fields = {"device": device, "admit": False} | (more or {})
        asked += [{"load": {"path": str(path)} | fields} for path in paths[len(said):]]
        lines = "".join(json.dumps({"id": at, "request": one}) + "\n" for at, one in enumerate(asked))
        try:
            run = subprocess.run(program, input=lines.encode(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                 timeout=ANSWERS_WITHIN_S, check=False)
            given, end = run.stdout, f"ended without an answer, status {run.returncode}"
        except subprocess.TimeoutExpired as error:
            given, end = error.stdout or b"", f"no answer in {ANSWERS_WITHIN_S} s"
        said += [told(json.loads(line)) for line in given.splitlines()[1:]]
        if len(said) < len(paths):
            said.append(end)
    return said


def told(answer: dict[str, Any]) -> str:
    """One answer to a load, in one line."""
    if failure := answer.get("failure"):
        return f"{failure['class']}/{failure['phase']}/{failure['code']}: {failure['message'].splitlines()[0][:160]}"
    reply = answer["reply"]["load"]
    table = ", ".join(f"{one['name']!r} {one['dtype']}{one['shape']}" for one in reply["tensors"])
    return f"loaded on {reply['device']}: {table or 'no tensors'}"


def command_line(description: str, known: Iterable[str]) -> argparse.Namespace:
    """What is asked for: files to list, to write, or to give to an adapter."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("program", nargs="?", help="the adapter's command, split as a shell would")
    parser.add_argument("name", nargs="?", choices=known, metavar="NAME", help="one file; all without it")
    parser.add_argument("--device", default="cpu", help="where to load them (cpu)")
    parser.add_argument("--list", action="store_true", help="print the names, and what is said of them")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the files")
    asked = parser.parse_args()
    if not (asked.list or asked.write or asked.program):
        parser.error("PROGRAM is missing")
    return asked


def main() -> None:
    """Read the command line; list, write, or run the files."""
    asked = command_line("Tiny safetensors files, each with one thing about it.", FILES)
    names = [asked.name] if asked.name else list(FILES)
    if asked.list:
        print(*(f"{name}: {FILES[name].status}, {FILES[name].rule}" for name in names), sep="\n")
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.write or Path(scratch)
        os.makedirs(folder, exist_ok=True)
        paths = [written(name, folder) for name in names]
        if not asked.program:
            return
        for name, said in zip(names, answers(shlex.split(asked.program), paths, asked.device, Path(scratch))):
            file = FILES[name]
            wrong = file.status == (BROKEN if said.startswith("loaded") else LEGAL)
            print(f"{name} ({file.status}: {file.rule}){' !' if wrong else ''}\n  {said}")


if __name__ == "__main__":
    main()
