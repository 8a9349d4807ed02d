"""The header parser against files with one fault each, and the writer against the parser."""

import json
import os
import tempfile
import unittest

from weighbridge_adapter import Refused
from weighbridge_adapter.safetensors import parse, read_file, write

SOUND = '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'


def file(header, data=8):
    text = header.encode() if isinstance(header, str) else header
    return len(text).to_bytes(8, "little") + text + bytes(data)


def entry(**change):
    return json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **change}})


def two(first, second):
    return json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": first},
                       "b": {"dtype": "F32", "shape": [1], "data_offsets": second}})


FAULTS = {
    "too_short": [b"", b"1234567"],
    "header_too_large": [(100_000_001).to_bytes(8, "little")],
    "header_truncated": [(9).to_bytes(8, "little") + b"{}"],
    "header_not_utf8": [file(b'{"\xff":{}}')],
    "header_not_json": [file("{"), file('{"a":NaN}'), file("{'a':1}"), file('{"\\ud800":{}}'), file("{}{}"),
                        file('{"a":' + "[" * 100_000)],
    "header_padding": [file(" " + SOUND), file(SOUND + "\n"), file("[]"), file("")],
    "duplicate_key": [file('{"a":1,"\\u0061":1}'), file('{"a":{"dtype":"F32","dtype":"F32"}}')],
    "unknown_field": [file(entry(strides=[1]))],
    "missing_field": [file('{"a":{"dtype":"F32","shape":[2]}}'), file('{"a":{}}', 0)],
    "invalid_field": [file('{"a":null}', 0), file(entry(shape=[-2])), file(entry(shape=[2.0])), file(entry(dtype=3)),
                      file(entry(shape=[True, 2])), file(entry(data_offsets=[0, 8, 8])), file(entry(shape=[2**64]))],
    "unknown_dtype": [file(entry(dtype="f32")), file(entry(dtype="F33"))],
    "unsupported_dtype": [file(entry(dtype="I32"))],
    "invalid_metadata": [file('{"__metadata__":null}', 0), file('{"__metadata__":{"a":1}}', 0)],
    "offsets_reversed": [file(entry(data_offsets=[8, 0]))],
    "size_overflow": [file(entry(shape=[2**63, 2**63]))],
    "size_mismatch": [file(entry(shape=[3]))],
    "overlap": [file(two([0, 4], [0, 4])), file(two([0, 4], [3, 7]), 7)],
    "gap": [file(two([0, 4], [5, 9]), 9), file(entry(data_offsets=[4, 12]), 12)],
    "trailing_bytes": [file(SOUND, 9)],
    "truncated": [file(SOUND, 7)],
    "git_lfs_pointer": [b"version https://git-lfs.github.com/spec/v1\n"],
    "html_page": [b"<!DOCTYPE html>"],
    "pickle": [b"PK\x03\x04" + bytes(20)],
    "gguf": [b"GGUF" + bytes(20)],
}


class Parser(unittest.TestCase):
    def test_one_fault_each(self):
        for code, files in FAULTS.items():
            for data in files:
                with self.subTest(code=code, data=data[:80]), self.assertRaises(Refused) as caught:
                    parse(data)
                failure = caught.exception.failure
                self.assertEqual(failure["code"], code, failure)
                self.assertTrue(failure["expected"] and failure["actual"] and failure["remedy"], failure)

    def test_a_sound_file(self):
        header = parse(file('{"__metadata__":{"k":"v"},"b":{"dtype":"F16","shape":[],"data_offsets":[8,10]},'
                            '"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},'
                            '"none":{"dtype":"I64","shape":[0,18446744073709551615],"data_offsets":[8,8]}}  ', 10))
        self.assertEqual(header.metadata, {"k": "v"})
        self.assertEqual({tensor.name: tuple(tensor)[1:] for tensor in header.tensors}, {
            "b": ("F16", [], 8, 10), "a": ("F32", [2, 1], 0, 8), "none": ("I64", [0, 2**64 - 1], 8, 8)})

    def test_types_that_the_caller_holds(self):
        self.assertEqual(parse(file(entry(dtype="I32")), held=["I32"]).tensors[0].dtype, "I32")
        with self.assertRaises(Refused) as caught:
            parse(file(SOUND), held=["I32"])
        self.assertEqual((caught.exception.failure["dtype"], caught.exception.failure["tensor"]), ("F32", "a"))


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "file")

    def test_what_is_written_is_parsed(self):
        told = write(self.path, [("w", "F32", [1, 2], b"01234567"), ("none", "BF16", [0], b"")], {"k": "v"})
        data = read_file(self.path)
        header = parse(data)
        self.assertEqual(told["bytes"], len(data))
        self.assertEqual(header.start % 8, 0)
        self.assertEqual(header.metadata, {"k": "v"})
        self.assertEqual([tuple(tensor) for tensor in header.tensors],
                         [("w", "F32", [1, 2], 0, 8), ("none", "BF16", [0], 8, 8)])
        self.assertEqual(data[header.start:], b"01234567")

    def test_what_is_no_file_is_refused_at_once(self):
        os.mkfifo(self.path)
        for path, code in [(self.path, "not_a_file"), (os.path.dirname(self.path), "not_a_file"),
                           (self.path + "s", "not_found"), (self.path + "/x", "not_found")]:
            with self.assertRaises(Refused) as caught:
                read_file(path)
            self.assertEqual(caught.exception.failure["code"], code)

    def test_a_place_that_cannot_be_written_to(self):
        with self.assertRaises(Refused) as caught:
            write("/dev/full", [("w", "U8", [1 << 20], bytes(1 << 20))])
        self.assertEqual(caught.exception.failure["code"], "out_of_disk")
