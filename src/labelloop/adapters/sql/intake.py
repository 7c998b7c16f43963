"""Items on their way into the pool: which are new, which are copies, and the rows they become."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, func, select

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.database import chunks
from labelloop.adapters.sql.driver import Driver, inserting
from labelloop.adapters.sql.imported import ImportedLabels
from labelloop.adapters.sql.requirements import Numbering
from labelloop.domain.errors import InvalidItems
from labelloop.domain.skills import MOST_REQUIREMENTS
from labelloop.domain.states import ItemState, LabelSource
from labelloop.domain.types import InvalidLine, NewItem

_items = tables.item
_ITEM = inserting(
    "item",
    "project",
    "number",
    "key",
    "digest",
    "data",
    "metadata",
    "gold",
    "duplicate_of",
    "state",
    "label",
    "value",
    "source",
    "needed",
    "priority",
    "votes",
    "pending",
    "requires",
    "created_at",
    "resolved_at",
)


class _Known(NamedTuple):
    """An item that is known by its key: the number of the first with its data, and the label it brought itself."""

    number: int
    label: str | None


@dataclass(slots=True)
class Intake:
    """Sorts items that arrive for one project and writes the new ones, numbered from `first` onward.

    `states` counts what changed, `invalid` are those that ask for a requirement that is one too many, or bring a label
    for an item that people are at. `keys` and `originals` are the known items by their key and by their data.
    """

    project: int
    first: int
    needed: int
    now: datetime
    keys: dict[str, _Known] = field(default_factory=dict)
    originals: dict[bytes, int] = field(default_factory=dict)
    states: Counter[ItemState] = field(default_factory=Counter)
    invalid: list[InvalidLine] = field(default_factory=list)
    added: int = 0
    requirements: Numbering = field(init=False)
    imported: ImportedLabels = field(init=False)
    _rows: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.requirements = Numbering(self.project)
        self.imported = ImportedLabels(self.project)

    @property
    def written(self) -> int:
        """Rows that were written; a label for a known item moves a count and adds none."""
        return self.states.total()

    def take(self, items: Sequence[NewItem], connection: Connection) -> None:
        """Sort and write all of them; the store is asked twice per chunk, whatever its size."""
        for chunk in chunks(items):
            texts = [_encode(item) for item in chunk]
            digests = [_digest(item) for item in chunk]
            self._recall(connection, [item.key for item in chunk], digests)
            for item, text, digest in zip(chunk, texts, digests, strict=True):
                self._sort(item, text, digest, connection)
        self.requirements.write(connection)
        Driver(connection).add(_ITEM, self._rows)
        self._rows = []
        self.imported.settle(connection, self.now)
        self.states.update({ItemState.POOLED: -self.imported.taken, ItemState.RESOLVED: self.imported.taken})
        self.invalid += self.imported.invalid

    def _recall(self, connection: Connection, keys: list[str], digests: list[bytes]) -> None:
        own = _items.c.project == self.project
        known = select(_items.c.key, func.coalesce(_items.c.duplicate_of, _items.c.number), _items.c.label)
        for key, number, label in connection.execute(known.where(own, _items.c.key.in_(keys))):
            self.keys[key] = _Known(number, label)
        found = select(_items.c.digest, func.min(_items.c.number)).where(own, _items.c.digest.in_(digests))
        for digest, number in connection.execute(found.group_by(_items.c.digest)):
            self.originals.setdefault(bytes(digest), number)

    def _sort(self, item: NewItem, text: tuple[str, str], digest: bytes, connection: Connection) -> None:
        if known := self.keys.get(item.key):
            if item.label != known.label:
                self.imported.note(known.number, item)
            return
        requires = self.requirements.of(item.requires, connection)
        if requires is None:
            self.invalid.append(InvalidLine(line=item.line, error=_too_many(item)))
            return
        number = self.first + self.written
        original = self.originals.setdefault(digest, number)
        self.keys[item.key] = _Known(original, item.label)
        copy = original != number
        if copy:
            self.imported.note(original, item, copy=True)
        labeled = item.label is not None and not copy
        self.added += not copy
        state = ItemState.RETIRED if copy else ItemState.RESOLVED if labeled else ItemState.POOLED
        self.states[state] += 1
        now = tables.microseconds(self.now)
        self._rows.append(
            (
                self.project,
                number,
                item.key,
                digest,
                *text,
                item.gold,
                original if copy else None,
                state.value,
                item.label,
                item.label,
                None if item.label is None else _source(item).value,
                item.needed or self.needed,
                *(0, 0, 0),
                requires,
                now,
                now if labeled else None,
            )
        )


def _too_many(item: NewItem) -> str:
    return (
        f"item {item.key!r}: `requires` is the {MOST_REQUIREMENTS + 1}th different requirement, and a project may have "
        f"{MOST_REQUIREMENTS}. Ask for fewer combinations of skills, or put these items into a project of their own"
    )


def _source(item: NewItem) -> LabelSource:
    return LabelSource.SYNTHETIC if item.synthetic else LabelSource.IMPORT


def _encode(item: NewItem) -> tuple[str, str]:
    """Data and metadata as JSON text, in the order they came.

    Raises:
        InvalidItems: what cannot be kept as JSON or text; names the line.
    """
    where = f"line {item.line}, item {item.key[:80]!r}"
    if "\x00" in item.key:
        raise InvalidItems(f"{where}: the key holds a NUL character. Leave it out.")
    try:
        item.key.encode()
        return orjson.dumps(item.data).decode(), orjson.dumps(item.metadata).decode()
    except (TypeError, UnicodeEncodeError) as error:
        raise InvalidItems(f"{where}: cannot be kept as JSON ({error}). Send plain JSON values.") from None


def _digest(item: NewItem) -> bytes:
    """The same for the same data, whatever the order of its fields. What is made up is no copy of what is real."""
    person = b"synthetic" if item.synthetic else b""
    return hashlib.blake2b(orjson.dumps(item.data, option=orjson.OPT_SORT_KEYS), digest_size=16, person=person).digest()
