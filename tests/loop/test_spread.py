"""Which items go out together: the first batch, and a batch out of the shortlist, away from what is labeled or out."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from conftest_loop import blobs, create, label, run_jobs, start

from labelloop import projects
from labelloop.domain.states import Lane
from labelloop.loop import pool as pools
from labelloop.loop import spread
from labelloop.loop.compose import compose
from labelloop.loop.evidence import Block, taken
from labelloop.loop.pool import PoolView
from labelloop.projects.strategy import BaseStrategy, ColdStart
from labelloop.strategies import Evidence, Need

DIVERSITIES = get_args(BaseStrategy.model_fields["diversity"].annotation)
STARTS = get_args(ColdStart.model_fields["kind"].annotation)


class Plane:
    """Points with a sharp and a blunt half, and a model that sees the first coordinate."""

    def __init__(self, points, waiting):
        self.points, self.waiting = points, waiting

    def blocks(self):
        for numbers in np.array_split(self.waiting, 3):
            yield Block(numbers, -np.abs(self.points[numbers, 0]))

    def evidence(self, numbers, needs):
        rare = 1 / (1 + np.exp(-self.points[numbers, 0]))
        return Evidence(
            rows=len(numbers),
            probabilities=np.stack([1 - rare, rare], axis=1) if Need.PROBABILITIES in needs else None,
            features=self.points[numbers] if Need.FEATURES in needs else None,
            class_counts=np.zeros(2, dtype=np.int64),
        )


def project(*, classes="ab", **strategy):
    return projects.parse(
        {
            "name": "plane",
            "labels": {"kind": "classes", "classes": list(classes)},
            "items": {"kind": "table"},
            "features": {"kind": "columns"},
            "lanes": {"informative": 1.0, "audit": 0.0, "window": 200},
            "retrain": {"first": 10, "labels": 10},
            "strategy": {"kind": "margin", **strategy},
        }
    )


def plane(count=300, out=()):
    rng = np.random.default_rng(3)
    points = rng.standard_normal((count, 2))
    waiting = np.setdiff1d(np.arange(count), out)
    view = PoolView(
        waiting=waiting,
        reserve=waiting[:0],
        class_counts=np.array([3, 3]),
        labeled=np.zeros(0, dtype=np.int64),
        in_flight=np.asarray(out, dtype=np.int64),
    )
    return view, Plane(points, waiting)


def informative(wanted, view, source, *, cold, seed=0):
    made = compose(wanted, view, source, np.random.default_rng(seed), cold=cold)
    return made.lanes[Lane.INFORMATIVE].numbers


@pytest.mark.parametrize("kind", DIVERSITIES)
def test_every_diversity_orders_the_shortlist_alone(kind):
    """A batch comes out of the shortlist of the best scores; the rest follows by score, and nothing is asked twice."""
    view, source = plane(out=[5, 6])
    order = informative(project(diversity=kind, shortlist=5), view, source, cold=False)
    assert len(order) == len(set(order.tolist())) == 200
    assert not {5, 6} & set(order.tolist())
    best = view.waiting[np.argsort(np.abs(source.points[view.waiting, 0]))]
    assert set(order[:10].tolist()) <= set(best[:50].tolist())
    rest = [number for number in best.tolist() if number not in set(order[:10].tolist())]
    assert order[10:].tolist() == rest[:190]
    again = informative(project(diversity=kind, shortlist=5), view, source, cold=False)
    np.testing.assert_array_equal(order, again)


@pytest.mark.parametrize("kind", STARTS)
def test_every_cold_start_gives_a_first_batch(kind):
    """Before a model every kind orders the pool without repeats, and what is out already is not in it."""
    view, source = plane(out=[5, 6])
    order = informative(project(cold_start={"kind": kind}), view, source, cold=True)
    assert len(order) == len(set(order.tolist())) == 200
    assert not {5, 6} & set(order.tolist())


def test_every_kind_has_its_rule():
    """What the project file allows is what there are rules for."""
    assert {*spread._SPREADS, "none"} == set(DIVERSITIES)
    assert {*spread._STARTS, "random"} == set(STARTS)


@pytest.mark.parametrize("kind", sorted({*STARTS} - {"random"}))
def test_a_class_that_the_first_batch_missed_is_looked_for_far_from_it(kind):
    """Ten labels of one class, all out of the crowd: the next ten meet each of five strays, which a draw would not."""
    rng = np.random.default_rng(0)
    strays = np.array([[30.0, 0.0], [0.0, 30.0], [-30.0, 0.0], [0.0, -30.0], [25.0, 25.0]])
    points = np.concatenate([rng.standard_normal((400, 2)), strays])
    labeled, waiting = np.arange(10), np.arange(10, 405)
    view = PoolView(
        waiting=waiting, reserve=labeled[:0], class_counts=np.array([10, 0]), labeled=labeled, in_flight=labeled[:0]
    )
    order = informative(project(cold_start={"kind": kind}), view, Plane(points, waiting), cold=True)
    assert {*range(400, 405)} <= set(order[:10].tolist())


@pytest.mark.parametrize("kind", ["diversity", "typiclust", "herding", "k_center"])
def test_a_first_batch_keeps_away_from_what_is_out(kind):
    """Two places full of copies, and one of the larger in flight: the first query is of the other."""
    points = np.concatenate([np.zeros((40, 2)), np.full((20, 2), 50.0)])
    out = np.arange(3)
    waiting = np.arange(3, 60)
    view = PoolView(waiting=waiting, reserve=out[:0], class_counts=np.array([0, 0]), labeled=out[:0], in_flight=out)
    order = informative(project(cold_start={"kind": kind}), view, Plane(points, waiting), cold=True)
    assert order[0] >= 40


def test_badge_keeps_away_from_what_is_out():
    """Half the shortlist lies where a query is out already: the other half is asked first."""
    points = np.repeat([[0.1, 8.0], [0.1, -8.0]], 20, axis=0)
    points += 0.01 * np.random.default_rng(0).standard_normal(points.shape)
    waiting, out = np.arange(1, 40), np.arange(1)
    view = PoolView(waiting=waiting, reserve=out[:0], class_counts=np.array([3, 3]), labeled=out[:0], in_flight=out)
    for seed in range(10):
        order = informative(project(diversity="badge"), view, Plane(points, waiting), cold=False, seed=seed)
        assert order[0] >= 20


def test_of_many_labels_a_sample_is_kept_away_from(monkeypatch):
    """All that is in flight, and of the labeled ones as many as there is room for."""
    monkeypatch.setattr("labelloop.loop.evidence.MOST_TAKEN", 10)
    numbers = np.arange(100)
    view = PoolView(
        waiting=numbers[50:], reserve=numbers[:0], class_counts=np.array([1, 1]), labeled=numbers[:40],
        in_flight=numbers[40:44],
    )  # fmt: skip
    held = taken(view, np.random.default_rng(0))
    assert len(held) == 10
    assert {40, 41, 42, 43} <= set(held.tolist())


def test_leased_items_are_in_flight(ports):
    """What is leased or half answered is seen as in flight; what is resolved is not."""
    truth = start(ports, votes={"needed": 2})
    label(ports, truth, count=4)
    run_jobs(ports)
    view = pools.look(ports, ports.projects.get("plane"), items=200)
    assert len(view.in_flight) == 4
    assert not np.isin(view.in_flight, view.waiting).any()


def test_a_spread_round_is_planned_for_people(ports):
    """The service plans with every rule that the project file may name, on real features and a real model."""
    create(ports, strategy={"kind": "margin", "diversity": "badge", "cold_start": {"kind": "typiclust"}})
    items, truth = blobs(150)
    from labelloop.loop.ingest import ingest
    from labelloop.loop.tend import tend

    ingest(ports, "plane", items)
    tend(ports, "plane")
    run_jobs(ports)
    for _ in range(3):
        label(ports, truth, count=12)
        tend(ports, "plane")
        run_jobs(ports)
    served = ports.rounds.serving("plane")
    assert served.model is not None
    assert "fallback" not in served.stats


def test_candidates_far_below_the_best_score_are_left_out_but_for_two_a_query():
    """`within` cuts the shortlist at a part of the best margin, counted from -1, and leaves the batch a choice."""
    asked = project(diversity="k_center", shortlist=20, within=0.8).strategy
    scores = np.array([0.0, -0.1, -0.15, -0.3, -0.9])
    assert spread._worthy(asked, scores, 1) == 3
    assert spread._worthy(asked, scores, 2) == 4
    assert spread._worthy(asked.model_copy(update={"within": 0.0}), scores, 1) == 5


def test_a_mixed_start_meets_the_crowd_and_the_aside():
    """Half of the first batch stands for the crowd; a small group far off is met as well."""
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(0, 1, (400, 2)), rng.normal(0, 0.1, (6, 2)) + 12])
    both = [set(spread._mixed(points, 10, np.random.default_rng(seed)).tolist()) for seed in range(5)]
    assert all(len(picked) == 10 for picked in both)
    assert all(any(row >= 400 for row in picked) for picked in both)
    held = points[[0, 1, 2]]
    assert len(set(spread._mixed(points, 9, rng, labeled=held).tolist())) == 9


def test_with_enough_labels_per_class_the_score_alone_decides():
    """`diversity_until` counts labels per class: two classes and ten each end the spreading at twenty."""
    asked = project(diversity="herding", shortlist=5, diversity_until=10)
    assert [spread.shortlist(asked, knowing(labels)) for labels in (0, 19, 20, 500)] == [50, 50, 0, 0]
    assert spread.shortlist(project(diversity="herding", shortlist=5), knowing(500)) == 50


def knowing(labels, *, classes=2, waiting=300):
    numbers = np.arange(labels)
    counts = np.full(classes, labels // classes)
    return PoolView(waiting=np.arange(waiting), reserve=numbers[:0], class_counts=counts, labeled=numbers)


@pytest.mark.parametrize(
    "classes,waiting,wide",
    [(3, 10_000, 200), (3, 600, 150), (3, 100, 50), (2, 10_000, 50)],
)
def test_a_shortlist_is_widened_within_the_pool(classes, waiting, wide):
    """So many times, but no more than a quarter of what waits; and not between two classes."""
    asked = project(classes="abcd"[:classes], diversity="herding", shortlist=5, widen=4)
    assert spread.shortlist(asked, knowing(30, classes=classes, waiting=waiting)) == wide


def test_no_more_are_chosen_together_than_can_be_chosen_well():
    """A tenth of a hundred thousand labels is more than a rule of diversity looks at; the scores order the rest."""
    grown = project(diversity="herding", shortlist=50).model_copy(update={"retrain": projects.Retrain()})
    assert [spread.batch(grown, labels) for labels in (10, 1_000, 100_000)] == [5, 100, 1_000]
    own = project(diversity="herding", batch=3_000)
    assert spread.batch(own, 100) == 3_000


def test_a_function_of_modal_sees_no_more_than_its_candidates():
    """What is shown to it is not widened."""
    asked = project(classes="abc", kind="modal", candidates=1_000, diversity="herding", widen=4)
    assert spread.shortlist(asked, knowing(30, classes=3, waiting=10_000)) == 1_000


@pytest.mark.parametrize("rare,widened", [(0.3, True), (0.02, False)])
def test_it_is_widened_unless_that_brings_less_of_what_labels_are_short_of(rare, widened):
    """The best scores are of the class that lacks labels; the others are of it as often, or hardly ever."""
    seen = []

    class Rule(Plane):
        def evidence(self, numbers, needs):
            found = super().evidence(numbers, needs)
            if Need.PROBABILITIES not in needs:
                seen.append(len(numbers))
                return found
            third = np.where(numbers < 50, 0.3, rare)
            return replace(found, probabilities=np.stack([0.6 * (1 - third), 0.4 * (1 - third), third], axis=1))

    view = replace(plane(1000)[0], class_counts=np.array([20, 20, 2]), labeled=np.arange(0))
    source = Rule(np.random.default_rng(0).standard_normal((1000, 2)), view.waiting)
    asked = project(classes="abc", diversity="herding", shortlist=5, widen=4, within=0.5)
    near = np.arange(spread.shortlist(asked, view))
    scores = np.linspace(0, -0.9, len(near))
    picked = spread.spread(asked, view, source, np.random.default_rng(0), near=near, scores=scores)
    assert (seen[0] > 50) == widened
    assert len(picked) == 10
