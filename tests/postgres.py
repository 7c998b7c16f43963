"""A real PostgreSQL for tests: a new cluster in a temporary folder, on a socket of its own, gone afterwards."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from pathlib import Path

import psycopg
import pytest

USER = "labelloop"


def binaries() -> Path | None:
    """The folder of `postgres` and `initdb`: on PATH, or where Debian keeps the newest."""
    found = shutil.which("postgres")
    if found and shutil.which("initdb"):
        return Path(found).resolve().parent
    places = [Path(one) for one in glob("/usr/lib/postgresql/*/bin") if Path(one, "initdb").exists()]  # noqa: PTH207
    return max(places, key=lambda place: int(place.parent.name), default=None)


class Server:
    """A cluster in a folder of its own; it can be killed and started again."""

    def __init__(self, place: Path, *options: str, **environment: str) -> None:
        self._place = place
        self._options = options
        self._environment = environment
        # Its own short folder: the path of a unix socket may have 107 bytes only.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._owner: dict[str, object] = {}
        self.process: subprocess.Popen | None = None

    def initialise(self) -> None:
        """Make the cluster."""
        self._owner = _unprivileged(self.folder)
        options = ["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-instructions"]
        subprocess.run(
            [self._place / "initdb", "--pgdata", self.folder / "data", *options],
            check=True,
            capture_output=True,
            cwd=self.folder,
            **self._owner,
        )

    def start(self) -> None:
        """Start it and wait until it answers; after a kill it is tried until the last backend is gone."""
        end = time.monotonic() + 60
        arguments = ["-D", self.folder / "data", "-k", self.folder, *self._options]
        while True:
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    [self._place / "postgres", *arguments],
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    env={**os.environ, **self._environment, "CLUSTER": str(self.folder)},
                    **self._owner,
                )
            if self._comes_up(end):
                return
            if time.monotonic() > end:
                pytest.fail(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)

    def _comes_up(self, end: float) -> bool:
        while self.process.poll() is None and time.monotonic() < end:
            if self.answers():
                return True
            time.sleep(0.1)
        return False

    def answers(self) -> bool:
        """Whether it takes connections now."""
        try:
            psycopg.connect(host=str(self.folder), user=USER, dbname="postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """Kill -9 of the postmaster; its backends find out and end."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it without waiting for clients, and remove what it held."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def running(*options: str, **environment: str) -> Iterator[Server]:
    """A started cluster; skip where there is no PostgreSQL, but fail in CI."""
    place = binaries()
    if place is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed; CI must test on it")
        pytest.skip("PostgreSQL is not installed")
    server = Server(place, *(options or ("-c", "listen_addresses=")), **environment)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def server() -> Iterator[str]:
    """Start a cluster and give the folder of its socket."""
    with running() as started:
        yield str(started.folder)


@contextmanager
def database(socket: str) -> Iterator[str]:
    """A fresh database of a running server, by its SQLAlchemy URL."""
    name = f"test_{os.getpid()}_{time.monotonic_ns()}"
    with _admin(socket) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    try:
        yield f"postgresql+psycopg://{USER}@/{name}?host={socket}"
    finally:
        with _admin(socket) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _admin(socket: str) -> psycopg.Connection:
    return psycopg.connect(host=socket, user=USER, dbname="postgres", autocommit=True)


def _unprivileged(folder: Path) -> dict[str, object]:
    """PostgreSQL refuses to run as root: then another user gets the folder and runs it."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(folder, user.pw_uid, user.pw_gid)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL cannot run as root, and there is no other user")
