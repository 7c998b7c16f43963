"""Annotators who are late, forgetful and impatient, and write down all they were told. They never believe in vain."""

import asyncio
import json
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from chaos_check import Told

TIMEOUT = 8.0
FAULTS = (OSError, EOFError, asyncio.TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError)


@dataclass(slots=True)
class Notebook:
    """What everybody was told."""

    told: dict[str, list[Told]] = field(default_factory=dict)
    cycles: list[tuple[float, float]] = field(default_factory=list)
    """Per finished cycle: when its lease was asked for, and when its answers were acknowledged."""
    strange: list[str] = field(default_factory=list)
    """Answers of the service that no fault excuses: neither success, nor 503, nor a broken connection."""
    unanswered: int = 0


class Wire:
    """Plain HTTP over one connection, opened again after every fault."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._key = port, key
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """Status and decoded body; raises one of FAULTS when nothing certain came back."""
        try:
            return await asyncio.wait_for(self._post(path, body, headers or {}), TIMEOUT)
        except FAULTS:
            self.close()
            raise

    async def _post(self, path: str, body: Any, headers: Mapping[str, str]) -> tuple[int, Any]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        raw = json.dumps(body).encode()
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {self._key}"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(raw)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + raw)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = int(head.lower().partition("content-length:")[2].partition("\r\n")[0])
        answer = await reader.readexactly(length)
        return int(head.split(" ", 2)[1]), json.loads(answer)

    def close(self) -> None:
        """Forget the connection."""
        if self._streams is not None:
            with suppress(OSError):
                self._streams[1].close()
        self._streams = None


@dataclass(slots=True, kw_only=True)
class Person:
    """One annotator of one project. `sloth` is the part of batches that is answered after the lease is over."""

    name: str
    project: str
    wire: Wire
    book: Notebook
    rng: random.Random
    lease_seconds: float
    most: int = 8
    sloth: float = 0.03
    idle: bool = False

    async def work(self, over: asyncio.Event) -> None:
        """Lease, think, answer; now and then abandon, skip, come late or say the same twice."""
        while not over.is_set():
            try:
                await self._cycle()
            except FAULTS:
                self.book.unanswered += 1
                await asyncio.sleep(self.rng.uniform(0.02, 0.2))

    async def _cycle(self) -> None:
        asked_at = time.time()
        leases = await self._lease()
        if not leases:
            self.idle = True
            await asyncio.sleep(self.rng.uniform(0.1, 0.4))
            return
        self.idle = False
        chance = self.rng.random()
        if chance < 0.03:
            return  # abandoned: the leases run out
        if chance < 0.06:
            await self._give_back(leases, self.rng.choice(["skip", "release"]))
            return
        late = chance < 0.06 + self.sloth
        await asyncio.sleep(self.lease_seconds * 1.2 if late else self.rng.uniform(0.0, 0.05))
        answers = [{"lease": one["lease"], "label": self._label(one)} for one in leases]
        if self.rng.random() < 0.02:
            answers.append({"lease": answers[0]["lease"], "label": answers[0]["label"]})
        if await self._answer(answers, {int(one["lease"]): one["item"] for one in leases}):
            self.book.cycles.append((asked_at, time.time()))

    def _label(self, lease: Mapping[str, Any]) -> str:
        truth = "up" if lease["data"]["x"] > 0 else "down"
        return truth if self.rng.random() < 0.9 else self.rng.choice(["up", "down"])

    async def _lease(self) -> list[dict[str, Any]]:
        path = f"/v1/projects/{self.project}/leases"
        status, body = await self.wire.post(path, {"count": self.rng.randint(1, self.most)})
        if status == 200:
            leases: list[dict[str, Any]] = body["leases"]
            return leases
        self._excuse(status, body, path)
        return []

    async def _give_back(self, leases: list[dict[str, Any]], how: str) -> None:
        path = f"/v1/projects/{self.project}/leases/{how}"
        status, body = await self.wire.post(path, {"leases": [one["lease"] for one in leases]})
        if status != 200:
            self._excuse(status, body, path)

    async def _answer(self, answers: list[dict[str, Any]], items: Mapping[int, int]) -> bool:
        """Hand in until it is acknowledged: after a fault nobody knows, so the same key is used again."""
        path, key = f"/v1/projects/{self.project}/annotations", uuid4().hex
        for attempt in range(60):
            try:
                status, body = await self.wire.post(path, {"annotations": answers}, {"Idempotency-Key": key})
            except FAULTS:
                self.book.unanswered += 1
                await asyncio.sleep(min(0.05 * 2**attempt, 0.5))
                continue
            if status == 200:
                self._note(answers, body["outcomes"], items, key)
                if self.rng.random() > 0.05:
                    return True
                continue  # once more with the same key: the reply must be the same
            self._excuse(status, body, path)
            await asyncio.sleep(0.2)
        return False

    def _note(
        self, answers: list[dict[str, Any]], outcomes: list[dict[str, Any]], items: Mapping[int, int], key: str
    ) -> None:
        told = self.book.told.setdefault(self.project, [])
        seen: set[int] = set()
        for given, outcome in zip(answers, outcomes, strict=True):
            lease = int(given["lease"])
            told.append(
                Told(
                    annotator=self.name,
                    lease=lease,
                    item=items.get(lease),
                    label=given["label"],
                    outcome=outcome["outcome"],
                    key=None if lease in seen else key,
                    at=time.time(),
                )
            )
            seen.add(lease)

    def _excuse(self, status: int, body: Any, path: str) -> None:
        if status != 503:
            self.book.strange.append(f"{path}: {status} {json.dumps(body)[:200]}")
