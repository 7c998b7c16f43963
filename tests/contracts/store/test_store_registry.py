"""What the loop relies on in ports.Rounds, ports.Models, ports.Jobs and ports.Keys."""

import time
from datetime import timedelta

import pytest
from sqlalchemy import text
from store_desk import MINUTE, NAME, START, project_file

from labelloop.adapters.sql.database import Database
from labelloop.domain.errors import Conflict, Invalid, UnknownJob, UnknownModel
from labelloop.domain.states import ItemState, JobKind, JobState, Lane, ModelState, Role
from labelloop.domain.types import Identity, Model, Query, TrainingSet

# --- rounds ----------------------------------------------------------------------------------------------------


def test_a_round_is_served_as_planned(desk):
    """It comes back with its facts; queries of items that are closed meanwhile are left out."""
    desk.fill(5)
    assert desk.store.rounds.serving(NAME) is None
    first = desk.plan(4, 2, 0)
    assert desk.store.rounds.serving(NAME) == first
    assert (first.number, first.queries, first.stats, first.seed) == (1, 3, {"n": 1}, 7)
    desk.vote("ann", 2)
    desk.settle(2, ItemState.RESOLVED)
    queries = desk.store.rounds.queries(NAME, first.number)
    assert [(query.item, query.rank, query.score) for query in queries] == [(4, 0, 1.0), (0, 2, 0.98)]
    second = desk.plan(1)
    assert desk.store.projects.row(NAME).round == second.number == 2
    assert [one.number for one in desk.store.rounds.recent(NAME, 5)] == [2, 1]


def test_lanes_keep_their_own_order(desk):
    """Queries come by lane and rank, whatever the order they were saved in."""
    desk.fill(4)
    queries = [
        Query(item=item, lane=lane, rank=rank, score=0.0, probability=1.0)
        for item, lane, rank in ((0, Lane.MINORITY, 1), (1, Lane.AUDIT, 0), (2, Lane.MINORITY, 0))
    ]
    facts = {"strategy": "entropy", "seed": 2**32 - 1, "model": None, "pool_version": 1, "stats": {}, "now": START}
    saved = desk.store.rounds.save(NAME, queries, **facts)
    kept = desk.store.rounds.queries(NAME, saved.number)
    assert [(query.lane, query.item) for query in kept] == [("audit", 1), ("minority", 2), ("minority", 0)]
    with pytest.raises(Invalid, match="once"):
        desk.store.rounds.save(NAME, [queries[0], queries[0]], **facts)
    assert desk.store.rounds.serving(NAME) == saved


def test_a_round_of_an_old_champion_is_refused(desk):
    """When the champion changed while a round was planned, nothing is kept."""
    desk.fill(2)
    facts = {"strategy": "margin", "seed": 1, "pool_version": 1, "stats": {}, "now": START}
    assert desk.store.rounds.save(NAME, [], model=3, **facts) is None
    assert desk.store.rounds.serving(NAME) is None
    assert desk.store.rounds.recent(NAME, 5) == []


def test_a_planner_that_dies_leaves_nothing_that_anyone_sees(desk, monkeypatch):
    """A round is written in pieces; until the last one there is none, and the next planner goes on beside the ruin."""
    desk.fill(3)

    def die(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "rest", die)
        with pytest.raises(RuntimeError, match="killed"):
            desk.plan(0, 1)
    assert desk.store.rounds.serving(NAME) is None
    assert desk.store.rounds.recent(NAME, 5) == []
    planned = desk.plan(2)
    assert desk.store.rounds.serving(NAME) == planned
    assert [query.item for query in desk.store.rounds.queries(NAME, planned.number)] == [2]
    assert desk.store.rounds.recent(NAME, 5) == [planned]


def test_a_round_that_was_overtaken_is_refused(desk, monkeypatch):
    """Of two planners at once the later one wins; the other's round is not served after it."""
    desk.fill(3)
    newer = []

    def overtake(*_: object) -> None:
        if not newer:
            newer.append(None)
            newer[0] = desk.plan(2)

    monkeypatch.setattr(Database, "rest", overtake)
    facts = {"strategy": "margin", "seed": 1, "model": None, "pool_version": 1, "stats": {}, "now": START}
    queries = [Query(item=0, lane=Lane.INFORMATIVE, rank=0, score=0.0, probability=1.0)]
    assert desk.store.rounds.save(NAME, queries, **facts) is None
    assert desk.store.rounds.serving(NAME) == newer[0]
    assert [query.item for query in desk.store.rounds.queries(NAME, newer[0].number)] == [2]


