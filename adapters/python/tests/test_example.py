"""The example loader with requests like the judge's, and the CUDA module on a machine without CUDA."""

import hashlib
import tempfile
import unittest
from pathlib import Path

from tests.conversation import FOLDER, Conversation
from weighbridge_adapter import Refused, cuda
from weighbridge_adapter.safetensors import parse, write


class Example(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = str(self.folder / "model")
        self.told = write(self.path, [("b", "F16", [3], b"ababab"), ("a", "F32", [1, 1], b"wxyz")], {"k": "v"})
        self.loader = Conversation(FOLDER / "loader.py").__enter__()
        self.addCleanup(self.loader.__exit__)

    def test_loads_reads_back_and_lets_go(self):
        loaded = self.loader.ask("load", path=self.path, device="cpu", admit=False)["reply"]["load"]
        self.assertEqual((loaded["sha256"], loaded["metadata"], loaded["held_bytes"]),
                         (self.told["sha256"], {"k": "v"}, 10))
        into = self.folder / "into"
        told = self.loader.ask("read", handle=loaded["handle"], into=str(into))["reply"]["read"]
        data = into.read_bytes()
        self.assertEqual(told, {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
        header = parse(data)
        found = {tensor.name: data[header.start:][tensor.begin:tensor.end] for tensor in header.tensors}
        self.assertEqual(found, {"b": b"ababab", "a": b"wxyz"})
        self.assertEqual(self.loader.ask("stat")["reply"]["stat"],
                         {"models": 1, "host_bytes": 10, "device_bytes": 0})
        self.loader.ask("unload", handle=loaded["handle"])
        self.assertEqual(self.loader.ask("stat")["reply"]["stat"],
                         {"models": 0, "host_bytes": 0, "device_bytes": 0})
        self.assertEqual(self.loader.end()[:2], (0, ""))

    def test_refuses_other_bytes_than_were_asked_for(self):
        fields = {"path": self.path, "device": "cpu", "admit": False}
        self.assertEqual(self.loader.refused("load", **fields, expect_sha256="0" * 64),
                         ("refused", "verify", "checksum_mismatch"))
        self.assertIn("reply", self.loader.ask("load", **fields, expect_sha256=self.told["sha256"]))

    def test_refuses_a_damaged_file(self):
        Path(self.path).write_bytes(Path(self.path).read_bytes()[:-1])
        self.assertEqual(self.loader.refused("load", path=self.path, device="cpu", admit=False),
                         ("refused", "header", "truncated"))


class Cuda(unittest.TestCase):
    def test_words_are_the_drivers(self):
        self.assertRegex(cuda.driver_words(), "libcuda|CUDA_ERROR|CUDA_SUCCESS")

    def test_memory_that_is_not_the_devices_is_refused(self):
        if "libcuda" in cuda.driver_words():
            self.skipTest("no CUDA driver")
        with self.assertRaises(Refused):
            cuda.export([("w", 4096, 8)])
