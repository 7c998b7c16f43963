"""Which classes the labels are short of, and about which of them a model is mute."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from labelloop.maths import mute
from labelloop.maths.estimation import wilson


@given(some.lists(some.integers(0, 300), min_size=2, max_size=12))
def test_a_class_is_short_when_luck_does_not_explain_it(counts):
    """Short are those whose whole interval lies below an equal share; never all of them, and none of equal counts."""
    short = mute.short(np.array(counts))
    total = sum(counts)
    assert short.tolist() == [wilson(count, total).high < 1 / len(counts) for count in counts]
    assert not short.all()
    assert not mute.short(np.full(len(counts), counts[0])).any()


def test_few_labels_prove_nothing():
    """One of four classes unseen in six labels is luck; in sixty it is not. A target of 0 is never missed."""
    assert not mute.short(np.array([2, 2, 2, 0])).any()
    assert mute.short(np.array([20, 20, 20, 0])).tolist() == [False, False, False, True]
    assert not mute.short(np.array([20, 20, 20, 0]), np.array([1.0, 1.0, 1.0, 0.0])).any()


def test_targets_move_the_line():
    """A tenth is enough of a class that shall have a tenth."""
    counts = np.array([90, 10])
    assert mute.short(counts).tolist() == [False, True]
    assert not mute.short(counts, np.array([9.0, 1.0])).any()


@pytest.mark.parametrize("cut", [1, 7, 64])
def test_what_a_model_says_does_not_depend_on_the_blocks(cut):
    """The same rows in pieces give the same answer, and it is the one that numpy gives of all at once."""
    rng = np.random.default_rng(0)
    rows = rng.dirichlet([4, 3, 0.2, 0.01], size=300)
    said = mute.Said(4)
    for start in range(0, 300, cut):
        said.add(rows[start : start + cut])
    named, expected = np.bincount(rows.argmax(axis=1), minlength=4), rows.sum(axis=0)
    quiet = (1 - np.minimum(named / (0.1 * np.maximum(expected, 1)), 1)) * np.minimum(expected, 1)
    np.testing.assert_allclose(said.mute(), quiet)


def test_a_cautious_model_is_not_mute():
    """Half as often as expected is caution; never is mute; without rows nothing was named."""
    said = mute.Said(3)
    said.add(np.array([[0.5, 0.3, 0.2]] * 90 + [[0.2, 0.7, 0.1]] * 10))
    assert said.mute().tolist() == [0, 0, 1]
    assert mute.Said(2).mute().tolist() == [0, 0]


def test_where_there_is_nothing_left_to_name_nobody_is_mute():
    """A model that expects a third of a row in all the pool may well name none."""
    said = mute.Said(2)
    said.add(np.array([[0.999, 0.001]] * 300))
    assert said.mute()[1] == pytest.approx(0.3)