def test_a_query_may_ask_for_more_votes(desk):
    """A round raises the votes of an item, never lowers them."""
    desk.fill(2, needed=2, cap=4)
    desk.plan(0, needed=4)
    desk.plan(0, 1, needed=1)
    assert [query.needed for query in desk.store.rounds.queries(NAME, 2)] == [4, 2]
    assert [len(desk.grant(who, 0)) for who in "abcde"] == [1, 1, 1, 1, 0]


def test_old_rounds_are_forgotten_but_not_why_an_item_was_served(desk):
    """Queries of rounds long gone are thrown away; the round and the dispatch keep their facts."""
    desk.fill(3)
    desk.plan(2)
    desk.grant("ann", 2)
    for _ in range(6):
        desk.plan(0)
    desk.store.rounds.forget(NAME)
    assert desk.store.rounds.queries(NAME, 1) == []
    assert len(desk.store.rounds.queries(NAME, 6)) == 1
    assert len(desk.store.rounds.recent(NAME, 50)) == 7
    assert desk.store.ledger.history(NAME, 2)["dispatches"][0]["score"] == 1.0


# --- models ----------------------------------------------------------------------------------------------------


def a_model(**more: object) -> Model:
    """A candidate as the trainer hands it in."""
    facts = {
        "number": 0,
        "state": ModelState.CANDIDATE,
        "training_set": "d1",
        "artifact": "sha",
        "labels": 20,
        "spent": 25,
        "metrics": {"accuracy": {"mean": 0.9, "low": 0.8, "high": 0.95}},
        "reason": "",
        "created_at": START,
        "provenance": {"seed": 1},
    }
    return Model(**{**facts, **more})


@pytest.fixture
def registry(desk):
    """Two candidates."""
    desk.fill(1)
    desk.store.models.add(NAME, a_model(), "train-demo-1")
    desk.store.models.add(NAME, a_model(artifact="sha2"), "train-demo-2")
    return desk.store


def decide(store, number, state, champion, reason="because"):
    """A decision against a champion."""
    return store.models.decide(NAME, number, state, reason=reason, now=START, champion=champion)


def test_a_training_set_is_kept_under_its_digest(desk):
    """Again is no error, and an unknown digest is one."""
    desk.fill(1)
    kept = TrainingSet(number=0, digest="d1", items=[5, 3, 2**40], labels=["a", "b", "ä"])
    desk.store.models.keep_training_set(NAME, kept, START)
    desk.store.models.keep_training_set(NAME, kept, START)
    desk.store.models.keep_training_set(NAME, TrainingSet(number=0, digest="d2", items=[], labels=[]), START)
    found = desk.store.models.training_set(NAME, "d1")
    assert (list(found.items), list(found.labels), found.number) == ([5, 3, 2**40], ["a", "b", "ä"], 1)
    assert desk.store.models.training_set(NAME, "d2").number == 2
    with pytest.raises(UnknownModel, match="d3"):
        desk.store.models.training_set(NAME, "d3")


def test_a_job_adds_one_model(registry):
    """A job that runs again gets the number its model has."""
    assert registry.models.add(NAME, a_model(artifact="other"), "train-demo-1") == 1
    assert [model.number for model in registry.models.all(NAME)] == [1, 2]
    found = registry.models.of_job(NAME, "train-demo-2")
    assert (found.number, found.artifact) == (2, "sha2")
    assert registry.models.of_job(NAME, "train-demo-3") is None
    assert registry.models.get(NAME, 1).metrics == a_model().metrics
    with pytest.raises(UnknownModel, match="Models: 1, 2"):
        registry.models.get(NAME, 3)


def test_a_promotion_retires_the_old_champion_and_asks_for_a_ranking(registry):
    """All in one step: states, pointer and the plan job."""
    assert decide(registry, 1, ModelState.CHAMPION, None)
    assert decide(registry, 2, ModelState.CHAMPION, 1)
    assert [model.state for model in registry.models.all(NAME)] == ["retired", "champion"]
    assert registry.projects.row(NAME).champion == 2
    jobs = registry.jobs.recent(NAME, JobKind.PLAN, 10)
    assert [job.due_key for job in jobs] == ["model:2:1", "model:1:1"]
    assert jobs[0].state is JobState.DUE


