"""hunt: ways to find items of classes that have few labels, or none.

By keywords, by likeness to the examples there are, by the model's word, and among small tight groups and outliers. Each
way says how far it promises to find the class, so that `minority` can serve them side by side. The pool comes in
blocks, and what is kept of it does not grow with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from labelloop import schema
from labelloop.loop.credit import NOTED
from labelloop.loop.evidence import EvidenceSource, features_of, probabilities_of
from labelloop.loop.pool import PoolView
from labelloop.maths import rarity, selection
from labelloop.maths.arrays import Floats, Ints
from labelloop.maths.streaming import Best
from labelloop.projects import Project

UNKNOWN = 0.05
"""Promise of looking where no example and no model leads: nobody knows what it will find."""
LEAST = 0.01
"""Promise of a way that promises less: a model may be wrong about what it has not seen."""
FIRST = 10
"""Promises are measured on so many items, the next to be asked."""
_WORTH_ASKING = 0.01
"""Probability from which on the model's word for a class counts."""
_LIKELY = 1_000
"""Items at most that a round asks of a class on the model's word."""
_EXAMPLES = 64
"""Examples of a class that likeness is measured to, drawn at random from more."""
_OTHERS = 2_000
"""Labels of other classes that likeness is measured against, drawn at random from more."""
_DEPTH = 50
"""Nearest items that each example brings."""
_SURROUNDED = 100_000
"""Items among which groups are looked for; of larger pools always the same ones."""
_HEADS = 300
"""Groups at most that a round looks into, of each kind."""


class Mentions(Protocol):
    """Which items hold a keyword of a class."""

    def of(self, code: int) -> Ints:
        """Numbers (k,), ascending."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Items that one way would ask, first to ask first, for one class (-1: for whatever is rare)."""

    name: str
    code: int
    numbers: Ints
    promise: float
    """Part of the first few that is expected to be of the class, before `credit` corrects it."""
    promises: Floats = field(default_factory=lambda: np.zeros(0))
    """What is promised of each of the first ones; empty where answers are not to correct it."""

    @classmethod
    def by(cls, name: str, code: int, numbers: Ints, promises: Floats) -> "Way":
        """A way that promises so much of each of its first items."""
        promises = np.maximum(promises, LEAST)
        promise = float(promises[:FIRST].mean()) if len(promises) else LEAST
        return cls(name=name, code=code, numbers=numbers, promise=promise, promises=promises)


def hunted(project: Project, class_counts: Ints) -> Ints:
    """Codes of the classes to hunt, those below their floor or with fewer labels than `minority.few`; fewest first."""
    rules = project.minority
    least = [
        max(rules.floors.get(name, 0), rules.few if rules.targets.get(name, 1) else 0)
        for name in schema.of(project).classes
    ]
    lacking = np.flatnonzero(class_counts < np.array(least))
    return lacking[np.argsort(class_counts[lacking], kind="stable")][: rules.classes_hunted]


