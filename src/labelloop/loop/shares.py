"""shares: how the lanes divide what is handed out. A round may shift them from the strategy to the minority lane.

The project file says what they are at least; `Minority.wish` says how much of what is not the audit's the rare classes
should have in this round. A round notes its shares, because it can be loaded into Redis at any later time.
"""

from collections.abc import Mapping

from labelloop.domain.states import Lane
from labelloop.domain.types import Round
from labelloop.projects import Project


def grown(shares: Mapping[Lane, float], wish: float) -> dict[Lane, float]:
    """The shares, with at least this part of what is not the audit's for the minority lane.

    Example:
        >>> grown({Lane.INFORMATIVE: 0.75, Lane.AUDIT: 0.25}, 0.5)[Lane.MINORITY]
        0.375
    """
    both = shares.get(Lane.INFORMATIVE, 0.0) + shares.get(Lane.MINORITY, 0.0)
    minority = wish * both
    if minority <= shares.get(Lane.MINORITY, 0.0):
        return dict(shares)
    parts = {Lane.INFORMATIVE: both - minority, Lane.MINORITY: minority, Lane.AUDIT: shares.get(Lane.AUDIT, 0.0)}
    return {lane: share for lane, share in parts.items() if share > 0}


def begun(shares: Mapping[Lane, float]) -> dict[Lane, float]:
    """The shares while there is nothing to hunt by: somebody must begin, so the strategy never goes without.

    Example:
        >>> begun({Lane.MINORITY: 0.75, Lane.AUDIT: 0.25})[Lane.INFORMATIVE]
        0.75
    """
    if Lane.INFORMATIVE in shares or Lane.MINORITY not in shares:
        return dict(shares)
    return {Lane.INFORMATIVE if lane is Lane.MINORITY else lane: share for lane, share in shares.items()}


def of_round(project: Project, planned: Round | None) -> dict[Lane, float]:
    """The shares that a round is handed out by: those it noted, or else the project's."""
    noted = planned.stats.get("shares") if planned else None
    return {Lane(lane): share for lane, share in noted.items()} if noted else project.lanes.shares()
