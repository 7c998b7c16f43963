"""A home with an embedded Redis, and the command line as a function."""

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from terminal import Command, Said

from labelloop import jobs, wiring
from labelloop.adapters.redis.embedded import EmbeddedRedis
from labelloop.cli.app import run
from labelloop.domain.states import JobKind
from labelloop.loop.plan import plan
from labelloop.loop.tend import SILENCE, tend
from labelloop.ports import Ports
from labelloop.settings import Settings

PROJECT = """
name = "mail"
[labels]
kind = "classes"
classes = ["spam", "ham"]
[items]
kind = "text"
field = "text"
[features]
kind = "text"
field = "text"
vectorizer = "hashing"
max_terms = 64
[model]
kind = "sklearn"
calibrate = false
[retrain]
first = 4
labels = 1000
"""


@pytest.fixture(scope="session")
def redis_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("redis")
    with EmbeddedRedis(home):
        yield home


@pytest.fixture
def home(tmp_path: Path, redis_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh home on the shared Redis, emptied."""
    import redis

    url = EmbeddedRedis(redis_home).address
    with redis.Redis.from_url(url) as connection:
        connection.flushall()
    monkeypatch.setenv("LABELLOOP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LABELLOOP_REDIS_URL", url)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """Commands set the log up; the next test must not write into this one's standard error."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def cli(home: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run one command line in this process."""

    def command(*argv: object) -> Said:
        capfd.readouterr()
        code = run([str(part) for part in argv])
        said = capfd.readouterr()
        return Said(code=int(code), out=said.out, err=said.err)

    return command


@pytest.fixture
def ports(home: Path) -> Iterator[Ports]:
    found = wiring.build(Settings())
    yield found
    wiring.close(found)


@pytest.fixture
def mail(cli: Command, tmp_path: Path, ports: Ports) -> str:
    """A project of 40 mails, planned."""
    (tmp_path / "mail.toml").write_text(PROJECT)
    assert cli("project", "create", tmp_path / "mail.toml").code == 0
    rows = [{"key": f"m{n}", "data": {"text": f"{('buy pills', 'see you')[n % 2]} number {n}"}} for n in range(40)]
    (tmp_path / "mail.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    assert cli("ingest", "mail", tmp_path / "mail.jsonl").code == 0
    plan(ports, "mail", lambda _part, _what: None)
    return "mail"


@pytest.fixture
def worker(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A steward and a trainer in a thread: real jobs, without the wait for processes."""
    over = threading.Event()
    monkeypatch.setattr(jobs, "ports", lambda: ports)

    def work() -> None:
        while not over.wait(0.05):
            for name in ports.projects.names():
                tend(ports, name)
                for job in ports.jobs.unfinished(name, ports.clock.now() - SILENCE):
                    if job.kind is JobKind.TRAIN:
                        jobs.train(job.id, job.attempt)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join()
