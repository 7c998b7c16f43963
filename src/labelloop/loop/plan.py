"""plan: from scores to the order in which items are asked, lane by lane, kept as a round and swapped into the queue.

`compose` is the pure heart, shared with the simulation: arrays in, a ranking per lane out.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import structlog

from labelloop import strategies
from labelloop.domain.errors import Unavailable
from labelloop.domain.states import Lane
from labelloop.domain.types import ItemNumber, ModelNumber, Query, Round
from labelloop.loop import auto, facts, fallback, once, spread
from labelloop.loop.credit import Credit
from labelloop.loop.evidence import EvidenceSource, probabilities_of
from labelloop.loop.featurize import Beat, featurize, shards
from labelloop.loop.minority import Minority, grows
from labelloop.loop.pool import PoolView, look, votes_wanted
from labelloop.loop.score import ModelEye, ScoredPool, score
from labelloop.loop.shares import begun, grown, of_round
from labelloop.loop.texts import PoolTexts, Texts, needed
from labelloop.loop.train import load_model
from labelloop.maths import selection
from labelloop.maths.arrays import Floats, Ints
from labelloop.maths.geometry import pieces
from labelloop.maths.streaming import Best
from labelloop.ports import Ports
from labelloop.projects import Project

log = structlog.get_logger("labelloop.plan")

LEAST = 200
"""Queries of each requirement that a window holds, if there are so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One lane's order: numbers (k,), first to ask first, with scores and selection probabilities."""

    numbers: Ints
    scores: Floats
    probabilities: Floats

    def __getitem__(self, part: Any) -> "Ranked":
        return Ranked(numbers=self.numbers[part], scores=self.scores[part], probabilities=self.probabilities[part])


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
    """The order of every lane with a share, about `lanes.window` long (see `_window`); no item stands in two lanes.

    `cold` says that no model has looked at the pool yet: the project's cold start orders the informative lane then, and
    the minority lane holds what examples and keywords of a class lead to. `texts` knows what texts say, `past` what
    came of the minority lane's ways so far.
    """
    rare: Minority | None = None
    if Lane.MINORITY in project.lanes.shares() or (not cold and grows(project, view)):
        rare = Minority(project, view, source, rng, cold=cold, mentions=texts, past=past)
    best = None if cold else Best(max(view.most(project), spread.shortlist(project, view)), _ties(rng))
    _look(project, view, source, best=best, rare=rare)
    shares = project.lanes.shares()
    if rare is not None:
        shares = grown(shares, rare.wish()) if rare.hopeful else begun(shares)
    orders: dict[Lane, Ranked] = {}
    if Lane.INFORMATIVE in shares:
        orders[Lane.INFORMATIVE] = _informative(project, view, source, rng, best=best, texts=texts)
    if rare is not None and rare.hopeful and Lane.MINORITY in shares:
        early = None
        if orders:  # of a batch, the other lane asks its share
            both = shares[Lane.INFORMATIVE] + shares[Lane.MINORITY]
            count = round(spread.batch(project, len(view.labeled)) * shares[Lane.INFORMATIVE] / both)
            early = orders[Lane.INFORMATIVE].numbers[:count]
        orders[Lane.MINORITY] = _minority(project, view, source, rng, rare=rare, early=early, texts=texts)
    lanes = _part(orders, shares)
    if Lane.AUDIT in shares:
        reserve = view.reserve[_window(project, view.requires(view.reserve), len(view.reserve))]
        lanes[Lane.AUDIT] = Ranked(
            numbers=reserve, scores=np.zeros(len(reserve)), probabilities=np.full(len(reserve), view.reserve_share)
        )
    if rare is None:
        return Composed(lanes=lanes, shares=shares, credit=past or Credit())
    served = lanes[Lane.MINORITY].numbers if Lane.MINORITY in lanes else view.waiting[:0]
    return Composed(lanes=lanes, shares=shares, credit=rare.noted(served), mute=rare.muteness())


