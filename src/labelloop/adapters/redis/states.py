"""How values cross into Lua: times as whole milliseconds, states as compact JSON, long lists in chunks."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from labelloop.domain.types import ItemNumber, Query, SlotState

Value = TypeVar("Value")

MOST_VOTES = 15
"""Votes that fit beside the rank in a score: score = rank * 16 + needed."""


def milliseconds(moment: datetime) -> int:
    """Whole milliseconds since 1970, rounded up, so that no lease is over before its time."""
    return math.ceil(moment.timestamp() * 1000)


PREFERENCE = 1_000_000
"""What a level of priority counts in ranks: more than any window holds."""


def rank_of(query: Query) -> int:
    """The rank in force: the planned one, or far before or after all of those."""
    return query.rank - query.priority * PREFERENCE


def order_of(query: Query) -> int:
    """The score of an untouched item: its rank, with the votes it needs packed in."""
    return rank_of(query) * (MOST_VOTES + 1) + min(max(query.needed, 1), MOST_VOTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Which items a sync leaves alone: records that are not as `seen` any more, and leases that end after `young`."""

    seen: Mapping[ItemNumber, str]
    young: datetime | None = None


def as_json(
    states: Sequence[SlotState], places: Mapping[ItemNumber, Query] | None = None, *, guard: Guard | None = None
) -> str:
    """States for place.lua; items of `places` also get their lane and rank in the order that is being built."""
    rows = [_row(state, (places or {}).get(state.item), guard) for state in states]
    return json.dumps(rows, separators=(",", ":"))


def _row(state: SlotState, query: Query | None, guard: Guard | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "item": state.item,
        "needed": state.needed,
        "done": state.done,
        "live": [[who, milliseconds(expiry)] for who, expiry in state.live],
        "out": list(state.excluded),
        "requires": state.requires,
    }
    if query is not None:
        row |= {"lane": query.lane, "rank": rank_of(query)}
    if guard is not None:
        row["seen"] = guard.seen.get(state.item, "")
        if guard.young is not None:
            row["young"] = milliseconds(guard.young)
    return row


def chunks(values: Sequence[Value], size: int) -> Iterator[Sequence[Value]]:
    """Cut a list into pieces of at most `size`."""
    return (values[start : start + size] for start in range(0, len(values), size))
