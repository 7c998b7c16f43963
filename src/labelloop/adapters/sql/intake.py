"""Items on their way into the pool: which are new, which are copies, and the rows they become."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Insert, Text, bindparam, func, insert, select

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.database import chunks
from labelloop.adapters.sql.requirements import Numbering
from labelloop.domain.errors import InvalidItems
from labelloop.domain.skills import MOST_REQUIREMENTS
from labelloop.domain.states import ItemState, LabelSource
from labelloop.domain.types import InvalidLine, NewItem

_items = tables.item
_STATES = (ItemState.POOLED, ItemState.RESOLVED, ItemState.RETIRED)


def insertion() -> Insert:
    """The statement for rows of `Intake`, whose JSON is text already."""
    ready = {name: bindparam(name, type_=Text()) for name in ("data", "metadata")}
    return insert(_items).values(ready)


@dataclass(slots=True)
class Intake:
    """Sorts items that arrive for one project. `rows` is what has to be written, numbered from `first` onward.

    `invalid` are those that ask for a requirement that is one too many.
    """

    project: int
    first: int
    needed: int
    now: datetime
    keys: set[str] = field(default_factory=set)
    originals: dict[bytes, int] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    invalid: list[InvalidLine] = field(default_factory=list)
    added: int = 0
    requirements: Numbering = field(init=False)

    def __post_init__(self) -> None:
        self.requirements = Numbering(self.project)

    def take(self, items: Sequence[NewItem], connection: Connection) -> None:
        """Sort all of them; the store is asked twice per chunk, whatever its size."""
        for chunk in chunks(items):
            texts = [_encode(item) for item in chunk]
            digests = [_digest(item) for item in chunk]
            self._recall(connection, [item.key for item in chunk], digests)
            for item, text, digest in zip(chunk, texts, digests, strict=True):
                self._sort(item, text, digest, connection)
        self.requirements.write(connection)

    def states(self) -> dict[str, int]:
        """How many rows of each state there are."""
        found = [row["state"] for row in self.rows]
        return {state.value: found.count(state) for state in _STATES}

    def _recall(self, connection: Connection, keys: list[str], digests: list[bytes]) -> None:
        own = _items.c.project == self.project
        self.keys.update(connection.execute(select(_items.c.key).where(own, _items.c.key.in_(keys))).scalars())
        found = select(_items.c.digest, func.min(_items.c.number)).where(own, _items.c.digest.in_(digests))
        for digest, number in connection.execute(found.group_by(_items.c.digest)):
            self.originals.setdefault(bytes(digest), number)

    def _sort(self, item: NewItem, text: tuple[str, str], digest: bytes, connection: Connection) -> None:
        if item.key in self.keys:
            return
        requires = self.requirements.of(item.requires, connection)
        if requires is None:
            self.invalid.append(InvalidLine(line=item.line, error=_too_many(item)))
            return
        self.keys.add(item.key)
        number = self.first + len(self.rows)
        original = self.originals.setdefault(digest, number)
        copy = original != number
        labeled = item.label is not None and not copy
        self.added += not copy
        self.rows.append(
            {
                "project": self.project,
                "number": number,
                "key": item.key,
                "digest": digest,
                "data": text[0],
                "metadata": text[1],
                "gold": item.gold,
                "duplicate_of": original if copy else None,
                "state": ItemState.RETIRED if copy else ItemState.RESOLVED if labeled else ItemState.POOLED,
                "label": item.label,
                "value": item.label,
                "source": None if item.label is None else _source(item),
                "needed": item.needed or self.needed,
                "priority": 0,
                "requires": requires,
                "created_at": self.now,
                "resolved_at": self.now if labeled else None,
            }
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
