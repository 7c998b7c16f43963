"""JSON lines and JSON arrays, streamed: one broken value is reported with its place and the rest goes on."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import orjson

from labelloop.adapters.files.rows import Options, Row, Tell
from labelloop.domain.errors import InvalidItems
from labelloop.domain.types import InvalidLine

MAX_VALUE = 64 * 1024 * 1024
"""Bytes of one item."""
_PIECE = 1024 * 1024
_TELL_EVERY = 1_000
_BOM = b"\xef\xbb\xbf"
_STRUCTURE = re.compile(rb'["{}\[\],]')
_IN_TEXT = re.compile(rb'\\.|"', re.DOTALL)


def read(path: Path, _options: Options, tell: Tell) -> Iterator[Row | InvalidLine]:
    """The values of a file: the elements of an array if it begins with `[`, else one value per line.

    An array counts its elements in place of lines. A value longer than 64 MiB is an invalid line.
    """
    with path.open("rb") as file:
        start = file.read(4096)
        skip = len(_BOM) if start.startswith(_BOM) else 0
        opened = start[skip:].lstrip()[:1] == b"["
        # A JSON Lines file may hold arrays too, but then its first line is a whole one.
        is_array = opened and not (path.suffix.lower() in {".jsonl", ".ndjson"} and _is_json(start.splitlines()[0]))
        file.seek(skip)
        pieces = _Array(path, file).elements() if is_array else _lines(file)
        for number, (line, piece) in enumerate(pieces, start=1):
            if number % _TELL_EVERY == 0:
                tell(file.tell())
            yield _parse(piece, line=line, number=number)
        tell(file.tell())


def _parse(piece: bytes | None, *, line: int, number: int) -> Row | InvalidLine:
    if piece is None:
        return InvalidLine(line=line, error=f"longer than {MAX_VALUE:,} bytes")
    try:
        return Row(line=line, number=number, values=orjson.loads(piece))
    except orjson.JSONDecodeError as error:
        return InvalidLine(line=line, error=f"not JSON: {error}")


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Lines that are not blank; None in place of one that is too long, which is skipped to its end."""
    line = 0
    while piece := file.readline(MAX_VALUE + 1):
        line += 1
        if len(piece) > MAX_VALUE and not piece.endswith(b"\n"):
            while piece and not piece.endswith(b"\n"):
                piece = file.readline(MAX_VALUE)
            yield line, None
        elif piece.strip():
            yield line, piece


class _Array:
    """One top-level array, cut at its commas without understanding what is between them."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self._buffer = bytearray()
        self._at = 0
        """Where in the buffer the search goes on."""
        self._begin = 0
        """Where in the buffer the present element begins."""
        self._count = 0

    def elements(self) -> Iterator[tuple[int, bytes | None]]:
        """The bytes of each element, with its place from 1."""
        self._token()
        self._begin, depth = self._at, 1
        while depth:
            token = self._token()
            depth += (token in b"{[") - (token in b"}]")
            if not depth or (depth == 1 and token == b","):
                element = bytes(self._buffer[self._begin : self._at - 1])
                self._begin = self._at
                if token == b"," or self._count or element.strip():
                    self._count += 1
                    yield self._count, element
        if self._buffer[self._at :].strip() or self._file.read(_PIECE).strip():
            raise InvalidItems(f"{self._path}: there is more after the end of the array. Is this a .jsonl file?")

    def _token(self) -> bytes:
        """The next bracket, brace or comma outside of texts."""
        while (token := self._find(_STRUCTURE)) == b'"':
            while self._find(_IN_TEXT) != b'"':
                pass
        return token

    def _find(self, pattern: re.Pattern[bytes]) -> bytes:
        """The next match, reading on as needed; the search then goes on behind it."""
        while (found := pattern.search(self._buffer, self._at)) is None:
            # No pair of backslash and character is left, so a last backslash is the first half of one.
            half = pattern is _IN_TEXT and self._buffer.endswith(b"\\", self._at)
            self._at = len(self._buffer) - half
            self._read_on()
        self._at = found.end()
        return found.group()

    def _read_on(self) -> None:
        more = self._file.read(_PIECE)
        if not more:
            raise InvalidItems(f"{self._path}: the array ends in the middle of element {self._count + 1}.")
        del self._buffer[: self._begin]
        self._at, self._begin = self._at - self._begin, 0
        self._buffer += more
        if len(self._buffer) > MAX_VALUE + _PIECE:
            raise InvalidItems(f"{self._path}: element {self._count + 1} is longer than {MAX_VALUE:,} bytes.")
