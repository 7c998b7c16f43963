"""A project goes with all that is kept of it, whoever is killed over it, and its name is another's afterwards."""

import importlib
import os
import time
from dataclasses import replace

import numpy as np
import pytest
import redis
import structlog
from conftest_loop import Watched, blobs, create, label, run_jobs, start, trained, who
from sqlalchemy import select
from structlog.testing import capture_logs

from labelloop import jobs, projects, wiring
from labelloop.adapters.sql import database, tables
from labelloop.domain.errors import ProjectExists, UnknownProject
from labelloop.domain.states import JobKind
from labelloop.domain.types import Identity
from labelloop.loop import delete as deleting
from labelloop.loop.annotate import annotate
from labelloop.loop.delete import Wait, delete, go_on
from labelloop.loop.ingest import ingest
from labelloop.loop.keeping import keeping
from labelloop.loop.lease import lease, release, renew
from labelloop.loop.map import draw
from labelloop.loop.plan import plan
from labelloop.loop.request import request_training
from labelloop.loop.tend import tend
from labelloop.settings import Settings

OTHER = "beside"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    """Other processes are not waited for here, as each test has its own or none."""
    for name in ("NAME_SECONDS", "KEY_SECONDS"):
        monkeypatch.setattr(deleting, name, 0.0)
    monkeypatch.setattr(database, "TRUSTED_SECONDS", 0.0)


@pytest.fixture
def again(ports):
    """Ports of a second process in the same home."""
    built = wiring.build(Settings())
    yield replace(built, clock=ports.clock)
    wiring.close(built)


def beside(ports, count=60):
    """Another project, made of the same items by the same file: it shares what is known by its content."""
    file = ports.projects.get("plane").model_dump(mode="json") | {"name": OTHER}
    ports.projects.create(projects.parse(file), ports.clock.now())
    ingest(ports, OTHER, blobs(count)[0])
    plan(ports, OTHER, lambda *_: None)


def gone(ports, name="plane"):
    done = delete(ports, name, seconds=20, patience=20)
    assert done.waits_for is None, done
    return done


def tick(ports):
    """What the steward does at its ticks, until nothing but others can move a deletion. What each waits for then."""
    waits = {}
    for departure in ports.removals.departing():
        while (found := go_on(ports, departure)) is Wait.ROWS:
            pass
        waits[departure.name] = found
    return waits


def traces(ports, home, name="plane"):
    """Where the name of a project still stands: rows, keys of Redis, what they hold, files."""
    found = []
    with ports.projects._database.engine.connect() as connection:
        for table in tables.metadata.sorted_tables:
            found += [(table.name, row) for row in connection.execute(select(table)) if name in str(row)]
    with redis.Redis.from_url(os.environ["LABELLOOP_REDIS_URL"]) as server:
        held = {
            b"hash": server.hgetall,
            b"list": lambda key: server.lrange(key, 0, -1),
            b"set": server.smembers,
            b"zset": lambda key: server.zrange(key, 0, -1),
            b"string": server.get,
            b"stream": server.xrange,
        }
        for key in server.scan_iter():
            found += [("redis", key)] if name in str((key, held[server.type(key)](key))) else []
    return found + [("file", path) for path in home.rglob("*") if name in str(path.relative_to(home))]


def test_nothing_of_it_stays_and_another_goes_on(ports, tmp_path):
    """After labels, trainings, a map, messages and keys only the tombstone says its name; its neighbour works on."""
    truth = start(ports, 150)
    beside(ports)
    trained(ports, truth)
    lease(ports, "plane", who("bob"), 5)
    draw(ports, "plane", lambda *_: None)
    request_training(ports, "plane")
    tend(ports, "plane")  # sends it
    ports.claims.hold("map-plane-9", 1).__enter__()
    ports.keys.create(Identity(subject="ann", role="annotator", project="plane"), "digest", ports.clock.now())
    before, files = ports.pool.counts(OTHER), sorted((tmp_path / "projects" / OTHER).rglob("*"))
    ports.clock.turn(60)
    assert len(traces(ports, tmp_path)) > 20
    done = gone(ports)
    assert (done.went.items, done.went.annotations, done.went.models, done.went.keys) == (150, 60, 2, 1)
    ((table, row),) = traces(ports, tmp_path)
    assert table == "project"
    assert row.name.startswith("plane deleted ")
    assert (row.edition, row.items) == (0, 0)
    assert ports.projects.names() == [OTHER]
    assert ports.pool.counts(OTHER) == before
    assert sorted((tmp_path / "projects" / OTHER).rglob("*")) == files
    kept = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file() and path.name != ".lock"]
    assert {path.name for path in kept} == {one.stats["replay"]["facts"] for one in ports.rounds.recent(OTHER, 10)}
    assert lease(ports, OTHER, who("cy"), 3).leases


