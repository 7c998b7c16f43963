"""A project leaves the store: nobody writes for it any more, no row stays, its id is never another's."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta

import pytest
from sqlalchemy import select
from store_desk import MINUTE, NAME, START, answer, grant, new_item, project_file, rows, submit

from labelloop.adapters.sql import database, removal, tables
from labelloop.adapters.sql.store import Store, open_store
from labelloop.domain.errors import ProjectExists, UnknownJob, UnknownProject
from labelloop.domain.states import ItemState, JobKind, JobState, Lane, ModelState, Priority, ProjectState, Role
from labelloop.domain.types import Candidate, Departure, Identity, JobId, Model, NewItem, Query, TrainingSet, Verdict
from labelloop.ports import Removals

OTHER = "other"
SHARED, OWN = "a" * 64, "b" * 64


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few rows are many pieces."""
    monkeypatch.setattr(removal, "LEAST", 2)
    monkeypatch.setattr(removal, "MOST", 2)


@pytest.fixture
def warm(url: str) -> Iterator[Store]:
    """A second process, as it were, that knows both projects by their ids and files."""
    opened = open_store(url)
    yield opened
    opened.close()


def remember(store: Store) -> None:
    for name in (NAME, OTHER):
        store.projects.get(name)


def live(store: Store, name: str) -> None:
    """A project with a row in every table there is."""
    store.projects.create(project_file(name), START)
    store.pool.add(name, [new_item(n, requires=("law",) if n == 9 else ()) for n in range(10)], START)
    store.pool.prioritize(name, [3], Priority.FIRST, by="ann", now=START)
    asked = [Query(item=n, lane=Lane.INFORMATIVE, rank=n, score=1.0, probability=1.0, needed=1) for n in range(8)]
    stats = {"replay": {"facts": SHARED}}
    store.rounds.save(name, asked, strategy="margin", seed=1, model=None, pool_version=1, stats=stats, now=START)
    wanted = [Candidate(item=n, lane=Lane.INFORMATIVE) for n in range(5)]
    leases = grant(store.ledger, name, "ann", wanted, now=START, expires_at=START + MINUTE, most=9)
    submit(
        store.ledger,
        name,
        "ann",
        [answer(one) for one in leases[:3]],
        now=START,
        role=Role.ANNOTATOR,
        idempotency=("k", "d"),
    )
    settled = Verdict(item=0, state=ItemState.RESOLVED, needed=1, value="a", label="a", confidence=1.0, votes=1)
    store.verdicts.settle(name, [settled], START)
    job, _ = store.jobs.ask(name, JobKind.TRAIN, "first", reason="r", now=START)
    store.models.keep_training_set(name, TrainingSet(number=0, digest="t", items=[0], labels=["a"]), START)
    store.models.add(name, candidate(OWN if name == NAME else SHARED), job.id)
    store.keys.create(Identity(subject="ann", role=Role.ANNOTATOR, project=name), f"key of {name}", START)


def candidate(artifact: str) -> Model:
    facts = {"training_set": "t", "labels": 1, "spent": 1, "metrics": {}, "reason": "", "provenance": {}}
    return Model(number=0, state=ModelState.CANDIDATE, artifact=artifact, created_at=START, **facts)


