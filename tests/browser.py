# SPDX-License-Identifier: Apache-2.0
"""A user of the console in a real browser (peers/console_user.js)."""

import json
import subprocess

import plant


class User:
    """console_user.js: each method is one of its steps."""

    def __init__(self, port, folder):
        self.errors = open(folder / "user.log", "wb")
        self.child = subprocess.Popen(
            ["node", plant.ROOT / "tests" / "peers" / "console_user.js", f"http://127.0.0.1:{port}", folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True)  # fmt: skip

    def __getattr__(self, step):
        def call(*more):
            self.child.stdin.write(json.dumps([step, *more]) + "\n")
            self.child.stdin.flush()
            line = self.child.stdout.readline()
            assert line, "the browser ended; see user.log"
            answer = json.loads(line)
            assert "error" not in answer, answer.get("error")
            return answer["value"]

        return call

    def end(self):
        self.child.stdin.close()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()
        self.errors.close()
