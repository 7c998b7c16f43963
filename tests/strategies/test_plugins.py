"""Strategies of other packages, found by a real entry point."""

import sys
from textwrap import dedent

import numpy as np
import pytest

from labelloop import strategies
from labelloop.domain.errors import InvalidProject
from labelloop.projects import PluginStrategy
from labelloop.strategies import Evidence, Need

MODULE = """
    import numpy as np

    def reversed_rows(evidence, rng):
        return -np.arange(evidence.rows, dtype=float)

    def far(evidence, rng):
        return np.linalg.norm(evidence.features, axis=1)

    far.needs = {"features"}

    class Whole:
        name = "whole"
        needs = frozenset({"probabilities"})

        def score(self, evidence, rng):
            return evidence.probabilities[:, 0]

        def pick(self, evidence, count, rng):
            return np.arange(count)

    class Nameless:
        def score(self, evidence, rng):
            return np.zeros(evidence.rows)

    def greedy(evidence, rng):
        return 0

    greedy.needs = {"everything"}
    nothing = 5

    class Broken:
        def __init__(self):
            raise RuntimeError("no licence")
"""
POINTS = """
    [labelloop.strategies]
    reversed = plugged_strategies:reversed_rows
    far = plugged_strategies:far
    whole = plugged_strategies:Whole
    nameless = plugged_strategies:Nameless
    greedy = plugged_strategies:greedy
    nothing = plugged_strategies:nothing
    broken = plugged_strategies:Broken
    gone = no_such_module:strategy
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package with plugin strategies, as pip would leave it on the path."""
    (tmp_path / "plugged_strategies.py").write_text(dedent(MODULE))
    information = tmp_path / "plugged-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(dedent(POINTS))
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("plugged_strategies", None)


def bound(name):
    return strategies.bind(PluginStrategy(name=name))


def test_a_function_is_a_strategy(installed):
    """A plain function scores; it gets probabilities when it does not say what it needs."""
    strategy = bound("reversed")
    assert (strategy.name, strategy.needs) == ("reversed", {Need.PROBABILITIES})
    scores = strategies.checked_score(strategy, Evidence(rows=3), np.random.default_rng(0))
    assert scores.tolist() == [0, -1, -2]
    assert not isinstance(strategy, strategies.Picker)


def test_a_function_may_ask_for_other_evidence(installed):
    """`needs` on the function is what the loop brings."""
    assert bound("far").needs == {Need.FEATURES}


def test_a_class_may_pick(installed):
    """A class with `pick` orders its shortlist itself."""
    strategy = bound("whole")
    assert isinstance(strategy, strategies.Picker)
    evidence = Evidence(rows=4, probabilities=np.full((4, 2), 0.5))
    assert strategies.checked_pick(strategy, evidence, 2, np.random.default_rng(0)).tolist() == [0, 1]


@pytest.mark.parametrize("name, said", [
    ("nameless", "`name` and `needs`"),
    ("greedy", "must list some of probabilities, committee, features"),
    ("nothing", "neither a function"),
    ("broken", "RuntimeError: no licence"),
    ("gone", "no_such_module"),
    ("absent", "known: .*far.*whole"),
])  # fmt: skip
def test_a_broken_plugin_says_what_is_wrong(installed, name, said):
    """Each fault of a plugin is told when the project is read, with the remedy or the known names."""
    with pytest.raises(InvalidProject, match=said):
        bound(name)


def test_without_plugins_none_are_listed():
    """An unknown name on a machine without plugins says that there are none."""
    with pytest.raises(InvalidProject, match="none are installed"):
        bound("absent")
