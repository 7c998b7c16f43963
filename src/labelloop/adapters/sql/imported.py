"""Labels that arrive for items that are known already: taken where nobody was asked yet, else refused by name."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, select, text

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.database import chunks
from labelloop.adapters.sql.driver import Driver, statement
from labelloop.domain.states import ItemState, LabelSource
from labelloop.domain.types import InvalidLine, NewItem

_items, _leases = tables.item, tables.assignment
_SETTLE = statement(
    "UPDATE item SET state = 'resolved', label = ?, value = ?, source = ?, resolved_at = ? "
    "WHERE project = ? AND number = ?"
)


class _Label(NamedTuple):
    """A label for the item of this number; `copy` when it came with a new item that holds the same data."""

    number: int
    label: str
    copy: bool
    key: str
    line: int


@dataclass(slots=True)
class ImportedLabels:
    """Gathers labels for items that are known, and settles those that wait, inside the transaction of the intake."""

    project: int
    invalid: list[InvalidLine] = field(default_factory=list)
    taken: int = 0
    _labels: list[_Label] = field(default_factory=list)

    def note(self, number: int, item: NewItem, *, copy: bool = False) -> None:
        """Remember the label of this line, if it has one, for the item of this number."""
        if item.label is not None and not item.synthetic:
            self._labels.append(_Label(number, item.label, copy, item.key, item.line))

    def settle(self, connection: Connection, now: datetime) -> None:
        """Give waiting items their labels. The first label for an item counts; a copy's own label is kept with it."""
        labels, self._labels = self._labels, []
        states, held = _states(connection, self.project, [one.number for one in labels])
        settled: dict[int, str] = {}
        for one in labels:
            state = states[one.number]
            known = settled.get(one.number, state.label)
            if known is None and state.state == ItemState.POOLED and not state.votes and one.number not in held:
                settled[one.number] = one.label
            elif not one.copy and known != one.label:
                self.invalid.append(InvalidLine(line=one.line, error=_refused(one, state.state, known)))
        at, source = tables.microseconds(now), LabelSource.IMPORT.value
        rows = [(label, label, source, at, self.project, number) for number, label in settled.items()]
        Driver(connection).each(_SETTLE, rows)
        self.taken += len(rows)


def _states(connection: Connection, project: int, numbers: Sequence[int]) -> tuple[dict[int, Row[Any]], set[int]]:
    """The items as they are, and which of them somebody has at the moment."""
    found: dict[int, Row[Any]] = {}
    held: set[int] = set()
    shown = (_items.c.number, _items.c.state, _items.c.label, _items.c.votes)
    for chunk in chunks(dict.fromkeys(numbers)):
        own = and_(_items.c.project == project, _items.c.number.in_(chunk))
        found.update((row.number, row) for row in connection.execute(select(*shown).where(own)))
        asked = select(_leases.c.item).where(_leases.c.project == project, _leases.c.item.in_(chunk), text(tables.LIVE))
        held.update(connection.execute(asked).scalars())
    return found, held


def _refused(one: _Label, state: str, known: str | None) -> str:
    if known is not None:
        why = f"it has the label {known!r} already, and that stands"
    elif state == ItemState.RETIRED:
        why = "it is retired, so nothing is done with it"
    elif state == ItemState.RESOLVED:
        why = "it has an answer already, and that stands"
    else:
        why = "people are at it already, and what they say stands"
    return f"item {one.key!r}: the label {one.label!r} is not taken: {why}. The export shows what is known"
