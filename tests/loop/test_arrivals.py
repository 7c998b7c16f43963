"""Items come in at any moment, also while the pool is being looked at: what is under way leaves them to the next."""

import pytest
from conftest_loop import blobs, create, label, run_jobs, start

from labelloop.domain.types import JobId, NewItem
from labelloop.loop.ingest import ingest
from labelloop.loop.plan import plan
from labelloop.loop.tend import tend
from labelloop.loop.train import train


def late(count=70, *, label=None):
    """Items that nobody knew of."""
    return [NewItem(key=f"late{at}", data={"x": float(-at), "y": 2.0}, label=label, line=at + 1) for at in range(count)]


class Arrivals:
    """Ingests in the middle of a job, once."""

    def __init__(self, ports, items):
        self.ports, self.items = ports, items

    def __call__(self, *_):
        if self.items:
            items, self.items = self.items, []
            ingest(self.ports, "plane", items)


@pytest.mark.parametrize("champion", [False, True])
def test_a_round_is_of_the_items_that_were_there_when_it_began(ports, champion):
    """It does not fail over those that came since; they are in the next, which is due at once."""
    if champion:
        truth = start(ports)
        label(ports, truth, count=30)
        tend(ports, "plane")
        run_jobs(ports)
        assert ports.projects.row("plane").champion is not None
        ingest(ports, "plane", [NewItem(key="one more", data={"x": 0.0, "y": 0.0}, line=1)])
    else:
        create(ports)
        ingest(ports, "plane", blobs(200)[0])
    before = ports.projects.row("plane").items
    planned = plan(ports, "plane", Arrivals(ports, late()))
    asked = [query.item for query in ports.rounds.queries("plane", planned.number)]
    assert asked
    assert max(asked) < before
    assert tend(ports, "plane").asked
    run_jobs(ports)
    newest = ports.rounds.serving("plane")
    assert newest.number > planned.number
    assert max(query.item for query in ports.rounds.queries("plane", newest.number)) >= before


def test_a_training_is_of_the_labels_that_were_there_when_it_began(ports):
    """Labels that come along with new items are left to the next one, which has their features."""
    create(ports)
    items, truth = blobs(200)
    known = [NewItem(key=i.key, data=i.data, label=truth[i.key], line=i.line) for i in items[:30]]
    ingest(ports, "plane", known + items[30:])
    before = ports.pool.labeled

    def slow(name):
        ingest(ports, "plane", late(label="c1"))
        return before(name)

    ports.pool.labeled = slow
    try:
        model = train(ports, "plane", JobId("train-plane-1"), lambda *_: None)
    finally:
        del ports.pool.labeled
    assert model.labels == 30
    assert train(ports, "plane", JobId("train-plane-2"), lambda *_: None).labels == 100


def test_a_pool_in_which_nothing_is_left_to_plan_rests(ports, monkeypatch):
    """When all of the audit is answered the pool is read once in a while, and not at every tick of the steward."""
    monkeypatch.setattr("labelloop.loop.refill.LOOKED_AT", 1)
    lanes = {"informative": 0.5, "audit": 0.5, "audit_items": 10, "window": 60}
    truth = start(ports, lanes=lanes, retrain={"first": 500})
    while ports.queue_health.depth("plane")["audit"]:
        label(ports, truth, count=4)
    run_jobs(ports)
    reads, before = [], ports.pool.waiting
    monkeypatch.setattr(ports.pool, "waiting", lambda name: reads.append(name) or before(name))
    for _ in range(5):
        assert not tend(ports, "plane").asked
    assert len(reads) <= 1