def _look(
    project: Project, view: PoolView, source: EvidenceSource, *, best: Best | None, rare: Minority | None
) -> None:
    """One pass over the waiting items: keep what can still be chosen. Without a model the hunt alone has to look."""
    if best is not None:
        for block in source.blocks():
            best.add(block.numbers, block.scores)
            if rare is not None:
                rare.add(block.numbers, probabilities_of(source, block.numbers))
    elif rare is not None and rare.hopeful:
        for rows in pieces(len(view.waiting), project.items.shard_size):
            rare.add(view.waiting[rows], None)


def _minority(
    project: Project,
    view: PoolView,
    source: EvidenceSource,
    rng: np.random.Generator,
    *,
    rare: Minority,
    early: Ints | None,
    texts: Texts | None,
) -> Ranked:
    order = rare.order()
    kept = _window(project, view.requires(order.numbers), len(order.numbers))
    ranked = _ranked(order.numbers[kept], chance=1.0, scores=order.scores[kept])
    return _once(ranked, project, view, source, rng, texts, besides=early)


def _once(  # noqa: PLR0917 - the hands of compose
    order: Ranked,
    project: Project,
    view: PoolView,
    source: EvidenceSource,
    rng: np.random.Generator,
    texts: Texts | None,
    *,
    besides: Ints | None = None,
) -> Ranked:
    """The order with near-duplicates behind; what the other lane asks early counts, too."""
    return order[once.in_order(project, view, source, rng, order.numbers, besides=besides, texts=texts)]


def _ties(rng: np.random.Generator) -> int:
    """A seed for the ties of scores."""
    return int(rng.integers(2**63))


def _cold(project: Project, view: PoolView, source: EvidenceSource, rng: np.random.Generator) -> Ranked:
    """Before a model: a random order, or first the items nearest to the centres of the pool."""
    kind = "random" if project.strategy.kind == "random" else project.strategy.cold_start.kind
    order = rng.choice(view.waiting, size=min(2 * view.most(project), len(view.waiting)), replace=False)
    if kind != "random" and len(order) > 1:
        first = spread.start(project, view, source, rng)
        order = np.concatenate([first, order[~np.isin(order, first)]])
        return _ranked(order[_window(project, view.requires(order), len(order))], chance=1.0)
    return _at_random(project, view, order)


def _informative(
    project: Project,
    view: PoolView,
    source: EvidenceSource,
    rng: np.random.Generator,
    *,
    best: Best | None,
    texts: Texts | None,
) -> Ranked:
    """By acquisition score, the head of it spread out where the project or the strategy asks for that; or cold."""
    if best is None:
        return _once(_cold(project, view, source, rng), project, view, source, rng, texts)
    shortlist = spread.shortlist(project, view)
    numbers, order = best.numbers, once.in_order(project, view, source, rng, best.numbers, texts=texts)
    if shortlist and len(order):
        near = order[:shortlist]
        first = spread.spread(project, view, source, rng, near=numbers[near], scores=best.scores[near])
        order = np.concatenate([first, order[~np.isin(order, first)]])
    if project.strategy.kind == "random":
        return _at_random(project, view, numbers[order], scores=best.scores[order])
    order = order[_window(project, view.requires(numbers[order]), len(order))]
    return _ranked(numbers[order], chance=1.0, scores=best.scores[order])


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


