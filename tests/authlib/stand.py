"""A running Portico with its simulators, started by the harness that the web tests have (tests/web/stand.js)."""

import json
import pathlib
import subprocess

STAND = pathlib.Path(__file__).parent.parent / "web" / "stand.js"


class Stand:
    """Runs from ``start`` to ``stop``; ``facts`` says where everything is."""

    def start(self):
        self._process = subprocess.Popen(["node", str(STAND)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise RuntimeError("the stand did not start; what it said is above")
        self.facts = json.loads(line)

    def stop(self):
        self._process.stdin.close()
        self._process.stdout.close()
        if self._process.wait(timeout=60) != 0:
            raise RuntimeError("the stand did not end well; what it said is above")
