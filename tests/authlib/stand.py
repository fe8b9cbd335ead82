"""A running Portico with its simulators, started by the harness that the web tests have (tests/web/stand.js)."""

import json
import pathlib
import subprocess

import requests

STAND = pathlib.Path(__file__).parent.parent / "web" / "stand.js"


class Stand:
    """Runs from ``start`` to ``stop``; ``facts`` says where everything is. ``options`` are the script's."""

    def __init__(self, *options):
        self._command = ["node", str(STAND), *options]

    def start(self):
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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


def fetch(url):
    """The JSON that stands at ``url``."""
    response = requests.get(url, timeout=30)
    response.raise_for_status()
    return response.json()
