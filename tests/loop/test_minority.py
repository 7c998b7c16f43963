"""The lane for classes that the labels are short of: borders of known classes, and the hunt for the others."""

import numpy as np
import pytest
from conftest_loop import create, label, run_jobs, start

from labelloop import projects
from labelloop.domain.errors import InvalidProject
from labelloop.domain.states import Lane
from labelloop.loop import hunt
from labelloop.loop.compose import compose
from labelloop.loop.create import check
from labelloop.loop.evidence import Block
from labelloop.loop.minority import Minority, targets
from labelloop.loop.neighbourhood import Neighbourhood
from labelloop.loop.pool import PoolView
from labelloop.loop.tend import tend
from labelloop.strategies import Evidence, Need


def project(**minority):
    return projects.parse(
        {
            "name": "rare",
            "labels": {"kind": "classes", "classes": ["common", "rare"]},
            "items": {"kind": "table", "shard_size": 64},
            "features": {"kind": "columns"},
            "lanes": {"informative": 0.5, "minority": 0.5, "audit": 0.0, "window": 100},
            "retrain": {"first": 10, "labels": 10},
            "strategy": {"kind": "margin"},
            "minority": minority,
        }
    )


class Crowd:
    """Four hundred common rows around 0, twenty rare ones around (6, 6), and a model that knows nothing of them."""

    def __init__(self, labeled=(), codes=(), belief=None):
        rng = np.random.default_rng(0)
        self.points = np.concatenate([rng.standard_normal((400, 2)), 6 + 0.05 * rng.standard_normal((20, 2))])
        self.truth = np.repeat([0, 1], [400, 20])
        self.belief = np.full(420, 0.02) if belief is None else belief
        labeled = np.array(labeled, dtype=np.int64)
        self.view = PoolView(
            waiting=np.setdiff1d(np.arange(420), labeled),
            reserve=labeled[:0],
            class_counts=np.bincount(np.array(codes, dtype=np.int64), minlength=2),
            labeled=labeled,
            codes=np.array(codes, dtype=np.int64),
        )
        self._near = Neighbourhood()

    def blocks(self):
        for at in range(0, len(self.view.waiting), 50):
            numbers = self.view.waiting[at : at + 50]
            yield Block(numbers, -np.abs(self.belief[numbers] - 0.5))

    def evidence(self, numbers, needs):
        rare = self.belief[numbers]
        return Evidence(
            rows=len(numbers),
            probabilities=np.stack([1 - rare, rare], axis=1) if Need.PROBABILITIES in needs else None,
            features=self.points[numbers] if Need.FEATURES in needs else None,
        )

    def reliability(self):
        return None

    def surroundings(self, numbers):
        return self._near.of(numbers, lambda some: self.points[some])


class Words:
    """Keywords as they were found."""

    def __init__(self, found):
        self.found = found

    def of(self, code):
        return np.array(self.found.get(code, ()), dtype=np.int64)


def lane(wanted, crowd, *, cold, mentions=None):
    made = compose(wanted, crowd.view, crowd, np.random.default_rng(1), cold=cold, texts=mentions)
    return made.lanes.get(Lane.MINORITY)


def order(wanted, crowd, *, cold=False, mentions=None):
    made = Minority(wanted, crowd.view, crowd, np.random.default_rng(1), cold=cold, mentions=mentions)
    numbers = crowd.view.waiting
    made.add(numbers, None if cold else crowd.evidence(numbers, {Need.PROBABILITIES}).probabilities)
    return made.order()


def test_one_example_leads_to_the_others_before_there_is_a_model():
    """With one known positive and no model the minority lane asks its neighbours first."""
    crowd = Crowd(labeled=[410], codes=[1])
    asked = lane(project(), crowd, cold=True).numbers
    assert (crowd.truth[asked[:15]] == 1).mean() > 0.8


def test_nothing_known_leaves_the_cold_start_alone():
    """Without example, keyword and model there is nothing to hunt by, and no lane."""
    assert lane(project(), Crowd(), cold=True) is None


def test_keywords_come_first_and_lose_credit_when_they_fail():
    """Items that hold a keyword are asked early; when labels show that it misleads, later ones have fewer turns."""
    mentioned = Words({1: list(range(100, 160))})
    asked = lane(project(), Crowd(), cold=True, mentions=mentioned).numbers
    assert np.isin(asked[:15], mentioned.of(1)).mean() > 0.7
    misled = Crowd(labeled=list(range(100, 130)), codes=[0] * 30)
    later = lane(project(), misled, cold=True, mentions=mentioned).numbers
    assert np.isin(later[:15], mentioned.of(1)).mean() < np.isin(asked[:15], mentioned.of(1)).mean()


