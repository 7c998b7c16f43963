"""The simulated annotators of a demo, each a process of its own that works over HTTP."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from labelloop.client import Client
from labelloop.demo.oracle import Habits
from labelloop.supervisor import keyring, leash


class People:
    """Starts them, starts again one that was killed, and sends them home."""

    def __init__(self, people: Mapping[str, Habits], *, project: str, url: str, home: Path, seed: int) -> None:
        self._people = people
        self._project, self._url, self._home, self._seed = project, url, home, seed
        self._keys: dict[str, str] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.restarts = 0

    def start(self, client: Client, truth: Mapping[str, str]) -> None:
        """Give each a key of its own and the truth, and let them begin."""
        keyring.write_private(self._truth, dict(truth))
        for name in self._people:
            self._keys[name] = client.create_key(name, "annotator", project=self._project)
        for name in self._people:
            self._begin(name)

    def tend(self) -> int:
        """Start again whoever died before the work was done. Returns how many are at work."""
        for name in self._people:
            process = self._running.get(name)
            if process is not None and process.poll() not in (None, 0):
                self.restarts += 1
                self._begin(name)
        return sum(process.poll() is None for process in self._running.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                leash.kill(process)

    @property
    def _truth(self) -> Path:
        return self._home / "truth.json"

    def _begin(self, name: str) -> None:
        argv = [sys.executable, "-m", "labelloop_workers.oracle", "--project", self._project]
        argv += ["--truth", str(self._truth), "--name", name, "--seed", str(self._seed + self.restarts)]
        for habit, value in asdict(self._people[name]).items():
            argv += [f"--{habit}", str(value)]
        env = os.environ | {"LABELLOOP_URL": self._url, "LABELLOOP_KEY": self._keys[name]}
        with (self._home / "annotators.log").open("ab") as log:
            self._running[name] = leash.spawn(argv, env, log=log)
