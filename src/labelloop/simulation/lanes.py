"""Hands out a round lane by lane as the queue does for annotators: smooth weighted round robin over the shares.

Every lane that is not dry earns its share, the richest serves and pays for the turn; what a lane is owed is kept from
batch to batch, so that a small share is served in small batches, too.
"""

from collections.abc import Mapping

from labelloop.domain.states import Lane
from labelloop.maths.arrays import Ints


class Turns:
    """Whose turn it is, over the batches of one replay."""

    def __init__(self) -> None:
        self._owed = dict.fromkeys(Lane, 0.0)

    def hand_out(self, lanes: Mapping[Lane, Ints], shares: Mapping[Lane, float], count: int) -> list[int]:
        """Up to `count` item numbers, in each lane's order, none twice; a lane that runs dry gives its share away."""
        order = {lane: iter(lanes[lane].tolist()) for lane in shares if lane in lanes}
        taken: dict[int, None] = {}
        while order and len(taken) < count:
            richest = max(order, key=lambda lane: self._owed[lane] + shares[lane])
            number = next((number for number in order[richest] if number not in taken), None)
            if number is None:
                del order[richest]
                continue
            taken[number] = None
            for lane in order:
                self._owed[lane] += shares[lane]
            self._owed[richest] -= sum(shares[lane] for lane in order)
        return list(taken)