CALLS = {
    "removals": ("begin", "artifacts", "remove", "bury"),
    "claims": ("held",),
    "artifacts": ("drop",),
    "folders": ("remove",),
    "queue_health": ("erase",),
    "bus": ("forget",),
}
STEPS = [(port, method, after) for port, methods in CALLS.items() for method in methods for after in (False, True)]
"""Every call of a port that a deletion makes, and whether it dies before or after it."""


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_the_steward_finishes_what_a_kill_interrupted(ports, again, tmp_path, monkeypatch, step):
    """Killed before or after any step, another process comes to the same end, and the name is free."""
    port, method, after = step
    truth = start(ports, 40)
    trained(ports, truth, rounds=1, count=15)
    whole = getattr(getattr(ports, port), method)

    def killed(*args, **kwargs):
        if after:
            whole(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(getattr(ports, port)), method, lambda _self, *args, **kwargs: killed(*args, **kwargs))
        with pytest.raises(KeyboardInterrupt):
            delete(ports, "plane", seconds=20, patience=20)
    if (port, method, after) == ("removals", "begin", False):
        assert again.projects.names() == ["plane"], "nothing has happened yet"
        return
    assert again.projects.names() == []
    assert set(tick(again).values()) <= {None}
    assert [found for found, *_ in traces(again, tmp_path)] == ["project"]
    create(again)


def test_the_name_is_anothers_at_once_also_for_who_knew_the_old_one(ports, again, tmp_path, monkeypatch):
    """Other items, other classes and other features under the old name, in a process whose every cache was warm."""
    for of in (database, "TRUSTED_SECONDS", 0.2), (deleting, "NAME_SECONDS", 0.3):
        monkeypatch.setattr(*of)
    truth = start(ports, 120, retrain={"first": 12, "labels": 20, "class_minimum": 3})
    trained(ports, truth)
    monkeypatch.setattr(jobs, "ports", lambda: again)
    label(again, truth, by="zoe")
    plan(again, "plane", lambda *_: None)
    tend(again, "plane")
    old_rows = again.features.take(again.projects.get("plane"), np.arange(20))
    assert gone(ports).waits_for is None
    create(again, labels={"kind": "classes", "classes": ["x", "y"]}, features={"kind": "columns", "columns": ["y"]})
    items, sides = blobs(90, classes=2, seed=5)
    ingest(again, "plane", items)
    assert again.projects.row("plane").items == 90
    tend(again, "plane")
    run_jobs(again)
    truth = {key: {"c0": "x", "c1": "y"}[side] for key, side in sides.items()}
    assert trained(again, truth, rounds=2, count=20).number == 2
    assert again.features.take(again.projects.get("plane"), np.arange(20)).shape == (20, 1) != old_rows.shape
    assert {one["label"] for one in again.verdicts.export("plane")} == {"x", "y"}
    assert {int(value) for value in again.pool.waiting("plane")} < set(range(90))
    assert ports.projects.get("plane") == again.projects.get("plane")
    names = [job.id for job in again.jobs.recent("plane", JobKind.TRAIN, 9)]
    assert names == ["train-plane-P2-2", "train-plane-P2-1"]