def test_a_class_nobody_has_seen_is_looked_for_in_groups():
    """A model that has no idea of the class: a tight far group is looked into at once, by one of its members."""
    crowd = Crowd(labeled=list(range(10)), codes=[0] * 10)
    made = order(project(few=5), crowd)
    found = crowd.truth[made.numbers]
    assert 1 in found[:12]
    assert {"tight groups", "outliers", "borders"} <= {way.name for way in made.ways}


def test_a_model_that_knows_is_believed():
    """Where the model is sure of some items of the hunted class, they are asked before groups and outliers."""
    belief = np.full(420, 0.001)
    belief[400:] = 0.9
    crowd = Crowd(labeled=[0, 1, 2, 3, 4, 5, 419], codes=[0] * 6 + [1], belief=belief)
    assert (crowd.truth[order(project(), crowd).numbers[:15]] == 1).mean() > 0.8


def test_the_hunt_ends_with_enough_labels():
    """Five labels are enough unless the project file sets a floor; a class nobody wants is never hunted."""
    counts = np.array([50, 5])
    assert hunt.hunted(project(), counts).tolist() == []
    assert hunt.hunted(project(floors={"rare": 20}), counts).tolist() == [1]
    assert hunt.hunted(project(), np.array([50, 4])).tolist() == [1]
    assert hunt.hunted(project(targets={"rare": 0}), np.array([50, 4])).tolist() == []
    assert hunt.hunted(project(few=60, classes_hunted=1), counts).tolist() == [1]


def test_the_order_says_for_whom_it_asks():
    """Every query of the lane names the class it is asked for, by the way that brought it or by the model."""
    crowd = Crowd(labeled=[0, 1, 410], codes=[0, 0, 1])
    made = order(project(), crowd)
    assert len(made.numbers) == len(made.wanted) == len(made.scores) <= 100
    assert len(set(made.numbers.tolist())) == len(made.numbers)
    assert made.wanted[0] == 1
    by_way = np.array([way.code for way in made.ways])[made.origin]
    assert (made.wanted[by_way >= 0] == by_way[by_way >= 0]).all()
    assert {"examples", "borders"} <= {made.ways[at].name for at in made.origin.tolist()}


@pytest.mark.parametrize("kind", ["margin", "cut"])
def test_known_classes_are_asked_at_their_border(kind):
    """With enough labels of both classes, items near the border are asked; `cut` moves it to where the labels part."""
    belief = np.linspace(0.001, 0.4, 420)
    crowd = Crowd(labeled=[0, 10, 20, 30, 40, 260, 300, 340, 380, 400], codes=[0] * 5 + [1] * 5, belief=belief)
    first = belief[order(project(kind=kind, few=0), crowd).numbers[:10]]
    if kind == "cut":
        assert abs(first.mean() - (belief[40] + belief[260]) / 2) < 0.02
    else:
        assert first.min() > 0.38


def test_targets_follow_the_file():
    """Weights by class, 1 where the file says nothing; equal shares without any."""
    assert targets(project()) is None
    assert targets(project(targets={"rare": 3.0})).tolist() == [1, 3]


def test_an_unknown_class_is_refused(ports):
    """A floor for a class that is none is answered with the classes there are."""
    with pytest.raises(InvalidProject, match="minority: 'rear' is no class; the classes are common, rare"):
        check(ports.estimators, project(floors={"rear": 3}))


def test_people_are_asked_for_a_rare_class(ports):
    """The service hunts, too: with a floor that is not reached the minority lane is planned with a model."""
    truth = start(ports, minority={"floors": {"c2": 50}}, lanes={"informative": 0.5, "minority": 0.5, "audit": 0.0})
    for _ in range(2):
        label(ports, truth, count=12)
        tend(ports, "plane")
        run_jobs(ports)
    served = ports.rounds.serving("plane")
    assert served.model is not None
    assert "fallback" not in served.stats
    assert served.stats["lanes"]["minority"] > 0
    assert create(ports, minority={"floors": {"c2": 50}}, lanes={"informative": 0.5, "minority": 0.5, "audit": 0.0})
