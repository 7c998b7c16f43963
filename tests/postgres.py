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


@contextmanager
def server() -> Iterator[str]:
    """Start a cluster and give the folder of its socket; skip where there is no PostgreSQL, but fail in CI."""
    place = binaries()
    if place is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed; CI must test on it")
        pytest.skip("PostgreSQL is not installed")
    # Its own short folder: the path of a unix socket may have 107 bytes only.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    process = None
    try:
        owner = _unprivileged(folder)
        options = ["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-instructions"]
        subprocess.run(
            [place / "initdb", "--pgdata", folder / "data", *options],
            check=True,
            capture_output=True,
            cwd=folder,
            **owner,
        )
        with (folder / "log").open("wb") as log:
            arguments = ["-D", folder / "data", "-k", folder, "-c", "listen_addresses="]
            process = subprocess.Popen([place / "postgres", *arguments], stdout=log, stderr=log, cwd=folder, **owner)
        _wait(folder, process)
        yield str(folder)
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # do not wait for clients
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(socket: str) -> Iterator[str]:
    """A fresh database of a running server, by its SQLAlchemy URL."""
    name = f"test_{os.getpid()}_{time.monotonic_ns()}"
    with psycopg.connect(host=socket, user=USER, dbname="postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield f"postgresql+psycopg://{USER}@/{name}?host={socket}"
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


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


def _wait(folder: Path, process: subprocess.Popen) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(host=str(folder), user=USER, dbname="postgres").close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"PostgreSQL did not start: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)
        else:
            return
