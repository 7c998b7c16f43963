"""Promises of the ways to rare classes are corrected by what came of earlier ones."""

import numpy as np
import pytest

from labelloop.loop.credit import Asked, Credit
from labelloop.loop.pool import PoolView

SOUGHT = np.array([2])


def view(labels, *, out=()):
    numbers = np.array(list(labels), dtype=np.int64)
    return PoolView(
        waiting=np.arange(1000, 1100),
        reserve=numbers[:0],
        class_counts=np.bincount(np.array(list(labels.values()), dtype=np.int64), minlength=3),
        labeled=numbers,
        codes=np.array(list(labels.values()), dtype=np.int64),
        in_flight=np.array(out, dtype=np.int64),
    )


def asked(way, items, *, code=-1, promise=0.05):
    return Asked(way=way, code=code, promise=promise, items=np.array(items, dtype=np.int64))


def test_nothing_known_leaves_a_promise_as_it_is():
    """Before the first answer every way is believed."""
    assert Credit().corrected("model", 0.02) == 0.02


def test_what_keeps_more_than_it_promised_is_believed_more():
    """A fifth came where a fiftieth was promised: several times the promise; where nothing came, a part of it."""
    credit = Credit().noting([asked("model", range(20), code=2, promise=0.02), asked("outliers", range(20, 40))])
    labels = dict.fromkeys(range(40), 0) | dict.fromkeys(range(0, 20, 5), 2)
    later = credit.settled(view(labels), SOUGHT)
    assert 3 < later.corrected("model", 0.02) / 0.02 < 10
    assert 0.2 < later.corrected("outliers", 0.05) / 0.05 < 0.6
    assert (later.ways["model"].answers, later.ways["model"].came) == (20, 4)
    assert later.corrected("model", 0.9) == 1.0


def test_a_way_that_hunts_a_class_is_held_to_that_class():
    """A rare class that was not the hunted one is no hit of that way, and one of a way that hunts whatever is rare."""
    labels = dict.fromkeys(range(4), 2)
    found = Credit().noting([asked("examples", [0, 1], code=1), asked("doubt", [2, 3])]).settled(view(labels), SOUGHT)
    assert (found.ways["examples"].came, found.ways["doubt"].came) == (0, 2)


def test_what_somebody_has_in_hand_is_waited_for_and_the_rest_forgotten():
    """An answer that comes two rounds later counts; an item that went back to the pool does not wait for one."""
    first = Credit().noting([asked("model", [1, 2, 1000])]).settled(view({1: 2}, out=[2]), SOUGHT)
    assert [one.items.tolist() for one in first.asked] == [[2]]
    second = first.settled(view({1: 2, 2: 0}), SOUGHT)
    assert (second.ways["model"].answers, second.ways["model"].came, list(second.asked)) == (2, 1, [])


def test_no_answer_counts_twice():
    """Settled again with the same labels, nothing changes."""
    once = Credit().noting([asked("model", [1, 2])]).settled(view({1: 2, 2: 0}), SOUGHT)
    assert once.settled(view({1: 2, 2: 0}), SOUGHT) == once


def test_old_answers_fade():
    """A way whose finds are used up loses its credit within some twenty answers."""
    early = dict.fromkeys(range(20), 2)
    rich = Credit().noting([asked("model", range(20))]).settled(view(early), SOUGHT)
    late = early | dict.fromkeys(range(20, 60), 0)
    poor = rich.noting([asked("model", range(20, 60))]).settled(view(late), SOUGHT)
    assert poor.corrected("model", 0.05) < 0.2 * rich.corrected("model", 0.05)


def test_in_two_steps_or_in_one():
    """How many answers came between two rounds makes no difference."""
    labels = {number: 2 * (number % 3 == 0) for number in range(30)}
    together = Credit().noting([asked("model", range(30))]).settled(view(labels), SOUGHT).ways["model"]
    first = Credit().noting([asked("model", range(11))]).settled(view(labels), SOUGHT)
    apart = first.noting([asked("model", range(11, 30))]).settled(view(labels), SOUGHT).ways["model"]
    assert (apart.answers, apart.came) == (together.answers, together.came)
    assert (apart.promised, apart.brought) == pytest.approx((together.promised, together.brought))


def test_it_survives_a_round():
    """What a round notes says the same when it is read again, and a round without notes says nothing."""
    credit = Credit().noting([asked("model", [1, 2], code=2)]).settled(view({1: 2}, out=[2]), SOUGHT)
    again = Credit.from_json(credit.to_json())
    assert again.to_json() == credit.to_json()
    assert again.ways == credit.ways
    assert Credit.from_json(None) == Credit()
