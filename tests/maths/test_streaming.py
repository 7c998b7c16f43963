"""Choosing from a pool in blocks gives what choosing from the whole gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.maths.balance import minority_scores
from labelloop.maths.selection import uniform_hash
from labelloop.maths.streaming import Best, Contenders


def _cut(rows, cuts):
    return np.split(np.arange(rows), sorted(min(cut, rows) for cut in cuts))


@given(
    scores=st.lists(st.integers(-3, 3), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=5),
    count=st.integers(-1, 70),
    seed=st.integers(0, 9),
)
@settings(max_examples=200, deadline=None)
def test_the_best_are_the_same_however_the_pool_is_cut(scores, cuts, count, seed):
    """Blocks in any cut and any order keep the same rows in the same order, with the scores of a full sort's head."""
    scores, numbers = np.array(scores, dtype=np.float32), np.arange(len(scores)) * 3
    whole, parts = Best(count, seed), Best(count, seed)
    whole.add(numbers, scores)
    for block in reversed(_cut(len(scores), cuts)):
        parts.add(numbers[block], scores[block])
    wanted = min(max(count, 0), len(scores))
    assert len(set(whole.numbers.tolist())) == wanted
    np.testing.assert_array_equal(whole.scores, np.sort(scores)[::-1][:wanted])
    np.testing.assert_array_equal(whole.numbers, parts.numbers)
    np.testing.assert_array_equal(whole.scores, parts.scores)
    assert whole.seen == parts.seen == len(scores)


def test_ties_fall_by_the_seed_and_not_by_place():
    """Among equal scores other seeds take other rows."""
    taken = np.zeros(20)
    for seed in range(400):
        best = Best(5, seed)
        best.add(np.arange(20), np.zeros(20))
        taken[best.numbers] += 1
    assert taken.min() > 60
    assert taken.max() < 140


def test_a_score_that_is_no_number_is_named():
    """NaN is refused by the number of its row."""
    with pytest.raises(ValueError, match="score of 8 is not a number"):
        Best(1, 0).add(np.array([7, 8]), np.array([0.0, np.nan]))


@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(0, 400),
    classes=st.integers(2, 6),
    cuts=st.lists(st.integers(0, 400), max_size=6),
    count=st.integers(1, 40),
)
@settings(max_examples=200, deadline=None)
def test_minority_rows_of_blocks_are_those_of_the_whole(seed, rows, classes, cuts, count):
    """Block by block, the minority lane takes rows of the same scores as from the whole pool at once."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(classes, 0.3), size=rows)
    probabilities[:, 0] += rng.integers(0, 2)  # now and then classes that are predicted nowhere
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    if seed % 2:  # with many ties
        probabilities = np.round(probabilities * 4 + 0.01) / 4
    counts = rng.integers(0, 4, classes)
    contenders = Contenders(count, counts, seed=1)
    for block in _cut(rows, cuts):
        contenders.add(block, probabilities[block])
    best, expected = contenders.best(), np.empty(rows)
    drawn = np.argsort(uniform_hash(1, np.arange(rows)), kind="stable")
    expected[drawn] = minority_scores(probabilities[drawn], counts)
    np.testing.assert_array_equal(best.scores, np.sort(expected)[::-1][:count])
    np.testing.assert_array_equal(best.scores, expected[best.numbers])


def test_ties_of_the_minority_lane_fall_by_lot():
    """Of rows that say the same none is asked for standing first in the pool; another seed asks for others."""
    said = np.array([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.2, 0.2, 0.6]])
    probabilities = said[np.random.default_rng(0).integers(0, 3, 20_000)]
    chosen = []
    for seed in (0, 1):
        contenders = Contenders(300, np.array([50, 50, 1]), seed=seed)
        for start in range(0, 20_000, 1_000):
            contenders.add(np.arange(start, start + 1_000), probabilities[start : start + 1_000])
        chosen.append(contenders.best().numbers)
    assert len(np.intersect1d(*chosen)) < 60
    assert all(abs(np.median(numbers) - 10_000) < 2_000 for numbers in chosen)


def test_contenders_hold_little():
    """What is held does not grow with the pool."""
    rng, held = np.random.default_rng(0), []
    contenders = Contenders(10, np.array([5, 1, 0]), seed=0)
    for start in range(0, 60_000, 1_000):
        contenders.add(np.arange(start, start + 1_000), rng.dirichlet(np.ones(3), size=1_000))
        held.append(sum(map(len, contenders._numbers)))
    assert max(held[20:]) <= max(held[:20]) + 1_000
    assert max(held) < 3_000
