"""A request's byte stream as items, line by line, without ever holding more than a chunk and one line.

The loop is sync and runs in a thread; it pulls, so a slow store slows the sender down and nothing piles up.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import anyio.from_thread

from labelloop.api import bodies
from labelloop.api.problems import MalformedJson
from labelloop.domain.errors import Invalid
from labelloop.domain.types import InvalidLine, NewItem

LONGEST_LINE = 8 * 1024 * 1024
"""Bytes of one line; a longer one is reported and passed over."""
STALLED_SECONDS = 60.0
"""A sender that falls silent this long is cut off; the chunks before are kept."""

Read = Callable[[Any, int], NewItem | InvalidLine]


def pulled(stream: AsyncIterator[bytes]) -> Iterator[bytes]:
    """The chunks of an async stream, for a thread that anyio started."""
    while True:
        chunk = anyio.from_thread.run(_next, stream)
        if chunk is None:
            return
        yield chunk


def split(chunks: Iterator[bytes], longest: int = LONGEST_LINE) -> Iterator[bytes | None]:
    """Lines without their ends; None stands for a line that is longer than `longest`."""
    parts: list[bytes] = []
    held, overlong = 0, False
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            parts.append(line)
            yield None if overlong or held + len(line) > longest else b"".join(parts)
            parts, held, overlong = [], 0, False
        held += len(rest)
        if held > longest:
            parts, overlong = [], True
        elif rest:
            parts.append(rest)
    if overlong:
        yield None
    elif parts:
        yield b"".join(parts)


def items(lines: Iterator[bytes | None], read: Read) -> Iterator[NewItem | InvalidLine]:
    """Each line as an item, or as what is wrong with it; empty lines count but mean nothing."""
    for number, line in enumerate(lines, start=1):
        if line is None:
            yield InvalidLine(line=number, error=f"the line is longer than {LONGEST_LINE:,} bytes")
            continue
        stripped = line.strip()
        if not stripped:
            continue
        try:
            raw = bodies.parse_json(stripped)
        except MalformedJson as error:
            yield InvalidLine(line=number, error=error.detail.replace("The body", "the line", 1).rstrip("."))
            continue
        yield read(raw, number)


async def _next(stream: AsyncIterator[bytes]) -> bytes | None:
    try:
        with anyio.fail_after(STALLED_SECONDS):
            return await anext(stream, None)
    except TimeoutError:
        raise Invalid(
            f"Nothing came for {STALLED_SECONDS:.0f} s, so the stream was cut off. Send the same items again; "
            "those that went in already change nothing."
        ) from None
