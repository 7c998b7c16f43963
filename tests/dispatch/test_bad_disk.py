"""PostgreSQL on a disk that is full or cannot flush: no answer is acknowledged without its commit, and none is lost."""

import shutil
import subprocess
import threading
import time
from pathlib import Path

import postgres
import pytest
from conftest_loop import blobs, create, who
from sqlalchemy import select

from labelloop import wiring
from labelloop.adapters.sql import tables
from labelloop.domain.errors import Unavailable
from labelloop.loop.annotate import annotate
from labelloop.loop.ingest import ingest
from labelloop.loop.lease import lease
from labelloop.loop.plan import plan
from labelloop.settings import Settings

SOURCE = Path(__file__).with_name("bad_disk.c")
PEOPLE = 4


@pytest.fixture(scope="module")
def bad_disk(tmp_path_factory):
    """The library that makes a disk fail."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library = Path("/tmp") / f"bad-disk-{time.monotonic_ns()}.so"  # where the user of PostgreSQL can read it
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    library.chmod(0o644)
    yield library
    library.unlink()


class Person(threading.Thread):
    """Leases and answers; what was not acknowledged is said again under its key until it is."""

    def __init__(self, ports, name, over):
        super().__init__(name=name)
        self._ports, self._over = ports, over
        self.acknowledged, self.at, self.refused = {}, [], 0
        self.failed = None

    def run(self):
        try:
            while not self._over.is_set():
                self._cycle()
        except BaseException as error:  # noqa: BLE001 - a thread's failure must fail the test
            self.failed = error

    def _cycle(self):
        mine = self._try(lambda: lease(self._ports, "plane", who(self.name), 3).leases)
        if not mine:
            time.sleep(0.05)
            return
        given = [{"lease": str(one.id), "label": "c1"} for one in mine]
        key = f"{self.name}-{mine[0].id}"
        while (said := self._try(lambda: annotate(self._ports, "plane", who(self.name), given, key=key))) is None:
            time.sleep(0.05)
        for one, outcome in zip(mine, said[0], strict=True):
            self.acknowledged[one.item] = outcome.outcome
        self.at.append(time.monotonic())

    def _try(self, call):
        try:
            return call()
        except Unavailable:
            self.refused += 1
            return None


FAULTS = ("fsync", "wal", "full")


@pytest.mark.slow
@pytest.mark.postgresql
def test_nothing_is_acknowledged_that_is_not_on_the_disk(tmp_path, bad_disk, redis_home):
    """While the disk fails callers are told to come back; afterwards every answer is there, once."""
    with (
        postgres.running("-c", "listen_addresses=", LD_PRELOAD=str(bad_disk)) as server,
        postgres.database(str(server.folder)) as url,
    ):
        ports = wiring.build(Settings(home=tmp_path, database_url=url, redis_url=redis_home.address))
        ports.queue._connection.flushall()
        create(ports, lanes={"informative": 1, "audit": 0, "window": 5_000}, lease={"seconds": 3_600})
        ingest(ports, "plane", blobs(1_200)[0])
        plan(ports, "plane", lambda _part, _what: None)
        over = threading.Event()
        crowd = [Person(ports, f"ann{at}", over) for at in range(PEOPLE)]
        for one in crowd:
            one.start()
        try:
            for fault in FAULTS:
                fail(server, ports, crowd, fault)
        finally:
            over.set()
        for one in crowd:
            one.join(60)
        assert [one.failed for one in crowd] == [None] * PEOPLE
        acknowledged = {item for one in crowd for item in one.acknowledged}
        assert acknowledged == items_answered(ports)
        assert {outcome for one in crowd for outcome in one.acknowledged.values()} == {"accepted"}
        assert ports.projects.row("plane").spent == len(acknowledged)
        wiring.close(ports)


def fail(server, ports, crowd, fault):
    """The disk fails while everybody works, and is mended."""
    until_all(crowd, "work", 2)
    for one in crowd:
        one.refused = 0
    flag = server.folder / f"fault-{fault}"
    flag.touch()
    until(crowd, lambda: all(one.refused for one in crowd), f"{fault}: each of them is told")
    before = [len(one.at) for one in crowd]
    time.sleep(0.5)
    if fault != "full":  # where tables are full, what fits into a page that is there is still written
        assert [len(one.at) for one in crowd] == before, f"{fault}: somebody was acknowledged"
    known = {item for one in crowd for item in one.acknowledged}
    flag.unlink()
    if not answers(server):
        server.kill()
        server.start()
    assert known <= items_answered(ports), f"{fault}: acknowledged, and gone"
    until_all(crowd, "work again", 2)


def until_all(crowd, what, cycles):
    wanted = [len(one.at) + cycles for one in crowd]
    until(crowd, lambda: all(len(one.at) >= count for one, count in zip(crowd, wanted, strict=True)), what)


def until(crowd, met, what):
    end = time.monotonic() + 60
    while not met():
        assert [one.failed for one in crowd if one.failed] == []
        assert time.monotonic() < end, f"not within a minute: {what}"
        time.sleep(0.02)


def answers(server):
    """Whether the database is there, or comes back by itself within some seconds."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if server.answers():
            return True
        time.sleep(0.1)
    return False


def items_answered(ports):
    """Items with an answer, as the database has them; it may still be starting."""
    database, end = ports.pool._database, time.monotonic() + 30
    while True:
        try:
            with database.read() as connection:
                return set(connection.execute(select(tables.annotation.c.item)).scalars())
        except Unavailable:
            assert time.monotonic() < end
            time.sleep(0.1)
