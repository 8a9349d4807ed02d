#!/usr/bin/env python3
"""Differential search: random checkpoints that look published, judged by transformers against a loader.

    python3 tests/differential/search.py --loader 'target/release/weighbridge loader' --count 500
    python3 tests/differential/search.py --each                 # every change alone, on every family it fits
    python3 tests/differential/search.py --only rope --seed 7   # changes whose name has this text

Each checkpoint is a tiny model of one family with some changes: how `config.json` spells a fact, how tensors are
named and stored, a tokenizer, a chat template, generation settings. transformers and the loader get the same folder.
Their states (logits, or token states of an encoder), greedy tokens and prompts are compared. One of these comes out:

    agree      the loader gives what transformers gives
    refused    the loader refuses with a code; `unnamed` where the failure names no key of the change
    alone      transformers has no answer, the loader has; it says whether that is the meant model
    meant      the loader gives what the file means where transformers reads over it
    DISAGREE   both answer, differently
    CRASH      the loader's process ended or hung

With `--judge` the suite weighs the same loader on the folder (`certify --model`, cases PUBLISHED-REAL): `JUDGE WRONG`
where it refutes an answer or a refusal that is right, `JUDGE BLIND` where it passes a wrong answer, `JUDGE BROKEN`
where it ends in an error of its own.

What does not agree is tried again with fewer changes, until none can be left out. Needs torch, transformers,
safetensors and tokenizers. Prints a table, writes JSON with `--out`, keeps the folders of failures with `--keep`.
"""
from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import pathlib
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import typing
import zlib

import torch

import chats
import generation
import layouts
import peers
import templates
from models import CONFIGS, DECODERS, POSITIONS, VOCABULARY, draft
from spellings import CHANGES, Change

assert generation and templates  # They are here for the changes that they add.

TOLERANCE = 2e-4
# Below this, two logits are as good as equal, and either is the most likely.
TIE = 1e-3
# Changes that transformers reads over in some families, and whose meaning is certain.
READ_OVER = "per layer type"
FAILURES = ("CRASH", "DISAGREE", "JUDGE WRONG", "JUDGE BLIND", "JUDGE BROKEN")


@dataclasses.dataclass
class Outcome:
    verdict: str
    code: str = ""
    detail: str = ""

    def same(self, other: "Outcome") -> bool:
        # Whether a key is named depends on the changes that are left.
        return (self.verdict.split()[0], self.code) == (other.verdict.split()[0], other.code)


def difference(a: torch.Tensor, b: torch.Tensor, mask: torch.Tensor) -> float:
    """The largest difference where the mask is set, as a share of the largest value."""
    if a.shape != b.shape:
        return float("inf")
    kept = mask.bool()
    off = (a[kept] - b[kept]).abs().max() / b[kept].abs().max().clamp(min=1.0)
    return float("inf") if torch.isnan(off) else float(off)


def check(kind: str, changes: list[Change], seed: int, loader: peers.Loader, folder: pathlib.Path, suite: str | None) -> Outcome:
    """One checkpoint, made in `folder` and judged."""
    torch.manual_seed(seed)
    made = draft(kind, torch.Generator().manual_seed(seed))
    chats.give(made)
    for change in changes:
        change.apply(made, random.Random(seed ^ zlib.crc32(change.name.encode())))
    keys = [key.lower() for change in changes for key in change.keys]
    weights = layouts.write(folder / "published", made)
    layouts.write_meant(folder / "meant", made)
    outcome = weigh(kind, keys, seed, loader, folder, weights)
    if outcome.verdict == "DISAGREE" and " off the meant model" in outcome.detail:
        if any(READ_OVER in change.name for change in changes) and not any("no layer_types" in change.name for change in changes):
            near = float(outcome.detail.split(", ")[-1].split()[0])
            outcome.verdict = "meant" if near <= TOLERANCE else outcome.verdict
    return outcome if suite is None else judged(suite, outcome, folder)


