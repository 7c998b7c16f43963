"""prioritize: an engineer says that items are to be asked first or last in their lane; SQL keeps it, so it stays."""

from collections.abc import Sequence
from contextlib import suppress

from labelloop.domain.errors import TooLarge, Unavailable, UnknownItem
from labelloop.domain.states import JobKind, Priority
from labelloop.domain.types import Identity, ItemNumber
from labelloop.loop.lease import MAX_COUNT
from labelloop.ports import Ports


def prioritize(ports: Ports, name: str, who: Identity, items: Sequence[ItemNumber], priority: Priority) -> int:
    """Set the priority of items; served from the next pull on, or after the next round where they are in none.

    Returns:
        How many stand in the queue already.

    Raises:
        TooLarge: more items than one call may name.
        UnknownItem: none of the items is in the project.
    """
    if len(items) > MAX_COUNT:
        raise TooLarge(f"name at most {MAX_COUNT} items at once, not {len(items)}", project=name)
    now = ports.clock.now()
    known = ports.pool.prioritize(name, items, priority, by=who.subject, now=now)
    if not known:
        raise UnknownItem(
            f"Project {name!r} has none of these items. Name them by number, as in a lease.", project=name
        )
    queued = 0
    with suppress(Unavailable):  # the next order has it from SQL
        queued = ports.queue.prioritize(name, known, priority.level)
    if queued < len(known) and priority is Priority.FIRST and ports.projects.row(name).round is not None:
        key = f"priority-{now.isoformat()}"
        ports.jobs.ask(name, JobKind.PLAN, key, reason=f"{who.subject} put items first", now=now)
    ports.bus.nudge(name)
    return queued