def test_a_rollback_asks_for_a_ranking_again(registry):
    """The same model promoted twice is two occasions; promoting the champion itself is none."""
    decide(registry, 1, ModelState.CHAMPION, None)
    decide(registry, 2, ModelState.CHAMPION, 1)
    assert decide(registry, 1, ModelState.CHAMPION, 2)
    assert decide(registry, 1, ModelState.CHAMPION, 1)
    keys = [job.due_key for job in registry.jobs.recent(NAME, JobKind.PLAN, 10)]
    assert keys == ["model:1:2", "model:2:1", "model:1:1"]


def test_a_decision_against_an_old_champion_does_nothing(registry):
    """Two promotions at once: the second one was made against a champion that is gone."""
    decide(registry, 1, ModelState.CHAMPION, None)
    assert not decide(registry, 2, ModelState.CHAMPION, None)
    assert not decide(registry, 2, ModelState.REFUSED, None)
    assert registry.models.get(NAME, 2).state is ModelState.CANDIDATE
    assert decide(registry, 2, ModelState.REFUSED, 1, reason="worse")
    assert registry.models.get(NAME, 2).reason == "worse"
    with pytest.raises(Conflict, match="champion"):
        decide(registry, 1, ModelState.REFUSED, 1)


def test_a_round_whose_champion_went_while_it_was_written_is_refused(registry, monkeypatch):
    """After a rollback the order of the model that was taken back is not served, however late it was ready."""
    decide(registry, 1, ModelState.CHAMPION, None)
    decide(registry, 2, ModelState.CHAMPION, 1)
    monkeypatch.setattr(Database, "rest", lambda *_: decide(registry, 1, ModelState.CHAMPION, 2))
    facts = {"strategy": "margin", "seed": 1, "pool_version": 1, "stats": {}, "now": START}
    queries = [Query(item=0, lane=Lane.INFORMATIVE, rank=0, score=0.0, probability=1.0)]
    assert registry.rounds.save(NAME, queries, model=2, **facts) is None
    assert registry.rounds.serving(NAME) is None


# --- jobs ------------------------------------------------------------------------------------------------------


def ask(store, key="labels-after-0", kind=JobKind.TRAIN):
    """Ask for a job."""
    store.projects.create(project_file(), START)
    return store.jobs.ask(NAME, kind, key, reason="20 labels", now=START)


def test_a_due_condition_is_asked_once(store):
    """The same key gives the same job; another key or kind another one, numbered by kind."""
    job, new = ask(store)
    again, second = ask(store)
    assert (job.id, new, again, second) == ("train-demo-1", True, job, False)
    assert ask(store, "other")[0].id == "train-demo-2"
    assert ask(store, kind=JobKind.PLAN)[0].id == "plan-demo-1"
    assert (job.state, job.attempt, job.reason, job.created_at) == (JobState.DUE, 0, "20 labels", START)


def test_an_attempt_is_claimed_once(store):
    """Two workers with the same message: one gets the job."""
    job, _ = ask(store)
    [offered] = store.jobs.unfinished(NAME, START)
    assert offered.attempt == 1
    claimed = store.jobs.claim(job.id, 1, START)
    assert (claimed.state, claimed.attempt) == (JobState.RUNNING, 1)
    assert store.jobs.claim(job.id, 1, START) is None
    assert store.jobs.claim(job.id, 3, START) is None
    assert store.jobs.unfinished(NAME, START) == []
    with pytest.raises(UnknownJob, match="nope"):
        store.jobs.claim("nope", 1, START)


def test_a_silent_job_goes_to_another_worker(store):
    """The new attempt takes over; the old worker's voice counts no more."""
    job, _ = ask(store)
    store.jobs.claim(job.id, 1, START)
    assert store.jobs.beat(job.id, 1, now=START + MINUTE, progress=0.5, message="fitting")
    assert store.jobs.unfinished(NAME, START + MINUTE) == []
    [silent] = store.jobs.unfinished(NAME, START + 2 * MINUTE)
    assert (silent.attempt, silent.message) == (2, "fitting")
    assert store.jobs.claim(job.id, 2, START + 2 * MINUTE) is not None
    assert not store.jobs.beat(job.id, 1, now=START, progress=0.9, message="old")
    assert not store.jobs.finish(job.id, 1, now=START, result={"model": 1}, problem=None)
    assert store.jobs.finish(job.id, 2, now=START + 3 * MINUTE, result={"model": 2}, problem=None)
    ended = store.jobs.get(job.id)
    assert (ended.state, ended.result, ended.progress, ended.problem) == (JobState.DONE, {"model": 2}, 1.0, None)
    assert ended.finished_at == START + 3 * MINUTE


