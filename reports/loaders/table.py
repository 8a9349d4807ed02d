"""The table of who holds which class, from reports that `weighbridge verify` agrees with.

A row is a report, a column a class. A cell has the version of the class that is earned, or how many requirements are
refuted, and how much of the policy beside it holds. A class that a loader does not claim stays empty. A list below the
table names what is refuted, and leads to the findings. A report may be compressed by xz. Needs Python 3.11 alone.

    python3 table.py *.json *.xz                       # print the table
    python3 table.py *.json *.xz --into README.md      # put it between the two marks in this file
    python3 table.py *.json *.xz --into README.md --check    # change nothing; exit with 1 if the file has another table
    python3 table.py report.json --pack                # write report.json.xz in its place
"""

import argparse
import json
import lzma
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MARKS = "<!-- the table of classes: begin -->", "<!-- the table of classes: end -->"
# Where a loader's findings have another name than the loader.
FINDINGS = {"safetensors-torch": "safetensors", "runai-model-streamer": "runai_streamer", "llama.cpp": "llama_cpp",
            "transformers-f32": "transformers"}
Report = dict[str, Any]


def bytes_of(path: Path) -> bytes:
    """What the report's file holds, unpacked."""
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


def pack(path: Path) -> None:
    """Put a report's compressed form in its place: a tenth of the size."""
    path.with_name(f"{path.name}.xz").write_bytes(lzma.compress(path.read_bytes(), preset=9 | lzma.PRESET_EXTREME))
    path.unlink()


def verified(path: Path, judge: str) -> Report:
    """The report, after every number in it was derived again."""
    content = bytes_of(path)
    with tempfile.NamedTemporaryFile(suffix=".json") as unpacked:
        unpacked.write(content)
        unpacked.flush()
        check = subprocess.run([judge, "verify", unpacked.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, check=False)
    if check.returncode != 0:
        raise SystemExit(f"{path} does not agree with itself:\n{check.stdout}")
    report = json.loads(content)
    if "classes" not in report["judgement"]:
        raise SystemExit(f"{path} names no classes: weigh the loader again with a newer program")
    return report


def cell(one: dict[str, Any]) -> str:
    """What a report says of one class."""
    # A class that this run could not weigh, because it is of another device, has no undecided requirements.
    if one["outcome"] == "not_claimed" or one["outcome"] == "untested" and not one.get("open"):
        return ""
    said = {"earned": one["version"], "missed": f"{len(one['short'])} short"}.get(one["outcome"], "untested")
    policy = one.get("policy")
    # A class may have no policy beside it.
    counts = policy and policy["requirements"] > 0
    return f"{said}; policy {policy['held']} of {policy['requirements']}" if counts else said


def device(report: Report) -> str:
    """Where the loader was weighed: the host, or the card's name."""
    part = report["record"]["parts"][0]
    return "host" if part["device"] == "cpu" else part["machine"]["gpu"] or part["device"]


def written_up(loader: str) -> str:
    """The loader, with a link to what was found in it."""
    page = f"{FINDINGS.get(loader, loader)}.md"
    return f"[{loader}](../findings/{page})" if (Path(__file__).parent.parent / "findings" / page).exists() else loader


def row(path: Path, report: Report, names: list[str]) -> list[str]:
    """The cells of one report; the loader's name leads to its Markdown where that lies beside it."""
    subject, page = report["record"]["subject"], path.with_name(path.name.removesuffix(".xz")).with_suffix(".md")
    name = f"[{subject['loader']}]({page.name})" if page.exists() else subject["loader"]
    classes = {one["name"]: cell(one) for one in report["judgement"]["classes"]}
    started = report["record"]["parts"][0]["started"][:10]
    return [name, subject["loader_version"], device(report), started, *(classes.get(one, "") for one in names)]


def table(reports: dict[Path, Report]) -> str:
    """The table and the list, as Markdown; the classes stand in the suite's order, without those that nobody claims."""
    declared = [one["name"] for report in reports.values() for one in report["record"]["classes"]["classes"]]
    claimed = {one["name"] for report in reports.values() for one in report["judgement"]["classes"] if cell(one)}
    names = [name for name in dict.fromkeys(declared) if name in claimed]
    head = ["loader", "version", "on", "weighed", *names]
    rows = sorted(row(path, report, names) for path, report in reports.items())
    lines = [f"| {' | '.join(line)} |\n" for line in [head, ["---"] * len(head), *rows]]
    missed = [f"- {written_up(report['record']['subject']['loader'])} on {device(report)}, {one['name']}: "
              f"{', '.join(one['short'])}\n"
              for report in reports.values() for one in report["judgement"]["classes"] if one["outcome"] == "missed"]
    return "".join(lines) + ("\nRefuted:\n\n" + "".join(sorted(missed)) if missed else "")


def main() -> None:
    """Read the command line; print the table, put it into a file, or compare it with the file's."""
    parser = argparse.ArgumentParser(description="The table of who holds which class.")
    parser.add_argument("reports", nargs="+", type=Path, help="report.json or report.json.xz files")
    parser.add_argument("--judge", default="weighbridge", help="the program that verifies them (weighbridge)")
    parser.add_argument("--into", type=Path, metavar="FILE", help="the file with the two marks")
    parser.add_argument("--check", action="store_true", help="only compare")
    parser.add_argument("--pack", action="store_true", help="compress the reports by xz, and make no table")
    asked = parser.parse_args()
    if asked.pack:
        for path in asked.reports:
            pack(path)
        return
    made = table({path: verified(path, asked.judge) for path in asked.reports})
    if asked.into is None:
        print(made, end="")
        return
    text = asked.into.read_text()
    if any(text.count(mark) != 1 for mark in MARKS):
        raise SystemExit(f"{asked.into} must have these two lines once: {' and '.join(MARKS)}")
    before, after = text.split(MARKS[0])[0], text.split(MARKS[1])[1]
    whole = f"{before}{MARKS[0]}\n{made}{MARKS[1]}{after}"
    if asked.check:
        sys.exit("the table is another one: run this without --check" if whole != text else 0)
    asked.into.write_text(whole)


if __name__ == "__main__":
    main()
