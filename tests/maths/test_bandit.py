"""Beliefs about arms, and the draw between them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.maths.bandit import Play, beliefs, rarity, thompson

plays = st.lists(
    st.builds(Play, arm=st.integers(0, 2), answers=st.integers(1, 500), reward=st.floats(0, 1)), max_size=30
)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=6), st.data())
def test_the_rarer_a_class_the_larger_its_reward(counts, data):
    """Rewards lie between 0 and 1, fall with the labels of the class, and are 1 for the rarest."""
    codes = np.array(data.draw(st.lists(st.integers(0, len(counts) - 1), min_size=1, max_size=20)))
    rewards, counts = rarity(codes, np.array(counts)), np.array(counts)
    assert ((rewards > 0) & (rewards <= 1)).all()
    assert (rewards[counts[codes] == counts.min()] == 1).all()
    by_count = np.argsort(counts[codes], kind="stable")
    assert (np.diff(rewards[by_count]) <= 0).all()


@given(plays)
def test_beliefs_are_proper_and_bounded(past):
    """Every belief is at least the prior, and no history weighs more than the fading allows."""
    table = beliefs(past, 3)
    assert (table >= 1).all()
    assert table.sum() - 6 <= 20 / (1 - 0.9) + 1e-6


@given(plays, st.integers(0, 2**32 - 1))
def test_the_same_history_and_seed_draw_the_same_arm(past, seed):
    """The draw has no memory of its own."""
    once, again = (thompson(beliefs(past, 3), np.random.default_rng(seed)) for _ in range(2))
    assert once == again
    assert 0 <= once < 3


def test_a_large_batch_does_not_settle_the_matter():
    """Five thousand answers of one round count as much as twenty."""
    many, few = (beliefs([Play(arm=0, answers=answers, reward=0.5)], 2) for answers in (5_000, 20))
    assert (many == few).all()


def test_the_better_arm_is_drawn_more_often_and_the_worse_one_still_sometimes():
    """An arm with twice the reward gets most of the turns; a change of luck is found out within some turns."""
    rng, past, drawn = np.random.default_rng(0), [], []
    for turn in range(400):
        reward = (0.6, 0.3) if turn < 200 else (0.2, 0.6)
        arm = thompson(beliefs(past, 2), rng)
        drawn.append(arm)
        past.append(Play(arm=arm, answers=20, reward=float(rng.binomial(20, reward[arm]) / 20)))
    assert drawn[50:200].count(0) > 120
    assert drawn[:200].count(1) >= 2
    assert drawn[250:].count(1) > 120


def test_impossible_plays_are_refused():
    """A reward above 1 or an arm that is not there is named, not folded in."""
    for wrong in (Play(arm=0, answers=1, reward=1.5), Play(arm=3, answers=1, reward=0.5)):
        with pytest.raises(ValueError, match="no play of 2 arms"):
            beliefs([wrong], 2)
