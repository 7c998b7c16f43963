"""Majorities of ragged votes, agreement of annotators, stopping, broken models."""

import itertools
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from crowdkit.aggregation import MajorityVote
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from labelloop.maths import agreement, consensus, degeneracy, stopping

VOTES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=40)


def columns(votes):
    array = np.array(votes, dtype=np.int64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


@given(votes=VOTES)
@settings(max_examples=100, deadline=None)
def test_majority_counts_like_a_person(votes):
    """Winner, share, tie and number of votes equal counting each item by hand."""
    agreed = consensus.majority(*columns(votes), items=7, values=4)
    for item in range(7):
        counts = np.bincount([code for at, code in votes if at == item], minlength=4)
        assert agreed.votes[item] == counts.sum()
        if not counts.sum():
            assert (agreed.winner[item], agreed.share[item], agreed.tied[item]) == (-1, 0, False)
            continue
        assert agreed.winner[item] == counts.argmax()
        assert agreed.share[item] == pytest.approx(counts.max() / counts.sum())
        assert agreed.tied[item] == ((counts == counts.max()).sum() > 1)


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # crowd-kit's own, with pandas 3
def test_majority_is_crowd_kits():
    """On 300 items without ties the winners are crowd-kit's."""
    rng = np.random.default_rng(0)
    places, codes = np.repeat(np.arange(300), 5), rng.integers(3, size=1_500)
    agreed = consensus.majority(places, codes, items=300, values=3)
    frame = pd.DataFrame({"task": places, "worker": np.tile(np.arange(5), 300), "label": codes})
    theirs = MajorityVote().fit_predict(frame).sort_index().to_numpy()
    clear = ~agreed.tied
    assert clear.sum() > 150
    np.testing.assert_array_equal(agreed.winner[clear], theirs[clear])


def test_votes_outside_are_named():
    """A code or item that does not exist is refused with its place."""
    with pytest.raises(ValueError, match="vote 1: code 5 is not in"):
        consensus.majority(np.array([0, 0]), np.array([1, 5]), items=1, values=3)
    with pytest.raises(ValueError, match="vote 0: item 2 is not in"):
        consensus.majority(np.array([2]), np.array([0]), items=2, values=1)


# Krippendorff 2011, "Computing Krippendorff's alpha-reliability", section C: four observers, twelve units, gaps.
OBSERVERS = np.array([
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
])  # fmt: skip


def ragged(table):
    voter, item = np.nonzero(table)
    return item, table[voter, item] - 1


def test_alpha_of_the_published_example():
    """Krippendorff's own example gives his 0.743."""
    assert agreement.krippendorff_alpha(*ragged(OBSERVERS)) == pytest.approx(0.743, abs=5e-4)


def test_kappa_of_the_published_example():
    """The example of Fleiss' kappa, 10 subjects and 14 raters, gives 0.210."""
    counts = np.array([
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ])  # fmt: skip
    item, code = np.nonzero(counts)
    places, codes = np.repeat(item, counts[item, code]), np.repeat(code, counts[item, code])
    assert agreement.fleiss_kappa(places, codes) == pytest.approx(0.210, abs=5e-4)
    assert agreement.percent_agreement(places, codes) == pytest.approx(0.378, abs=5e-4)


def by_pairs(places, codes):
    """Alpha by its definition: over all pairs of votes inside items, against all pairs at all."""
    groups = [codes[places == item] for item in np.unique(places)]
    groups = [group for group in groups if len(group) > 1]
    everything = np.concatenate(groups)
    n = len(everything)
    inside = sum(
        sum(a != b for a, b in itertools.permutations(group, 2)) / (len(group) - 1) for group in groups
    ) / n  # fmt: skip
    among = sum(a != b for a, b in itertools.permutations(everything, 2)) / (n * (n - 1))
    return 1 - inside / among


@given(votes=VOTES)
@settings(max_examples=60, deadline=None)
def test_alpha_by_its_definition(votes):
    """Alpha equals the count over all pairs, or says NaN where there is nothing to compare."""
    places, codes = columns(votes)
    alpha = agreement.krippendorff_alpha(places, codes)
    counts = np.bincount(places, minlength=7)
    pairable = codes[counts[places] > 1] if len(places) else codes
    if len(np.unique(pairable)) < 2:
        assert np.isnan(alpha)
    else:
        assert alpha == pytest.approx(by_pairs(places, codes))


def test_ac1_is_stable_where_kappa_is_not():
    """118 of 125 agreements on one value: AC1 near 0.94, where kappa calls it chance (Gwet's example)."""
    pairs = np.array([[0, 0]] * 118 + [[0, 1]] * 5 + [[1, 0]] * 2)
    places, codes = np.repeat(np.arange(125), 2), pairs.ravel()
    assert agreement.gwet_ac1(places, codes, values=2) == pytest.approx(0.9408, abs=5e-4)
    assert agreement.fleiss_kappa(places, codes) < 0
    assert agreement.gwet_ac1(places, np.zeros_like(codes), values=2) == 1


@given(votes=VOTES, most=st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_confused_values_by_counting_pairs(votes, most):
    """As many pairs as a count over all items finds, most first, and no more of them than asked for."""
    places, codes = columns(votes)
    pairs = Counter(
        tuple(sorted((a, b)))
        for item in set(places.tolist())
        for a, b in itertools.combinations(codes[places == item].tolist(), 2)
        if a != b
    )
    found = agreement.confused(places, codes, most=most)
    told = list(zip(found.first.tolist(), found.second.tolist(), found.pairs.tolist(), strict=True))
    assert told == sorted(((a, b, n) for (a, b), n in pairs.items()), key=lambda one: (-one[2], *one[:2]))[:most]


def test_agreement_of_nothing_is_no_number():
    """Without two votes on any item nothing is claimed."""
    places, codes = np.array([0, 1]), np.array([0, 1])
    for measure in (agreement.percent_agreement, agreement.krippendorff_alpha, agreement.fleiss_kappa):
        assert np.isnan(measure(places, codes))
        assert np.isnan(measure(places[:0], codes[:0]))


@given(seed=st.integers(0, 99), n=st.integers(2, 40))
@settings(max_examples=50, deadline=None)
def test_stopping_kappa_is_scikit_learns(seed, n):
    """Kappa of two models equals scikit-learn's; the same constant answer is full agreement."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(3, size=n), rng.integers(3, size=n)
    if len(np.unique([a, b])) > 1:
        assert stopping.kappa(a, b) == pytest.approx(cohen_kappa_score(a, b))
    assert stopping.kappa(a, a) == 1
    assert stopping.kappa(a[:0], b[:0]) == 1


def test_stopping_waits_for_a_full_window():
    """Two good kappas are not three, and one bad one in the window is enough to go on."""
    assert not stopping.stabilised([0.999, 0.999])
    assert stopping.stabilised([0.5, 0.99, 0.995, 0.99])
    assert not stopping.stabilised([0.99, 0.95, 0.999])


@pytest.mark.parametrize("rows, said", [
    ([[0.5, 0.5]] * 4, "the same of every row"),
    ([[0.5, np.nan], [0.5, 0.5]], "not finite for 1 of 2"),
    ([[0.9, 0.9], [0.1, 0.9]], "sum 1"),
    ([[1.2, -0.2], [0.1, 0.9]], "between 0 and 1"),
    ([[1.0], [1.0]], "shape"),
])  # fmt: skip
def test_broken_models_are_found(rows, said):
    """Constant, not finite, no distribution: each gets its sentence."""
    assert said in degeneracy.diagnose(np.array(rows), np.array([0, 2]), np.array([0, 2]))


def test_missing_class_is_found_and_health_is_silent():
    """A model that forgot a class it was taught is named with the class; a healthy one passes."""
    rows = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert "codes 1" in degeneracy.diagnose(rows, np.array([0, 2]), np.array([0, 1, 2]))
    assert degeneracy.diagnose(rows, np.array([0, 2]), np.array([0, 2])) is None
