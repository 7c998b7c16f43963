"""Whatever the network does between the service and its servers, annotators hear the truth or "come back", and soon."""

import random
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import postgres
import pytest
from chaos_check import COUNTED, KEPT, Ledger, Told, check, stranded
from serving import project_file, running
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from weather import Proxy, Weather

from labelloop.adapters.redis import RedisQueue
from labelloop.adapters.redis import connection as redis_connection
from labelloop.adapters.rq import connection as rq_connection
from labelloop.adapters.sql import patience, tables
from labelloop.adapters.sql.store import open_store
from labelloop.domain.errors import Unavailable
from labelloop.loop.tend import tend
from labelloop.projects import parse

LONGEST = 20.0
"""Seconds that any call may take: a silence that is waited for, behind another one, on a machine that is not quiet."""
PEOPLE = 8


@dataclass
class Book:
    """What the annotators were told, and what should not have happened."""

    told: list = field(default_factory=list)
    wrong: list = field(default_factory=list)
    answers: Counter = field(default_factory=Counter)
    slowest: float = 0.0

    def note(self, said, seconds):
        self.answers[said.status_code] += 1
        self.slowest = max(self.slowest, seconds)
        if said.status_code == 503:
            kind, after = said.headers.get("content-type"), said.headers.get("retry-after", "")
            if kind != "application/problem+json" or not after.isdigit():
                self.wrong.append(dict(said.headers))
        elif said.status_code != 200:
            self.wrong.append((said.status_code, said.text[:300]))


class Annotator(threading.Thread):
    """Leases and answers until told to stop; repeats an answer under its key until somebody acknowledges it."""

    def __init__(self, service, project, name, book, over):
        super().__init__(name=name)
        self._service, self._project, self._book, self._over = service, project, book, over
        self._key = service.key(subject=name)
        self._rng = random.Random(name)

    def run(self):
        headers = {"Authorization": f"Bearer {self._key}"}
        with httpx.Client(base_url=self._service.url, headers=headers, timeout=60, verify=False) as http:
            while not self._over.is_set():
                said = self._ask(http, "leases", {"count": self._rng.randint(1, 4)})
                leases = said.json()["leases"] if said.status_code == 200 else []
                if leases:
                    time.sleep(self._rng.uniform(0, 0.1))
                    self._answer(http, leases)
                else:
                    time.sleep(0.1)

    def _answer(self, http, leases):
        given = [{"lease": one["lease"], "label": self._rng.choice(["good", "bad"])} for one in leases]
        key = uuid4().hex
        for _ in range(100):
            said = self._ask(http, "annotations", {"annotations": given}, {"Idempotency-Key": key})
            if said.status_code != 200:
                time.sleep(0.1)
                continue
            for lease, answer, outcome in zip(leases, given, said.json()["outcomes"], strict=True):
                self._book.told.append(
                    Told(
                        annotator=self.name,
                        lease=int(lease["lease"]),
                        item=lease["item"],
                        label=answer["label"],
                        outcome=outcome["outcome"],
                        key=key,
                        at=time.time(),
                    )
                )
            if self._rng.random() > 0.2:
                return
        self._book.wrong.append(f"{self.name} could not hand in within 100 tries")

    def _ask(self, http, call, body, headers=None):
        began = time.monotonic()
        said = http.post(f"/v1/projects/{self._project}/{call}", json=body, headers=headers)
        self._book.note(said, time.monotonic() - began)
        return said


@contextmanager
def at_work(service, project):
    """Annotators at work; afterwards what they were told is held against the ledger."""
    book, over = Book(), threading.Event()
    crowd = [Annotator(service, project, f"ann{at}", book, over) for at in range(PEOPLE)]
    for one in crowd:
        one.start()
    try:
        yield book
    finally:
        over.set()
        for one in crowd:
            one.join(120)
    assert not any(one.is_alive() for one in crowd)
    assert book.wrong == []
    assert set(book.answers) <= {200, 503}
    assert book.slowest < LONGEST
    ledger = ledger_of(service.ports, project)
    verdict = check(book.told, ledger)
    assert verdict.clean, verdict
    counted = {one.lease for one in book.told if one.outcome in COUNTED}
    assert len(counted) == service.ports.projects.row(project).spent
    assert len({one.lease for one in book.told if one.outcome in KEPT}) == len(ledger.annotations)


def ledger_of(ports, name):
    """What the database holds of a project."""
    database = ports.pool._database
    own = database.id_of(name)
    with database.read() as connection:
        answers = connection.execute(select(tables.annotation).where(tables.annotation.c.project == own)).all()
        items = connection.execute(select(tables.item).where(tables.item.c.project == own)).all()
    return Ledger(
        annotations={
            (row.item, row.annotator): {"label": row.label, "counted": row.counted, "assignment": row.assignment}
            for row in answers
        },
        assignments={},
        items={row.number: {"state": row.state, "needed": row.needed, "votes": row.votes} for row in items},
        cap=1,
    )


def goes_on(book, service, project):
    """The service works again: answers are acknowledged, without anybody's help but the steward's."""
    known, deadline = len(book.told), time.monotonic() + 30
    while len(book.told) < known + 20:
        assert time.monotonic() < deadline, f"nobody can work: {book.answers}"
        tend(service.ports, project)
        time.sleep(0.2)