def test_open_leases_are_refused_cleanly(ports):
    """Who has an item in hand is told that the project is not there, whatever he does with it; nobody gets more."""
    truth = start(ports, 60)
    beside(ports)
    batch = lease(ports, "plane", who("ann"), 5)
    ports.removals.begin("plane")
    ids = [str(one.id) for one in batch.leases]
    answers = [{"lease": one, "label": truth["i0"]} for one in ids]
    for call in (
        lambda: annotate(ports, "plane", who("ann"), answers),
        lambda: lease(ports, "plane", who("bob"), 5),
        lambda: renew(ports, "plane", who("ann"), ids),
        lambda: release(ports, "plane", who("ann"), ids),
        lambda: ingest(ports, "plane", blobs(3)[0]),
        lambda: request_training(ports, "plane"),
        lambda: tend(ports, "plane"),
        lambda: delete(ports, "nowhere", seconds=1, patience=1),
    ):
        with pytest.raises(UnknownProject, match=f"Known projects: {OTHER}"):
            call()


def job_log(monkeypatch):
    """What jobs log from now on. A logger that was used before may be bound to how the log was set up then."""
    monkeypatch.setattr(jobs, "log", structlog.get_logger("labelloop.jobs"))
    return capture_logs()


@pytest.mark.parametrize("moment", ["fit", "late"])
def test_a_training_in_the_middle_ends_harmlessly(ports, again, tmp_path, monkeypatch, moment):
    """The deletion waits for it with the name and the files; it leaves no model, no artifact, no row and no trace."""
    truth = start(ports, 80)
    label(ports, truth, count=30)
    tend(ports, "plane")
    waits = []

    class Deleting(Watched):
        def fit(self, *args, **kwargs):
            if moment == "fit" and not waits:
                waits.append(delete(again, "plane", seconds=5, patience=0.1).waits_for)
            return super().fit(*args, **kwargs)

        def dump(self, classifier):
            if moment == "late":
                waits.append(delete(again, "plane", seconds=5, patience=0.1).waits_for)
            return super().dump(classifier)

    hand = replace(ports, estimators=Deleting())
    monkeypatch.setattr(jobs, "ports", lambda: hand)
    (job,) = [one for one in ports.jobs.unfinished("plane", ports.clock.now()) if one.kind is JobKind.TRAIN]
    with job_log(monkeypatch) as lines:
        jobs.train(job.id, job.attempt)
    assert waits == [Wait.JOBS]
    assert [(line["event"], line["log_level"]) for line in lines][-1:] == [("job.gone", "info")]
    assert {line["log_level"] for line in lines} == {"info"}
    assert (tmp_path / "projects" / "plane").exists()
    with pytest.raises(ProjectExists):
        create(again)
    assert tick(again) == {"plane": None}
    assert [found for found, *_ in traces(again, tmp_path)] == ["project"]
    assert [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()] == [tmp_path / "artifacts/.lock"]


def test_a_plan_in_the_middle_ends_harmlessly(ports, again, tmp_path, monkeypatch):
    """A round that is being planned is not kept, and the steward finds nothing of it."""
    start(ports, 80)
    job, _ = ports.jobs.ask("plane", JobKind.PLAN, "by hand", reason="", now=ports.clock.now())
    waiting = ports.pool.waiting

    def deleted_under_us(name):
        again.removals.begin(name)
        return waiting(name)

    monkeypatch.setattr(ports.pool, "waiting", deleted_under_us)
    with job_log(monkeypatch) as lines:
        jobs.plan(job.id, 1)
    assert [(line["event"], line["log_level"]) for line in lines] == [("job.gone", "info")]
    assert tick(again) == {"plane": None}
    assert [found for found, *_ in traces(again, tmp_path)] == ["project"]


def test_messages_that_wait_start_nothing(ports, monkeypatch):
    """A job that is in a worker's hand when its project is gone, and a nudge, end without an error."""
    start(ports, 30)
    job = request_training(ports, "plane")
    with job_log(monkeypatch) as lines:
        ports.removals.begin("plane")
        jobs.train(job.id, 1)
        gone(ports)
        jobs.train(job.id, 1)
        jobs.tidy("plane")
    assert {line["log_level"] for line in lines} <= {"info"}


def test_a_file_that_is_taken_in_meanwhile_does_not_flow_into_the_next_project(ports, again):
    """The rest of an ingest is refused when its project is gone, also when another of the name is there by then."""
    create(ports)
    items, _ = blobs(5_000)

    def rows():
        yield from items[:2_500]
        gone(again)
        again.clock.turn(1)
        create(again)
        yield from items[2_500:]

    with pytest.raises(UnknownProject):
        ingest(ports, "plane", rows())
    assert ports.projects.row("plane").items == 0


