"""The loop from ingest to promotion and back, over real adapters."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from conftest_loop import blobs, create, label, run_jobs, start, who

from labelloop import jobs
from labelloop.domain.states import ItemState, JobKind, JobState, Lane, ModelState
from labelloop.domain.types import NewItem
from labelloop.loop.ingest import ingest
from labelloop.loop.lease import lease
from labelloop.loop.plan import plan
from labelloop.loop.pool import audit_labels, look, training_labels
from labelloop.loop.promote import promote_by_hand
from labelloop.loop.report import curve, status
from labelloop.loop.request import request_round, request_training
from labelloop.loop.tend import SILENCE, tend


def work(ports, truth, rounds=6, count=20):
    """Label, tend and run jobs a few times over."""
    for _ in range(rounds):
        label(ports, truth, count=count)
        tend(ports, "plane")
        run_jobs(ports)
        tend(ports, "plane")


def test_the_loop_closes(ports):
    """Labels come in, models are trained and promoted, and each new champion plans the next round."""
    truth = start(ports)
    work(ports, truth)
    models = ports.models.all("plane")
    assert len(models) >= 4
    assert {model.state for model in models} <= {ModelState.CHAMPION, ModelState.RETIRED, ModelState.REFUSED}
    assert all(model.reason for model in models)
    serving, row = ports.rounds.serving("plane"), ports.projects.row("plane")
    assert serving.model == row.champion == max(m.number for m in models if m.state is ModelState.CHAMPION)
    assert ports.queue_health.serving("plane") == serving.number
    last = models[-1].metrics
    assert last["accuracy"]["mean"] > 0.8
    assert last["accuracy"]["low"] <= last["accuracy"]["mean"] <= last["accuracy"]["high"]
    assert set(last["per_class"]) == {"c0", "c1", "c2"}


def test_items_are_conserved_at_every_step(ports):
    """Pooled + queued + leased + resolved + disputed + retired = ingested, whenever anybody looks."""
    truth = start(ports)
    for _ in range(4):
        assert ports.pool.counts("plane").conserved
        lease(ports, "plane", who("bert"), 3)
        assert ports.pool.counts("plane").conserved
        label(ports, truth)
        assert ports.pool.counts("plane").conserved
        tend(ports, "plane")
        run_jobs(ports)
    counts = ports.pool.counts("plane")
    assert counts.conserved
    assert counts.ingested == 200


def test_audit_items_are_never_trained_on(ports):
    """Training set and audit are disjoint, and the audit holds what its lane served."""
    truth = start(ports)
    work(ports, truth)
    project, row = ports.projects.get("plane"), ports.projects.row("plane")
    trained, _ = training_labels(ports, project, row.audit_threshold, items=row.items)
    audited, _ = audit_labels(ports, project, row.audit_threshold)
    assert len(audited) >= 10
    assert not set(trained) & set(audited)
    stored = ports.models.training_set("plane", ports.models.all("plane")[-1].training_set)
    assert not set(stored.items) & set(audited.tolist())


def test_lanes_keep_their_shares(ports):
    """Of a hundred items handed out a fifth is the audit's, while the lane has items."""
    start(ports, count=400, lanes={"informative": 0.8, "audit": 0.2, "window": 300})
    served = []
    for _ in range(10):
        batch = lease(ports, "plane", who("anna"), 5)
        served += [one.lane for one in batch.leases]
    assert served.count(Lane.AUDIT) == 10


def test_a_training_fires_once_per_occasion(ports):
    """However often the steward looks, N labels make one training."""
    truth = start(ports)
    label(ports, truth, count=15)
    for _ in range(5):
        tend(ports, "plane")
    jobs = ports.jobs.recent("plane", JobKind.TRAIN, 10)
    assert [job.due_key for job in jobs] == ["first"]
    run_jobs(ports)
    for _ in range(5):
        tend(ports, "plane")
    assert len(ports.jobs.recent("plane", JobKind.TRAIN, 10)) == 1


