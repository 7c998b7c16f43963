"""Hands out a round lane by lane, as the queue does for annotators: by shares, and a dry lane gives its share away."""

from collections.abc import Mapping

from labelloop.domain.states import Lane
from labelloop.maths.arrays import Ints


def hand_out(lanes: Mapping[Lane, Ints], shares: Mapping[Lane, float], count: int) -> list[int]:
    """Up to `count` item numbers: each comes from the lane that is furthest behind its share; none comes twice."""
    order = {lane: iter(numbers.tolist()) for lane, numbers in lanes.items() if shares.get(lane, 0) > 0}
    given = dict.fromkeys(order, 0)
    taken: dict[int, None] = {}
    while order and len(taken) < count:
        behind = max(order, key=lambda lane: shares[lane] * (len(taken) + 1) - given[lane])
        number = next((number for number in order[behind] if number not in taken), None)
        if number is None:
            del order[behind]
            continue
        given[behind] += 1
        taken[number] = None
    return list(taken)
