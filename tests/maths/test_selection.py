"""Taking the best rows, and the fixed hash that draws the audit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from labelloop.maths.selection import head, top, uniform_hash


@given(scores=st.lists(st.integers(-3, 3), max_size=60), count=st.integers(-1, 70), seed=st.integers(0, 9))
@settings(max_examples=150, deadline=None)
def test_top_is_the_head_of_a_sort(scores, count, seed):
    """What top takes has the scores of the head of a full sort, no repeats, the same by the same seed."""
    scores = np.array(scores, dtype=np.float64)
    chosen = top(scores, count, np.random.default_rng(seed))
    assert len(chosen) == len(set(chosen.tolist())) == min(max(count, 0), len(scores))
    np.testing.assert_array_equal(scores[chosen], np.sort(scores)[::-1][: len(chosen)])
    np.testing.assert_array_equal(chosen, top(scores, count, np.random.default_rng(seed)))


def test_ties_do_not_fall_by_position():
    """Among equal scores every row is as likely to be first, and as likely to be taken."""
    first, taken = np.zeros(10), np.zeros(10)
    for seed in range(2_000):
        chosen = top(np.full(10, 0.5), 3, np.random.default_rng(seed))
        first[chosen[0]] += 1
        taken[chosen] += 1
    assert chisquare(first).pvalue > 1e-4
    assert chisquare(taken).pvalue > 1e-4


@given(groups=st.lists(st.integers(0, 4), max_size=60), count=st.integers(0, 70), least=st.integers(0, 70))
@settings(max_examples=150, deadline=None)
def test_the_head_of_an_order_has_some_of_each_group(groups, count, least):
    """The first ones are all there, each group has its first ones, and nothing else is."""
    kept = head(np.array(groups, dtype=np.int64), count, least).tolist()
    wanted = set(range(min(count, len(groups))))
    for group in set(groups):
        wanted |= set([at for at, one in enumerate(groups) if one == group][:least])
    assert kept == sorted(wanted)


def test_minus_infinity_is_last_and_nan_is_refused():
    """A row marked as never comes last; a score that is not a number is named."""
    assert top(np.array([-np.inf, 0.0]), 2, np.random.default_rng(0)).tolist() == [1, 0]
    with pytest.raises(ValueError, match="score 1 is not a number"):
        top(np.array([0.0, np.nan]), 1, np.random.default_rng(0))


def test_hash_is_fixed():
    """The hash of an item never changes between releases: the audit of a running project hangs on it."""
    # SplitMix64 by its definition, in plain integers.
    full = 2**64 - 1

    def mix(bits):
        bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) & full
        bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & full
        return bits ^ bits >> 31

    golden = 0x9E3779B97F4A7C15
    for seed in (0, 7, 2**32 - 1):
        start = mix((seed + golden) & full)
        expected = [mix((start + (number + 1) * golden) & full) for number in range(50)]
        assert uniform_hash(seed, np.arange(50)).tolist() == expected


def test_splitmix_matches_the_published_stream():
    """The mixer is SplitMix64: from state 0 its first outputs are the published ones."""
    from labelloop.maths.selection import _GOLDEN, _mix

    states = np.arange(1, 3, dtype=np.uint64) * np.uint64(_GOLDEN)
    assert [hex(value) for value in _mix(states).tolist()] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4"]


@pytest.mark.parametrize("seed", [0, 1, 12_345])
def test_hash_is_uniform_and_independent_of_the_number(seed):
    """Consecutive numbers fall evenly into bins, and two seeds do not follow each other."""
    hashes = uniform_hash(seed, np.arange(200_000))
    bins = np.bincount((hashes >> np.uint64(56)).astype(int), minlength=256)
    assert chisquare(bins).pvalue > 1e-4
    other = uniform_hash(seed + 1, np.arange(200_000))
    below = np.uint64(2**63)
    both = ((hashes < below) & (other < below)).mean()
    assert abs(both - 0.25) < 0.005


def test_hash_does_not_depend_on_company():
    """An item hashes alike alone, in another order, and as any integer type."""
    numbers = np.array([5, 3, 900_000])
    hashes = uniform_hash(3, numbers)
    assert hashes.dtype == np.uint64
    np.testing.assert_array_equal(uniform_hash(3, numbers[::-1].astype(np.int32)), hashes[::-1])
    assert uniform_hash(3, numbers[:1])[0] == hashes[0]
    assert uniform_hash(3, numbers[:0]).shape == (0,)