def test_a_job_that_runs_twice_gives_one_model(ports):
    """A second delivery of the same attempt, or a later attempt after the model exists, adds nothing."""
    truth = start(ports)
    label(ports, truth, count=15)
    tend(ports, "plane")
    job = ports.jobs.recent("plane", JobKind.TRAIN, 1)[0]
    jobs.train(job.id, 1)
    jobs.train(job.id, 1)
    jobs.train(job.id, 2)
    assert len(ports.models.all("plane")) == 1
    assert ports.jobs.get(job.id).state is JobState.DONE


def test_a_silent_job_is_handed_to_another_worker(ports, clock):
    """A worker that died says nothing; after ten seconds the next attempt runs and the dead one may not speak."""
    truth = start(ports)
    label(ports, truth, count=15)
    tend(ports, "plane")
    job = ports.jobs.recent("plane", JobKind.TRAIN, 1)[0]
    assert ports.jobs.claim(job.id, 1, clock.now())
    assert job.id not in [one.id for one in ports.jobs.unfinished("plane", clock.now() - SILENCE)]
    clock.turn(11)
    waiting = [one for one in ports.jobs.unfinished("plane", clock.now() - SILENCE) if one.id == job.id]
    assert [one.attempt for one in waiting] == [2]
    run_jobs(ports)
    assert ports.jobs.get(job.id).state is JobState.DONE
    assert not ports.jobs.finish(job.id, 1, now=clock.now(), result={}, problem=None)


def test_a_job_whose_worker_died_is_handed_on_at_once(ports, clock):
    """Nobody waits for ten silent seconds when the death is known; while the worker lives nothing is handed on."""
    truth = start(ports)
    label(ports, truth, count=15)
    tend(ports, "plane")
    job = ports.jobs.recent("plane", JobKind.TRAIN, 1)[0]
    sent = []
    bus = SimpleNamespace(send=lambda one: sent.append((one.id, one.attempt)), nudge=ports.bus.nudge)
    watched = replace(ports, bus=bus)
    with ports.claims.hold(job.id, 1):
        assert ports.jobs.claim(job.id, 1, clock.now())
        clock.turn(0.5)
        tend(watched, "plane")
        assert (job.id, 2) not in sent
    ports.claims._path(job.id, 1).touch()  # as kill -9 leaves it: the file is there, and nobody holds it
    tend(watched, "plane")
    assert (job.id, 2) in sent


def test_a_training_asked_for_after_answers_has_them(ports):
    """Nobody waits for the steward: what was acknowledged before the request is in the training set."""
    truth = start(ports)
    label(ports, truth, count=15)
    job = request_training(ports, "plane")
    jobs.train(job.id, 1)
    done = ports.jobs.get(job.id)
    assert done.state is JobState.DONE
    assert done.result["resolved"] == 15
    project, threshold = ports.projects.get("plane"), ports.projects.row("plane").audit_threshold
    assert ports.models.all("plane")[0].labels + len(audit_labels(ports, project, threshold)[0]) == 15


def test_requests_are_idempotent_by_key(ports):
    """The same key is the same job; another key is another."""
    start(ports)
    first = request_training(ports, "plane", key="night-1")
    assert request_training(ports, "plane", key="night-1").id == first.id
    assert request_training(ports, "plane", key="night-2").id != first.id
    assert request_round(ports, "plane").id != request_round(ports, "plane").id


def test_a_training_without_two_classes_ends_with_a_reason(ports):
    """One class only: the job fails in words, nothing is registered, and the loop goes on."""
    truth = start(ports)
    label(ports, truth, count=15, answer=lambda _: "c0")
    tend(ports, "plane")
    run_jobs(ports)
    job = ports.jobs.recent("plane", JobKind.TRAIN, 1)[0]
    assert job.state is JobState.FAILED
    assert job.problem["type"] == "cannot-train"
    assert "class" in job.problem["detail"]
    assert ports.models.all("plane") == []
    tend(ports, "plane")
    assert len(ports.jobs.recent("plane", JobKind.TRAIN, 10)) == 1
    label(ports, truth, count=25)
    tend(ports, "plane")
    run_jobs(ports)
    assert ports.projects.row("plane").champion is not None