def nothing_is_stranded(service, project):
    """One more, who keeps pulling, gets all that is left."""
    with service.http(subject="zoe") as http:
        for _ in range(200):
            tend(service.ports, project)
            leases = http.post(f"/v1/projects/{project}/leases", json={"count": 200}).json()["leases"]
            given = [{"lease": one["lease"], "label": "good"} for one in leases]
            http.post(f"/v1/projects/{project}/annotations", json={"annotations": given})
            tend(service.ports, project)
            if not stranded(ledger_of(service.ports, project)):
                return
            time.sleep(0.2)
    pytest.fail(f"stranded: {stranded(ledger_of(service.ports, project))[:5]}")


@pytest.fixture
def impatient(monkeypatch):
    """Silence is given up sooner than in production, so that tests need not wait as long; how it is given up is not."""
    monkeypatch.setattr(patience, "HOT_SECONDS", 2.0)
    monkeypatch.setattr(patience, "IDLE_SECONDS", 1.0)
    monkeypatch.setattr(redis_connection, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(rq_connection, "ANSWER_SECONDS", 1.0)


SKY = ((Weather.SLOW, 1.0), (Weather.CUT, 1.5), (Weather.HUNG, 4.0), (Weather.MUTE, 4.0))
"""What happens, and for how many seconds: longer than silence is waited for."""


def storm(proxy, service, project):
    """Each weather once, while annotators work; after each the service works again."""
    with at_work(service, project) as book:
        goes_on(book, service, project)
        for weather, seconds in SKY:
            proxy.turn(weather)
            time.sleep(seconds)
            proxy.turn(Weather.FAIR)
            goes_on(book, service, project)
    assert book.answers[503] > 0
    nothing_is_stranded(service, project)


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_between_the_service_and_redis(tmp_path, redis_home):
    """Answers are taken whatever becomes of Redis; leases wait for it; nothing is lost, doubled or stranded."""
    path = redis_home.address.removeprefix("unix://")
    with Proxy(path) as proxy, running(tmp_path, redis_url=f"redis://127.0.0.1:{proxy.port}/0") as service:
        storm(proxy, service, service.project(items=3_000, lease={"seconds": 5}))


@pytest.mark.slow
@pytest.mark.postgresql
@pytest.mark.usefixtures("impatient")
def test_between_the_service_and_postgresql(tmp_path, migrated):
    """Also when a commit is done and its answer is lost: the repeat is answered from the first time."""
    with proxied(migrated) as (proxy, url), running(tmp_path, database_url=url) as service:
        storm(proxy, service, service.project(items=1_500, lease={"seconds": 5}))


@contextmanager
def proxied(url):
    """A proxy before this PostgreSQL, and its URL through it."""
    name, socket = url.split("@/", 1)[1].split("?host=", 1)
    with Proxy(f"{socket}/.s.PGSQL.5432") as proxy:
        yield proxy, f"postgresql+psycopg://{postgres.USER}@127.0.0.1:{proxy.port}/{name}"


# --- silence is given up -----------------------------------------------------------------------------------------


def seconds_of(call):
    """How long it takes to say that nobody answers."""
    began = time.monotonic()
    with pytest.raises(Unavailable):
        call()
    return time.monotonic() - began


@pytest.mark.postgresql
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("weather", [Weather.HUNG, Weather.MUTE])
def test_a_database_that_is_silent_is_given_up_by_everybody_and_taken_back(migrated, weather):
    """By those who are in the midst of it, by the next one, and by who only looks; then it works at once."""
    with proxied(migrated) as (proxy, url):
        store = open_store(url)
        create_project(store, name := f"silent-{weather}")
        proxy.turn(weather)
        assert seconds_of(lambda: store.projects.row(name)) < 8
        assert seconds_of(lambda: expire(store, name)) < 8
        proxy.turn(Weather.FAIR)
        assert expire(store, name) == []
        with store.database.engine.connect() as connection:
            assert connection.connection.driver_connection.patience == patience.OTHER_SECONDS
            proxy.turn(weather)
            connection.connection.driver_connection.patience = 1.0
            with pytest.raises(OperationalError, match="nothing came from the server"):
                connection.execute(text("SELECT 1"))
        proxy.turn(Weather.FAIR)
        store.close()


def create_project(store, name):
    project = parse(project_file(name))
    store.projects.create(project, datetime.now(UTC))


def expire(store, name):
    """A hot write that changes nothing."""
    return store.ledger.close(name, "anna", [1], now=datetime.now(UTC), skip=False)[1:]


@pytest.mark.usefixtures("impatient")
def test_a_redis_that_is_silent_is_asked_once(redis_home):
    """Nobody waits for the same silence twice; when it speaks again it is heard at once."""
    with Proxy(redis_home.address.removeprefix("unix://")) as proxy:
        client = redis_connection.connect(f"redis://127.0.0.1:{proxy.port}/0")
        queue = RedisQueue(client)
        assert queue.ping()
        for weather in (Weather.HUNG, Weather.MUTE):
            proxy.turn(weather)
            assert seconds_of(queue.ping) < 3
            assert seconds_of(lambda: queue.reap("p", datetime.now(UTC))) < 3
            proxy.turn(Weather.FAIR)
            assert queue.ping()
        client.close()


def test_nobody_waits_for_longer_than_a_person_would():
    """The silence that production waits for, of each server."""
    assert patience.IDLE_SECONDS + patience.CONNECT["connect_timeout"] + patience.HOT_SECONDS <= 15
    assert redis_connection.ANSWER_SECONDS <= 5
    assert rq_connection.ANSWER_SECONDS <= 5
