"""Checks generated for every strategy of labelloop's own, and what happens to broken ones."""

import numpy as np
import pytest
from pydantic import TypeAdapter

from labelloop import strategies
from labelloop.domain.errors import InvalidProject
from labelloop.projects import CostStrategy, ScoreStrategy, StrategySpec
from labelloop.strategies import Evidence, Need, StrategyFailed

OWN = [kind for kind in strategies.names() if kind not in {"auto", "modal", "plugin"}]
CERTAIN = [kind for kind in OWN if kind != "random"]
POWERS = [kind for kind in OWN if kind not in {"random", "expected_cost"}]
SIZES = [(0, 3), (1, 3), (50, 1), (50, 2), (50, 60)]


def bound(kind, classes=4):
    """The strategy of this kind; costs make each later class worse to miss."""
    if kind != "expected_cost":
        return strategies.bind(ScoreStrategy(kind=kind))
    costs = (1 - np.eye(classes)) * np.arange(1, classes + 1)[:, None]
    return strategies.bind(CostStrategy(costs=costs.tolist()))


def rng(seed=0):
    return np.random.default_rng(seed)


def evidence(n, classes=4, members=3, seed=0):
    generator = np.random.default_rng(seed)
    committee = generator.dirichlet(np.ones(classes), size=(members, n)).reshape(members, n, classes)
    return Evidence(
        rows=n,
        probabilities=committee.mean(axis=0),
        committee=committee,
        features=generator.standard_normal((n, 5)),
        class_counts=np.arange(classes),
    )


def rows(whole, order):
    return Evidence(
        rows=len(order),
        probabilities=whole.probabilities[order],
        committee=whole.committee[:, order],
        features=whole.features[order],
        class_counts=whole.class_counts,
    )


def test_every_kind_of_the_project_file_has_a_description():
    """What the project file allows and what the registry describes are the same names."""
    schema = TypeAdapter(StrategySpec).json_schema()
    kinds = {
        kind
        for part in schema["$defs"].values()
        if "function" in part.get("properties", {}) or "cold_start" in part.get("properties", {})
        for kind in part["properties"]["kind"].get("enum", [part["properties"]["kind"].get("const")])
    }
    assert kinds == set(strategies.names())
    assert all(strategies.names().values())


@pytest.mark.parametrize(
    "kind, n, classes", [(kind, *size) for kind in OWN for size in SIZES if (kind, size[1]) != ("expected_cost", 1)]
)
def test_scores_are_finite_repeatable_and_leave_the_evidence_alone(kind, n, classes):
    """For any size, one class included: finite, one per row, the same by the same seed, nothing written to."""
    seen = evidence(n, classes)
    for array in (seen.probabilities, seen.committee, seen.features, seen.class_counts):
        array.flags.writeable = False
    strategy = bound(kind, classes)
    assert isinstance(strategy, strategies.Strategy)
    assert strategy.name == kind
    scores = strategies.checked_score(strategy, seen, rng())
    assert scores.shape == (n,)
    np.testing.assert_array_equal(scores, strategies.checked_score(strategy, seen, rng()))


@pytest.mark.parametrize("kind", CERTAIN)
def test_scores_do_not_depend_on_the_order_of_rows(kind):
    """Shuffled rows get shuffled scores, and a shard alone gets those it has in the pool."""
    seen, order = evidence(200), rng(5).permutation(200)
    strategy = bound(kind)
    scores = strategy.score(seen, rng())
    np.testing.assert_allclose(strategy.score(rows(seen, order), rng(9)), scores[order], atol=1e-12)
    np.testing.assert_allclose(strategy.score(rows(seen, order[:7]), rng(9)), scores[order[:7]], atol=1e-12)


@pytest.mark.parametrize("kind", CERTAIN)
def test_rows_that_are_alike_score_alike(kind):
    """A pool of one row, many times, has constant scores."""
    seen = rows(evidence(10), np.zeros(30, dtype=int))
    assert np.ptp(bound(kind).score(seen, rng())) <= 1e-12


@pytest.mark.parametrize("kind", CERTAIN)
def test_only_what_is_asked_for_is_used(kind):
    """A strategy works with its declared needs and nothing else."""
    strategy, whole = bound(kind), evidence(20)
    bare = Evidence(
        rows=20,
        probabilities=whole.probabilities if Need.PROBABILITIES in strategy.needs else None,
        committee=whole.committee if Need.COMMITTEE in strategy.needs else None,
    )
    np.testing.assert_array_equal(strategy.score(bare, rng()), strategy.score(whole, rng()))


def test_random_differs_by_seed():
    """Another seed gives another order."""
    strategy = strategies.bind(ScoreStrategy(kind="random"))
    assert not np.array_equal(strategy.score(evidence(20), rng(1)), strategy.score(evidence(20), rng(2)))


@pytest.mark.parametrize("kind", list(strategies.own.OF_COMMITTEE))
def test_committee_strategies_say_which_models_have_one(kind):
    """On a model of one voice the message names the remedy."""
    strategy = bound(kind)
    with pytest.raises(InvalidProject, match=r"needs a committee.*modal_committee.*torch_mlp"):
        strategies.checked_score(strategy, Evidence(rows=2, probabilities=np.full((2, 2), 0.5)), rng())


