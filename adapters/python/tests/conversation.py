"""A loader as a process, and a conversation with it: the same as the judge does, without a verdict."""

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent


class Conversation:
    """Starts a program, or the text of one, with the package on its path. Ends it on exit."""

    def __init__(self, program):
        words = [str(program)] if isinstance(program, Path) else ["-c", program]
        self.child = subprocess.Popen([sys.executable, "-B", *words], cwd=FOLDER, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.last = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.communicate()

    def say(self, line):
        """Sends a line unchanged; returns the answer."""
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    def ask(self, verb, **fields):
        """Sends a request; returns the whole answer, which must have the request's id."""
        self.last += 1
        answer = self.say(json.dumps({"id": self.last, "request": {verb: fields}}))
        assert answer["id"] == self.last, answer
        return answer

    def refused(self, verb, **fields):
        """Sends a request that must be refused; returns class, phase and code."""
        failure = self.ask(verb, **fields)["failure"]
        return failure["class"], failure["phase"], failure["code"]

    def end(self):
        """Sends `bye`; returns the exit status and the contents of standard output and standard error."""
        self.ask("bye")
        output, errors = self.child.communicate(timeout=10)
        return self.child.returncode, output, errors
