"""How much the last training changed is told by a round, whatever became of the columns and of the model before."""

import numpy as np
import pytest
from conftest_loop import blobs, create, ingest, label, run_jobs, start
from structlog.testing import capture_logs

from labelloop.domain.states import ModelState
from labelloop.loop import facts, stability
from labelloop.loop import train as training
from labelloop.loop.promote import promote_by_hand
from labelloop.loop.report import status
from labelloop.loop.request import request_round
from labelloop.loop.tend import tend

FAST = {"first": 12, "labels": 20}


def turn(ports, truth, count=25):
    """Label, train, promote and plan once."""
    label(ports, truth, count=count)
    for _ in range(2):
        tend(ports, "plane")
        run_jobs(ports)


def serving(ports):
    """The round that is served."""
    return ports.rounds.serving("plane")


def by_hand(ports, planned):
    """Part of the items that waited when a round was planned whose class its model and the one before see otherwise."""
    project = ports.projects.get("plane")
    waiting = facts.unpacked(ports.artifacts.get(planned.stats["replay"]["facts"])).view.waiting
    features = ports.features.take(project, waiting)
    first, second = (
        training.load_model(ports, project, number).probabilities(features).argmax(axis=1)
        for number in (planned.stats["stability"]["since"], planned.model)
    )
    return len(waiting), float((first != second).mean())


@pytest.mark.parametrize("change", [{}, {"strategy": {"kind": "random"}}])
def test_a_round_says_how_many_predictions_the_training_changed(ports, change):
    """The first model has none before it; of the second the part of changed classes is what both models say."""
    truth = start(ports, count=400, **change)
    turn(ports, truth)
    assert serving(ports).model is not None
    assert "stability" not in serving(ports).stats
    turn(ports, truth)
    planned = serving(ports)
    told = planned.stats["stability"]
    assert told["since"] == planned.model - 1
    assert (told["rows"], pytest.approx(told["changed"], abs=1e-4)) == by_hand(ports, planned)
    assert told["kappa"] <= 1 - told["changed"]


def test_it_is_the_same_without_the_columns_of_the_model_before(ports):
    """Where its columns are gone the model before looks itself, and says the same."""
    truth = start(ports, count=400)
    turn(ports, truth)
    ports.scores.discard(ports.projects.get("plane"), [])
    turn(ports, truth)
    planned = serving(ports)
    assert pytest.approx(planned.stats["stability"]["changed"], abs=1e-4) == by_hand(ports, planned)[1]


def test_items_that_came_since_are_looked_at_too(ports):
    """Columns that end before the newest items are taken as far as they go."""
    truth = start(ports, count=200)
    turn(ports, truth)
    items, more = blobs(150, seed=5)
    ingest(ports, "plane", [item.__class__(key=f"n{item.key}", data=item.data) for item in items])
    turn(ports, {**truth, **{f"n{key}": name for key, name in more.items()}})
    rounds = [one for one in ports.rounds.recent("plane", 100) if "stability" in one.stats]
    assert rounds
    rows, changed = by_hand(ports, rounds[-1])
    assert rows > 200
    assert pytest.approx(rounds[-1].stats["stability"]["changed"], abs=1e-4) == changed


def lose(ports, home, number):
    """A model's file is gone, and nobody has it warm."""
    digest = ports.models.get("plane", number).artifact
    for file in (one for one in home.rglob("*") if one.is_file() and digest in str(one)):
        file.unlink()
    training._restore.cache_clear()


def test_a_model_before_that_is_lost_is_still_known_by_its_columns(ports, tmp_path):
    """Nobody loads it: what it said when it was the champion is enough."""
    truth = start(ports, count=300)
    turn(ports, truth)
    old = serving(ports).model
    lose(ports, tmp_path, old)
    turn(ports, truth)
    assert serving(ports).stats["stability"]["since"] == old


def test_a_model_before_that_is_lost_costs_no_round(ports, tmp_path):
    """Without its columns either there is no stability, the log says why, and the new order is served."""
    truth = start(ports, count=300)
    turn(ports, truth)
    old = serving(ports).model
    ports.scores.discard(ports.projects.get("plane"), [])
    lose(ports, tmp_path, old)
    with capture_logs() as lines:
        turn(ports, truth)
    planned = serving(ports)
    assert planned.model == old + 1
    assert "stability" not in planned.stats
    assert [line["model"] for line in lines if line["event"] == "plan.stability"] == [old]
    assert status(ports, "plane")["stability"] is None


def test_a_new_window_of_the_same_model_says_what_the_last_one_said(ports):
    """Asking for another order is no training."""
    truth = start(ports, count=300)
    for _ in range(2):
        turn(ports, truth)
    planned = serving(ports)
    request_round(ports, "plane")
    run_jobs(ports)
    again = serving(ports)
    assert again.number == planned.number + 1
    assert again.stats["stability"] == planned.stats["stability"]
    assert status(ports, "plane")["stability"]["model"] == planned.model


def test_three_trainings_that_change_nothing_are_told_and_a_roll_back_is_none(ports):
    """Classes far apart are known from the first labels on; after a roll-back the count begins anew."""
    create(ports)
    items, truth = blobs(400, spread=0.05)
    ingest(ports, "plane", items)
    tend(ports, "plane")
    run_jobs(ports)
    said = []
    while len(ports.models.all("plane")) < 4:
        turn(ports, truth)
        said.append(status(ports, "plane")["stability"])
    assert [one["stabilised"] for one in said if one] == [False, False, True]
    assert said[-1]["earlier"] == [1.0, 1.0]
    first = next(model for model in ports.models.all("plane") if model.state is ModelState.RETIRED)
    promote_by_hand(ports, "plane", first.number, by="erin")
    run_jobs(ports)
    back = status(ports, "plane")["stability"]
    assert (back["model"], back["since"]) == (first.number, first.number + 3)
    assert (back["stabilised"], back["earlier"]) == (False, [])


def test_of_a_few_items_nothing_is_said(ports):
    """Below a hundred waiting items one of them would be more than a part in a hundred."""
    truth = start(ports, count=stability.LEAST + 20, lanes={"informative": 1.0}, retrain=FAST)
    for _ in range(2):
        turn(ports, truth)
    assert serving(ports).model == 2
    assert "stability" not in serving(ports).stats


def test_most_items_are_left_out_of_a_large_pool(ports, monkeypatch):
    """No more are compared than the most there may be, each of them once and of those that wait."""
    monkeypatch.setattr(stability, "ROWS", 150)
    truth = start(ports, count=500)
    turn(ports, truth)
    before = serving(ports)
    waiting = np.sort(np.random.default_rng(1).choice(500, 300, replace=False))
    found = stability.remembered(ports, ports.projects.get("plane"), before, champion=before.model + 1, waiting=waiting)
    assert len(np.unique(found.numbers)) == 150
    assert np.isin(found.numbers, waiting).all()
