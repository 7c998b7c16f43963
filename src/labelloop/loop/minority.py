"""minority: the order of the lane for classes that the labels are short of, and how much of the work it should have.

Classes that the model knows are asked near their borders, by `maths.balance`, the one that is farthest below its share
first. Classes that have few labels, or fewer than their floor, are hunted besides (see `hunt`). And where there are
more classes than two, the items that the model is least sure of altogether: what it has no name for is among them.
"""

from dataclasses import dataclass

import numpy as np

from labelloop import schema
from labelloop.loop.credit import NOTED, Asked, Credit
from labelloop.loop.evidence import EvidenceSource, probabilities_of
from labelloop.loop.hunt import LEAST, Hunt, Mentions, Way
from labelloop.loop.pool import PoolView
from labelloop.maths import acquisition, balance, mute, selection
from labelloop.maths.arrays import Floats, Ints
from labelloop.maths.streaming import Best, Contenders
from labelloop.projects import Project

_UNSEEN = 0.3
"""What a class without any label counts for at first, though the model is mute about it: perhaps there is none."""
_OFTEN = 100
"""After so many labels that brought none of a class, it is half as likely that there are many of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Numbers (k,), first to ask first, their scores (k,), and the class (k,) that each is asked for (-1: any).

    Scores are the probability of the classes that are sought; where borders alone are asked, those of
    `balance.balanced_order`.
    """

    numbers: Ints
    scores: Floats
    wanted: Ints
    origin: Ints
    """(k,) the place in `ways` of the way that brought each."""
    ways: tuple[Way, ...]

    def asked(self, served: Ints, sought: Ints) -> list[Asked]:
        """Of the first that are served those that something was promised of: the next round looks for their answers."""
        origin = dict(zip(self.numbers.tolist(), self.origin.tolist(), strict=True))
        promised = [dict(zip(way.numbers.tolist(), way.promises.tolist(), strict=False)) for way in self.ways]
        found = []
        for number in served[:NOTED].tolist():
            way = self.ways[origin[number]]
            if (promise := promised[origin[number]].get(number)) is not None:
                codes = (way.code,) if way.code >= 0 else tuple(sought.tolist())
                found.append(Asked(item=number, way=way.name, codes=codes, promise=promise))
        return found


class _Sight:
    """What a model makes of the waiting items for this lane, a block at a time: borders of classes, doubt, muteness."""

    def __init__(self, project: Project, view: PoolView, source: EvidenceSource, sought: Ints, *, ties: int) -> None:
        self._source, self._sought, self._counts = source, sought, view.class_counts
        known, window = source.reliability(), view.most(project)
        self._said = mute.Said(len(view.class_counts))
        # Between two classes all doubt is the same; among more, the margin looks at the likeliest two alone.
        self.doubt = Best(window, ties) if len(view.class_counts) > 2 and len(sought) else None
        self.borders = Contenders(
            window,
            view.class_counts,
            seed=ties,
            targets=targets(project),
            at=_cuts(project, view, source),
            sure=None if known is None else np.array(known),
        )

    def add(self, numbers: Ints, probabilities: Floats) -> None:
        self.borders.add(numbers, probabilities)
        self._said.add(probabilities)
        if self.doubt is not None:
            self.doubt.add(numbers, acquisition.entropy(probabilities))

    def mute(self, *, unlabeled: float) -> Floats:
        """How mute the model is about each class (classes,); of one without a label only the caller can say."""
        return np.where(self._counts > 0, self._said.mute(), unlabeled)

    def way(self, name: str, numbers: Ints) -> Way:
        """A way that promises what the model believes."""
        return Way.by(name, -1, numbers, self.belief(numbers[:NOTED]))

    def belief(self, numbers: Ints) -> Floats:
        """The probability of the classes that are sought (k,), by the model."""
        if not len(self._sought) or not len(numbers):
            return np.zeros(len(numbers))
        together: Floats = probabilities_of(self._source, numbers)[:, self._sought].sum(axis=1, dtype=np.float64)
        return np.minimum(together, 1)


