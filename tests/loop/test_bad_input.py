"""Whatever a strategy, a plug-in or a model answers, a round comes of it, and it says what stood in for what."""

import json
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from textwrap import dedent

import numpy as np
import pytest
from conftest_loop import blobs, create, label, run_jobs, start

from labelloop import strategies
from labelloop.api.gauges import PortSampler
from labelloop.domain.states import JobKind, Lane
from labelloop.loop.fitting import Calibrated
from labelloop.loop.ingest import ingest
from labelloop.loop.report import status
from labelloop.loop.request import request_round
from labelloop.loop.tend import tend

PLUGINS = """
    import numpy as np

    class Rule:
        needs = frozenset({"probabilities"})
        name = "rule"

        def score(self, evidence, rng):
            return np.linspace(0, 1, evidence.rows)

    def bad(answer):
        class Picks(Rule):
            def pick(self, evidence, count, rng):
                return answer(np.arange(evidence.rows), count)
        return Picks

    def fails(*_):
        raise RuntimeError("out of ideas")

    def writes(evidence, rng):
        evidence.probabilities[:] = 0
        return np.zeros(evidence.rows)

    raises = fails
    nan = lambda evidence, rng: np.full(evidence.rows, np.nan)
    infinite = lambda evidence, rng: np.full(evidence.rows, np.inf)
    vast = lambda evidence, rng: np.full(evidence.rows, 1e200)
    short = lambda evidence, rng: np.zeros(evidence.rows - 1)
    constant = lambda evidence, rng: np.full(evidence.rows, 0.5)
    fine = bad(lambda rows, count: rows[::-1][:count])
    picks_raise = bad(fails)
    few = bad(lambda rows, count: rows[: count - 1])
    none = bad(lambda rows, count: rows[:0])
    many = bad(lambda rows, count: rows[: count + 1])
    twice = bad(lambda rows, count: np.zeros(count, dtype=int))
    outside = bad(lambda rows, count: rows[:count] + len(rows))
    negative = bad(lambda rows, count: -1 - rows[:count])
    words = bad(lambda rows, count: ["a"] * count)
"""
NAMES = [line.split(" = ")[0].strip() for line in PLUGINS.splitlines() if line.startswith("    ") and " = " in line
         and not line.startswith("     ")] + ["writes"]  # fmt: skip


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """A package of misbehaving strategies, as pip would leave it on the path."""
    folder = tmp_path / "installed"
    information = folder / "misbehaving-1.0.dist-info"
    information.mkdir(parents=True)
    (folder / "misbehaving.py").write_text(dedent(PLUGINS))
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehaving\nVersion: 1.0\n")
    points = "\n".join(f"{name} = misbehaving:{name}" for name in NAMES)
    (information / "entry_points.txt").write_text(f"[labelloop.strategies]\n{points}\n")
    monkeypatch.syspath_prepend(folder)
    yield
    sys.modules.pop("misbehaving", None)


def work(ports, truth, *, rounds):
    """Label, tend and run the jobs, as often as said."""
    for _ in range(rounds):
        label(ports, truth, count=20)
        tend(ports, "plane")
        run_jobs(ports)
        tend(ports, "plane")
        run_jobs(ports)


def fallbacks(ports):
    return {
        sample.labels: sample.value for sample in PortSampler(ports)() if sample.gauge == "labelloop_fallback_rounds"
    }


def planned_again(ports):
    """Ask for another round by hand and make it."""
    request_round(ports, "plane")
    run_jobs(ports)
    return ports.rounds.serving("plane")


def asks_for_each_once(ports, serving):
    items = [query.item for query in ports.rounds.queries("plane", serving.number)]
    assert items
    assert len(items) == len(set(items))


FAULTS = {
    "raises": "raised RuntimeError: out of ideas",
    "nan": "answered nan for row 0",
    "infinite": "answered inf for row 0",
    "vast": "answered 1e+200 for row 0",
    "short": "answered shape (63,) for 64 rows",
    "writes": "read-only",
    "picks_raise": "raised RuntimeError: out of ideas",
    "few": "picked 7 rows where 8 were asked for",
    "none": "picked 0 rows where 8 were asked for",
    "many": "picked 9 rows where 8 were asked for",
    "twice": "picked row 0 twice",
    "outside": "picked position",
    "negative": "picked position -1 of",
    "words": "not positions",
}


def test_a_misbehaving_plugin_is_named_and_margin_stands_in(ports, plugins, monkeypatch):
    """Each fault stands in its round, in `project show` and in the metrics, and people go on labeling."""
    truth = start(ports, strategy={"kind": "plugin", "name": "fine", "batch": 8})
    work(ports, truth, rounds=1)
    before = ports.rounds.serving("plane").stats.get("fallbacks", 0)
    point = strategies.plugins.installed()["fine"]
    for count, (name, said) in enumerate(FAULTS.items(), start=before + 1):
        wrong = EntryPoint("fine", f"misbehaving:{name}", point.group)
        monkeypatch.setattr(strategies.plugins, "installed", lambda wrong=wrong: {"fine": wrong})
        serving = planned_again(ports)
        assert serving.model is not None
        assert serving.stats["fallback"].startswith("margin, because: ")
        assert said in serving.stats["fallback"]
        assert ports.scores.read(ports.projects.get("plane"), serving.stats["columns"], 0) is not None
        asks_for_each_once(ports, serving)
        assert serving.stats["fallbacks"] == count
        assert fallbacks(ports) == {("plane",): count}
        assert said in json.dumps(status(ports, "plane"), ensure_ascii=False)


