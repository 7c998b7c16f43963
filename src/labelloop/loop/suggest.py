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
from labelloop.domain.types import Lease, LeaseId
from labelloop.loop.score import kept
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
        return _said(ports, project, serving.stats.get("columns"), shown) if serving is not None else {}
    except Exception:  # the leases are written: a courtesy must not cost them
        log.exception("suggest.failed", project=project.name)
        return {}


def _said(ports: Ports, project: Project, columns: str | None, leases: Sequence[Lease]) -> dict[LeaseId, str]:
    found: dict[LeaseId, str] = {}
    classes, numbers = schema.of(project).classes, np.array([one.item for one in leases], dtype=np.int64)
    for places, said in kept(ports, project, columns, numbers):
        if said is not None:
            codes = acquisition.believable(said).argmax(axis=1).tolist()
            found |= {leases[place].id: classes[code] for place, code in zip(places.tolist(), codes, strict=True)}
    return found