def judged(suite: str, outcome: Outcome, folder: pathlib.Path) -> Outcome:
    """What the suite says of the same loader on this folder, where that does not go with the outcome."""
    prefix = folder / "report"
    command = [*shlex.split(suite), "certify", "--profile", "host", "--model", str(folder / "published"), "--case",
               "PUBLISHED-REAL", "--jobs", "1", "--seed", "1", "--quiet", "--no-progress", "--out", str(prefix)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
        cases = json.loads(prefix.with_suffix(".json").read_text())["record"]["cases"]
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
        said = str(error)[:200] if isinstance(error, subprocess.TimeoutExpired) else ended.stderr[-300:]
        return Outcome("JUDGE BROKEN", outcome.verdict, said)
    by = collections.defaultdict(list)
    for case in cases:
        by[case["verdict"]].append(f"{case['id']}: {case.get('reason')}")
    told = "; ".join(f"{verdict} {'; '.join(those)}" for verdict, those in by.items() if verdict not in ("pass", "untested"))
    if any(verdict not in ("pass", "fail", "untested") for verdict in by):
        return Outcome("JUDGE BROKEN", outcome.verdict, told[:400])
    if by["fail"] and outcome.verdict not in ("DISAGREE", "CRASH", "alone"):
        return Outcome("JUDGE WRONG", outcome.verdict, told[:400])
    if by["pass"] and not by["fail"] and outcome.verdict == "DISAGREE" and outcome.code in ("states", "texts"):
        return Outcome("JUDGE BLIND", outcome.code, outcome.detail)
    outcome.detail += f" | the suite: {len(by['pass'])} passed, {len(by['fail'])} failed, {len(by['untested'])} untested"
    return outcome


def weigh(kind: str, keys: list[str], seed: int, loader: peers.Loader, folder: pathlib.Path, weights: str) -> Outcome:
    padding = {"roberta": 1}.get(kind, 0)
    ids, mask = peers.batch(seed, VOCABULARY, padding)
    model = meant = None
    try:
        model = peers.transformers_model(folder / "published", kind)
        states = peers.transformers_states(model, ids, mask)
        why = ""
    except peers.Truth as error:
        states, why = None, str(error)
    try:
        meant = peers.transformers_states(peers.transformers_model(folder / "meant", kind), ids, mask)
    except peers.Truth as error:
        meant_why = str(error)
    try:
        handle = loader.load(folder / "published", weights, kind, chat=True)["handle"]
        try:
            got = loader.states(handle, ids, mask)
            if states is None:
                near = "unknown: " + meant_why if meant is None else f"{difference(got, meant, mask):.2g} off the meant model"
                return Outcome("alone", detail=f"transformers {why}; the loader is {near}")
            off = difference(got, states, mask)
            if off > TOLERANCE:
                sure = "" if meant is None else f", {difference(got, meant, mask):.2g} off the meant model"
                return Outcome("DISAGREE", "states", f"{off:.2g} off transformers{sure}")
            return language(kind, model, ids, loader, handle, folder) if kind in DECODERS else text(model, loader, handle, folder)
        finally:
            loader.unload(handle)
    except peers.Refusal as refusal:
        failure = refusal.failure
        said = " ".join(str(failure.get(name) or "") for name in ("message", "expected", "actual", "tensor", "path", "remedy"))
        named = "" if not keys or any(key in said.lower() for key in keys) else " unnamed"
        sound = "" if states is not None else f" (transformers {why})"
        return Outcome("refused" + named, failure.get("code", "?"), said[:300] + sound)
    except peers.Lost as lost:
        return Outcome("CRASH", "", str(lost))


def language(kind: str, model: typing.Any, ids: torch.Tensor, loader: peers.Loader, handle: int, folder: pathlib.Path) -> Outcome:
    """Greedy tokens behind ids, and the prompts of conversations."""
    prompt = ids[0].tolist()
    got = loader.generate(handle, {"tokens": prompt})["tokens"]
    try:
        tokens, leads = peers.transformers_greedy(model, prompt)
    except peers.Truth as error:
        return Outcome("alone", "tokens", f"transformers {error}")
    differs = next((at for at in range(max(len(tokens), len(got))) if tokens[at:at + 1] != got[at:at + 1]), None)
    if differs is not None and (differs >= len(leads) or leads[differs] > TIE):
        return Outcome("DISAGREE", "tokens", f"transformers {tokens}, the loader {got}")
    import tokenizers
    shown = tokenizers.Tokenizer.from_file(str(folder / "published" / "tokenizer.json"))
    refused, alone = None, None
    for turns in chats.TURNS:
        try:
            rendered, wanted = peers.transformers_chat(folder / "published", turns)
        except peers.Truth as error:
            rendered, wanted, why = "", None, str(error)
        try:
            given = loader.generate(handle, {"chat": turns}, limit=1)["prompt"]
        except peers.Refusal as refusal:
            failure = refusal.failure
            if failure.get("code") == "input_too_long" or wanted is not None and len(wanted) >= POSITIONS:
                continue
            if wanted is not None:
                refused = refused or Outcome("refused", failure["code"], f"{failure.get('message')}: {failure.get('actual')}"[:300])
            continue
        if wanted is None:
            alone = alone or Outcome("alone", "prompt", f"transformers {why}; the loader {shown.decode(given, skip_special_tokens=False)!r}"[:400])
        elif given != wanted:
            said = shown.decode(given, skip_special_tokens=False)
            return Outcome("DISAGREE", "prompt", f"transformers {rendered!r}, the loader {said!r}, ids {wanted[:6]} {given[:6]}"[:700])
    return refused or alone or Outcome("agree")


def text(model: typing.Any, loader: peers.Loader, handle: int, folder: pathlib.Path) -> Outcome:
    """Token states of texts."""
    try:
        given = peers.transformers_texts(folder / "published", chats.TEXTS)
        wanted = peers.transformers_states(model, given["input_ids"], given["attention_mask"])
    except peers.Truth as error:
        return Outcome("alone", "texts", f"transformers {error}")
    got = loader.texts(handle, chats.TEXTS)
    off = difference(got, wanted, given["attention_mask"])
    return Outcome("agree") if off <= TOLERANCE else Outcome("DISAGREE", "texts", f"{off:.2g} off transformers, shapes {tuple(got.shape)} {tuple(wanted.shape)}")


class Search:
    def __init__(self, loader: peers.Loader, keep: pathlib.Path | None, suite: str | None) -> None:
        self.loader, self.keep, self.suite = loader, keep, suite
        self.rows: list[dict[str, typing.Any]] = []

    def tried(self, kind: str, changes: list[Change], seed: int, keep: str = "") -> Outcome | None:
        """The outcome, or nothing where the changes do not go together."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="checkpoint-"))
        try:
            outcome = check(kind, changes, seed, self.loader, folder, self.suite)
            if keep and self.keep:
                target = self.keep / keep
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(folder, target, symlinks=True)
            return outcome
        except (KeyError, AttributeError, RuntimeError, TypeError, ValueError) as error:
            return Outcome("not made", type(error).__name__, str(error)[:200])
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def shrunk(self, kind: str, changes: list[Change], seed: int, outcome: Outcome) -> list[Change]:
        """The fewest of these changes, in their order, with the same outcome."""
        at = 0
        while at < len(changes) and len(changes) > 1:
            fewer = changes[:at] + changes[at + 1:]
            if self.tried(kind, fewer, seed).same(outcome):
                changes = fewer
            else:
                at += 1
        return changes

    def one(self, kind: str, changes: list[Change], seed: int) -> None:
        outcome = self.tried(kind, changes, seed)
        least = changes
        if outcome.verdict != "agree":
            least = self.shrunk(kind, changes, seed, outcome)
            keep = f"{len(self.rows):04}-{kind}" if outcome.verdict in FAILURES else ""
            outcome = self.tried(kind, least, seed, keep)
        self.rows.append({"family": kind, "seed": seed, "changes": [one.name for one in changes],
                          "least": [one.name for one in least], **dataclasses.asdict(outcome)})
        if outcome.verdict in (*FAILURES, "not made"):
            print(f"{outcome.verdict} {kind} seed {seed}: {' + '.join(one.name for one in least) or 'plain'}: "
                  f"{outcome.code} {outcome.detail}", flush=True)


def chosen(kind: str, rng: random.Random, changes: list[Change]) -> list[Change]:
    """Some changes that fit the family and do not exclude each other."""
    fitting = [one for one in changes if kind in one.families]
    # First by group: a group of many changes is not to drown the others.
    groups = collections.defaultdict(list)
    for one in fitting:
        groups[one.group or one.name].append(one)
    picked = rng.sample(sorted(groups), min(len(groups), rng.choice([1, 2, 2, 3, 3, 4, 5])))
    return sorted((rng.choice(groups[group]) for group in picked), key=CHANGES.index)


def table(rows: list[dict[str, typing.Any]]) -> None:
    """Outcomes by the fewest changes that give them."""
    sums = collections.Counter(row["verdict"] for row in rows)
    found = collections.defaultdict(list)
    for row in rows:
        if row["verdict"] != "agree":
            found[row["verdict"], row["code"], " + ".join(row["least"]) or "plain"].append(row)
    order = [*FAILURES, "meant", "alone", "refused unnamed", "refused", "not made"]
    for (verdict, code, name), those in sorted(found.items(), key=lambda item: (order.index(item[0][0]), item[0])):
        families = ",".join(sorted({row["family"] for row in those}))
        print(f"{verdict:15} {code:20} {name} [{families}] x{len(those)}\n{'':16}{those[0]['detail'][:260]}")
    print(f"\n{len(rows)} checkpoints: " + ", ".join(f"{sums[verdict]} {verdict}" for verdict in ["agree", *order] if sums[verdict]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loader", default="target/release/weighbridge loader", help="the program and its arguments")
    parser.add_argument("--judge", help="weigh with this program's suite too, such as target/release/weighbridge")
    parser.add_argument("--count", type=int, default=200, help="random checkpoints")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", action="store_true", help="every change alone, in place of random ones")
    parser.add_argument("--only", action="append", default=[], help="only changes whose name has this text; repeatable")
    parser.add_argument("--family", action="append", choices=sorted(CONFIGS), help="only this family; repeatable")
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file of all outcomes")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for the checkpoints that fail")
    parser.add_argument("--quiet", action="store_true", help="no table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    families = arguments.family or sorted(CONFIGS)
    changes = [one for one in CHANGES if not arguments.only or any(text in one.name for text in arguments.only)]
    loader = peers.Loader(shlex.split(arguments.loader))
    search, begun = Search(loader, arguments.keep, arguments.judge), time.monotonic()
    try:
        if arguments.each:
            for kind in families:
                for one in [[], *([change] for change in changes if kind in change.families)]:
                    search.one(kind, one, arguments.seed)
        else:
            for index in range(arguments.count):
                rng = random.Random(f"{arguments.seed}/{index}")
                kind = rng.choice(families)
                search.one(kind, chosen(kind, rng, changes), rng.randrange(1 << 31))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    finally:
        loader.close()
        if not arguments.quiet:
            table(search.rows)
        print(f"{time.monotonic() - begun:.0f} s")
        if arguments.out:
            arguments.out.write_text(json.dumps(search.rows, indent=1, ensure_ascii=False) + "\n")
    return int(any(row["verdict"] in FAILURES for row in search.rows))


if __name__ == "__main__":
    sys.exit(main())
