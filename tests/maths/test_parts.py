"""Scores of items that have parts, regions or tokens: formulas, laws, offsets that do not fit."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.maths import acquisition, regions, sequences

WAYS = {
    "max": lambda part: part.max(),
    "mean": lambda part: part.mean(),
    "sum": lambda part: part.sum(),
    "root": lambda part: part.sum() / np.sqrt(len(part)),
}


@given(counts=st.lists(st.integers(0, 4), max_size=12), seed=st.integers(0, 99), by=st.sampled_from(list(WAYS)))
@settings(max_examples=80, deadline=None)
def test_every_item_is_pooled_alone(counts, seed, by):
    """As a loop over items would do it; items without parts stand anywhere and get what was said."""
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=int)]).astype(int)
    values = np.random.default_rng(seed).random(offsets[-1])
    expected = [WAYS[by](values[a:b]) if b > a else 0.25 for a, b in pairwise(offsets)]
    np.testing.assert_allclose(regions.pooled(values, offsets, by=by, empty=0.25), expected, atol=1e-12)


@pytest.mark.parametrize("offsets, said", [
    ([0, 2], "rise from 0 to the 3"), ([1, 3], "rise"), ([0, 2, 1, 3], "rise"), ([], "whole numbers"),
    ([0.0, 3.0], "whole numbers"),
])  # fmt: skip
def test_offsets_that_do_not_cut_the_values_are_refused(offsets, said):
    """Too few parts, a wrong start, falling, none, no numbers."""
    with pytest.raises(ValueError, match=said):
        regions.pooled(np.zeros(3), np.array(offsets), by="sum")


def test_ways_to_count_differ_as_they_say():
    """A crowd of doubtful parts beats one part by sum and root, ties by mean and by max."""
    values, offsets = np.full(5, 0.5), np.array([0, 1, 5])
    one, crowd = regions.pooled(values, offsets, by="sum")
    assert crowd == 4 * one
    one, crowd = regions.pooled(values, offsets, by="root")
    assert crowd == pytest.approx(2 * one)
    for by in ("mean", "max"):
        one, crowd = regions.pooled(values, offsets, by=by)
        assert crowd == one


@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=8), classes=st.integers(2, 5), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_sequences_follow_their_formulas(lengths, classes, seed):
    """Normalised log probability and token entropy, sequence by sequence."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    p = np.random.default_rng(seed).dirichlet(np.ones(classes), size=offsets[-1])
    doubt = sequences.path_doubt(sequences.best_path(p), offsets)
    mean, most = sequences.token_entropy(p, offsets), sequences.token_entropy(p, offsets, by="max")
    for at, (a, b) in enumerate(pairwise(offsets)):
        assert doubt[at] == pytest.approx(-np.log(p[a:b].max(axis=1)).mean())
        assert mean[at] == pytest.approx(acquisition.entropy(p[a:b]).mean())
        assert most[at] == pytest.approx(acquisition.entropy(p[a:b]).max())
    assert (doubt >= 0).all()
    assert (most >= mean - 1e-12).all()


def test_length_alone_makes_no_sequence_doubtful():
    """A sentence said twice is as doubtful as said once; by sum it is twice as doubtful."""
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=4)
    twice, offsets = np.concatenate([p, p, p]), np.array([0, 4, 12])
    for scores in (
        sequences.path_doubt(sequences.best_path(twice), offsets),
        sequences.token_entropy(twice, offsets),
    ):
        assert scores[0] == pytest.approx(scores[1])
    once, double = sequences.token_entropy(twice, offsets, by="sum")
    assert double == pytest.approx(2 * once)
