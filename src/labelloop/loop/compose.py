"""compose: from what a model says of a pool to an order for every lane. Arrays in, a ranking per lane out.

The pure heart of a round: the service plans with it, the simulation replays with it, and a replay is held to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from labelloop.domain.states import Lane
from labelloop.loop import once, spread
from labelloop.loop.credit import Credit
from labelloop.loop.evidence import EvidenceSource, probabilities_of
from labelloop.loop.minority import Minority, Order, grows
from labelloop.loop.pool import PoolView
from labelloop.loop.shares import begun, grown
from labelloop.loop.texts import Texts
from labelloop.maths import selection
from labelloop.maths.arrays import Floats, Ints
from labelloop.maths.geometry import pieces
from labelloop.maths.streaming import Best
from labelloop.projects import Project

LEAST = 200
"""Queries of each requirement that a window holds, if there are so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One lane's order: numbers (k,), first to ask first, with scores and selection probabilities."""

    numbers: Ints
    scores: Floats
    probabilities: Floats

    @classmethod
    def of(cls, numbers: Ints, *, chance: float = 1.0, scores: Floats | None = None) -> "Ranked":
        """All with the same probability; scores are 0 when not given."""
        known = np.zeros(len(numbers)) if scores is None else scores.astype(np.float64)
        return cls(numbers=numbers, scores=known, probabilities=np.full(len(numbers), chance))

    def __getitem__(self, part: Any) -> "Ranked":
        return Ranked(numbers=self.numbers[part], scores=self.scores[part], probabilities=self.probabilities[part])

    def __add__(self, more: "Ranked") -> "Ranked":
        return Ranked(
            numbers=np.concatenate([self.numbers, more.numbers]),
            scores=np.concatenate([self.scores, more.scores]),
            probabilities=np.concatenate([self.probabilities, more.probabilities]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """The order of every lane, the shares they are handed out by, and what the minority lane hands on.

    `mute` says how mute the model is about each class that the labels are short of.
    """

    lanes: Mapping[Lane, Ranked]
    shares: Mapping[Lane, float]
    credit: Credit
    mute: Mapping[str, float] = field(default_factory=dict)

    def noted(self) -> dict[str, Any]:
        """For a round's stats: what it is handed out by, and what the next round is told."""
        return {
            "shares": {lane.value: share for lane, share in self.shares.items()},
            "minority": {**self.credit.to_json(), "mute": dict(self.mute)},
        }


def compose(
    project: Project,
    view: PoolView,
    source: EvidenceSource,
    rng: np.random.Generator,
    *,
    cold: bool,
    texts: Texts | None = None,
    past: Credit | None = None,
) -> Composed:
    """The order of every lane with a share, about `lanes.window` long; no item stands in two lanes.

    `cold` says that no model has looked at the pool yet: the project's cold start orders the informative lane then, and
    the minority lane holds what examples and keywords of a class lead to. `texts` knows what texts say, `past` what
    came of the minority lane's ways so far.
    """
    return _Composer(project, view, source, rng, texts).composed(cold=cold, past=past or Credit())


@dataclass(frozen=True, slots=True)
class _Composer:
    """The lanes of one round, one after the other; what is drawn by lot is drawn in this order."""

    project: Project
    view: PoolView
    source: EvidenceSource
    rng: np.random.Generator
    texts: Texts | None

    def composed(self, *, cold: bool, past: Credit) -> Composed:
        """All lanes together."""
        project, view, shares = self.project, self.view, self.project.lanes.shares()
        rare: Minority | None = None
        if Lane.MINORITY in shares or (not cold and grows(project, view)):
            rare = Minority(project, view, self.source, self.rng, cold=cold, mentions=self.texts, past=past)
        best = None if cold else self._best()
        self._look(best, rare)
        if rare is not None:
            shares = grown(shares, rare.wish()) if rare.hopeful else begun(shares)
        orders: dict[Lane, Ranked] = {}
        found: Order | None = None
        if Lane.INFORMATIVE in shares:
            orders[Lane.INFORMATIVE] = self._once(self._cold()) if best is None else self._by_score(best)
        if rare is not None and rare.hopeful and Lane.MINORITY in shares:
            found = rare.order()
            orders[Lane.MINORITY] = self._minority(found, besides=self._early(orders, shares))
        lanes = _part(orders, shares)
        if Lane.AUDIT in shares:
            lanes[Lane.AUDIT] = self._head(Ranked.of(view.reserve, chance=view.reserve_share))
        if rare is None:
            return Composed(lanes=lanes, shares=shares, credit=past)
        served = lanes[Lane.MINORITY].numbers if Lane.MINORITY in lanes else view.waiting[:0]
        return Composed(lanes=lanes, shares=shares, credit=rare.noted(found, served), mute=rare.muteness())

    def _best(self) -> Best:
        """Room for all that a window or a shortlist can hold; ties fall by lot."""
        room = max(self.view.most(self.project), spread.shortlist(self.project, self.view))
        return Best(room, int(self.rng.integers(2**63)))

    def _look(self, best: Best | None, rare: Minority | None) -> None:
        """One pass over the waiting items: keep what can still be chosen. Without a model the hunt alone looks."""
        if best is not None:
            for block in self.source.blocks():
                best.add(block.numbers, block.scores)
                if rare is not None:
                    rare.add(block.numbers, probabilities_of(self.source, block.numbers))
        elif rare is not None and rare.hopeful:
            for rows in pieces(len(self.view.waiting), self.project.items.shard_size):
                rare.add(self.view.waiting[rows], None)

    def _cold(self) -> Ranked:
        """Before a model: a random order, or first the batch that the cold start chooses."""
        view, project = self.view, self.project
        order = self.rng.choice(view.waiting, size=min(2 * view.most(project), len(view.waiting)), replace=False)
        if "random" in {project.strategy.kind, project.strategy.cold_start.kind} or len(order) < 2:
            return self._at_random(Ranked.of(order))
        first = spread.start(project, view, self.source, self.rng)
        return self._head(Ranked.of(np.concatenate([first, order[~np.isin(order, first)]])))

    def _by_score(self, best: Best) -> Ranked:
        """By acquisition score, the head of it spread out where the project or the strategy asks for that."""
        project, view = self.project, self.view
        order = once.in_order(project, view, self.source, self.rng, best.numbers, texts=self.texts)
        if len(near := order[: spread.shortlist(project, view)]):
            numbers, scores = best.numbers[near], best.scores[near]
            first = spread.spread(project, view, self.source, self.rng, near=numbers, scores=scores)
            order = np.concatenate([near[first], order[~np.isin(order, near[first])]])
        ranked = Ranked.of(best.numbers, scores=best.scores)[order]
        return self._at_random(ranked) if project.strategy.kind == "random" else self._head(ranked)

    def _minority(self, order: Order, *, besides: Ints | None) -> Ranked:
        """The lane's own order, less what is like the items that the other lane asks early."""
        return self._once(self._head(Ranked.of(order.numbers, scores=order.scores)), besides=besides)

    def _early(self, orders: Mapping[Lane, Ranked], shares: Mapping[Lane, float]) -> Ints | None:
        """What the strategy asks in the next batch: its share of what both lanes ask."""
        if Lane.INFORMATIVE not in orders:
            return None
        both = shares[Lane.INFORMATIVE] + shares[Lane.MINORITY]
        count = round(spread.batch(self.project, len(self.view.labeled)) * shares[Lane.INFORMATIVE] / both)
        return orders[Lane.INFORMATIVE].numbers[:count]

    def _once(self, order: Ranked, *, besides: Ints | None = None) -> Ranked:
        """The order with near-duplicates behind."""
        numbers = order.numbers
        return order[
            once.in_order(self.project, self.view, self.source, self.rng, numbers, besides=besides, texts=self.texts)
        ]

    def _head(self, order: Ranked) -> Ranked:
        """What is served of an order: the first places, and of each requirement a part.

        Without that part, items that nobody present can answer could fill the window, and the others would never be
        asked.
        """
        window, requires = self.project.lanes.window, self.view.requires(order.numbers)
        if requires is None:
            return order[:window]
        least = max(window // max(1, len(np.unique(requires))), min(window, LEAST))
        return order[selection.head(requires, window, least)]

    def _at_random(self, order: Ranked) -> Ranked:
        """The head of a random order; an item is as likely in it as the part of its requirement that is in it."""
        head, all_of_them = self._head(order), self.view.requires(self.view.waiting)
        requires = self.view.requires(head.numbers)
        if requires is None or all_of_them is None:
            chances = np.full(len(head.numbers), len(head.numbers) / max(1, len(self.view.waiting)))
            return replace(head, probabilities=chances)
        there = np.bincount(all_of_them)
        of_each = np.bincount(requires, minlength=len(there)) / np.maximum(1, there)
        return replace(head, probabilities=of_each[requires])


def _part(orders: Mapping[Lane, Ranked], shares: Mapping[Lane, float]) -> dict[Lane, Ranked]:
    """Give an item that stands in two orders to the lane that would serve it first, by place over share."""
    if len(orders) < 2:
        return dict(orders)
    lanes = list(orders)
    numbers = np.concatenate([orders[lane].numbers for lane in lanes])
    turn = np.concatenate([np.arange(len(orders[lane].numbers)) / shares[lane] for lane in lanes])
    owner = np.repeat(np.arange(len(lanes)), [len(orders[lane].numbers) for lane in lanes])
    by_turn = np.lexsort((turn, numbers))
    first = np.ones(len(numbers), dtype=bool)
    first[by_turn[1:]] = numbers[by_turn[1:]] != numbers[by_turn[:-1]]
    return {lane: orders[lane][first[owner == at]] for at, lane in enumerate(lanes)}
