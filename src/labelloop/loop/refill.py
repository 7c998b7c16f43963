"""Whether the serving round runs dry: what asks for the next window. Not a verb: the steward's look at a round.

A window holds a part of each requirement, so each is looked at by itself: that one's items wait for an annotator must
not hide that another's are used up.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import numpy as np

from labelloop.domain import skills
from labelloop.domain.states import Lane
from labelloop.domain.types import Round
from labelloop.loop.pool import look
from labelloop.ports import Ports
from labelloop.projects import Project

LOW_WATER = 0.2
"""Lanes with less than this part of their planned queries ask for the next window."""

LOOKED_AT = 50_000
"""Items of a pool for which it rests a second after nothing more was found in it: reading it takes some 4 % of that."""

Part = tuple[str, int]
"""Lanes that are filled together, by the first one's name, and the number of a requirement."""


@dataclass(slots=True)
class _Rest:
    """What was looked for in vain for a round, and until when it is not looked for again (monotonic seconds).

    A lane stays dry when all there was is used up, such as the audit's; the steward asks some times a second.
    """

    round: int = 0
    parts: frozenset[Part] = frozenset()
    until: float = 0.0

    def holds(self, number: int, dry: list[Part]) -> bool:
        return number == self.round and self.parts.issuperset(dry) and time.monotonic() < self.until

    def begin(self, number: int, dry: list[Part], *, items: int) -> None:
        self.round, self.parts, self.until = number, frozenset(dry), time.monotonic() + items / LOOKED_AT


@lru_cache(maxsize=1_000)
def _rest(_name: str, _made: datetime) -> _Rest:
    """One for each project; another project of the same name was made at another time."""
    return _Rest()


def dry_lane(ports: Ports, project: Project, serving: Round) -> str | None:
    """Lanes that have little left of what was planned, while items wait that the next window would bring.

    The lanes that a strategy fills are looked at together: an item that both wanted stands in one of them, so neither
    need have been full. Items that wait for more votes are in no lane and need no plan.
    """
    name, row = project.name, ports.projects.row(project.name)
    requirements, rest = row.requirements, _rest(name, row.created_at)
    planned, left = _planned(serving), _left(ports, name)
    parts = [(group, one) for group in dict.fromkeys(group for group, _ in planned) for one in range(requirements + 1)]
    dry = [part for part in parts if _is_dry(left.get(part, 0), planned.get(part, 0))]
    if dry and requirements:
        unplanned = ports.pool.unplanned(name)
        dry = [part for part in dry if unplanned.get(part[1], 0) > 0]
    if not dry or rest.holds(serving.number, dry):
        return None
    view = look(ports, project, items=row.items)
    asked = [query.item for query in ports.rounds.queries(name, serving.number)]
    for group, requirement in dry:
        waiting = view.reserve if group == Lane.AUDIT else view.waiting
        requires = view.requires(waiting)
        if requires is not None:
            waiting = waiting[requires == requirement]
        if not np.isin(waiting, asked).all():
            return group + _what_it_requires(ports, name, requirement)
    rest.begin(serving.number, dry, items=row.items)
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
