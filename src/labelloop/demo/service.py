"""The service of a demo: a fresh home, the supervisor in a process of its own, and its end."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from labelloop.client import Client
from labelloop.disk import home as home_folder
from labelloop.domain.errors import Conflict, Unavailable
from labelloop.settings import Settings
from labelloop.supervisor import keyring, leash

MARK = ".labelloop-demo-home"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
OWN = ("LABELLOOP_DATABASE_URL", "LABELLOOP_REDIS_URL", "LABELLOOP_SECRET", "LABELLOOP_URL", "LABELLOOP_KEY")
"""Variables that would lead the demo out of its own home."""


class Service:
    """A running service on a fresh home."""

    def __init__(self, home: Path, port: int, *, extra: Mapping[str, str] | None = None) -> None:
        self.home = home.absolute()
        self._extra = extra or {}
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.keys = keyring.OwnKeys(admin="", annotator="")

    def __enter__(self) -> Self:
        """Empty the home, start, and wait until it answers.

        Raises:
            Conflict: a service runs on this home, or the folder is not a demo's.
            Invalid: the home folder cannot be made or written.
            Unavailable: it does not come up; names its log.
        """
        _empty(self.home)
        env = {name: value for name, value in os.environ.items() if name not in OWN}
        env |= {"LABELLOOP_HOME": str(self.home), "LABELLOOP_PORT": str(self._port), **self._extra}
        argv = [sys.executable, "-m", "labelloop.cli", "up"]
        with self.log.open("ab") as log:
            self._process = leash.spawn(argv, env, log=log)
        self._wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        """Where the processes write."""
        return self.home / "service.log"

    @property
    def settings(self) -> Settings:
        """Settings that open this home's store."""
        return Settings().model_copy(
            update={"home": self.home, "database_url": None, "redis_url": None, "secret": None}
        )

    def client(self) -> Client:
        """A client with the administrator's key, patient while processes restart."""
        return Client(self.url, self.keys.admin, timeout=20.0, patience=60.0)

    def alive(self) -> bool:
        """Whether the supervisor runs."""
        return self._process is not None and self._process.poll() is None

    def wait(self) -> None:
        """Until it ends, or Ctrl-C."""
        if self._process is not None:
            with suppress(KeyboardInterrupt):
                self._process.wait()

    def stop(self) -> None:
        """Stop it in order; after a while, at once."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            leash.kill(self._process)
        self._process = None

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.alive():
            with suppress(OSError, ValueError):
                self.url = json.loads((self.home / "service.json").read_text(encoding="utf-8"))["url"]
            keys = keyring.read(self.home)
            if self.url and keys is not None:
                self.keys = keys
                with self.client() as client:
                    if client.ready():
                        return
            time.sleep(0.1)
        self.stop()
        tail = "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
        raise Unavailable(f"The service did not come up. The end of {self.log}:\n{tail}")


def _empty(home: Path) -> None:
    """A fresh folder; only one that a demo made before is emptied."""
    if home.is_dir() and any(home.iterdir()):
        if not (home / MARK).exists():
            raise Conflict(f"{home} is not the home of a demo, so it is not emptied. Give another with --home.")
        _not_running(home)
        shutil.rmtree(home)
    home_folder.make_writable(home, choice="Set --home")
    (home / MARK).touch()


def _not_running(home: Path) -> None:
    with suppress(FileNotFoundError), (home / "service.lock").open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict(
                f"A demo runs on {home} already. Stop it first, or give another folder with --home."
            ) from None
