"""Choices from a pool that comes in blocks: the best scores, and the minority lane's; `selection` takes arrays whole.

Only rows that can still come into the choice are kept, so memory depends on the choice (and the classes), not the pool.
"""

import numpy as np

from labelloop.maths import balance
from labelloop.maths.arrays import Floats, Ints
from labelloop.maths.selection import uniform_hash

LEAST = 50
"""Rows that a class with too few labels gets, by its posterior where it is not predicted for so many."""


class Best:
    """The best rows of a pool that comes in blocks; what is kept depends on neither the blocks nor their order.

    Ties fall by a hash of the number and the seed (see `uniform_hash`), so the answer is that of one sort of the whole.
    Memory O(count); time O(n), and O(count log count) for each block that brings better rows than are kept.

    Args:
        count: how many are kept.
        seed: breaks ties; the same seed gives the same order.

    Example:
        >>> best = Best(2, seed=0)
        >>> best.add(np.array([10, 11]), np.array([0.1, 0.9]))
        >>> best.add(np.array([12]), np.array([0.5]))
        >>> best.numbers.tolist(), best.scores.tolist()
        ([11, 12], [0.9, 0.5])
    """

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed = max(count, 0), seed
        self.seen = 0
        """Rows that came so far."""
        self.numbers: Ints = np.zeros(0, dtype=np.int64)
        """(≤ count,) the best first."""
        self.scores: Floats = np.zeros(0, dtype=np.float64)
        """Their scores, as the blocks had them."""

    def add(self, numbers: Ints, scores: Floats) -> None:
        """Take a block: numbers (n,), none twice, and their scores (n,), where minus infinity means last.

        Raises:
            ValueError: a score is NaN; names the row's number.
        """
        bad = np.isnan(scores)
        if bad.any():
            raise ValueError(f"the score of {int(numbers[bad.argmax()])} is not a number")
        before, self.seen = self.seen, self.seen + len(numbers)
        if len(self.numbers) == self._count:
            worth = np.flatnonzero(scores >= self.scores[-1]) if self._count else np.zeros(0, dtype=np.intp)
            if not len(worth):
                return
            numbers, scores = numbers[worth], scores[worth]
        if before:
            numbers, scores = np.concatenate([self.numbers, numbers]), np.concatenate([self.scores, scores])
        if len(scores) > self._count:
            kept = np.flatnonzero(scores >= np.partition(scores, len(scores) - self._count)[len(scores) - self._count])
            numbers, scores = numbers[kept], scores[kept]
        order = np.lexsort((uniform_hash(self._seed, numbers), -scores))[: self._count]
        self.numbers, self.scores = numbers[order], scores[order]


class Contenders:
    """The rows that `balance.claim_scores` of the whole pool would put first.

    A row can be among the first `count` only if it is among the closest of its wanted class, or among the likeliest of
    the class that it is claimed by. Of each so many are kept that nothing is lost, however the pool is cut into blocks.
    Ties fall as with `Best`: a forest says the same of many rows, and those that came first are no better.

    Args:
        count: how many are wanted.
        class_counts: (classes,) labels so far, audit left out.
        seed: breaks ties.
        targets: (classes,) shares to aim at, as in `balance.claims`.
        at: (classes,) cuts to ask around, as in `balance.claims`.
        sure: (classes,) from `balance.reliability`.

    Example:
        >>> contenders = Contenders(1, np.array([30, 2]), seed=0)
        >>> contenders.add(np.array([7]), np.array([[0.9, 0.1]]))
        >>> contenders.add(np.array([8]), np.array([[0.3, 0.7]]))
        >>> contenders.best().numbers.tolist()
        [8]
    """

    def __init__(
        self,
        count: int,
        class_counts: Ints,
        *,
        seed: int,
        targets: Floats | None = None,
        at: Floats | None = None,
        sure: Floats | None = None,
    ) -> None:
        self._counts, self._targets, self._at, self._sure = class_counts, targets, at, sure
        self._seed = seed
        # Rows that go to a class that is predicted for few leave their bucket; so many more must stand behind them.
        self._count, self._room = count, count + LEAST * len(class_counts)
        self._numbers: list[Ints] = []
        self._claims: list[balance.Claims] = []
        self._held = 0
        self._floor: Floats = np.full(len(class_counts), -np.inf)
        self._bar: Floats = np.full(len(class_counts), -np.inf)

    def add(self, numbers: Ints, probabilities: Floats) -> None:
        """Take a block: numbers (n,), none twice, and calibrated probabilities (n, classes)."""
        found = balance.claims(probabilities, self._counts, targets=self._targets, at=self._at)
        likely = (found.posterior > 0) & (found.posterior >= self._bar[found.lacking])
        worth = np.flatnonzero((found.closeness >= self._floor[found.wanted]) | likely)
        self._numbers.append(numbers[worth])
        self._claims.append(found.rows(worth))
        self._held += len(worth)
        if self._held > 2 * (self._room + LEAST) * len(self._counts):
            self._prune()

    def best(self) -> Best:
        """The choice."""
        best = Best(self._count, self._seed)
        if self._held:
            self._prune()
            best.add(
                self._numbers[0],
                balance.claim_scores(
                    self._claims[0], self._counts, targets=self._targets, sure=self._sure, least=LEAST
                ),
            )
        return best

    def wanted(self) -> tuple[Best, Ints]:
        """The choice, and the class that each of it is asked for, (≤ count,)."""
        best = self.best()
        if not len(best.numbers):
            return best, best.numbers
        codes = balance.settled(self._claims[0], len(self._counts), least=LEAST)[0]
        order = np.argsort(self._numbers[0], kind="stable")
        return best, codes[order[np.searchsorted(self._numbers[0][order], best.numbers)]]

    def _prune(self) -> None:
        """Drop what can no longer come into the choice, and remember how good a newcomer must be.

        Rows are put in the order of their lots first: whatever is sorted stably from here on breaks its ties by them.
        """
        numbers, found = np.concatenate(self._numbers), balance.Claims.joined(self._claims)
        drawn = np.argsort(uniform_hash(self._seed, numbers), kind="stable")
        numbers, found = numbers[drawn], found.rows(drawn)
        close, self._floor = _heads(found.wanted, found.closeness, room=self._room, floor=self._floor)
        likely, self._bar = _heads(found.lacking, found.posterior, room=LEAST, floor=self._bar)
        kept = np.union1d(close, likely)
        self._numbers, self._claims, self._held = [numbers[kept]], [found.rows(kept)], len(kept)


def _heads(group: Ints, value: Floats, *, room: int, floor: Floats) -> tuple[Ints, Floats]:
    """Positions of the `room` largest of each group, of equal ones the first; and the value of the last, where full."""
    order = np.lexsort((-value, group))
    starts = np.searchsorted(group[order], np.arange(len(floor) + 1))
    last = starts[:-1] + room - 1
    full = last < starts[1:]
    floor = floor.copy()
    floor[full] = value[order[last[full]]]
    return order[np.arange(len(order)) < (starts[:-1] + room)[group[order]]], floor
