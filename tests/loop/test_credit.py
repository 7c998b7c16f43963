"""Promises of the ways to rare classes are corrected by what came of earlier ones."""

import numpy as np
import pytest

from labelloop.loop.credit import Asked, Credit, Kept
from labelloop.loop.pool import PoolView


def view(labels, *, out=()):
    numbers = np.array(list(labels), dtype=np.int64)
    codes = np.array(list(labels.values()), dtype=np.int64)
    return PoolView(
        waiting=np.arange(1000, 1100),
        reserve=numbers[:0],
        class_counts=np.bincount(codes, minlength=3),
        labeled=numbers,
        codes=codes,
        in_flight=np.array(out, dtype=np.int64),
    )


def asked(way, items, *, codes=(2,), promise=0.05):
    return [Asked(item=item, way=way, codes=codes, promise=promise) for item in items]


def came(labels, *noted):
    return Credit(asked=[one for some in noted for one in some]).settled(view(labels))


def test_nothing_known_leaves_a_promise_and_the_share_as_they_are():
    """Before the first answer every way is believed, and the lane's share is taken to be well spent."""
    assert Credit().corrected("model", 0.02) == 0.02
    assert Credit().worth(0.3) == 1


def test_what_keeps_more_than_it_promised_is_believed_more():
    """A fifth came where a fiftieth was promised: several times the promise; where nothing came, a part of it."""
    labels = dict.fromkeys(range(40), 0) | dict.fromkeys(range(0, 20, 5), 2)
    later = came(labels, asked("model", range(20), promise=0.02), asked("outliers", range(20, 40)))
    assert 3 < later.corrected("model", 0.02) / 0.02 < 10
    assert 0.2 < later.corrected("outliers", 0.05) / 0.05 < 0.6
    assert (later.ways["model"].answers, later.ways["model"].came) == (20, 4)
    assert later.corrected("model", 0.9) == 1.0


def test_what_keeps_just_what_it_promised_is_believed_as_before():
    """Promises that fall from item to item and are kept on average are left alone."""
    rng, falling = np.random.default_rng(0), np.linspace(0.8, 0.05, 100)
    found = []
    for _ in range(300):
        hits = np.flatnonzero(rng.random(100) < falling).tolist()
        noted = [Asked(item=item, way="model", codes=(2,), promise=falling[item]) for item in range(100)]
        found.append(came(dict.fromkeys(range(100), 0) | dict.fromkeys(hits, 2), noted).corrected("model", 0.2))
    assert 0.15 < np.mean(found) < 0.25


def test_an_answer_is_judged_by_what_was_sought_when_it_was_asked():
    """A rare class that was not the hunted one is no hit; one that has enough labels by now still is."""
    labels = dict.fromkeys(range(4), 2)
    found = came(labels, asked("examples", [0, 1], codes=(1,)), asked("doubt", [2, 3], codes=(1, 2)))
    assert (found.ways["examples"].came, found.ways["doubt"].came) == (0, 2)


def test_what_somebody_has_in_hand_is_waited_for_and_the_rest_forgotten():
    """An answer that comes two rounds later counts; an item that went back to the pool does not wait for one."""
    first = Credit(asked=asked("model", [1, 2, 1000])).settled(view({1: 2}, out=[2]))
    assert [one.item for one in first.asked] == [2]
    second = first.settled(view({1: 2, 2: 0}))
    assert (second.ways["model"].answers, second.ways["model"].came, list(second.asked)) == (2, 1, [])


def test_no_answer_counts_twice():
    """Settled again with the same labels, nothing changes."""
    once = came({1: 2, 2: 0}, asked("model", [1, 2]))
    assert once.settled(view({1: 2, 2: 0})) == once


def test_old_answers_fade():
    """A way whose finds are used up loses its credit within some twenty answers."""
    early = dict.fromkeys(range(20), 2)
    rich = came(early, asked("model", range(20)))
    later = early | dict.fromkeys(range(20, 60), 0)
    poor = rich.noting(asked("model", range(20, 60))).settled(view(later))
    assert poor.corrected("model", 0.05) < 0.2 * rich.corrected("model", 0.05)


def test_two_classes_of_a_way_fade_in_the_order_they_were_asked():
    """Which class is listed first makes no difference where both are asked in turn."""
    one, two = range(0, 60, 2), range(1, 60, 2)
    labels = dict.fromkeys(one, 1) | dict.fromkeys(two, 0)
    both = sorted([*asked("model", one, codes=(1,)), *asked("model", two, codes=(2,))])
    half = Credit(asked=both).settled(view(labels)).ways["model"]
    assert half.brought / half.promised == pytest.approx(0.5 / 0.05, rel=0.1)


def test_in_two_steps_or_in_one():
    """How many answers came between two rounds makes no difference."""
    labels = {number: 2 * (number % 3 == 0) for number in range(30)}
    together = came(labels, asked("model", range(30)))
    first = came(labels, asked("model", range(11)))
    assert first.noting(asked("model", range(11, 30))).settled(view(labels)) == together


def test_a_share_that_finds_nothing_is_worth_less_and_less():
    """One hit in ten is worth the share; a hundred answers without one are not, but never is it nothing."""
    some = came({number: 2 * (number % 10 == 0) for number in range(100)}, asked("doubt", range(100)))
    none = came(dict.fromkeys(range(100), 0), asked("doubt", range(100)))
    assert some.worth(0.0) == pytest.approx(1, abs=0.1)
    assert 0 < none.worth(0.0) < 0.3


def test_a_share_that_finds_no_more_than_all_others_is_worth_little():
    """A fifth of the answers is of a sought class because people err: that the lane's are so, too, proves nothing."""
    labels = {number: 2 * (number % 5 == 0) for number in range(100)}
    found = came(labels, asked("doubt", range(100)))
    assert found.worth(0.05) == 1
    assert found.worth(0.2) < 0.3


def test_all_other_answers_are_those_that_the_lane_did_not_bring():
    """Of sixty labels of others six are of the sought class; what the lane found of one that has enough is its own."""
    labels = dict.fromkeys(range(100, 154), 0) | dict.fromkeys(range(154, 160), 2)
    lane = dict.fromkeys(range(10), 1) | dict.fromkeys(range(10, 13), 2)
    found = Credit(asked=asked("doubt", lane, codes=(1, 2))).settled(view(labels | lane))
    assert found.labels == {1: 10, 2: 3}
    assert found.elsewhere(view(labels | lane).class_counts, np.array([2])) == pytest.approx(0.1)


def test_it_survives_a_round():
    """What a round notes says the same when it is read again, and a round without notes says nothing."""
    credit = Credit(
        ways={"model": Kept(answers=3, came=1, promised=0.21, brought=0.9)},
        lane=Kept(answers=3, came=1, promised=0.15, brought=0.98),
        labels={0: 2, 2: 1},
        asked=[*asked("model", [1, 2]), *asked("doubt", [7], codes=(0, 2), promise=0.125)],
    )
    assert Credit.from_json(credit.to_json()) == credit
    assert Credit.from_json(None) == Credit()
