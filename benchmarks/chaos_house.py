"""The service under chaos: what `labelloop up` starts, on a home and a database of its own; and who of it is killed.

Victims are the processes that the supervisor names (API, workers, Redis), the processes that a trainer spawned, and the
backends of PostgreSQL, where that is the database.
"""

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil

START_SECONDS = 90.0
ROOT = Path(__file__).parents[1]


class House:
    """A running service and its processes."""

    def __init__(self, home: Path, database_url: str | None, postgres: Path | None) -> None:
        self.home, self._database_url, self._postgres = home, database_url, postgres
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def database(self) -> str:
        """The database URL in force."""
        return self._database_url or f"sqlite:///{self.home / 'labelloop.db'}"

    def start(self) -> None:
        """Start everything and wait until it answers."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("LABELLOOP_")}
        env |= {"LABELLOOP_HOME": str(self.home), "LABELLOOP_PORT": "0", "LABELLOOP_LOG_LEVEL": "warning"}
        if self._database_url:
            env["LABELLOOP_DATABASE_URL"] = self._database_url
        with self.log.open("ab") as log:
            argv = [sys.executable, "-m", "labelloop.cli", "up"]
            self._process = subprocess.Popen(argv, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while b"labelloop is up at" not in self.log.read_bytes():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the service did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)

    @property
    def log(self) -> Path:
        """What all its processes write."""
        return self.home / "service.log"

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        parts = urlsplit(self._state()["url"])
        return str(parts.hostname), int(parts.port or 0)

    def admin(self) -> httpx.Client:
        """A connection with the owner's key."""
        key = json.loads((self.home / "keys.json").read_text())["admin"]
        host, port = self.address
        return httpx.Client(base_url=f"http://{host}:{port}", headers={"Authorization": f"Bearer {key}"}, timeout=30)

    def admin_key(self) -> str:
        """The owner's key."""
        return str(json.loads((self.home / "keys.json").read_text())["admin"])

    def kinds(self) -> list[str]:
        """Kinds of victims."""
        return [
            "api",
            "api-spare",
            "redis",
            "steward",
            "sampler",
            "trainer",
            *(["postgresql"] if self._postgres else []),
        ]

    def kill(self, kind: str, rng: random.Random) -> bool:
        """Kill -9 one process of this kind. False when none runs."""
        pids = self._backends() if kind == "postgresql" else self._pids(kind)
        if not pids:
            return False
        with suppress(ProcessLookupError):
            os.kill(rng.choice(pids), signal.SIGKILL)
            return True
        return False

    def alive(self) -> bool:
        """Whether the supervisor, which nobody kills, is there."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End everything."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _state(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            return dict(json.loads((self.home / "service.json").read_text()))
        return {}

    def _pids(self, kind: str) -> list[int]:
        known = self._state().get("processes", {})
        if kind.startswith("api"):
            return self._apis([known.get("api"), known.get("api-spare")], serving=kind == "api")
        pid = known.get(kind)
        if pid is None or not psutil.pid_exists(pid):
            return []
        pids = [pid]
        if kind == "trainer":
            with suppress(psutil.Error):
                pids += [child.pid for child in psutil.Process(pid).children()]
        return pids

    def _apis(self, pids: list[int | None], *, serving: bool) -> list[int]:
        """The API process that serves, or those that stand by."""
        with suppress(OSError, ValueError):
            leader = int((self.home / "api.lock").read_text())
            return [pid for pid in pids if pid is not None and psutil.pid_exists(pid) and (pid == leader) is serving]
        return []

    def _backends(self) -> list[int]:
        """Processes that serve a connection: killing one makes the postmaster start all of them afresh."""
        found = []
        with suppress(psutil.Error, OSError, ValueError):
            postmaster = int((self._postgres / "data" / "postmaster.pid").read_text().split()[0])  # type: ignore[operator]
            for child in psutil.Process(postmaster).children():
                with suppress(psutil.Error):
                    if " [local] " in " ".join(child.cmdline()):
                        found.append(child.pid)
        return found


@contextmanager
def service(home: Path, database: str) -> Iterator[House]:
    """A service on SQLite in its home, or on a PostgreSQL of its own; all of it is gone at the end."""
    if database == "sqlite":
        with _running(House(home, None, None)) as house:
            yield house
        return
    postgres = _postgres()
    with (
        postgres.server() as socket,
        postgres.database(socket) as url,
        _running(House(home, url, Path(socket))) as house,
    ):
        yield house


@contextmanager
def _running(house: House) -> Iterator[House]:
    try:
        house.start()
        yield house
    finally:
        house.stop()


def _postgres() -> ModuleType:
    """How the tests start a real PostgreSQL."""
    spec = importlib.util.spec_from_file_location("postgres", ROOT / "tests" / "postgres.py")
    if spec is None or spec.loader is None:
        raise SystemExit("tests/postgres.py is needed to start PostgreSQL; run from a checkout")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
