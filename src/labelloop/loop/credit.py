"""credit: how far each way of finding rare classes keeps its promises, by the answers to what it put first.

A model that has seen few labels of a class promises far too little of it, and nobody knows what an outlier will turn
out to be; so a promise is corrected by what came of earlier ones. A round notes which items the lane put first, and the
next one looks for their labels: nothing is remembered outside the rounds, and a replay corrects alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from labelloop.domain.types import Json
from labelloop.loop.pool import PoolView
from labelloop.maths.arrays import Ints

NOTED = 300
"""Items of an order that a round notes: those that are asked before the next one, mostly."""
ENOUGH = 0.1
"""By so much must the lane's answers hit more often than all others do, for its share to be well spent."""
_FADING = 0.95
"""What an answer counts less with each later answer to the same way: what there is to find gets used up."""
_PRIOR = 0.5
"""So many kept promises are added to what came and to what was promised: a few answers say little."""
_SLOWLY = 0.99
"""The same of the answers to the lane as a whole."""
_PATIENCE = 1.0
"""As many hits are taken for granted before the lane's share is doubted."""
_AT_LEAST = 0.1
"""The least that a share is worth: without any answers nobody would learn that it has become worth more."""


class Asked(NamedTuple):
    """An item that the lane put first: the way that brought it, the classes sought, and what the way promised of it."""

    item: int
    way: str
    codes: tuple[int, ...]
    promise: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What came of some answers: how many there were and were hits, and both as promises see them, faded."""

    answers: int = 0
    came: int = 0
    promised: float = 0.0
    brought: float = 0.0

    def after(self, promise: float, *, hit: bool, fading: float) -> "Kept":
        """With one more answer."""
        return Kept(
            answers=self.answers + 1,
            came=self.came + hit,
            promised=self.promised * fading + promise,
            brought=self.brought * fading + hit,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """What a round hands on to the next: what came of each way and of all together, and what was put first."""

    ways: Mapping[str, Kept] = field(default_factory=dict)
    lane: Kept = field(default_factory=Kept)
    labels: Mapping[int, int] = field(default_factory=dict)
    """Of each class, how many of the lane's answers were of it, whatever was sought."""
    asked: Sequence[Asked] = ()

    def corrected(self, way: str, promise: float) -> float:
        """A promise, as far as this way's have been kept: times what came over what was promised, 1 at most."""
        kept = self.ways.get(way, Kept())
        return min(promise * (kept.brought + _PRIOR) / (kept.promised + _PRIOR), 1.0)

    def worth(self, elsewhere: float) -> float:
        """How well the lane's share is spent, in (0, 1]; `elsewhere` is the part of all other answers that are hits.

        Only what the lane's answers bring beyond those counts: where people err, a class that is hardly there is
        answered everywhere, and a lane that finds none of it would seem to find some.
        """
        beyond = self.lane.brought - elsewhere * self.lane.promised / ENOUGH
        return min(max((beyond + _PATIENCE) / (self.lane.promised + _PATIENCE), _AT_LEAST), 1.0)

    def elsewhere(self, class_counts: Ints, sought: Ints) -> float:
        """The part of all answers but the lane's that are of these classes, of the labels (classes,) that there are."""
        others = int(class_counts[sought].sum()) - sum(self.labels.get(code, 0) for code in sought.tolist())
        return max(others, 0) / max(int(class_counts.sum()) - self.lane.answers, 1)

    def settled(self, view: PoolView) -> "Credit":
        """With the answers that came since, in the order in which they were asked.

        An answer is a hit when it is of a class that was sought when it was asked. What was not answered is forgotten,
        unless somebody has it in hand.
        """
        code_of = dict(zip(view.labeled.tolist(), view.codes.tolist(), strict=True)) if self.asked else {}
        out = set(view.in_flight.tolist())
        ways, lane, labels, held = dict(self.ways), self.lane, dict(self.labels), []
        for one in self.asked:
            if (code := code_of.get(one.item)) is not None:
                hit = code in one.codes
                ways[one.way] = ways.get(one.way, Kept()).after(one.promise, hit=hit, fading=_FADING)
                lane = lane.after(ENOUGH, hit=hit, fading=_SLOWLY)
                labels[code] = labels.get(code, 0) + 1
            elif one.item in out:
                held.append(one)
        return Credit(ways=ways, lane=lane, labels=labels, asked=held)

    def noting(self, asked: Sequence[Asked]) -> "Credit":
        """With what this round puts first."""
        return replace(self, asked=[*self.asked, *asked])

    def to_json(self) -> dict[str, Json]:
        """Plain values, for a round's stats and facts."""
        kinds = list(dict.fromkeys((one.way, one.codes) for one in self.asked))
        return {
            "ways": {name: _numbers(kept) for name, kept in self.ways.items()},
            "lane": _numbers(self.lane),
            "labels": {str(code): count for code, count in self.labels.items()},
            "kinds": [[way, list(codes)] for way, codes in kinds],
            "asked": [[one.item, kinds.index((one.way, one.codes)), one.promise] for one in self.asked],
        }

    @classmethod
    def from_json(cls, noted: Mapping[str, Any] | None) -> "Credit":
        """What `to_json` gave; nothing for a round that noted nothing."""
        if not noted:
            return cls()
        kinds = [(way, tuple(codes)) for way, codes in noted["kinds"]]
        return cls(
            ways={name: _kept(numbers) for name, numbers in noted["ways"].items()},
            lane=_kept(noted["lane"]),
            labels={int(code): count for code, count in noted.get("labels", {}).items()},
            asked=[Asked(item, kinds[at][0], kinds[at][1], promise) for item, at, promise in noted["asked"]],
        )


def _numbers(kept: Kept) -> list[Json]:
    return [kept.answers, kept.came, kept.promised, kept.brought]


def _kept(numbers: Sequence[Any]) -> Kept:
    answers, came, promised, brought = numbers
    return Kept(answers=answers, came=came, promised=promised, brought=brought)
