"""Files outlive a database: another one beside the same home, or a backup put back, must not see the old numbers."""

from dataclasses import replace

import numpy as np
import pytest
from conftest_loop import TurnedClock, blobs, create, label, run_jobs, start

from labelloop import jobs, wiring
from labelloop.loop.ingest import ingest
from labelloop.loop.plan import plan
from labelloop.loop.tend import tend
from labelloop.loop.train import load_model
from labelloop.settings import Settings


@pytest.fixture
def beside(tmp_path, redis_url, monkeypatch):
    """Ports over a database of this name, all in one home."""
    built = []

    def make(name):
        settings = Settings(home=tmp_path, redis_url=redis_url, database_url=f"sqlite:///{tmp_path}/{name}.db")
        built.append(wiring.build(settings))
        built[-1].queue._connection.flushall()
        ports = replace(built[-1], clock=TurnedClock())
        monkeypatch.setattr(jobs, "ports", lambda: ports)
        monkeypatch.setattr(jobs, "SETTLE_SECONDS", 0)
        return ports

    yield make
    for one in built:
        wiring.close(one)


def test_features_are_of_the_items_of_this_database(beside):
    """A smaller pool under the same name has rows of its own, though there were rows for all its numbers."""
    old = beside("old")
    create(old)
    ingest(old, "plane", blobs(200)[0])
    plan(old, "plane", lambda *_: None)
    new = beside("new")
    project, (items, _) = create(new), blobs(150, seed=99)
    ingest(new, "plane", items)
    plan(new, "plane", lambda *_: None)
    rows, xs = new.features.take(project, np.arange(150)), np.array([item.data["x"] for item in items])
    np.testing.assert_allclose(rows[:, 0], (xs - xs[:64].mean()) / xs[:64].std(), rtol=1e-4, atol=1e-5)


def test_scores_are_of_the_champion_of_this_database(beside):
    """The same items, and labels that say otherwise: model 1 of the one is not model 1 of the other."""
    turned = {"c0": "c1", "c1": "c2", "c2": "c0"}
    for name in ("old", "new"):
        ports = beside(name)
        truth = start(ports)
        label(ports, truth, count=40, answer=None if name == "old" else lambda one, truth=truth: turned[truth[one.key]])
        tend(ports, "plane")
        run_jobs(ports)
    project, serving = ports.projects.get("plane"), ports.rounds.serving("plane")
    assert serving.model == 1
    first = [query for query in ports.rounds.queries("plane", serving.number) if query.lane == "informative"]
    said = load_model(ports, project, 1).probabilities(ports.features.take(project, np.arange(200)))
    ranked = np.sort(said, axis=1)
    margins = ranked[:, -2] - ranked[:, -1]
    np.testing.assert_allclose([query.score for query in first], margins[[query.item for query in first]], atol=1e-5)
