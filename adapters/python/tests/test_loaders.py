"""What is used to weigh the loaders of others: the table of classes, and the tiny files."""

import contextlib
import importlib.util
import io
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from tests.conversation import FOLDER

REPORTS = FOLDER.parent.parent / "reports"


def script(name):
    """A script of the reports, as a module."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, REPORTS / name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def new_folder(test):
    """A folder for the files of one test."""
    folder = tempfile.TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    return Path(folder.name)


class Table(unittest.TestCase):
    CLASSES = [
        {"name": "weights-gpu", "version": "1.0", "outcome": "earned", "short": [],
         "policy": {"requirements": 9, "held": 3}},
        {"name": "sealed", "version": "1.0", "outcome": "missed", "short": ["SEAL-001", "SEAL-002"]},
        {"name": "chat", "version": "1.0", "outcome": "untested", "short": [], "open": [{"requirement": "F-QUAL-066"}]},
        {"name": "weights-host", "version": "1.0", "outcome": "untested", "short": []},
        {"name": "gguf", "version": "1.0", "outcome": "not_claimed", "short": []},
    ]
    MADE = ("| loader | version | on | weighed | weights-gpu | chat | sealed |\n"
            "| --- | --- | --- | --- | --- | --- | --- |\n"
            "| small | 2.0 | Card | 2026-01-02 | 1.0; policy 3 of 9 | untested | 2 short |\n"
            "\nRefuted:\n\n- small on Card, sealed: SEAL-001, SEAL-002\n")

    def setUp(self):
        self.folder = new_folder(self)
        order = ["weights-host", "weights-gpu", "gguf", "chat", "sealed"]
        part = {"device": "cuda:0", "machine": {"gpu": "Card"}, "started": "2026-01-02T03:04:05Z"}
        self.report = self.folder / "small.json"
        self.report.write_text(json.dumps({
            "record": {"subject": {"loader": "small", "loader_version": "2.0"}, "parts": [part],
                       "classes": {"classes": [{"name": name} for name in order]}},
            "judgement": {"classes": self.CLASSES}}))

    def run_with(self, *options, judge="true"):
        said = io.StringIO()
        words = ["table.py", str(self.report), "--judge", judge, *map(str, options)]
        with mock.patch.object(sys, "argv", words), contextlib.redirect_stdout(said):
            script("loaders/table.py").main()
        return said.getvalue()

    def test_shows_what_is_earned_missed_and_undecided(self):
        self.assertEqual(self.run_with(), self.MADE)

    def test_what_is_refuted_leads_to_the_findings(self):
        named = script("loaders/table.py").written_up
        self.assertEqual(named("safetensors-torch"), "[safetensors-torch](../findings/safetensors.md)")
        self.assertEqual(named("candle"), "[candle](../findings/candle.md)")
        self.assertEqual(named("small"), "small")

    def test_a_report_that_does_not_agree_with_itself_makes_no_table(self):
        with self.assertRaisesRegex(SystemExit, "does not agree"):
            self.run_with(judge="false")

    def test_a_packed_report_is_read_like_another(self):
        plain = self.report.read_bytes()
        self.run_with("--pack")
        self.assertFalse(self.report.exists())
        self.report = self.folder / "small.json.xz"
        self.assertEqual(self.run_with(), self.MADE)
        self.assertEqual(script("loaders/table.py").bytes_of(self.report), plain)

    def test_is_put_between_the_marks_and_compared_with_what_is_there(self):
        page = self.folder / "page.md"
        marks = script("loaders/table.py").MARKS
        page.write_text(f"before\n{marks[0]}\nold\n{marks[1]}\nafter\n")
        with self.assertRaisesRegex(SystemExit, "another"):
            self.run_with("--into", page, "--check")
        self.run_with("--into", page)
        self.assertEqual(page.read_text(), f"before\n{marks[0]}\n{self.MADE}{marks[1]}\nafter\n")
        with self.assertRaises(SystemExit) as ended:
            self.run_with("--into", page, "--check")
        self.assertEqual(ended.exception.code, 0)


class TinyFiles(unittest.TestCase):
    def setUp(self):
        self.tiny = script("findings/tiny_files.py")
        self.folder = new_folder(self)
        environment = mock.patch.dict(os.environ, {"PYTHONPATH": str(FOLDER)})
        environment.start()
        self.addCleanup(environment.stop)

    def answers(self, program, names):
        paths = [self.tiny.written(name, self.folder) for name in names]
        return dict(zip(names, self.tiny.answers(program, paths, "cpu", self.folder)))

    def test_a_strict_loader_takes_the_legal_ones_alone(self):
        said = self.answers([sys.executable, str(FOLDER / "loader.py")], list(self.tiny.FILES))
        for name, file in self.tiny.FILES.items():
            expected = "loaded on cpu" if file.status == self.tiny.LEGAL else "refused/header"
            self.assertTrue(said[name].startswith(expected), f"{name}: {said[name]}")

    def test_a_program_that_ends_is_started_again_for_the_next_file(self):
        program = ("import sys, json\n"
                   "for line in sys.stdin:\n"
                   "    asked = json.loads(line)\n"
                   "    if 'name_twice' in line: sys.exit(3)\n"
                   "    reply = {'load': {'device': 'cpu', 'tensors': []}}\n"
                   "    print(json.dumps({'id': asked['id'], 'reply': reply}), flush=True)\n")
        said = self.answers([sys.executable, "-c", program], ["plain", "name_twice", "padded"])
        self.assertEqual(said["name_twice"], "ended without an answer, status 3")
        self.assertEqual((said["plain"], said["padded"]), ("loaded on cpu: no tensors",) * 2)