def test_a_plugin_that_behaves_is_used(ports, plugins):
    """The same plug-in without its fault orders the round, and nothing is counted."""
    truth = start(ports, strategy={"kind": "plugin", "name": "fine", "batch": 8})
    work(ports, truth, rounds=1)
    serving = ports.rounds.serving("plane")
    assert "fallback" not in serving.stats
    assert fallbacks(ports) == {("plane",): 0}


def test_constant_scores_are_noted_and_ordered_by_lot(ports, plugins):
    """A strategy that cannot tell items apart is no error; the round says so, and the order is not that of the pool."""
    truth = start(ports, strategy={"kind": "plugin", "name": "constant"})
    work(ports, truth, rounds=1)
    serving = ports.rounds.serving("plane")
    assert "fallback" not in serving.stats
    assert any("scores of the informative lane are the same" in note for note in serving.stats["notes"])
    asked = [q.item for q in ports.rounds.queries("plane", serving.number) if q.lane is Lane.INFORMATIVE]
    assert asked != sorted(asked)


NONSENSE = {
    "sums to 0.5": lambda p: p * 0.5,
    "row 3 of the probabilities has a value": lambda p: np.where(np.arange(len(p))[:, None] == 3, np.nan, p),
    "negative value": lambda p: p - [[2, -1, -1]],
}


@pytest.mark.parametrize("strategy", ["margin", "random", "entropy"])
def test_a_model_that_says_nonsense_does_not_order_the_round(ports, monkeypatch, strategy):
    """Where margin could not be believed either, chance stands in: with the reason, and never with NaN as a score."""
    truth = start(ports, strategy={"kind": strategy})
    work(ports, truth, rounds=1)
    honest = Calibrated.probabilities
    for said, fault in NONSENSE.items():
        monkeypatch.setattr(Calibrated, "probabilities", lambda self, rows, fault=fault: fault(honest(self, rows)))
        ports.scores.discard(ports.projects.get("plane"), [])
        serving = planned_again(ports)
        asks_for_each_once(ports, serving)
        assert all(np.isfinite(query.score) for query in ports.rounds.queries("plane", serving.number))
        if strategy != "random":  # which needs no model
            assert serving.stats["fallback"].startswith("random, because: ")
            assert said in serving.stats["fallback"]


def test_a_class_without_labels_is_named(ports):
    """The model cannot know it; the round goes on and says which one it is."""
    create(ports, labels={"kind": "classes", "classes": ["c0", "c1", "c2", "never"]})
    items, truth = blobs(200)
    ingest(ports, "plane", items)
    tend(ports, "plane")
    run_jobs(ports)
    work(ports, truth, rounds=2)
    serving = ports.rounds.serving("plane")
    assert serving.model is not None
    assert "fallback" not in serving.stats
    assert "no labels yet, so unknown to the model: never" in serving.stats["notes"]
    asks_for_each_once(ports, serving)


@pytest.mark.parametrize("strategy", [
    {"kind": "margin", "diversity": "k_center", "batch": 100_000},
    {"kind": "margin", "diversity": "badge", "batch": 100_000},
    {"kind": "modal", "function": "modAL.uncertainty.entropy_sampling", "batch": 100_000},
])  # fmt: skip
def test_a_batch_larger_than_the_pool_is_the_pool(ports, strategy):
    """All that waits is asked, once, and nothing falls back."""
    truth = start(ports, count=80, strategy=strategy, lanes={"informative": 0.8, "audit": 0.2, "window": 100})
    work(ports, truth, rounds=1)
    serving = planned_again(ports)
    assert serving.model is not None
    assert "fallback" not in serving.stats
    asks_for_each_once(ports, serving)


@pytest.mark.parametrize("strategy", [{"kind": "entropy", "diversity": "k_center"}, {"kind": "plugin", "name": "fine"}])
def test_nothing_left_to_ask_is_an_empty_round(ports, plugins, strategy):
    """When everything is labeled the next round is planned all the same, with no queries."""
    truth = start(ports, count=30, strategy=strategy)
    for _ in range(12):
        work(ports, truth, rounds=1)
    assert ports.pool.counts("plane").resolved == 30
    serving = planned_again(ports)
    assert serving.queries == 0
    assert "fallback" not in serving.stats


@pytest.mark.parametrize("diversity", ["k_center", "cluster_margin", "k_means", "herding", "badge"])
def test_items_that_are_all_alike_are_asked_once_each(ports, diversity):
    """Duplicate features break no diversity: a model that learned nothing does not serve, and the pool is labeled."""
    create(ports, strategy={"kind": "margin", "diversity": diversity, "batch": 8})
    items, truth = blobs(200)
    # Equal to the last bit would be retired as copies; these are equal once they are features, in float32.
    copies = [
        replace(item, data={key: value + at * 1e-12 for key, value in items[at % 4].data.items()})
        for at, item in enumerate(items)
    ]
    ingest(ports, "plane", copies)
    tend(ports, "plane")
    run_jobs(ports)
    work(ports, {key: truth[f"i{int(key[1:]) % 4}"] for key in truth}, rounds=2)
    serving = ports.rounds.serving("plane")
    assert "fallback" not in serving.stats
    asks_for_each_once(ports, serving)
    assert not [job for job in ports.jobs.recent("plane", JobKind.PLAN, 50) if job.state == "failed"]
