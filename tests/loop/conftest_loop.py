"""The loop over real adapters: SQLite and a real Redis in a temporary home, with a clock that tests can turn."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from labelloop import jobs, projects, wiring
from labelloop.adapters.estimators.kinds import EstimatorKinds
from labelloop.adapters.redis.embedded import EmbeddedRedis
from labelloop.domain.states import JobKind, Role
from labelloop.domain.types import Identity, NewItem
from labelloop.loop.annotate import annotate
from labelloop.loop.ingest import ingest
from labelloop.loop.lease import lease
from labelloop.loop.tend import tend
from labelloop.settings import Settings


class TurnedClock:
    """A clock that stands until it is turned."""

    def __init__(self):
        self.time = datetime.now(UTC)

    def now(self):
        return self.time

    def turn(self, seconds):
        self.time += timedelta(seconds=seconds)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory):
    """One real server for all tests of the loop."""
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server.address


@pytest.fixture
def ports(tmp_path, redis_url, monkeypatch):
    """All ports, wired as in production, with an empty Redis."""
    monkeypatch.setenv("LABELLOOP_HOME", str(tmp_path))
    monkeypatch.setenv("LABELLOOP_REDIS_URL", redis_url)
    built = wiring.build(Settings())
    built.queue._connection.flushall()
    ports = replace(built, clock=TurnedClock())
    jobs.ports.cache_clear()
    monkeypatch.setattr(jobs, "ports", lambda: ports)
    monkeypatch.setattr(jobs, "SETTLE_SECONDS", 0)
    yield ports
    wiring.close(built)


@pytest.fixture
def clock(ports):
    """The clock of the ports."""
    return ports.clock


class Watched(EstimatorKinds):
    """The real estimators, remembering what they were fitted on and what they were asked."""

    def __init__(self):
        self.fitted = []

    def fit(self, spec, features, codes, *, shape, seed):
        self.fitted.append((features, codes))
        return super().fit(spec, features, codes, shape=shape, seed=seed)


def who(name, role=Role.ANNOTATOR):
    return Identity(subject=name, role=role)


def blobs(count, *, classes=3, seed=0, spread=0.7):
    """Items of well separated classes on a plane, with their truth by key."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    angle = 2 * np.pi * truth / classes
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) * 2 + rng.normal(0, spread, (count, 2))
    items = [
        NewItem(key=f"i{at}", data={"x": float(x), "y": float(y)}, line=at + 1) for at, (x, y) in enumerate(points)
    ]
    return items, {f"i{at}": f"c{label}" for at, label in enumerate(truth)}


def create(ports, **changes):
    """A small tabular project."""
    raw = {
        "name": "plane",
        "labels": {"kind": "classes", "classes": ["c0", "c1", "c2"]},
        "items": {"kind": "table", "shard_size": 64},
        "features": {"kind": "columns"},
        "lanes": {"informative": 0.7, "minority": 0.1, "audit": 0.2, "window": 100},
        "retrain": {"first": 12, "labels": 20},
    }
    project = projects.parse(raw | changes)
    ports.projects.create(project, ports.clock.now())
    return project


def run_jobs(ports, name="plane"):
    """Do what the workers would: run every unfinished job, in order, until none is left."""
    ran = []
    for _ in range(10):
        waiting = ports.jobs.unfinished(name, ports.clock.now())
        if not waiting:
            break
        for job in waiting:
            (jobs.train if job.kind is JobKind.TRAIN else jobs.plan)(job.id, job.attempt)
            ran.append(job.id)
    return ran


def start(ports, count=200, **changes):
    """A project with a pool and its first round served. Returns the truth by key."""
    create(ports, **changes)
    items, truth = blobs(count)
    ingest(ports, "plane", items)
    tend(ports, "plane")
    run_jobs(ports)
    return truth


def label(ports, truth, *, count=10, by="anna", role=Role.ANNOTATOR, answer=None):
    """One annotator pulls a batch and answers it. Returns the outcomes."""
    batch = lease(ports, "plane", who(by, role), count)
    answers = [{"lease": str(one.id), "label": answer(one) if answer else truth[one.key]} for one in batch.leases]
    return annotate(ports, "plane", who(by, role), answers)[0] if answers else []


def trained(ports, truth, rounds=2, count=30):
    """Label, train, promote, rank, so many times. Returns the last model."""
    for _ in range(rounds):
        label(ports, truth, count=count)
        tend(ports, "plane")
        run_jobs(ports)
        tend(ports, "plane")
    return ports.models.all("plane")[-1]
