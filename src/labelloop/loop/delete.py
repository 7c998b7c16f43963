"""delete: a project goes, with everything that is kept of it. Whoever is killed over it, the next one goes on.

First a mark in SQL: from its commit on the project is unknown, and nothing is written for it any more. Then its model
files, its rows in pieces, its folder. When nobody can still be at work on it, or take another project of the name for
it, the queue forgets it, only a tombstone is left, and its name is free. Every step may be done again, or by two at
once; the steward goes on with whatever is marked.
"""

import time
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from labelloop.domain.errors import Unavailable
from labelloop.domain.types import Departure, Extent
from labelloop.loop.tend import SILENCE
from labelloop.ports import Ports

STEP_SECONDS = 0.2
"""Rows are deleted for so long before anything else is looked at, such as other projects by the steward."""
NAME_SECONDS = 1.5
"""After so long no process takes the name for this project any more: the store has them look again each second."""
KEY_SECONDS = 6.0
"""After so long no process knows a key of this project any more: they are remembered for five seconds."""
PAUSE_SECONDS = 0.05


class Wait(StrEnum):
    """What the end of a deletion waits for."""

    ROWS = "rows"
    """There are more of them."""
    CACHES = "caches"
    """Other processes may remember the name, or a key, for some seconds."""
    JOBS = "jobs"
    """A worker is in the middle of one; it stops when it says next how far it is."""
    REDIS = "redis"
    """It does not answer, and may know the project when it does. The name is free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What went, or goes; `waits_for` is None when it is over."""

    project: str
    went: Extent
    waits_for: Wait | None


def summary(done: Deletion) -> dict[str, Any]:
    """A deletion as programs see it."""
    return {"project": done.project, **asdict(done.went), "waits_for": done.waits_for}


def delete(ports: Ports, name: str, *, seconds: float, patience: float) -> Deletion:
    """Mark a project, and delete it.

    Args:
        ports: all ports.
        name: the project; one that is being deleted already is gone on with.
        seconds: work for so long at most; the steward goes on.
        patience: wait for jobs for so long at most.

    Raises:
        UnknownProject: there is none, and none on its way out.
    """
    departure, extent = ports.removals.begin(name)
    begun = idle_since = time.monotonic()
    settled_at = begun + (NAME_SECONDS if departure.new and not extent.keys else KEY_SECONDS)
    while (waits := _pass(ports, departure, settled=time.monotonic() >= settled_at)) not in {None, Wait.REDIS}:
        now = time.monotonic()
        idle_since = idle_since if waits is Wait.JOBS else now
        if now >= begun + seconds or now >= idle_since + patience:
            break
        time.sleep(0.0 if waits is Wait.ROWS else PAUSE_SECONDS)
    return Deletion(project=name, went=extent, waits_for=waits)


def go_on(ports: Ports, departure: Departure) -> Wait | None:
    """One short step of a deletion that somebody began: what it waits for then, None when it is over."""
    seen = _first_seen(ports, departure.id, departure.created_at)
    return _pass(ports, departure, settled=time.monotonic() >= seen + KEY_SECONDS)


@lru_cache(maxsize=1_000)
def _first_seen(_ports: Ports, _id: int, _made: datetime) -> float:
    """When this process first saw a deletion, which may have begun in that moment (monotonic seconds)."""
    return time.monotonic()


def _pass(ports: Ports, one: Departure, *, settled: bool) -> Wait | None:
    # Looked at first: what somebody writes until he stops goes in this very pass.
    working = ports.claims.held(one.name) or ports.removals.at_work(one, ports.clock.now() - SILENCE) > 0
    if not one.buried:
        _drop_artifacts(ports, one)
        if not ports.removals.remove(one, seconds=STEP_SECONDS, jobs=not working):
            return Wait.ROWS
        if working:
            return Wait.JOBS
        ports.folders.remove(one.name)  # not before: a worker would stumble over it
        if not settled:
            return Wait.CACHES
    # Also where the name is another project's by now: the steward gives Redis what that one needs.
    gone = _order_gone(ports, one.name)
    if not ports.removals.bury(one, ports.clock.now(), order_gone=gone):
        return Wait.ROWS
    return None if gone else Wait.REDIS


@lru_cache(maxsize=1_000)
def _drop_artifacts(ports: Ports, one: Departure) -> None:
    """Once is enough in each process: since the mark no row came to refer to others, and who wanted one drops it."""
    ports.artifacts.drop(ports.removals.artifacts(one), ports.removals.needed)


def _order_gone(ports: Ports, name: str) -> bool:
    """Let Redis forget a project; False where it does not answer."""
    try:
        ports.queue_health.erase(name)
        ports.bus.forget(name)
    except Unavailable:
        return False
    return True
