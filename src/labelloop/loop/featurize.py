"""Features of the pool, computed once per shard: what score and train both need first."""

from collections.abc import Callable
from dataclasses import replace

import structlog

from labelloop.domain.errors import Conflict, InvalidFeatures
from labelloop.domain.states import ItemState
from labelloop.domain.types import Item, ItemNumber
from labelloop.ports import Ports
from labelloop.projects import Project

log = structlog.get_logger("labelloop.featurize")

LEAST_SPARED = 10
SPARED = 0.01
"""Of a shard at most this part, but at least LEAST_SPARED items, may be retired because nothing can be made of them.
More than that is a mistake in the project file, and costs no item."""

_SPARED = frozenset({ItemState.POOLED, ItemState.RESOLVED})
"""Items that may be retired: those that wait, and those that came with a label."""

Beat = Callable[[float, str], None]
"""Told how far a long piece of work is: (part from 0 to 1, what it is doing). Raises to stop it."""


def shards(project: Project, items: int) -> range:
    """The shards of a pool of so many items."""
    return range(-(-items // project.items.shard_size))


def featurize(ports: Ports, project: Project, items: int, beat: Beat) -> None:
    """Compute the features of every shard that lacks rows. The odd item that cannot be turned into numbers is retired.

    Raises:
        InvalidFeatures: many items, or all, cannot be turned into numbers; names one of them and what to do.
    """
    size = project.items.shard_size
    _adopt(ports, project, items)
    for shard in shards(project, items):
        rows = min(size, items - shard * size)
        if ports.features.rows(project, shard) < rows:
            beat(shard * size / items, f"features of shard {shard}")
            _ensure(ports, project, shard, ports.pool.span(project.name, shard * size, shard * size + rows))


def require_features(ports: Ports, project: Project, items: int) -> None:
    """Only go on where each of the first `items` items has features.

    Raises:
        Conflict: some have none yet.
    """
    size = project.items.shard_size
    if any(ports.features.rows(project, shard) < min(size, items - shard * size) for shard in shards(project, items)):
        raise Conflict(
            f"Some items of {project.name!r} have no features yet, so nobody knows what they are like. The next round "
            "computes them; try again then.",
            project=project.name,
        )


def _adopt(ports: Ports, project: Project, items: int) -> None:
    """Forget what is kept of another pool under this name, scores included; one item of each shard tells."""
    size = project.items.shard_size
    counts = [min(ports.features.rows(project, shard), items - shard * size) for shard in shards(project, items)]
    last = [ItemNumber(shard * size + rows - 1) for shard, rows in enumerate(counts) if rows]
    if last and not ports.features.adopt(project, ports.pool.items(project.name, last)):
        ports.scores.discard(project, [])
        log.warning("featurize.another_pool", project=project.name, shards=len(last))


def _ensure(ports: Ports, project: Project, shard: int, items: list[Item]) -> None:
    broken: dict[ItemNumber, str] = {}
    place = {item.key: at for at, item in enumerate(items)}
    while True:
        try:
            ports.features.ensure(project, shard, items)
            break
        except InvalidFeatures as error:
            at = place.get(str(error.ids.get("item")))
            spare = len(broken) < max(LEAST_SPARED, SPARED * len(items)) and len(broken) + 1 < len(items)
            if at is None or items[at].state not in _SPARED or not spare:
                raise
            broken[items[at].number] = error.detail
            items[at] = replace(items[at], state=ItemState.RETIRED)
    if broken:
        ports.pool.retire(project.name, broken)
        log.warning("featurize.retired", project=project.name, items=len(broken), first=next(iter(broken.values())))