def test_a_job_that_ended_stays_ended(store):
    """It is not handed out, claimed or ended again; its problem is kept."""
    job, _ = ask(store)
    store.jobs.claim(job.id, 1, START)
    assert store.jobs.finish(job.id, 1, now=START, result=None, problem={"type": "cannot-train"})
    assert not store.jobs.finish(job.id, 1, now=START, result={}, problem=None)
    assert store.jobs.claim(job.id, 2, START) is None
    assert store.jobs.unfinished(NAME, START + MINUTE) == []
    assert store.jobs.get(job.id).state is JobState.FAILED
    assert store.jobs.recent(NAME, JobKind.TRAIN, 1)[0].problem == {"type": "cannot-train"}
    with pytest.raises(UnknownJob):
        store.jobs.get("train-demo-9")


# --- keys ------------------------------------------------------------------------------------------------------


def test_a_key_opens_until_it_is_revoked(store):
    """Found by its digest with subject, role and project; after the revocation by nobody."""
    ann = Identity(subject="ann", role=Role.ANNOTATOR, project=NAME)
    store.keys.create(ann, "digest", START)
    store.keys.create(ann, "digest", START)
    assert store.keys.find("digest") == ann
    assert store.keys.find("other") is None
    with pytest.raises(Conflict):
        store.keys.create(Identity(subject="bob", role=Role.ADMIN), "digest", START)
    assert store.keys.revoke("digest", START)
    assert not store.keys.revoke("digest", START)
    assert store.keys.find("digest") is None
    with pytest.raises(Conflict, match="revoked"):
        store.keys.create(ann, "digest", START)


def test_keys_are_listed_and_revoked_ones_stay_in_the_list(store):
    """Oldest first, each with whose it is and since and until when; their ids tell them apart."""
    ann = Identity(subject="ann", role=Role.ANNOTATOR, project=NAME, skills=frozenset({"law", "lang:de"}))
    bob = Identity(subject="bob", role=Role.ADMIN)
    store.keys.create(bob, "b" * 64, START + timedelta(seconds=1))
    store.keys.create(ann, "a" * 64, START)
    store.keys.revoke("a" * 64, START + timedelta(seconds=5))
    first, second = store.keys.known()
    assert (first.digest, first.identity, first.created_at) == ("a" * 64, ann, START)
    assert first.revoked_at == START + timedelta(seconds=5)
    assert (second.id, second.identity, second.revoked_at) == ("b" * 12, bob, None)


def test_a_key_that_opens_carries_other_skills(store):
    """All that are named and no others; a revoked key, and one that never was, carry none."""
    store.keys.create(Identity(subject="ann", role=Role.ANNOTATOR, skills=frozenset({"law"})), "digest", START)
    assert store.keys.equip("digest", frozenset({"lang:de", "lang:fr"}))
    assert store.keys.find("digest").skills == {"lang:de", "lang:fr"}
    assert store.keys.carried(NAME) == [(Role.ANNOTATOR, frozenset({"lang:de", "lang:fr"}))]
    assert not store.keys.equip("other", frozenset({"law"}))
    store.keys.revoke("digest", START)
    assert not store.keys.equip("digest", frozenset({"law"}))


# --- upkeep ----------------------------------------------------------------------------------------------------


def test_a_table_that_doubled_is_studied(desk):
    """PostgreSQL learns how long a young table is before it reads all of it for each lease."""
    desk.fill(600)
    desk.store.ledger.study()  # SQLite has nothing to learn
    if desk.store.database.sqlite:
        return
    engine, seen = desk.store.engine, 0.0
    deadline = time.monotonic() + 30  # what a connection did is counted some time later
    while seen < 600 and time.monotonic() < deadline:
        desk.store.ledger.study()
        with engine.connect() as connection:
            seen = connection.execute(text("SELECT reltuples FROM pg_class WHERE relname = 'item'")).scalar_one()
    assert seen == 600
