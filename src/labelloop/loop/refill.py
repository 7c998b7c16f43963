"""Whether the serving round runs dry: what asks for the next window. Not a verb: the steward's look at a round.

A window holds a part of each requirement, so each is looked at by itself: that one's items wait for an annotator must
not hide that another's are used up.
"""

from collections.abc import Mapping

import numpy as np

from labelloop.domain import skills
from labelloop.domain.states import Lane
from labelloop.domain.types import Round
from labelloop.loop.pool import look
from labelloop.ports import Ports
from labelloop.projects import Project

LOW_WATER = 0.2
"""Lanes with less than this part of their planned queries ask for the next window."""

Part = tuple[str, int]
"""Lanes that are filled together, by the first one's name, and the number of a requirement."""


def dry_lane(ports: Ports, project: Project, serving: Round) -> str | None:
    """Lanes that have little left of what was planned, while items wait that the next window would bring.

    The lanes that a strategy fills are looked at together: an item that both wanted stands in one of them, so neither
    need have been full. Items that wait for more votes are in no lane and need no plan.
    """
    name, requirements = project.name, ports.projects.row(project.name).requirements
    planned, left = _planned(serving), _left(ports, name)
    parts = [(group, one) for group in dict.fromkeys(group for group, _ in planned) for one in range(requirements + 1)]
    dry = [part for part in parts if _is_dry(left.get(part, 0), planned.get(part, 0))]
    if dry and requirements:
        unplanned = ports.pool.unplanned(name)
        dry = [part for part in dry if unplanned.get(part[1], 0) > 0]
    if not dry:
        return None
    view = look(ports, project, items=0)
    asked = [query.item for query in ports.rounds.queries(name, serving.number)]
    for group, requirement in dry:
        waiting = view.reserve if group == Lane.AUDIT else view.waiting
        requires = view.requires(waiting)
        if requires is not None:
            waiting = waiting[requires == requirement]
        if not np.isin(waiting, asked).all():
            return group + _what_it_requires(ports, name, requirement)
    return None


def _is_dry(left: int, planned: int) -> bool:
    return left == 0 or left < LOW_WATER * planned


def _planned(serving: Round) -> Mapping[Part, int]:
    """How many queries of each part the round began with."""
    lanes: Mapping[str, int] = serving.stats.get("lanes", {})
    by_requirement = serving.stats.get("requirements") or {lane: {"0": count} for lane, count in lanes.items()}
    planned: dict[Part, int] = {}
    for lane, counts in by_requirement.items():
        planned.setdefault((_group(lane), 0), 0)
        for requirement, count in counts.items():
            part = (_group(lane), int(requirement))
            planned[part] = planned.get(part, 0) + count
    return planned


def _left(ports: Ports, name: str) -> Mapping[Part, int]:
    left: dict[Part, int] = {}
    for requirement, lanes in ports.queue_health.depth_by_requirement(name).items():
        for lane, depth in lanes.items():
            part = (_group(lane), requirement)
            left[part] = left.get(part, 0) + (0 if lane is Lane.REVIEW else depth)
    return left


def _group(lane: str) -> str:
    return "audit" if lane == Lane.AUDIT else "informative"


def _what_it_requires(ports: Ports, name: str, requirement: int) -> str:
    if not requirement:
        return ""
    return f", of what requires {skills.named([ports.pool.requirements(name, requirement)[requirement - 1]])},"
