"""One annotator's line to the service in a chaos run: raw HTTP/1.1, a note of every request, and no illusions.

A request whose answer did not come whole may have been carried out or not: it is noted as such, and never repeated
here. Whether to try again, and with which key, is the annotator's business.
"""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from chaos_history import Event

ANSWER_SECONDS = 15.0
"""Longer than any server may take to answer, if only with 503."""


class Line:
    """A kept-alive connection that is opened again when it broke. Notes go to `notes` and, one a line, to a file."""

    def __init__(self, address: tuple[str, int], key: str, *, who: str, notes: list[Event], folder: Path) -> None:
        self.address, self.who = address, who
        self._key, self._notes = key, notes
        self._file = (folder / f"{who}.jsonl").open("a", encoding="utf-8")
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def post(self, verb: str, path: str, body: Any, *, key: str | None = None) -> Event:
        """Send one request and say what came of it."""
        return await self._call(verb, "POST", path, body=body, key=key)

    async def get(self, verb: str, path: str) -> Event:
        """Ask for something."""
        return await self._call(verb, "GET", path)

    def close(self) -> None:
        """Hang up."""
        self._hang_up()
        self._file.close()

    async def _call(self, verb: str, method: str, path: str, *, body: Any = None, key: str | None = None) -> Event:
        async with self._turn:
            event = await self._once(verb, method, path, body=body, key=key)
        self._note(event)
        return event

    async def _once(self, verb: str, method: str, path: str, *, body: Any, key: str | None) -> Event:
        sent = time.time()
        status, retry_after, reply, heard = None, None, {}, None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status, retry_after, reply = await self._exchange(method, path, body, key)
            heard = time.time()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, ValueError) as error:
            self._hang_up()
            reply = {"broken": f"{type(error).__name__}: {error}"}
        return Event(
            verb=verb,
            who=self.who,
            sent=sent,
            heard=heard,
            status=status,
            key=key,
            body=body if isinstance(body, dict) else {},
            reply=reply if isinstance(reply, dict) else {"reply": reply},
            retry_after=retry_after,
        )

    async def _exchange(self, method: str, path: str, body: Any, key: str | None) -> tuple[int, str | None, Any]:
        if self._stream is None:
            self._stream = await asyncio.open_connection(*self.address, limit=1 << 22)
        reader, writer = self._stream
        raw = b"" if body is None else json.dumps(body).encode()
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {self._key}"]
        head += ["Content-Type: application/json", f"Content-Length: {len(raw)}"]
        head += [f"Idempotency-Key: {key}"] if key else []
        writer.write("\r\n".join([*head, "", ""]).encode() + raw)
        told = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *rest = told.splitlines()
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        answer = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self._hang_up()
        return int(first.split()[1]), headers.get("retry-after"), json.loads(answer) if answer else {}

    def _hang_up(self) -> None:
        if self._stream is not None:
            self._stream[1].close()
            self._stream = None

    def _note(self, event: Event) -> None:
        self._notes.append(event)
        fields = {name: getattr(event, name) for name in Event.__dataclass_fields__}
        self._file.write(json.dumps(fields) + "\n")