def test_rollback_serves_the_older_model_and_its_order(ports):
    """One call moves the champion back, and the next round is the old model's."""
    truth = start(ports)
    work(ports, truth, rounds=4)
    before = ports.projects.row("plane").champion
    older = next(m.number for m in ports.models.all("plane") if m.state is ModelState.RETIRED)
    promote_by_hand(ports, "plane", older, "eve")
    assert ports.projects.row("plane").champion == older != before
    assert ports.models.get("plane", before).state is ModelState.RETIRED
    tend(ports, "plane")
    run_jobs(ports)
    assert ports.rounds.serving("plane").model == older
    assert ports.queue_health.serving("plane") == ports.rounds.serving("plane").number


def test_new_items_join_the_next_round(ports):
    """Items that arrive later are featurized by the fitted transform, scored and served."""
    truth = start(ports)
    work(ports, truth, rounds=2)
    more, extra = blobs(50, seed=5)
    renamed = [NewItem(key=f"n{item.key}", data=item.data, line=item.line) for item in more]
    assert ingest(ports, "plane", renamed).added == 50
    tend(ports, "plane")
    run_jobs(ports)
    asked = {query.item for query in ports.rounds.queries("plane", ports.rounds.serving("plane").number)}
    assert asked & set(range(200, 250))
    assert extra


def test_an_empty_pool_waits_in_peace(ports):
    """Without items there is no round, no error, and a reason for whoever asks for work."""
    create(ports)
    report = tend(ports, "plane")
    assert report.asked == ()
    batch = lease(ports, "plane", who("anna"), 5)
    assert batch.leases == []
    assert batch.retry_after
    assert plan(ports, "plane", lambda *_: None) is None


@pytest.mark.parametrize("label", [None, "c0"])
def test_the_odd_broken_item_is_retired_with_its_reason(ports, label):
    """Text in a column takes one item out, labeled or not, says why, and the rest is served and trained on."""
    create(ports)
    items, truth = blobs(60)
    known = [NewItem(key=i.key, data=i.data, label=truth[i.key], line=i.line) for i in items[:30]]
    bad = NewItem(key="bad", data={"x": "wide", "y": 1.0}, label=label, line=61)
    ingest(ports, "plane", [*known, bad, *items[30:]])
    for _ in range(2):
        tend(ports, "plane")
        run_jobs(ports)
    found = ports.pool.find("plane", "bad")
    assert found.state is ItemState.RETIRED
    assert "'x'" in found.metadata["retired"]
    counts = ports.pool.counts("plane")
    assert (counts.resolved, counts.queued, counts.retired, counts.conserved) == (30, 30, 1, True)
    assert ports.models.all("plane")[0].labels == 30


def test_a_mistake_in_the_file_costs_no_item(ports):
    """When most items cannot be turned into numbers the round stops with one of them named; nothing is retired."""
    create(ports, features={"kind": "columns", "columns": ["x"]})
    words = [NewItem(key=f"w{at}", data={"x": f"word {at}"}, line=at + 1) for at in range(50)]
    ingest(ports, "plane", words)
    for _ in range(3):
        tend(ports, "plane")
        run_jobs(ports)
    (job,) = ports.jobs.recent("plane", JobKind.PLAN, 5)
    assert job.state is JobState.FAILED
    assert job.problem["type"] == "invalid-features"
    assert "'x'" in job.problem["detail"]
    assert ports.pool.counts("plane").retired == 0


def test_known_labels_are_trained_on_and_never_asked(ports):
    """Labels that come along count at once; their items are in no round."""
    create(ports)
    items, truth = blobs(100)
    known = [NewItem(key=i.key, data=i.data, label=truth[i.key], line=i.line) for i in items[:30]]
    ingest(ports, "plane", known + items[30:])
    tend(ports, "plane")
    run_jobs(ports)
    tend(ports, "plane")
    run_jobs(ports)
    assert ports.models.all("plane")[0].labels == 30
    view = look(ports, ports.projects.get("plane"), items=100)
    assert not set(view.waiting) & set(range(30))


