"""The protocol of a loader that uses the package, tested through pipes as the judge does."""

import json
import re
import unittest

from tests.conversation import FOLDER, Conversation

LOADER = """
import os, sys
from weighbridge_adapter import CAPABILITIES, Loader, Refused, serve

class Small(Loader):
    name, version = "small", "1.2.3"
    capabilities = {name: name in ("device.cpu", "format.safetensors", "stat", "generate", "logits")
                    or "not in this one" for name in CAPABILITIES}
    def prepare(self):
        print("prepared")
    def load(self, path, device, admit, **options):
        print("a library prints")
        os.write(1, b"and writes\\n")
        assert sys.stdin.read() == ""
        if path == "refuse":
            raise Refused("header", "overlap", "two share bytes", expected=4, actual=2, remedy="none", tensor="w",
                          requested_bytes=None)
        if path == "break":
            raise KeyError("lost")
        if path == "misname":
            raise Refused("header", "no_such_code", "?")
        if path == "mistype":
            raise Refused("header", "unknown_dtype", "?", dtype="F99")
        if path == "fill":
            raise MemoryError
        if path == "surrogate":
            return {"name": chr(0xd800)}
        if path == "nan":
            return {"handle": float("nan")}
        return {"handle": self.hold(options), "device": device, "options": options}
    def stat(self):
        return {"models": len(self.models), "host_bytes": 0, "device_bytes": 0}
    def generate(self, handle, prompt, limit, sampling, into=None):
        return {"prompt": prompt["tokens"], "temperature": sampling["temperature"], "into": into}
"""
SERVED = LOADER + "serve(Small())"
LOAD = {"path": "x", "device": "cpu", "admit": False}
INVALID = ("refused", "request", "invalid_request")
UNSERVED = ("unsupported", "request", "unsupported_capability")


class Hello(unittest.TestCase):
    def hello(self, program):
        with Conversation(program) as loader:
            return loader.ask("hello", protocol=2, nonce="5d0c", scratch="/tmp")

    def test_names_every_capability_with_its_reason(self):
        reply = self.hello(SERVED)["reply"]["hello"]
        self.assertEqual((reply["protocol"], reply["nonce"], reply["name"], reply["version"]),
                         (2, "5d0c", "small", "1.2.3"))
        self.assertEqual(reply["capabilities"]["stat"], {"supported": True})
        self.assertEqual(reply["capabilities"]["digest"], {"supported": False, "reason": "not in this one"})
        self.assertEqual(len(reply["capabilities"]), 46)

    def test_a_verb_that_is_not_implemented_declares_itself(self):
        program = LOADER + "Small.capabilities = {n: y for n, y in Small.capabilities.items() if n != 'read'}\n"
        reply = self.hello(program + "serve(Small())")["reply"]["hello"]
        self.assertEqual(reply["capabilities"]["read"], {"supported": False, "reason": "read is not implemented"})

    def test_a_wrong_list_is_the_adapters_error_and_named(self):
        for change in ("Small.capabilities['digets'] = True", "Small.capabilities['export'] = True"):
            failure = self.hello(f"{LOADER}{change}\nserve(Small())")["failure"]
            self.assertEqual((failure["class"], failure["code"]), ("internal", "internal"), change)
            self.assertRegex(failure["message"], "digets|export")

    def test_a_capability_that_is_left_out_is_not_claimed_and_not_served(self):
        program = f"{LOADER}del Small.capabilities['device.cpu'], Small.capabilities['stat']\nserve(Small())"
        self.assertNotIn("device.cpu", self.hello(program)["reply"]["hello"]["capabilities"])
        with Conversation(program) as loader:
            self.assertEqual(loader.refused("load", path="/x", device="cpu", admit=False), UNSERVED)

    def test_another_protocol_is_refused(self):
        with Conversation(SERVED) as loader:
            self.assertEqual(loader.refused("hello", protocol=1, nonce="", scratch=""), INVALID)
            failure = loader.ask("hello", protocol=1, nonce="", scratch="")["failure"]
            self.assertEqual((failure["expected"], failure["actual"]), ("2", "1"))
            self.assertIn("speaks protocol 2, and the judge speaks 1: `embed` is now `forward`", failure["message"])
            self.assertIn("What changed", failure["remedy"])