def _window(project: Project, requires: Ints | None, length: int) -> Ints:
    """Which places of a lane's order are served: the first ones, and of each requirement a part.

    Without that part, items that nobody present can answer could fill the window, and the others would never be asked.
    """
    if requires is None:
        return np.arange(min(length, project.lanes.window))
    kinds = len(np.unique(requires))
    least = max(project.lanes.window // max(1, kinds), min(project.lanes.window, LEAST))
    return selection.head(requires, project.lanes.window, least)


def _at_random(project: Project, view: PoolView, order: Ints, *, scores: Floats | None = None) -> Ranked:
    """The window of a random order; an item is as likely in it as the part of its requirement that is in it."""
    requires, all_of_them = view.requires(order), view.requires(view.waiting)
    kept = _window(project, requires, len(order))
    ranked = _ranked(order[kept], chance=1.0, scores=None if scores is None else scores[kept])
    if requires is None or all_of_them is None:
        return replace(ranked, probabilities=np.full(len(kept), len(kept) / max(1, len(view.waiting))))
    there = np.bincount(all_of_them)
    chances = np.bincount(requires[kept], minlength=len(there)) / np.maximum(1, there)
    return replace(ranked, probabilities=chances[requires[kept]])


def _ranked(numbers: Ints, *, chance: float, scores: Floats | None = None) -> Ranked:
    if scores is None:
        scores = np.zeros(len(numbers))
    return Ranked(numbers=numbers, scores=scores.astype(np.float64), probabilities=np.full(len(numbers), chance))


# --- the verb --------------------------------------------------------------------------------------------------


def plan(ports: Ports, name: str, beat: Beat) -> Round | None:
    """Featurize and score what is new, compose the lanes, keep them as a round and swap it into the queue.

    Returns:
        The round; None when the pool is empty, or the champion changed meanwhile (a plan for the new one is due then).

    Raises:
        InvalidFeatures: an item that cannot be turned into numbers.
        BadArtifact: the champion's file is damaged; the message says how to go back to another model.
    """
    project, row = ports.projects.get(name), ports.projects.row(name)
    if not row.items:
        return None
    featurize(ports, project, row.items, lambda part, what: beat(0.4 * part, what))
    pool = look(ports, project, items=row.items)
    before = ports.rounds.serving(name)
    seed = _seed(project, before)
    wanted, stats = auto.resolve(ports, project, champion=row.champion, seed=seed)

    past = Credit.from_json(before.stats.get("minority") if before else None)

    def ask(asking: Project) -> Composed:
        return rank(ports, asking, pool, items=row.items, seed=seed, champion=row.champion, beat=beat, past=past)

    made, asking, reason = fallback.asked(wanted, ask)  # a broken strategy must not stop the labeling
    stats |= fallback.noted(reason, before)
    if row.champion is not None:
        informative = made.lanes.get(Lane.INFORMATIVE)
        stats["notes"] = fallback.notes(asking, pool, None if informative is None else informative.scores)
    preferred = ports.pool.preferred(name)
    lanes = prefer(made, pool, preferred)
    stats |= made.noted()
    stats["lanes"] = {lane.value: len(ranked.numbers) for lane, ranked in lanes.items()}
    if row.requirements:
        stats["requirements"] = {lane.value: _by_requirement(pool, ranked) for lane, ranked in lanes.items()}
    queries = to_queries(project, lanes)
    made_of = facts.Facts(
        items=row.items,
        view=pool,
        preferred=preferred,
        strategy=asking.strategy.model_dump(mode="json"),
        past=past.to_json(),
        numerics=facts.numerics(),
    )
    stats["replay"] = facts.keep(ports, made_of, queries)
    cold = row.champion is None
    kept = ports.rounds.save(
        name,
        queries,
        strategy=f"cold start: {project.strategy.cold_start.kind}" if cold else project.strategy.kind,
        seed=seed,
        model=row.champion,
        pool_version=row.pool_version,
        stats=stats,
        now=ports.clock.now(),
    )
    if kept is not None:
        beat(0.95, "swapping the queue")
        with suppress(Unavailable):  # the steward sees that Redis serves another round, and loads this one
            serve(ports, project, kept, queries)
        ports.rounds.forget(name)  # when it is served: nobody waits for this
    return kept


def rank(  # noqa: PLR0913 - what a round knows
    ports: Ports,
    project: Project,
    pool: PoolView,
    *,
    items: int,
    seed: int,
    champion: ModelNumber | None,
    beat: Beat,
    past: Credit,
) -> Composed:
    """Let the champion look at every shard, and compose the lanes from what it saw."""
    rng = np.random.default_rng(seed)
    texts = PoolTexts(ports, project, items) if needed(project) else None
    if champion is None:
        unseen = ScoredPool(ports, project, None, pool.waiting)
        return compose(project, pool, unseen, rng, cold=True, texts=texts, past=past)
    eye = ModelEye(
        number=champion,
        model=load_model(ports, project, champion),
        strategy=_column(project, seed),
        seed=seed,
        class_counts=pool.class_counts,
    )
    strategy, size = strategies.bind(project.strategy), project.items.shard_size
    for shard in shards(project, items):
        beat(0.4 + 0.4 * shard * size / items, f"scores of shard {shard}")
        score(ports, project, shard, strategy=strategy, eye=eye, rows=min(size, items - shard * size))
    beat(0.8, "composing the lanes")
    seen = ScoredPool(ports, project, eye, pool.waiting)
    made = compose(project, pool, seen, rng, cold=False, texts=texts, past=past)
    ports.scores.discard(project, [eye.column] if texts is None else [eye.column, texts.column])
    return made


def prefer(made: Composed, pool: PoolView, levels: Mapping[ItemNumber, int]) -> dict[Lane, Ranked]:
    """Let items that an engineer put first into the round when the window left them out; the queue serves them first.

    They go to the lane that is served most, so that they need not wait for the turns of another; the audit's reserve
    stays in the audit.
    """
    lanes, first = (
        dict(made.lanes),
        np.array(sorted(item for item, level in levels.items() if level > 0), dtype=np.int64),
    )
    lead = max((Lane.INFORMATIVE, Lane.MINORITY), key=lambda lane: made.shares.get(lane, 0.0))
    for lane, among in ((lead, pool.waiting), (Lane.AUDIT, pool.reserve)):
        mine = first[np.isin(first, among)]
        for other in [other for other in lanes if lane is lead and other not in {lead, Lane.AUDIT}]:
            there = np.isin(lanes[other].numbers, mine)
            lanes = _joined(lanes, lane, lanes[other][there]) | {other: lanes[other][~there]}
        missing = mine[~np.isin(mine, lanes[lane].numbers)] if lane in lanes else mine
        chance = pool.reserve_share if lane is Lane.AUDIT else 1.0
        lanes = _joined(lanes, lane, _ranked(missing, chance=chance))
    return lanes


def _joined(lanes: dict[Lane, Ranked], lane: Lane, more: Ranked) -> dict[Lane, Ranked]:
    """The lanes, with these behind the others of one of them."""
    if not len(more.numbers):
        return lanes
    old = lanes.get(lane, more[:0])
    return lanes | {
        lane: Ranked(
            numbers=np.concatenate([old.numbers, more.numbers]),
            scores=np.concatenate([old.scores, more.scores]),
            probabilities=np.concatenate([old.probabilities, more.probabilities]),
        )
    }


def _by_requirement(pool: PoolView, ranked: Ranked) -> dict[str, int]:
    requires = pool.requires(ranked.numbers)
    numbers, counts = np.unique(np.zeros(len(ranked.numbers)) if requires is None else requires, return_counts=True)
    return {str(int(number)): int(count) for number, count in zip(numbers, counts, strict=True)}


def serve(ports: Ports, project: Project, planned: Round, queries: Sequence[Query] | None = None) -> None:
    """Load a round into Redis and swap it in: after planning, with its `queries`, and whenever Redis lost it."""
    name = project.name
    by_lane: dict[Lane, list[Query]] = {}
    for query in ports.rounds.queries(name, planned.number, queries):
        by_lane.setdefault(query.lane, []).append(query)
    ports.queue.load(name, planned.number, by_lane, ports.ledger.slots(name), of_round(project, planned))


def to_queries(project: Project, lanes: Mapping[Lane, Ranked]) -> list[Query]:
    """The window of a round as values, bounded by lanes × window."""
    return [
        Query(item=ItemNumber(item), lane=lane, rank=rank, score=value, probability=chance, needed=needed)
        for lane, ranked in lanes.items()
        for rank, (item, value, chance, needed) in enumerate(
            zip(
                ranked.numbers.tolist(),
                ranked.scores.tolist(),
                ranked.probabilities.tolist(),
                votes_wanted(project, lane, ranked.numbers).tolist(),
                strict=True,
            )
        )
    ]


def _seed(project: Project, serving: Round | None) -> int:
    """The seed of the next round: of the project and the round's number, so that a rerun gives the same."""
    sequence = np.random.SeedSequence([project.seed, serving.number + 1 if serving else 1])
    return int(sequence.generate_state(1)[0])


def _column(project: Project, seed: int) -> str:
    """A formula scores by the model alone; whatever may draw lots or count labels scores anew each round."""
    kind = project.strategy.kind
    fixed = isinstance(strategies.bind(project.strategy), strategies.OfProbabilities | strategies.OfCommittee)
    return kind if fixed or kind == "modal" else f"{kind}-{seed}"
