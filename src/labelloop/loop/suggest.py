"""suggest: the class that a round's model puts leased items into, for teams who would rather correct than choose.

It was written down when the round was planned, so no model is asked while somebody waits. Items of the audit come
without, for their labels measure the model and people tend to agree with what they are shown; so do those that wait for
a review, which decides between people.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import structlog

from labelloop import schema
from labelloop.domain.states import Lane
from labelloop.domain.types import Lease, LeaseId, ModelNumber, Round
from labelloop.loop.score import columns_of, named
from labelloop.maths import acquisition
from labelloop.ports import Ports
from labelloop.projects import Project

log = structlog.get_logger("labelloop.lease")

LANES = frozenset({Lane.INFORMATIVE, Lane.MINORITY})


def suggestions(ports: Ports, project: Project, leases: Sequence[Lease]) -> Mapping[LeaseId, str]:
    """The likeliest class of each leased item that the serving round's model has seen; {} where nobody asked for it."""
    if not project.lease.predictions:
        return {}
    shown = [one for one in leases if one.lane in LANES]
    try:
        serving = ports.rounds.serving(project.name) if shown else None
        if serving is None or serving.model is None:
            return {}
        return _said(ports, project, serving, serving.model, shown)
    except Exception:  # the leases are written: a courtesy must not cost them
        log.exception("suggest.failed", project=project.name)
        return {}


def _said(
    ports: Ports, project: Project, serving: Round, model: ModelNumber, leases: Sequence[Lease]
) -> dict[LeaseId, str]:
    found: dict[LeaseId, str] = {}
    columns = columns_of(model, ports.models.get(project.name, model).artifact, named(project, serving.seed))
    classes, size = schema.of(project).classes, project.items.shard_size
    for shard in {one.item // size for one in leases}:
        mine = [one for one in leases if one.item // size == shard]
        kept, rows = ports.scores.read(project, columns, shard), np.array([one.item - shard * size for one in mine])
        if kept is None or rows.max() >= len(kept["probabilities"]):
            continue  # another round is being planned, and took them away
        said = acquisition.believable(np.asarray(kept["probabilities"][rows]))
        found |= {one.id: classes[code] for one, code in zip(mine, said.argmax(axis=1).tolist(), strict=True)}
    return found