def test_status_and_curve_tell_the_whole_story(ports):
    """What the page, the command line and the demo show is there, and is plain JSON."""
    import json

    truth = start(ports, stop={"budget": 60})
    work(ports, truth, rounds=5)
    shown = json.loads(json.dumps(status(ports, "plane")))
    assert shown["items"]["conserved"]
    assert shown["budget"] == {"votes": 60, "spent": 60}
    assert shown["champion"]["number"] == ports.projects.row("plane").champion
    assert shown["trainings"][0]["state"] == "done"
    points = json.loads(json.dumps(curve(ports, "plane")))["points"]
    assert [point["labels"] for point in points] == sorted(point["labels"] for point in points)
    batch = lease(ports, "plane", who("anna"), 5)
    assert batch.reason == "the budget is spent"
    assert batch.retry_after is None


@pytest.mark.parametrize("kind", ["entropy", "least_confidence", "random"])
def test_other_strategies_drive_the_loop_too(ports, kind):
    """Whatever is asked first, the loop closes."""
    truth = start(ports, strategy={"kind": kind})
    work(ports, truth, rounds=3)
    assert ports.rounds.serving("plane").strategy == kind


def test_a_strategy_that_cannot_work_falls_back_in_sight(ports):
    """BALD needs a committee that logistic regression is not: the round is margin's, and says so."""
    truth = start(ports, strategy={"kind": "bald"})
    work(ports, truth, rounds=3)
    serving = ports.rounds.serving("plane")
    assert "margin" in serving.stats["fallback"]
    assert "committee" in serving.stats["fallback"]


def test_the_state_of_items_follows_their_votes(ports):
    """One vote resolves an item of a single-vote project with the label that was given."""
    truth = start(ports)
    label(ports, truth, count=5)
    tend(ports, "plane")
    resolved = [item for item in ports.pool.span("plane", 0, 200) if item.state is ItemState.RESOLVED]
    assert len(resolved) == 5
    assert all(item.label == truth[item.key] for item in resolved)


@pytest.mark.parametrize(
    "strategy",
    [
        {"kind": "margin", "diversity": "k_center", "batch": 8},
        {"kind": "margin", "diversity": "cluster_margin", "batch": 8},
        {"kind": "modal", "function": "modAL.uncertainty.entropy_sampling", "batch": 8},
        {"kind": "modal", "function": "modAL.batch.uncertainty_batch_sampling", "batch": 8},
    ],
)
def test_batches_are_chosen_together(ports, strategy):
    """Diversity and modAL's functions choose the head of the round; nothing falls back, no item stands twice."""
    truth = start(ports, strategy=strategy)
    work(ports, truth, rounds=2)
    serving = ports.rounds.serving("plane")
    assert serving.model is not None
    assert "fallback" not in serving.stats
    asked = [query.item for query in ports.rounds.queries("plane", serving.number)]
    assert len(asked) == len(set(asked))


def test_a_committee_of_modal_drives_its_own_strategies(ports):
    """A modAL committee gives the votes that vote entropy asks for."""
    member = {"kind": "sklearn", "estimator": "sklearn.linear_model.LogisticRegression"}
    model = {"kind": "modal_committee", "members": [member, member, member]}
    truth = start(ports, model=model, strategy={"kind": "vote_entropy"})
    work(ports, truth, rounds=2)
    assert "fallback" not in ports.rounds.serving("plane").stats


@pytest.mark.parametrize("lanes", [{"informative": 0.7, "minority": 0.2, "audit": 0.1}, {"informative": 1, "audit": 0}])
def test_the_next_window_comes_before_the_queue_is_empty_for_ever(ports, lanes):
    """A pool of several windows is served to its last item, also when two lanes wanted the same items."""
    truth = start(ports, count=150, lanes={**lanes, "window": 20}, retrain={"first": 12, "labels": 10_000})
    for _ in range(40):
        label(ports, truth, count=10)
        tend(ports, "plane")
        run_jobs(ports)
        tend(ports, "plane")
    counts = ports.pool.counts("plane")
    assert (counts.resolved, counts.conserved) == (150, True)
    before = len(ports.jobs.recent("plane", JobKind.PLAN, 1000))
    for _ in range(3):
        tend(ports, "plane")
        run_jobs(ports)
    assert len(ports.jobs.recent("plane", JobKind.PLAN, 1000)) == before
