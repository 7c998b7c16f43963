"""Features of the pool, computed once per shard: what score and train both need first."""

from collections.abc import Callable

from labelloop.ports import Ports
from labelloop.projects import Project

Beat = Callable[[float, str], None]
"""Told how far a long piece of work is: (part from 0 to 1, what it is doing). Raises to stop it."""


def shards(project: Project, items: int) -> range:
    """The shards of a pool of so many items."""
    return range(-(-items // project.items.shard_size))


def featurize(ports: Ports, project: Project, items: int, beat: Beat) -> None:
    """Compute the features of every shard that lacks rows.

    Raises:
        InvalidFeatures: an item that cannot be turned into numbers.
    """
    size = project.items.shard_size
    for shard in shards(project, items):
        rows = min(size, items - shard * size)
        if ports.features.rows(project, shard) < rows:
            beat(shard * size / items, f"features of shard {shard}")
            ports.features.ensure(project, shard, ports.pool.span(project.name, shard * size, shard * size + rows))