class Minority:
    """The lane's order in one round. Feed it the waiting items, a block at a time, then ask for the order.

    `past` is what the rounds before noted of their ways; `credit` is the same with the answers since.
    """

    def __init__(
        self,
        project: Project,
        view: PoolView,
        source: EvidenceSource,
        rng: np.random.Generator,
        *,
        cold: bool,
        mentions: Mentions | None = None,
        past: Credit | None = None,
    ) -> None:
        self._project, self._view = project, view
        ties = int(rng.integers(2**63))
        self.hunt = Hunt(project, view, source, rng, cold=cold, mentions=mentions)
        self._short = mute.short(view.class_counts, targets(project))
        self._sought = np.union1d(self.hunt.codes, np.flatnonzero(self._short))
        self.credit = (past or Credit()).settled(view)
        self._sight = None if cold else _Sight(project, view, source, self._sought, ties=ties)

    @property
    def hopeful(self) -> bool:
        """Whether there is anything to go by: a model, or something to hunt by."""
        return self._sight is not None or self.hunt.hopeful

    def add(self, numbers: Ints, probabilities: Floats | None) -> None:
        """Take a block of the waiting items, and what the model says of them, if there is one."""
        if self._sight is not None and probabilities is not None:
            self._sight.add(numbers, probabilities)
        self.hunt.add(numbers, probabilities)

    def muteness(self) -> dict[str, float]:
        """How mute the model is about each class that the labels are short of, 1 where it never names it."""
        if self._sight is None:
            return {}
        quiet, names = self._sight.mute(unlabeled=1.0), schema.of(self._project).classes
        return {names[code]: float(quiet[code]) for code in np.flatnonzero(self._short).tolist()}

    def wish(self) -> float:
        """The part of the work besides the audit that the lane should have at least, in [0, 1].

        The mean muteness over the classes that the labels are short of, as far as it is well spent (`Credit.worth`).
        """
        if self._sight is None or not grows(self._project, self._view):
            return 0.0
        counts = self._view.class_counts
        quiet = self._sight.mute(unlabeled=_UNSEEN * _OFTEN / (_OFTEN + counts.sum()))[self._short]
        worth = self.credit.worth(self.credit.elsewhere(counts, self._sought))
        return self._project.minority.grow_to * float(quiet.mean()) * worth

    def noted(self, made: Order | None, served: Ints) -> Credit:
        """What the next round is told: the credit so far, and by which way each of the first that are served came."""
        return self.credit if made is None else self.credit.noting(made.asked(served, self._sought))

    def order(self) -> Order:
        """At most `lanes.window` long; empty where there is neither a model nor anything to hunt by.

        All ways are served side by side, each as far as it promises and as its promises have been kept; those of
        several classes share in equal parts.
        """
        ways, wanted, scores = self.hunt.ways(), {}, {}
        if self._sight is not None:
            best, codes = self._sight.borders.wanted()
            wanted = dict(zip(best.numbers.tolist(), codes.tolist(), strict=True))
            if not ways and self._sight.doubt is None:
                scores = dict(zip(best.numbers.tolist(), best.scores.tolist(), strict=True))
            ways.append(self._sight.way("borders", best.numbers))
            if self._sight.doubt is not None:
                ways.append(self._sight.way("doubt", self._sight.doubt.numbers))
        hunted = len({way.code for way in ways if way.code >= 0})
        weights = [
            max(self.credit.corrected(way.name, way.promise), LEAST) / (hunted if way.code >= 0 else 1) for way in ways
        ]
        window = self._view.most(self._project)
        numbers, origin = (part[:window] for part in selection.interleaved([way.numbers for way in ways], weights))
        if scores:
            shown = np.array([scores[number] for number in numbers.tolist()])
        else:
            shown = np.zeros(len(numbers)) if self._sight is None else self._sight.belief(numbers)
        asked_for = [
            ways[at].code if ways[at].code >= 0 else wanted.get(number, -1)
            for number, at in zip(numbers.tolist(), origin.tolist(), strict=True)
        ]
        return Order(
            numbers=numbers, scores=shown, wanted=np.array(asked_for, dtype=np.int64), origin=origin, ways=tuple(ways)
        )


def grows(project: Project, view: PoolView) -> bool:
    """Whether the lane's share may grow in this round: see `minority.grow_to`. Random sampling is left as it is."""
    counts = view.class_counts
    may = project.minority.grow_to > 0 and project.strategy.kind != "random" and project.lanes.informative > 0
    return bool(may and len(counts) > 2 and mute.short(counts, targets(project)).any())


def targets(project: Project) -> Floats | None:
    """Share (classes,) of the labels that each class should have; None for equal shares."""
    wanted = project.minority.targets
    weights = np.array([wanted.get(name, 1.0) for name in schema.of(project).classes])
    return weights if wanted and weights.any() else None


def _cuts(project: Project, view: PoolView, source: EvidenceSource) -> Floats | None:
    if project.minority.kind != "cut" or not len(view.labeled):
        return None
    return balance.cuts(probabilities_of(source, view.labeled), view.codes)