class Hunt:
    """The hunt for some classes in one round. Feed it the waiting items, then ask for its ways."""

    def __init__(
        self,
        project: Project,
        view: PoolView,
        source: EvidenceSource,
        rng: np.random.Generator,
        *,
        cold: bool,
        mentions: Mentions | None,
    ) -> None:
        self._project, self._view, self._source, self._rng = project, view, source, rng
        self._cold, self.codes = cold, hunted(project, view.class_counts)
        """Without a model; the classes that are hunted."""
        said = {} if mentions is None else {code: mentions.of(code) for code in self.codes.tolist()}
        self._mentioned = {code: numbers for code, numbers in said.items() if len(numbers)}
        self._nearest: dict[int, rarity.Closest] = {}
        for code in self.codes.tolist():
            known = _some(view.labeled[view.codes == code], _EXAMPLES, rng)
            if len(known):
                self._nearest[code] = rarity.Closest(features_of(source, known), depth=_DEPTH)
        ties = int(rng.integers(2**63))
        self._likely = {} if cold else {code: Best(_LIKELY, ties) for code in self.codes.tolist()}

    @property
    def hopeful(self) -> bool:
        """Whether there is anything to go by: a model, an example or a keyword."""
        return bool(len(self.codes)) and (not self._cold or bool(self._nearest) or bool(self._mentioned))

    def add(self, numbers: Ints, probabilities: Floats | None) -> None:
        """Take a block of the waiting items, and what the model says of them."""
        if probabilities is not None:
            for code, best in self._likely.items():
                best.add(numbers, probabilities[:, code])
        if self._nearest:
            features = features_of(self._source, numbers)
            for closest in self._nearest.values():
                closest.look(numbers, features)

    def ways(self) -> list[Way]:
        """Every way that has items to ask."""
        if not self.hopeful:
            return []
        found = [way for code in self.codes.tolist() for way in self._of_class(code)]
        return [way for way in (*found, *self._groups()) if len(way.numbers)]

    def _of_class(self, code: int) -> Iterator[Way]:
        if code in self._nearest:
            numbers = self._alike(code, self._nearest[code])
            if self._cold:  # nobody knows better
                yield Way(name="examples", code=code, numbers=numbers, promise=1.0)
            else:
                yield Way.by("examples", code, numbers, self._probability(code, numbers[:NOTED]))
        if code in self._likely:
            best = self._likely[code]
            numbers = best.numbers[best.scores >= _WORTH_ASKING]
            yield Way.by("model", code, numbers, best.scores[: min(len(numbers), NOTED)])
        if code in self._mentioned:
            yield self._keywords(code, self._mentioned[code])

    def _alike(self, code: int, closest: rarity.Closest) -> Ints:
        numbers, view = closest.numbers(), self._view
        if not len(numbers):
            return numbers
        others = _some(view.labeled[view.codes != code], _OTHERS, self._rng)
        known = features_of(self._source, others) if len(others) else closest.examples[:0]
        alike = rarity.likeness(features_of(self._source, numbers), closest.examples, known)
        return numbers[selection.top(alike, len(numbers), self._rng)]

    def _keywords(self, code: int, mentioned: Ints) -> Way:
        """Likely ones first. The promise is what came of the labeled ones, by Laplace: (hits + 1) / (labels + 2).

        So it knows of all answers already, and `credit` need not correct it.
        """
        view = self._view
        numbers = mentioned[np.isin(mentioned, view.waiting)]
        numbers = numbers[selection.top(self._probability(code, numbers), len(numbers), self._rng)]
        known = view.codes[np.isin(view.labeled, mentioned)]
        hits = int((known == code).sum())
        return Way(name="keywords", code=code, numbers=numbers, promise=(hits + 1) / (len(known) + 2))

    def _groups(self) -> Iterator[Way]:
        """Rows that a class nobody has seen may consist of: one of each tight group, one of each far group."""
        view = self._view
        known = np.union1d(view.labeled, view.in_flight)
        numbers = np.union1d(view.waiting, known)
        if len(numbers) > _SURROUNDED:
            lot = selection.uniform_hash(self._project.seed, numbers)
            numbers = np.sort(numbers[np.argpartition(lot, _SURROUNDED)[:_SURROUNDED]])
        around, seen = self._source.surroundings(numbers), np.isin(numbers, known)
        for name, groups in (("tight groups", rarity.tight_groups(around)), ("outliers", rarity.far_groups(around))):
            heads = numbers[rarity.heads(groups, around, _HEADS, self._rng, known=seen)]
            heads = heads[np.isin(heads, view.waiting)]
            yield Way.by(name, -1, heads, np.full(min(len(heads), NOTED), UNKNOWN))

    def _probability(self, code: int, numbers: Ints) -> Floats:
        if self._cold or not len(numbers):
            return np.zeros(len(numbers))
        return probabilities_of(self._source, numbers)[:, code]


def _some(numbers: Ints, most: int, rng: np.random.Generator) -> Ints:
    return numbers if len(numbers) <= most else rng.choice(numbers, size=most, replace=False)