class Requests(unittest.TestCase):
    def setUp(self):
        self.loader = Conversation(SERVED).__enter__()
        self.addCleanup(self.loader.__exit__)

    def test_what_is_not_the_contracts_is_refused(self):
        bad = [("levitate", {}), ("load", {**LOAD, "verify": "twice"}), ("load", {"path": "x", "device": "cpu"}),
               ("load", {**LOAD, "admit": 0}), ("load", {**LOAD, "path": None}), ("load", {**LOAD, "device": "tpu"}),
               ("load", {**LOAD, "device": "cuda:-1"}), ("load", {**LOAD, "device": "cuda:4294967296"}),
               ("load", {**LOAD, "keep": "f16"}), ("load", {**LOAD, "seal": {"path": "x"}}),
               ("load", {**LOAD, "inference": {"head": {"embedding": {"pooling": "mean"}}}}), ("unload", {"handle": "first"}),
               ("load", {**LOAD, "inference": {"head": {"pooling": "logits", "normalize": False}}}),
               ("load", {**LOAD, "inference": {"head": {"logits": {}, "token_states": {"normalize": True}}}}),
               ("load", {**LOAD, "inference": {"head": {"logits": {"normalize": True}}}}),
               ("unload", {"handle": True}), ("unload", {"handle": -1}), ("unload", {"handle": 2**64}),
               ("unload", {"handle": 1.0}), ("stat", {"handle": 1}),
               ("generate", {"handle": 1, "prompt": {}, "limit": 1,
                             "sampling": {"temperature": 0, "top_p": 1, "seed": 1}}),
               ("generate", {"handle": 1, "prompt": {"tokens": [1, 2**32]}, "limit": 1,
                             "sampling": {"temperature": 0, "top_p": 1, "seed": 1}})]
        for verb, fields in bad:
            self.assertEqual(self.loader.refused(verb, **fields), INVALID, (verb, fields))

    def test_lines_that_are_no_question_are_answered(self):
        for line, identity in [("", 0), ("{", 0), ("[]", 0), ('{"id":7}', 7), ('{"id":8,"request":[]}', 8),
                               ('{"id":9,"request":{"stat":{},"bye":{}}}', 9), ("[" * 100_000, 0),
                               ('{"id":3,"request":{"stat":{},"stat":{}}}', 0), ('{"id":-1,"request":{"stat":{}}}', 0),
                               ('{"id":4,"request":{"stat":[]}}', 4), ('{"id":5,"request":{"stat":{}},"more":1}', 5)]:
            answer = self.loader.say(line)
            self.assertEqual((answer["id"], answer["failure"]["code"]), (identity, "invalid_request"), line[:50])
        self.assertIn("reply", self.loader.ask("stat"))

    def test_what_is_not_declared_is_not_asked_of_the_loader(self):
        for fields in ({"device": "cuda"}, {"format": "gguf"}, {"keep": "f32"}, {"admit": True},
                       {"expect_sha256": "0" * 64}, {"seal": {"path": "x", "sha256": "0"}}):
            self.assertEqual(self.loader.refused("load", **{**LOAD, **fields}), UNSERVED, fields)
        self.assertEqual(self.loader.refused("read", handle=1, into="x"), UNSERVED)
        chat = {"chat": [{"role": "user", "content": "hello"}]}
        sampling = {"temperature": 0, "top_p": 1, "seed": 1}
        self.assertEqual(self.loader.refused("generate", handle=1, prompt=chat, limit=1, sampling=sampling), UNSERVED)

    def test_options_left_out_stay_out_and_objects_are_whole(self):
        self.assertEqual(self.loader.ask("load", **LOAD, seal=None)["reply"]["load"]["options"], {})
        inference = {"head": {"logits": {}}}
        options = self.loader.ask("load", **LOAD, inference=inference)["reply"]["load"]["options"]
        self.assertEqual(options["inference"], {
            "config": None, "tokenizer": None, "template": None, "generation": None,
            "head": {"embedding": None, "token_states": None, "logits": {}}})
        reply = self.loader.ask("generate", handle=1, prompt={"tokens": [1]}, limit=1, into=None,
                                sampling={"temperature": 0, "top_p": 1, "seed": 1})["reply"]["generate"]
        self.assertEqual(reply, {"prompt": [1], "temperature": 0.0, "into": None})

    def test_handles(self):
        first, second = (self.loader.ask("load", **LOAD)["reply"]["load"]["handle"] for _ in range(2))
        self.assertNotEqual(first, second)
        self.assertEqual(self.loader.ask("unload", handle=first), {"id": 3, "reply": {"unload": {}}})
        self.assertEqual(self.loader.refused("unload", handle=first), ("refused", "request", "unknown_handle"))
        self.assertEqual(self.loader.ask("stat")["reply"]["stat"]["models"], 1)

    def test_a_refusal_carries_what_it_was_given(self):
        failure = self.loader.ask("load", **{**LOAD, "path": "refuse"})["failure"]
        self.assertEqual(failure, {
            "class": "refused", "phase": "header", "code": "overlap", "effects": "none", "device": "ok",
            "message": "two share bytes", "expected": "4", "actual": "2", "remedy": "none", "tensor": "w"})

    def test_any_other_exception_is_an_internal_failure(self):
        for path, code in [("break", "internal"), ("misname", "internal"), ("mistype", "internal"),
                           ("nan", "internal"), ("surrogate", "internal"), ("fill", "out_of_host_memory")]:
            failure = self.loader.ask("load", **{**LOAD, "path": path})["failure"]
            self.assertEqual((failure["code"], failure["effects"]), (code, "unknown"), path)
            self.assertTrue(failure["message"] and failure["remedy"])

    def test_prepares_once_and_not_for_the_hello(self):
        self.loader.ask("hello", protocol=2, nonce="", scratch="")
        self.assertEqual(self.loader.refused("load", **{**LOAD, "device": "cuda"}), UNSERVED)
        self.assertNotIn("prepared", self.loader.end()[2])
        with Conversation(SERVED) as other:
            other.ask("stat")
            other.ask("stat")
            self.assertEqual(other.end()[2].count("prepared"), 1)

    def test_a_divided_load_needs_a_capability_of_its_own(self):
        grid = {"tp": 2, "pp": 1, "ranks": [{"rank": 0, "device": "cpu"}]}
        self.assertEqual(self.loader.refused("load", **{**LOAD, "parallel": grid}), UNSERVED)
        for wrong in [{**grid, "pp": -1}, {"tp": 2, "ranks": []}, {**grid, "ranks": [{"rank": 0}]}, {**grid, "ep": 2}]:
            self.assertEqual(self.loader.refused("load", **{**LOAD, "parallel": wrong}), INVALID, wrong)

    def test_what_libraries_print_goes_to_standard_error(self):
        self.assertIn("reply", self.loader.ask("load", **LOAD))
        status, output, errors = self.loader.end()
        self.assertEqual((status, output), (0, ""))
        self.assertIn("a library prints", errors)
        self.assertIn("and writes", errors)