def of(store: Store, project: int, name: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of a project, by table."""
    found = {}
    for table in tables.metadata.sorted_tables:
        key = "id" if table is tables.project else "project"
        wanted = table.c[key] == (name if table is tables.api_key else project)
        with store.engine.connect() as connection:
            found[table.name] = [tuple(row) for row in connection.execute(select(table).where(wanted))]
    return found


def id_of(store: Store, name: str) -> int:
    return next(number for number, known in rows(store, tables.project.c.id, tables.project.c.name) if known == name)


def remove(removals: Removals, one: Departure) -> None:
    while not removals.remove(one, seconds=0, jobs=True):
        pass


def gone(store: Store, name: str = NAME) -> None:
    one, _ = store.removals.begin(name)
    remove(store.removals, one)
    assert store.removals.bury(one, START, order_gone=True)


def test_no_row_of_it_stays_and_none_of_another_changes(store):
    """Every table is emptied of the project, but for a tombstone with its name and the time; its neighbour is whole."""
    live(store, NAME)
    live(store, OTHER)
    mine, theirs = id_of(store, NAME), id_of(store, OTHER)
    before = of(store, theirs, OTHER)
    assert all(before.values()), "each table has rows of a living project"
    gone(store)
    left = of(store, mine, NAME)
    ((number, tomb, *rest),) = left.pop("project")
    assert not any(left.values())
    assert (number, tomb) == (mine, f"{NAME} deleted 2030-01-01T12:00:00Z #{mine}")
    assert [value for value in rest if value] == [ProjectState.DELETED, START]
    assert of(store, theirs, OTHER) == before
    assert store.projects.names() == [OTHER]
    assert store.removals.departing() == []


def test_what_there_is_of_a_project_is_counted(store):
    """Before and when it is marked, one is told how much goes."""
    live(store, NAME)
    extent = store.removals.extent(NAME)
    assert (extent.items, extent.annotations, extent.models, extent.keys) == (10, 3, 1, 1)
    assert store.removals.begin(NAME)[1] == extent
    with pytest.raises(UnknownProject, match="nowhere"):
        store.removals.extent("nowhere")


def calls(store: Store):
    """Every call of a port that may write, on the project NAME."""
    ledger, leases = store.ledger, [one for (one,) in rows(store, tables.assignment.c.id)]
    wanted = [Candidate(item=7, lane=Lane.INFORMATIVE)]
    asked = [Query(item=7, lane=Lane.AUDIT, rank=0, score=1.0, probability=1.0, needed=1)]
    facts = {"strategy": "s", "seed": 1, "model": None, "pool_version": 1, "stats": {}, "now": START}
    verdict = Verdict(item=1, state=ItemState.RESOLVED, needed=1, value="a", label="a", confidence=1.0, votes=1)
    later, over = START + timedelta(seconds=30), START + 2 * MINUTE
    lease = type("Lease", (), {"id": leases[3]})()
    return {
        "pause": lambda: store.projects.set_state(NAME, ProjectState.PAUSED),
        "fix_audit": lambda: store.projects.fix_audit(NAME, 7),
        "add": lambda: store.pool.add(NAME, [new_item(50)], START),
        "retire": lambda: store.pool.retire(NAME, {7: "x"}),
        "prioritize": lambda: store.pool.prioritize(NAME, [7], Priority.LAST, by="ann", now=START),
        "grant": lambda: grant(ledger, NAME, "bob", wanted, now=START, expires_at=START + MINUTE, most=9),
        "submit": lambda: submit(ledger, NAME, "ann", [answer(lease)], now=START, role=Role.ANNOTATOR),
        "renew": lambda: ledger.renew(NAME, "ann", leases[3:4], now=START, expires_at=later),
        "close": lambda: ledger.close(NAME, "ann", leases[3:4], now=START, skip=True),
        "expire": lambda: ledger.expire(NAME, over),
        "forget_replies": lambda: ledger.forget_replies(NAME, over),
        "settle": lambda: store.verdicts.settle(NAME, [verdict], START),
        "round": lambda: store.rounds.save(NAME, asked, **facts),
        "training_set": lambda: store.models.keep_training_set(
            NAME, TrainingSet(number=0, digest="u", items=[0], labels=["a"]), START
        ),
        "model": lambda: store.models.add(NAME, candidate(OWN), JobId("train-demo-2")),
        "decide": lambda: store.models.decide(NAME, 1, ModelState.CHAMPION, reason="", now=START, champion=None),
        "job": lambda: store.jobs.ask(NAME, JobKind.PLAN, "second", reason="", now=START),
    }


def test_nothing_is_written_from_the_mark_on(store, warm, monkeypatch):
    """A process that still believes in the project is refused inside each transaction, and no row changes."""
    monkeypatch.setattr(database, "TRUSTED_SECONDS", 1000.0)
    live(store, NAME)
    live(store, OTHER)
    mine = id_of(store, NAME)
    warm.projects.get(NAME)
    believed = warm.database._ids[NAME]
    store.removals.begin(NAME)
    before = of(store, mine, NAME)
    for called, call in calls(warm).items():
        warm.database._ids[NAME] = believed  # it had not heard, each time
        with pytest.raises(UnknownProject, match=f"no project '{NAME}'. Known projects: {OTHER}"):
            call()
        assert of(store, mine, NAME) == before, called
        assert NAME not in warm.database._ids, called
    warm.pool.add(OTHER, [new_item(60)], START)


def test_every_write_of_a_living_project_is_let_through(store):
    """The calls that are refused are good ones: without a deletion each of them is done."""
    live(store, NAME)
    for called, call in calls(store).items():
        assert call() is not False, called


def test_others_answers_are_written_in_the_same_commit_as_a_refusal(desk, warm):
    """Of those who wait together only the ones who name a project that is going are turned away."""
    live(desk.store, NAME)
    live(desk.store, OTHER)
    remember(warm)
    desk.store.removals.begin(NAME)
    said: dict[str, object] = {}

    def pull(name: str) -> None:
        wanted = [Candidate(item=7, lane=Lane.INFORMATIVE)]
        try:
            said[name] = len(grant(warm.ledger, name, "bob", wanted, now=START, expires_at=START + MINUTE, most=9))
        except UnknownProject:
            said[name] = "unknown"

    with warm.database._group._turn:  # until both wait
        threads = [threading.Thread(target=pull, args=(name,)) for name in (NAME, OTHER)]
        for thread in threads:
            thread.start()
        while len(warm.database._group._waiting) < 2:
            time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert said == {NAME: "unknown", OTHER: 1}


def test_a_mark_waits_for_those_who_write(store, warm):
    """What was begun before the mark is committed before it, also a piece that does not hold the project."""
    live(store, NAME)
    mine, order = id_of(store, NAME), []

    def mark() -> None:
        warm.removals.begin(NAME)
        order.append("marked")

    with store.database.write(touching=mine):
        thread = threading.Thread(target=mark)
        thread.start()
        time.sleep(0.2)
        order.append("written")
    thread.join()
    assert order == ["written", "marked"]


def test_a_round_that_is_being_kept_leaves_nothing(store, warm, monkeypatch):
    """A mark between two pieces of a round stops it, and the pieces that are there go with the rest."""
    from labelloop.adapters.sql import rounds

    monkeypatch.setattr(rounds, "PIECE", 3)
    live(store, NAME)
    remaining = iter([None, None])

    def rest(_since: float) -> None:
        if next(remaining, "over") == "over" and not store.removals.departing():
            store.removals.begin(NAME)

    monkeypatch.setattr(warm.database, "rest", rest)
    asked = [Query(item=n, lane=Lane.AUDIT, rank=n, score=1.0, probability=1.0, needed=1) for n in range(10)]
    facts = {"strategy": "s", "seed": 1, "model": None, "pool_version": 1, "stats": {}, "now": START}
    with pytest.raises(UnknownProject):
        warm.rounds.save(NAME, asked, **facts)
    gone(store)
    assert rows(store, tables.query) == rows(store, tables.round_) == []


def test_it_is_finished_wherever_it_was_interrupted(url, monkeypatch):
    """Killed after any piece, another process goes on to the same end; twice the same step is no harm."""
    pieces = 0
    piece = removal.SqlRemovals._piece

    def dying(self, *args):
        nonlocal pieces
        pieces -= 1
        if pieces < 0:
            raise KeyboardInterrupt
        return piece(self, *args)

    for upto in range(0, 40, 3):
        store = open_store(url)
        live(store, NAME)
        one, _ = store.removals.begin(NAME)
        pieces = upto
        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(removal.SqlRemovals, "_piece", dying)
            remove(store.removals, one)
        store.close()
        next_one = open_store(url)
        (found,) = next_one.removals.departing()
        assert (found.id, found.name, found.buried) == (one.id, NAME, False)
        assert next_one.removals.begin(NAME)[0].new is False
        if sum(map(len, of(next_one, one.id, NAME).values())) > 1:
            assert not next_one.removals.bury(found, START, order_gone=True)
        remove(next_one.removals, found)
        assert next_one.removals.bury(found, START, order_gone=True)
        assert next_one.removals.bury(found, START, order_gone=True), "again is no harm"
        assert not any(one for name, one in of(next_one, found.id, NAME).items() if name != "project")
        next_one.close()


def test_the_name_is_anothers_afterwards(store, warm, monkeypatch):
    """Another file under the name, in this process and in one that knew the old one, with ids that were never used."""
    monkeypatch.setattr(database, "TRUSTED_SECONDS", 0.2)
    live(store, NAME)
    live(store, OTHER)
    remember(warm)
    old = {"project": id_of(store, NAME), "lease": max(one for (one,) in rows(store, tables.assignment.c.id))}
    gone(store, NAME)
    time.sleep(0.25)
    other_file = project_file(NAME, labels={"kind": "classes", "classes": ["x", "y", "z"]})
    store.projects.create(other_file, START)
    assert warm.projects.get(NAME) == store.projects.get(NAME) == other_file
    assert warm.projects.row(NAME).items == 0
    assert id_of(store, NAME) > max(old["project"], id_of(store, OTHER))
    warm.pool.add(NAME, [new_item(n) for n in range(3)], START)
    assert store.projects.row(NAME).items == 3
    wanted = [Candidate(item=0, lane=Lane.INFORMATIVE)]
    (lease,) = grant(warm.ledger, NAME, "ann", wanted, now=START, expires_at=START + MINUTE, most=9)
    assert lease.id > old["lease"]


def test_an_answer_to_an_old_lease_is_not_taken_by_the_next_project(store):
    """A lease of a project that is gone is unknown to the next one of its name."""
    live(store, NAME)
    stale = [one for (one,) in rows(store, tables.assignment.c.id)][-1]
    gone(store)
    live(store, NAME)
    lease = type("Lease", (), {"id": stale})()
    outcomes, _ = submit(store.ledger, NAME, "ann", [answer(lease)], now=START, role=Role.ANNOTATOR)
    assert [one.outcome for one in outcomes] == ["rejected"]


def test_no_two_jobs_ever_have_the_same_name(store):
    """A worker that slept through a deletion must not take a job of the next project of the name for its own."""
    live(store, NAME)
    (first,) = store.jobs.recent(NAME, JobKind.TRAIN, 5)
    claimed = store.jobs.claim(first.id, 1, START)
    gone(store)
    live(store, NAME)
    (second,) = store.jobs.recent(NAME, JobKind.TRAIN, 5)
    assert first.id == f"train-{NAME}-1"
    assert second.id == f"train-{NAME}-P{id_of(store, NAME)}-1"
    store.jobs.claim(second.id, 1, START)
    assert claimed is not None
    assert not store.jobs.beat(first.id, 1, now=START, progress=0.5, message="")
    assert not store.jobs.finish(first.id, 1, now=START, result={}, problem=None)
    assert store.jobs.get(second.id).state is JobState.RUNNING
    with pytest.raises(UnknownJob):
        store.jobs.claim(first.id, 2, START)


def test_jobs_are_not_begun_and_those_that_run_are_told(store):
    """A message that waits in a queue starts nothing; who runs hears at his next sign of life that he shall stop."""
    live(store, NAME)
    running, _ = store.jobs.ask(NAME, JobKind.PLAN, "p", reason="", now=START)
    store.jobs.claim(running.id, 1, START)
    assert store.jobs.beat(running.id, 1, now=START, progress=0.1, message="")
    (one, _), waiting = store.removals.begin(NAME), JobId(f"train-{NAME}-1")
    assert store.jobs.claim(waiting, 1, START) is None
    assert not store.jobs.beat(running.id, 1, now=START + MINUTE, progress=0.2, message="")
    assert store.removals.at_work(one, START + MINUTE) == 1, "it was heard all the same"
    assert store.removals.at_work(one, START + 2 * MINUTE) == 0
    while not store.removals.remove(one, seconds=0, jobs=False):
        pass
    assert not store.removals.bury(one, START, order_gone=True), "its job may still be at work"
    assert store.jobs.finish(running.id, 1, now=START, result=None, problem={"type": "x"})
    assert store.removals.at_work(one, START) == 0


def test_while_it_goes_nobody_takes_its_name(store):
    """Creating a project, or a key for it, says that the name is not free yet; then it is."""
    live(store, NAME)
    one, _ = store.removals.begin(NAME)
    with pytest.raises(ProjectExists, match="still being deleted"):
        store.projects.create(project_file(NAME), START)
    with pytest.raises(ProjectExists, match="still being deleted"):
        store.keys.create(Identity(subject="eve", role=Role.ADMIN, project=NAME), "new", START)
    for unknown in (store.projects.get, store.projects.row, store.pool.counts, store.models.all):
        with pytest.raises(UnknownProject):
            unknown(NAME)
    remove(store.removals, one)
    store.removals.bury(one, START, order_gone=True)
    store.projects.create(project_file(NAME), START)


def test_its_keys_open_nothing_any_more(store):
    """Keys that are limited to it are gone with the mark; others, also of revoked and unlimited ones, are not."""
    live(store, NAME)
    live(store, OTHER)
    store.keys.create(Identity(subject="all", role=Role.ADMIN), "free", START)
    store.removals.begin(NAME)
    assert store.keys.find(f"key of {NAME}") is None
    assert store.keys.find(f"key of {OTHER}") is not None
    assert store.keys.find("free") is not None


def test_a_tombstone_may_wait_for_redis(store):
    """The name is free, and the steward still finds the project, until the order of its queue is known to be gone."""
    live(store, NAME)
    one, _ = store.removals.begin(NAME)
    remove(store.removals, one)
    assert store.removals.bury(one, START, order_gone=False)
    live(store, NAME)
    (left,) = store.removals.departing()
    assert (left.name, left.buried) == (NAME, True)
    assert store.removals.bury(left, START + MINUTE, order_gone=True)
    assert store.removals.departing() == []
    assert store.projects.names() == [NAME]
    assert store.projects.row(NAME).items == 10


def test_artifacts_are_needed_by_the_living_only(store):
    """Of what a project refers to, that counts as needed which another one refers to that is not going, too."""
    live(store, NAME)
    live(store, OTHER)
    one, _ = store.removals.begin(NAME)
    assert {SHARED, OWN} <= store.removals.artifacts(one)
    assert store.removals.needed([SHARED, OWN]) == {SHARED}
    store.removals.begin(OTHER)
    assert store.removals.needed([SHARED, OWN]) == frozenset()


def test_hostile_names_are_unknown(store):
    """What somebody puts into an address is compared, not executed."""
    live(store, NAME)
    for name in ("", "demo\x00", "demo ", "DEMO", "%", "demo deleted", "'; drop table item; --", "\ud800"):
        with pytest.raises(UnknownProject):
            store.removals.begin(name)
    assert store.projects.row(NAME).items == 10


def test_after_a_vacuum_deleted_text_is_not_in_the_file(tmp_path):
    """SQLite leaves what was deleted in the free parts of its file until then; then nobody can read it there."""
    path = tmp_path / "x.db"
    store = open_store(f"sqlite:///{path}")
    live(store, NAME)
    live(store, OTHER)
    secret = NewItem(key="s", data={"text": "a secret " * 2000}, line=1)
    store.pool.add(NAME, [secret], START)
    gone(store)
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")
    whole = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    assert b"a secret" not in whole
    assert b"text 3" in whole, "the other project's items are there"
