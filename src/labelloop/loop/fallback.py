"""fallback: a round whose strategy cannot be believed is ordered by another, and says so.

What is believable is decided where answers come in (`strategies.checked_score`, the maths); here it is decided what
stands in: plain margin, and where the model itself says nonsense, chance. A round says which and why in its stats, and
how often that has happened so far.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import structlog

from labelloop import schema
from labelloop.domain.errors import InvalidProject
from labelloop.domain.types import Round
from labelloop.loop.pool import PoolView
from labelloop.maths.arrays import Floats
from labelloop.projects import Project, ScoreStrategy
from labelloop.strategies import StrategyFailed

Answer = TypeVar("Answer")

STAND_INS = (ScoreStrategy(kind="margin"), ScoreStrategy(kind="random"))
SHOWN = 5
"""Names in a note, at most."""

log = structlog.get_logger("labelloop.plan")


def asked(project: Project, ask: Callable[[Project], Answer]) -> tuple[Answer, Project, str | None]:
    """What `ask` gives for the project's strategy, or else for the first stand-in that works.

    Returns:
        The answer, the project as it was asked, and for a stand-in a sentence that names it and every reason.

    Raises:
        StrategyFailed, InvalidProject, ValueError: not even chance could order the items.
    """
    reasons: list[str] = []
    # A stand-in that is what has just failed would fail again.
    for strategy in (project.strategy, *(one for one in STAND_INS if one != project.strategy)):
        asking = project if strategy is project.strategy else project.model_copy(update={"strategy": strategy})
        try:
            answer = ask(asking)
        except (StrategyFailed, InvalidProject, ValueError) as error:  # the maths refuse by ValueError
            reason = getattr(error, "detail", str(error))
            log.warning("plan.fallback", project=project.name, strategy=strategy.kind, reason=reason)
            if strategy == STAND_INS[-1]:
                raise
            reasons.append(reason if strategy is project.strategy else f"{strategy.kind}: {reason}")
        else:
            return answer, asking, f"{strategy.kind}, because: {'; '.join(reasons)}" if reasons else None
    raise AssertionError  # the last stand-in returned or raised


def noted(reason: str | None, before: Round | None) -> dict[str, Any]:
    """For a round's stats: why something stood in, and the count of such rounds so far, this one included."""
    past: Mapping[str, Any] = before.stats if before else {}
    count = int(past.get("fallbacks", 0)) + (reason is not None)
    told = {} if reason is None else {"fallback": reason}
    return {**told, "fallbacks": count} if count else told


def notes(project: Project, view: PoolView, scores: Floats | None) -> list[str]:
    """What is odd about a round that a model ordered and yet no reason to stop.

    Args:
        project: as it was asked.
        view: the pool.
        scores: (k,) of the informative lane, None without one.
    """
    found = []
    if scores is not None and len(scores) > 1 and project.strategy.kind != "random" and np.ptp(scores) == 0:
        found.append(f"all {len(scores)} scores of the informative lane are the same: their order is by lot")
    missing = [name for name, count in zip(schema.of(project).classes, view.class_counts, strict=True) if not count]
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        found.append(f"no labels yet, so unknown to the model: {', '.join(missing[:SHOWN])}{more}")
    return found
