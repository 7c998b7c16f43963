"""plan: let the model look at the pool, compose the lanes, keep them as a round and swap it into the queue.

What is asked first is decided in `compose`; here is what the service does around it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from labelloop import strategies
from labelloop.domain.errors import Unavailable
from labelloop.domain.states import Lane
from labelloop.domain.types import ItemNumber, ModelNumber, ProjectRow, Query, Round
from labelloop.loop import auto, facts, fallback, stability
from labelloop.loop.compose import Composed, Ranked, compose
from labelloop.loop.credit import Credit
from labelloop.loop.featurize import Beat, featurize, shards
from labelloop.loop.keeping import drop, keeping
from labelloop.loop.pool import PoolView, look, votes_wanted
from labelloop.loop.score import ModelEye, ScoredPool, columns_of, score
from labelloop.loop.shares import of_round
from labelloop.loop.texts import PoolTexts, needed
from labelloop.loop.train import load_model
from labelloop.ports import Ports
from labelloop.projects import Project


def plan(ports: Ports, name: str, beat: Beat) -> Round | None:
    """Featurize and score what is new, compose the lanes, keep them as a round and swap it into the queue.

    Returns:
        The round; None when the pool is empty, or the champion changed meanwhile (a plan for the new one is due then).

    Raises:
        InvalidFeatures: an item that cannot be turned into numbers.
        BadArtifact: the champion's file is damaged; the message says how to go back to another model.
    """
    row = ports.projects.row(name)
    project = ports.projects.get(name, row.edition)
    if not row.items:
        return None
    featurize(ports, project, row.items, lambda part, what: beat(0.4 * part, what))
    pool = look(ports, project, items=row.items)
    before = ports.rounds.serving(name)
    seed = _seed(project, before)
    wanted, stats = auto.resolve(ports, project, champion=row.champion, seed=seed)
    past = Credit.from_json(before.stats.get("minority") if before else None)
    known = stability.remembered(ports, wanted, before, champion=row.champion, waiting=pool.waiting)

    def ask(asking: Project) -> Composed:
        return rank(ports, asking, pool, items=row.items, seed=seed, champion=row.champion, beat=beat, past=past)

    made, asking, reason = fallback.asked(wanted, ask)  # a broken strategy must not stop the labeling
    stats |= fallback.noted(reason, before)
    columns = None if row.champion is None else columns_of(ports, asking, row.champion, seed)
    stats |= stability.noted(ports, asking, known, before=before, champion=row.champion, columns=columns)
    if row.champion is not None:
        stats["columns"] = columns  # of the strategy that asked, which the project's file need not name
        informative = made.lanes.get(Lane.INFORMATIVE)
        stats["notes"] = fallback.notes(asking, pool, None if informative is None else informative.scores)
    preferred = ports.pool.preferred(name)
    lanes = prefer(made, pool, preferred)
    stats |= {"edition": row.edition} | made.noted() | _counted(pool, lanes, requirements=row.requirements > 0)
    queries = to_queries(project, lanes)
    made_of = facts.Facts(
        items=row.items,
        view=pool,
        preferred=preferred,
        strategy=asking.strategy.model_dump(mode="json"),
        past=past.to_json(),
        numerics=facts.numerics(),
    )
    kept = _kept(ports, project, made_of, queries, row=row, seed=seed, stats=stats)
    if kept is not None:
        beat(0.95, "swapping the queue")
        with suppress(Unavailable):  # the steward sees that Redis serves another round, and loads this one
            serve(ports, project, kept, queries)
        ports.rounds.forget(name)  # when it is served: nobody waits for this
    return kept


def _kept(
    ports: Ports,
    project: Project,
    made_of: facts.Facts,
    queries: Sequence[Query],
    *,
    row: ProjectRow,
    seed: int,
    stats: Mapping[str, Any],
) -> Round | None:
    """The round, and the facts that it is made again from; None, and nothing kept, where the champion changed."""
    strategy = project.strategy.kind if row.champion is not None else f"cold start: {project.strategy.cold_start.kind}"
    with keeping(ports, facts.packed(made_of)) as digest:
        kept = ports.rounds.save(
            project.name,
            queries,
            strategy=strategy,
            seed=seed,
            model=row.champion,
            pool_version=row.pool_version,
            stats={**stats, "replay": facts.noted(digest, queries)},
            now=ports.clock.now(),
        )
    if kept is None:
        drop(ports, digest)
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
        model=load_model(ports, project, champion),
        column=columns_of(ports, project, champion, seed),
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
    lanes = dict(made.lanes)
    first = np.array(sorted(item for item, level in levels.items() if level > 0), dtype=np.int64)
    lead = max((Lane.INFORMATIVE, Lane.MINORITY), key=lambda lane: made.shares.get(lane, 0.0))
    for lane, among in ((lead, pool.waiting), (Lane.AUDIT, pool.reserve)):
        mine = first[np.isin(first, among)]
        for other in [other for other in lanes if lane is lead and other not in {lead, Lane.AUDIT}]:
            there = np.isin(lanes[other].numbers, mine)
            lanes = _joined(lanes, lane, lanes[other][there]) | {other: lanes[other][~there]}
        missing = mine[~np.isin(mine, lanes[lane].numbers)] if lane in lanes else mine
        chance = pool.reserve_share if lane is Lane.AUDIT else 1.0
        lanes = _joined(lanes, lane, Ranked.of(missing, chance=chance))
    return lanes


def _joined(lanes: dict[Lane, Ranked], lane: Lane, more: Ranked) -> dict[Lane, Ranked]:
    """The lanes, with these behind the others of one of them."""
    if not len(more.numbers):
        return lanes
    return lanes | {lane: lanes[lane] + more if lane in lanes else more}


def _counted(pool: PoolView, lanes: Mapping[Lane, Ranked], *, requirements: bool) -> dict[str, Any]:
    """For a round's stats: how long the lanes are, by requirement too where there are any."""
    stats: dict[str, Any] = {"lanes": {lane.value: len(ranked.numbers) for lane, ranked in lanes.items()}}
    if requirements:
        stats["requirements"] = {lane.value: _by_requirement(pool, ranked) for lane, ranked in lanes.items()}
    return stats


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