@pytest.mark.parametrize("kind", CERTAIN)
def test_broken_evidence_is_found_before_it_scores(kind):
    """NaN from a model becomes an error that names the row, not a score."""
    seen = evidence(30)
    seen.probabilities[17, 0] = seen.committee[:, 17, 0] = np.nan
    with pytest.raises(StrategyFailed, match="row 17"):
        strategies.checked_score(bound(kind), seen, rng())


@pytest.mark.parametrize("kind", POWERS)
def test_a_power_draws_by_the_score(kind):
    """Another seed gives another order, the same seed the same; a high power follows the plain scores."""
    seen = evidence(300)
    plain = bound(kind).score(seen, rng())
    drawn = strategies.bind(ScoreStrategy(kind=kind, power=1))
    one = strategies.checked_score(drawn, seen, rng(1))
    np.testing.assert_array_equal(one, strategies.checked_score(drawn, seen, rng(1)))
    assert not np.array_equal(one.argsort(), drawn.score(seen, rng(2)).argsort())
    sharp = strategies.bind(ScoreStrategy(kind=kind, power=200)).score(seen, rng())
    assert plain[sharp.argsort()[-30:]].mean() > plain.mean()
    assert drawn.needs == bound(kind).needs


def test_random_has_no_use_for_a_power():
    """It is uniform already."""
    assert strategies.bind(ScoreStrategy(kind="random", power=2)).name == "random"


def test_costs_turn_the_order_around():
    """The row that looks surer is asked first where its error is dear."""
    seen = Evidence(rows=2, probabilities=np.array([[0.6, 0.4], [0.2, 0.8]]))
    plain = bound("least_confidence").score(seen, rng())
    dear = strategies.bind(CostStrategy(costs=((0, 10), (1, 0)))).score(seen, rng())
    assert plain[0] > plain[1]
    assert dear[0] < dear[1]


def test_costs_of_other_classes_are_refused():
    """A matrix for three classes on probabilities of two says which key is wrong."""
    strategy = bound("expected_cost", 3)
    with pytest.raises(InvalidProject, match=r"strategy\.costs has 3 rows for 2 classes"):
        strategies.checked_score(strategy, Evidence(rows=1, probabilities=np.array([[0.5, 0.5]])), rng())


class Faulty:
    name = "faulty"
    needs = frozenset()

    def __init__(self, answer):
        self.answer = answer

    def score(self, *_):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def pick(self, *_):
        return self.score()


@pytest.mark.parametrize("answer, said", [
    (np.array([0.0, np.nan, 1.0]), "nan for row 1"),
    (np.array([0.0, 1.0, np.inf]), "inf for row 2"),
    (np.array([1e300, 1.0, 0.0]), r"1e\+300 for row 0"),
    (np.zeros(2), r"shape \(2,\) for 3 rows"),
    (np.zeros((3, 1)), "shape"),
    (["a", "b", "c"], "not numbers"),
    (None, "shape"),
    (ZeroDivisionError("by zero"), "raised ZeroDivisionError: by zero"),
])  # fmt: skip
def test_unbelievable_scores_are_refused(answer, said):
    """Whatever a strategy does wrong becomes one kind of error, so that the round can go on without it."""
    with pytest.raises(StrategyFailed, match=said) as caught:
        strategies.checked_score(Faulty(answer), Evidence(rows=3), rng())
    assert caught.value.ids == {"strategy": "faulty"}


@pytest.mark.parametrize("answer, said", [
    (np.array([0, 0]), "row 0 twice"),
    (np.array([0, 3]), "position 3 of 3"),
    (np.array([-1, 0]), "position -1 of 3"),
    (np.array([0, 1, 2]), "3 rows where 2 were asked for"),
    (np.array([1]), "1 rows where 2 were asked for"),
    ([], "0 rows where 2"),
    (np.array([0.5]), "not positions"),
    (KeyError("x"), "raised KeyError"),
])  # fmt: skip
def test_unbelievable_picks_are_refused(answer, said):
    """Repeats, positions outside and too many of them never reach a batch."""
    with pytest.raises(StrategyFailed, match=said):
        strategies.checked_pick(Faulty(answer), Evidence(rows=3), 2, rng())


def test_whole_numbers_and_picks_of_nothing_are_fine():
    """Integer scores become floats; of no rows, or of none wanted, nothing is the right answer."""
    assert strategies.checked_score(Faulty([1, 2, 3]), Evidence(rows=3), rng()).dtype == np.float64
    assert strategies.checked_pick(Faulty([]), Evidence(rows=3), 0, rng()).tolist() == []
    assert strategies.checked_pick(Faulty([]), Evidence(rows=0), 2, rng()).tolist() == []


def test_a_strategy_cannot_change_the_evidence():
    """What it writes would be kept as the model's words; it fails by name, and the arrays stay as they were."""

    class Writing(Faulty):
        def score(self, evidence, _rng):
            evidence.probabilities[:] = 0
            return np.zeros(evidence.rows)

    seen = evidence(5)
    kept = seen.probabilities.copy()
    with pytest.raises(StrategyFailed, match="read-only"):
        strategies.checked_score(Writing(None), seen, rng())
    np.testing.assert_array_equal(seen.probabilities, kept)
    seen.probabilities[0, 0] = 1  # the caller's own arrays are not locked
