"""together: items that are as good as an answered one get its answer, in an export and nowhere else.

Nothing is settled by likeness: such an item stays in the pool, behind all others where the project asks twins once, and
a label that somebody gives it later stands.
"""

from collections.abc import Iterator
from itertools import chain

import numpy as np

from labelloop.domain.errors import Invalid
from labelloop.domain.types import ExportRow, ItemNumber
from labelloop.loop.featurize import require_features
from labelloop.maths import twins
from labelloop.maths.arrays import Ints, present
from labelloop.maths.geometry import pieces
from labelloop.ports import Ports
from labelloop.projects import Project

PAGE = 1_000
"""Items that are asked of the store at a time."""


def export(ports: Ports, name: str, near: float | None = None) -> Iterator[ExportRow]:
    """Every label with its provenance; then, where `near` is given, the waiting items that are so similar to one.

    Raises:
        Invalid: `near` is no similarity from above 0 to 1.
        Conflict: there are items without features yet.
    """
    if near is not None and not 0 < near <= 1:
        raise Invalid(f"Near-duplicates need a similarity above 0 and up to 1, such as 0.98, not {near:g}.")
    rows = ports.verdicts.export(name)
    return rows if near is None else chain(rows, _alike(ports, ports.projects.get(name), near))


def _alike(ports: Ports, project: Project, near: float) -> Iterator[ExportRow]:
    """Each waiting item whose most similar answered item is near enough, as a row of the export, a shard at a time."""
    answered, waiting = ports.pool.labeled(project.name)[0], ports.pool.waiting(project.name)
    require_features(ports, project, 1 + int(max(answered.max(initial=-1), waiting.max(initial=-1))))
    return _by_shard(ports, project, near, answered, waiting) if len(answered) else iter(())


def _by_shard(ports: Ports, project: Project, near: float, answered: Ints, waiting: Ints) -> Iterator[ExportRow]:
    known, size = ports.features.take(project, answered), project.items.shard_size
    for shard in present(waiting // size).tolist():
        numbers = waiting[slice(*np.searchsorted(waiting, [shard * size, (shard + 1) * size]))]
        rows = ports.features.shard(project, shard)[numbers - shard * size]
        place, similarity = twins.nearest(rows, known, near)
        found = np.flatnonzero(place >= 0)
        yield from _rows(ports, project.name, numbers[found], answered[place[found]], similarity[found].tolist())


def _rows(ports: Ports, name: str, numbers: Ints, models: Ints, similarity: list[float]) -> Iterator[ExportRow]:
    for part in pieces(len(numbers), PAGE):
        pairs = list(zip(numbers[part].tolist(), models[part].tolist(), similarity[part], strict=True))
        wanted = {ItemNumber(number) for pair in pairs for number in pair[:2]}
        items = {item.number: item for item in ports.pool.items(name, sorted(wanted))}
        for number, model, alike in pairs:
            item, answered = items[ItemNumber(number)], items[ItemNumber(model)]
            yield {
                "item": number,
                "key": item.key,
                "duplicate_of": answered.key,
                "similarity": round(alike, 6),
                "data": dict(item.data),
                "metadata": dict(item.metadata),
                "label": answered.label,
                "value": answered.label,
                "source": "near_duplicate",
                "confidence": None,
                "gold": item.gold,
                "resolved_at": None,
                "annotations": [],
            }
