"""minority: the order of the lane for classes that the labels are short of.

Classes that the model knows are asked near their borders, by `maths.balance`, the one that is farthest below its share
first. Classes that have few labels, or fewer than their floor, are hunted besides (see `hunt`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labelloop import schema
from labelloop.loop.evidence import EvidenceSource, probabilities_of
from labelloop.loop.hunt import FIRST, LEAST, Hunt, Mentions, Way
from labelloop.loop.pool import PoolView
from labelloop.maths import balance, selection
from labelloop.maths.arrays import Floats, Ints
from labelloop.maths.streaming import Contenders
from labelloop.projects import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Numbers (k,), first to ask first, their scores (k,), and the class (k,) that each is asked for (-1: any).

    Scores are the hunted classes' probability; where nothing is hunted those of `balance.balanced_order`.
    """

    numbers: Ints
    scores: Floats
    wanted: Ints
    ways: Mapping[str, int]
    """Way of finding → items of the order that it brought."""


class Minority:
    """The lane's order in one round. Feed it the waiting items, a block at a time, then ask for the order."""

    def __init__(
        self,
        project: Project,
        view: PoolView,
        source: EvidenceSource,
        rng: np.random.Generator,
        *,
        cold: bool,
        mentions: Mentions | None = None,
    ) -> None:
        self._window, self._ties = view.most(project), int(rng.integers(2**63))
        self.hunt = Hunt(project, view, source, rng, cold=cold, mentions=mentions)
        self._borders: Contenders | None = None
        if not cold:
            at = _cuts(project, view, source)
            known = source.reliability()
            sure = None if known is None else np.array(known)
            self._borders = Contenders(self._window, view.class_counts, targets=targets(project), at=at, sure=sure)

    def add(self, numbers: Ints, probabilities: Floats | None) -> None:
        """Take a block of the waiting items, and what the model says of them, if there is one."""
        if self._borders is not None and probabilities is not None:
            self._borders.add(numbers, probabilities)
        self.hunt.add(numbers, probabilities)

    def order(self) -> Order:
        """At most `lanes.window` long; empty where there is neither a model nor anything to hunt by.

        All ways are served side by side, each as far as it promises; those of several classes share in equal parts.
        """
        ways, wanted, scores = self.hunt.ways(), {}, {}
        if self._borders is not None:
            best, codes = self._borders.wanted(self._ties)
            wanted = dict(zip(best.numbers.tolist(), codes.tolist(), strict=True))
            scores = {} if ways else dict(zip(best.numbers.tolist(), best.scores.tolist(), strict=True))
            promise = float(self.hunt.posteriors(best.numbers[:FIRST]).mean()) if ways and len(best.numbers) else 1.0
            ways.append(Way(name="borders", code=-1, numbers=best.numbers, promise=promise))
        hunted = len({way.code for way in ways if way.code >= 0})
        weights = [max(way.promise, LEAST) / (hunted if way.code >= 0 else 1) for way in ways]
        numbers, origin = selection.interleaved([way.numbers for way in ways], weights)
        numbers, origin = numbers[: self._window], origin[: self._window]
        brought: dict[str, int] = {}
        for at, way in enumerate(ways):
            brought[way.name] = brought.get(way.name, 0) + int((origin == at).sum())
        return Order(
            numbers=numbers,
            scores=np.array([scores[number] for number in numbers.tolist()])
            if scores
            else self.hunt.posteriors(numbers).astype(np.float64),
            wanted=np.array(
                [
                    ways[at].code if ways[at].code >= 0 else wanted.get(number, -1)
                    for number, at in zip(numbers.tolist(), origin.tolist(), strict=True)
                ],
                dtype=np.int64,
            ),
            ways=brought,
        )


def targets(project: Project) -> Floats | None:
    """Share (classes,) of the labels that each class should have; None for equal shares."""
    wanted = project.minority.targets
    if not wanted:
        return None
    return np.array([wanted.get(name, 1.0) for name in schema.of(project).classes])


def _cuts(project: Project, view: PoolView, source: EvidenceSource) -> Floats | None:
    if project.minority.kind != "cut" or not len(view.labeled):
        return None
    return balance.cuts(probabilities_of(source, view.labeled), view.codes)
