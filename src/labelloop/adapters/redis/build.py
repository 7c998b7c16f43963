"""Building the order of a round beside the serving one and swapping it in; serving it is the queue's business.

The chunks of a new order go to keys that nobody reads yet. States from SQL are placed before the swap, so that no
item is ever offered without its history; touched items take their new lane and rank after it, because until then
others may still touch them.
"""

from collections.abc import Iterable, Mapping, Sequence
from secrets import token_hex

import redis

from labelloop.adapters.redis.scripts import Scripts, key
from labelloop.adapters.redis.states import as_json, chunks, order_of
from labelloop.domain.states import Lane
from labelloop.domain.types import Query, RoundNumber, SlotState

CHUNK = 1000
"""Members per command while an order is built."""
FEW = 200
"""Touched items per script: each costs some twenty commands, and all others wait."""
ABANDONED_SECONDS = 600
"""How long the keys of a build stay when its builder dies."""
PARTS = 1_000_000
"""Shares are kept as whole parts of a million, so that what lanes are owed stays exact for ever."""


class Builder:
    """Loads orders into one server."""

    def __init__(self, connection: "redis.Redis", scripts: Scripts) -> None:
        self._connection = connection
        self._scripts = scripts

    def load(
        self,
        name: str,
        version: RoundNumber,
        *,
        lanes: Mapping[Lane, Sequence[Query]],
        slots: Sequence[SlotState],
        shares: Mapping[Lane, float],
    ) -> bool:
        """Build and swap; False when a newer version was swapped in meanwhile."""
        build = token_hex(6)
        self._fill(name, build, lanes)
        self._place(name, lanes, slots)
        parts = [part for lane, share in shares.items() for part in (lane.value, round(share * PARTS))]
        if not self._scripts.run("swap", name, version, build, *parts):
            return False
        self.adopt(name)
        return True

    def _fill(self, name: str, build: str, lanes: Mapping[Lane, Sequence[Query]]) -> None:
        calls: list[tuple[str | int, ...]] = [
            (build, lane, requirement, ABANDONED_SECONDS, *_members(part))
            for lane, queries in lanes.items()
            for requirement, alike in _by_requirement(queries).items()
            for part in chunks(alike, CHUNK)
        ]
        self._scripts.run_all("load", name, calls)

    def _place(self, name: str, lanes: Mapping[Lane, Sequence[Query]], slots: Sequence[SlotState]) -> None:
        touched = {state.item for state in slots}
        places = {q.item: q for queries in lanes.values() for q in queries if q.item in touched}
        calls = [("merge", "", as_json(part, places)) for part in chunks(slots, FEW)]
        self._scripts.run_all("place", name, calls)

    def adopt(self, name: str) -> None:
        """Give touched items the lane and rank of the serving order."""
        self._scripts.run_all("adopt", name, list(chunks(self._touched(name), FEW)))

    def _touched(self, name: str) -> list[str]:
        return [str(item) for item in self._connection.hkeys(key(name, "items"))]


def _by_requirement(queries: Sequence[Query]) -> Mapping[int, Sequence[Query]]:
    found: dict[int, list[Query]] = {}
    for query in queries:
        found.setdefault(query.requires, []).append(query)
    return found


def _members(queries: Iterable[Query]) -> list[int]:
    return [member for query in queries for member in (order_of(query), query.item)]
