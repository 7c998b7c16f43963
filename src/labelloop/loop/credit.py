"""credit: how far each way of finding rare classes keeps its promises, by the answers to what it put first.

A model that has seen few labels of a class promises far too little of it, and nobody knows what an outlier will turn
out to be; so a promise is corrected by what came of earlier ones. A round notes which items each way put first, and
the next one looks for their labels: nothing is remembered outside the rounds, and a replay corrects alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labelloop.domain.types import Json
from labelloop.loop.pool import PoolView
from labelloop.maths.arrays import Ints, Mask

NOTED = 300
"""Items of an order that a round notes: those that are asked before the next one, mostly."""
_PRIOR = 0.5
"""So many kept promises are added to what came and to what was promised: a few answers say little."""
_FADING = 0.95
"""What an answer counts less with each later answer to the same way: what there is to find gets used up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Items that a way put first, the class it hunted (-1: whatever is rare), and what it promised of each."""

    way: str
    code: int
    promise: float
    items: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What came of the answers to one way: how many there were and were hits, and both as promises see them, faded."""

    answers: int = 0
    came: int = 0
    promised: float = 0.0
    brought: float = 0.0

    def after(self, promise: float, hits: Mask) -> "Kept":
        """With the answers to some more items, of which each promised so much."""
        fading = _FADING ** np.arange(len(hits))[::-1]
        before = _FADING ** len(hits)
        return Kept(
            answers=self.answers + len(hits),
            came=self.came + int(hits.sum()),
            promised=float(self.promised * before + promise * fading.sum()),
            brought=float(self.brought * before + fading[hits].sum()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """What a round hands on to the next: what came of each way, and what it put first itself."""

    ways: Mapping[str, Kept] = field(default_factory=dict)
    asked: Sequence[Asked] = ()

    def corrected(self, way: str, promise: float) -> float:
        """A promise, as far as this way's have been kept: times what came over what was promised, 1 at most."""
        kept = self.ways.get(way, Kept())
        return min(promise * (kept.brought + _PRIOR) / (kept.promised + _PRIOR), 1.0)

    def settled(self, view: PoolView, sought: Ints) -> "Credit":
        """With the answers that came since. What was not answered is forgotten, unless somebody has it in hand.

        Args:
            view: the pool now.
            sought: codes of the classes that a way which hunts none in particular is to find.
        """
        ways, held = dict(self.ways), []
        order = np.argsort(view.labeled, kind="stable")
        labeled, codes = view.labeled[order], view.codes[order]
        for one in self.asked:
            there = np.isin(one.items, labeled)
            came = codes[np.searchsorted(labeled, one.items[there])]
            hits = came == one.code if one.code >= 0 else np.isin(came, sought)
            if there.any():
                ways[one.way] = ways.get(one.way, Kept()).after(one.promise, hits)
            out = one.items[np.isin(one.items, view.in_flight) & ~there]
            if len(out):
                held.append(Asked(way=one.way, code=one.code, promise=one.promise, items=out))
        return Credit(ways=ways, asked=held)

    def noting(self, asked: Iterable[Asked]) -> "Credit":
        """With what this round puts first."""
        return Credit(ways=self.ways, asked=[*self.asked, *asked])

    def to_json(self) -> dict[str, Json]:
        """Plain values, for a round's stats and facts."""
        return {
            "ways": {name: [kept.answers, kept.came, kept.promised, kept.brought] for name, kept in self.ways.items()},
            "asked": [[one.way, one.code, one.promise, one.items.tolist()] for one in self.asked],
        }

    @classmethod
    def from_json(cls, noted: Mapping[str, Any] | None) -> "Credit":
        """What `to_json` gave; nothing for a round that noted nothing."""
        if not noted:
            return cls()
        return cls(
            ways={
                name: Kept(answers=answers, came=came, promised=promised, brought=brought)
                for name, (answers, came, promised, brought) in noted["ways"].items()
            },
            asked=[
                Asked(way=way, code=code, promise=promise, items=np.array(items, dtype=np.int64))
                for way, code, promise, items in noted["asked"]
            ],
        )
