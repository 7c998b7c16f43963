"""Values on their way to the service: as JSON, numpy's numbers too, and items line by line, of which none stops others.

numpy itself is not imported: who has no arrays should not wait for it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

SEND_BYTES = 256 * 1024
"""Items are sent in pieces of about this size."""
MOST_NAMED = 1_000
"""Bad lines that are named, as by the service; the rest is only counted."""
NO_JSON = (TypeError, ValueError, RecursionError)
"""What `encode` raises of a value that cannot be JSON."""


def encode(value: Any) -> bytes:
    """JSON on one line; scalars and arrays of numpy are the numbers and lists that they hold.

    Raises:
        TypeError: a value that JSON does not have, such as a date.
        ValueError: NaN, infinity, half a character, or a list in itself.
        RecursionError: lists in lists beyond all measure.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain).encode()


class Lines:
    """Items as the lines of a stream, in pieces; made anew at each turn. An item that cannot be JSON is an empty line.

    The service passes over an empty line and counts it, so that its line numbers hold. After a turn `bad` says how many
    these were, and `invalid` names them.
    """

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = items
        self.bad = 0
        self.invalid: list[dict[str, Any]] = []

    def __iter__(self) -> Iterator[bytes]:
        self.bad, self.invalid = 0, []
        waiting: list[bytes] = []
        size = 0
        for number, item in enumerate(self._items, start=1):
            line = self._line(number, item) + b"\n"
            waiting.append(line)
            size += len(line)
            if size >= SEND_BYTES:
                yield b"".join(waiting)
                waiting, size = [], 0
        if waiting:
            yield b"".join(waiting)

    def _line(self, number: int, item: Any) -> bytes:
        try:
            return encode(item)
        except NO_JSON as error:
            self.bad += 1
            if len(self.invalid) < MOST_NAMED:
                self.invalid.append({"line": number, "error": _place(item) + fault(error)})
            return b""


def fault(error: Exception) -> str:
    """What is wrong with a value that `encode` refused, in the words of the service."""
    if isinstance(error, UnicodeError):
        return "holds half a character (a lone surrogate); read it again in its own encoding"
    if isinstance(error, TypeError):
        return f"cannot be JSON: {error}"
    if isinstance(error, RecursionError) or "Circular" in str(error):
        return "cannot be JSON: it holds itself, or lists in lists beyond all measure"
    return "holds NaN or infinity; fill or leave out what is not known"


def _plain(value: Any) -> Any:
    """What json asks about values that it does not know."""
    if isinstance(value, Mapping):
        return dict(value)
    # Dates of numpy would become bare numbers, which nobody could tell from numbers that were meant.
    dated = getattr(getattr(value, "dtype", None), "kind", None) in {"m", "M"}
    if not dated and callable(listed := getattr(value, "tolist", None)):
        return listed()
    raise TypeError(f"a value of the type {type(value).__name__}; send text, numbers, lists or objects")


def _place(item: Any) -> str:
    """Whose value it is, and in which member: `item 'k': field 'x' `."""
    if not isinstance(item, Mapping):
        return "an item must be an object with `key` and `data`; this one "
    name = next((name for name, value in item.items() if _refused(value)), None)
    member = "it" if name is None else f"`{name}`"
    inner = item[name] if name is not None else None
    if name == "data" and isinstance(inner, Mapping):
        member = next((f"field {field!r}" for field, value in inner.items() if _refused(value)), member)
    key = item.get("key")
    return (f"item {key!r}: " if isinstance(key, str | int) else "") + f"{member} "


def _refused(value: Any) -> bool:
    try:
        encode(value)
    except NO_JSON:
        return True
    return False