def test_without_redis_the_name_is_free_and_the_steward_clears_up_later(ports, tmp_path, monkeypatch):
    """A mistake is mended before any service runs; what Redis knows of the old project never serves the new one."""
    start(ports, 50)
    silent = wiring.build(Settings(redis_url=f"unix://{tmp_path}/nothing.sock"))
    lost = replace(silent, clock=ports.clock)
    done = delete(lost, "plane", seconds=20, patience=20)
    assert done.waits_for is Wait.REDIS
    create(lost, labels={"kind": "classes", "classes": ["x", "y"]})
    ingest(lost, "plane", blobs(20)[0])
    wiring.close(silent)
    assert ports.queue_health.serving("plane") == 1
    assert tick(ports) == {"plane": None}
    assert ports.removals.departing() == []
    tend(ports, "plane")
    run_jobs(ports)
    assert len(lease(ports, "plane", who("ann"), 100).leases) == 20


def test_bytes_that_two_projects_share_stay_for_the_other(ports, tmp_path):
    """A deletion between the moment another project finds its bytes there and the row that needs them costs nothing."""
    create(ports)
    ingest(ports, "plane", blobs(40)[0])
    plan(ports, "plane", lambda *_: None)
    (kept,) = ports.rounds.recent("plane", 1)
    shared = kept.stats["replay"]["facts"]
    blob = ports.artifacts.get(shared)
    create(ports, name=OTHER)
    with keeping(ports, blob) as digest:
        gone(ports)
        assert not list((tmp_path / "artifacts").rglob(shared))
    assert digest == shared
    assert ports.artifacts.get(shared) == blob


def test_bytes_of_a_round_that_is_not_kept_go(ports, tmp_path, monkeypatch):
    """A plan for a champion that is none any more leaves no facts behind."""
    create(ports)
    ingest(ports, "plane", blobs(40)[0])
    monkeypatch.setattr(ports.rounds, "save", lambda *_args, **_kwargs: None)
    assert plan(ports, "plane", lambda *_: None) is None
    assert [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()] == [tmp_path / "artifacts/.lock"]


def test_two_at_once_come_to_the_same_end(ports, again, tmp_path):
    """The command and the steward may work on the same deletion."""
    start(ports, 100)
    one, _ = ports.removals.begin("plane")
    other, _ = again.removals.begin("plane")
    assert (one.new, other.new) == (True, False)
    while again.removals.departing():
        go_on(ports, one)
        tick(again)
    assert [found for found, *_ in traces(again, tmp_path)] == ["project"]


def test_the_name_is_not_free_before_others_have_forgotten_it(ports, monkeypatch):
    """For as long as another process may believe in the name, or in a key, the deletion is not over."""
    monkeypatch.setattr(deleting, "NAME_SECONDS", 0.4)
    monkeypatch.setattr(deleting, "KEY_SECONDS", 0.8)
    create(ports)
    begun = time.monotonic()
    gone(ports)
    assert 0.4 <= time.monotonic() - begun < 0.8
    create(ports)
    ports.keys.create(Identity(subject="ann", role="annotator", project="plane"), "digest", ports.clock.now())
    begun = time.monotonic()
    assert delete(ports, "plane", seconds=0.1, patience=20).waits_for is Wait.CACHES
    gone(ports)
    assert time.monotonic() - begun >= 0.8


def test_a_call_that_may_work_for_a_moment_only_says_what_is_left(ports, monkeypatch):
    """HTTP does not wait for a large project: the steward does the rest."""
    monkeypatch.setattr(deleting, "STEP_SECONDS", 0.0)
    start(ports, 100)
    assert delete(ports, "plane", seconds=0.0, patience=20).waits_for is Wait.ROWS
    assert tick(ports) == {"plane": None}
    assert ports.projects.names() == ports.removals.departing() == []


def test_what_is_waited_for_is_longer_than_what_is_remembered():
    """The store trusts an id, and the door a key, for less than a deletion waits."""
    from labelloop.api.keys import REMEMBERED_SECONDS

    fresh = vars(importlib.reload(deleting))
    assert fresh["NAME_SECONDS"] > 1.0
    assert fresh["KEY_SECONDS"] > REMEMBERED_SECONDS