class Closed(unittest.TestCase):
    """The package's lists equal the contract's; in a checkout they can be compared."""

    def setUp(self):
        self.sources = FOLDER.parent.parent / "src" / "contract"
        if not self.sources.is_dir():
            self.skipTest("not in a checkout: the contract's sources are not there")
        program = ("from weighbridge_adapter import contract as c, _ANSWERS, VERBS; import json, typing\n"
                   "_ANSWERS.write(json.dumps([sorted(c.CAPABILITIES), sorted(c.CODES), typing.get_args(c.Phase),"
                   "typing.get_args(c.Class), sorted({'hello', 'bye', *VERBS})]).encode() + b'\\n'); _ANSWERS.flush()\n")
        with Conversation(program) as child:
            self.capabilities, self.codes, self.phases, self.classes, self.verbs = json.loads(child.child.stdout.readline())

    def variants(self, name):
        """The variants of an enum in failure.rs, as the wire spells them."""
        text = (self.sources / "failure.rs").read_text()
        body = text[text.index(f"pub enum {name} {{"):].split("\n}")[0]
        return [re.sub(r"(?<=.)(?=[A-Z])", "_", word).lower() for word in re.findall(r"^    (\w+),", body, re.M)]

    def test_capabilities(self):
        text = (self.sources / "capability.rs").read_text()
        self.assertEqual(self.capabilities, sorted(re.findall(r'rename = "([^"]+)"', text)))

    def test_codes_phases_and_classes(self):
        self.assertEqual(self.codes, sorted(word.replace("utf_8", "utf8") for word in self.variants("Code")))
        self.assertEqual(self.phases, self.variants("Phase"))
        self.assertEqual(self.classes, self.variants("Class"))

    def test_verbs(self):
        text = (self.sources / "request.rs").read_text()
        self.assertEqual(self.verbs, sorted(re.findall(r'Request::\w+\(_\) => "(\w+)"', text)))


if __name__ == "__main__":
    unittest.main()
