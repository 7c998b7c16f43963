"""The annotators of a chaos run: they lease, answer, err, skip, come late, repeat themselves, and vanish.

What they are told they note (`chaos_wire`); whether it was true is judged later (`chaos_history`).
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from chaos_history import Event
from chaos_wire import Line

CLASSES = ("c0", "c1", "c2")
LEASE_SECONDS = 3.0
PAUSE = 0.1
"""Seconds before the next try when nothing answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How often (as a probability) an annotator does what a tidy one would not."""

    wrong: float = 0.15
    late: float = 0.04
    abandon: float = 0.04
    skip: float = 0.03
    release: float = 0.03
    renew: float = 0.05
    replay: float = 0.15
    repeat: float = 0.03
    clash: float = 0.02
    forge: float = 0.01
    give_up: float = 0.1
    think: float = 0.6
    """Most seconds of thought per batch."""


TIDY = Habits(
    late=0, abandon=0, skip=0, release=0, renew=0, replay=0, repeat=0, clash=0, forge=0, give_up=0, think=0.0, wrong=0
)


@dataclass(slots=True)
class Cycles:
    """When somebody leased and had an answer to that lease acknowledged: (lease asked, answer heard)."""

    seen: list[tuple[float, float]] = field(default_factory=list)

    def recovery(self, moment: float) -> float | None:
        """Seconds from a moment to the end of the first cycle that began after it."""
        ends = [heard for asked, heard in self.seen if asked >= moment]
        return min(ends) - moment if ends else None


class Annotator:
    """One annotator with habits. `truth` answers an item's data."""

    def __init__(
        self, line: Line, project: str, *, habits: Habits, truth: Callable[[Any], str], cycles: Cycles, seed: int
    ) -> None:
        self._line, self._habits, self._truth, self._cycles = line, habits, truth, cycles
        self._root = f"/v1/projects/{project}"
        self._random = random.Random(seed)

    async def work(self, over: asyncio.Event) -> None:
        """Until it is over."""
        while not over.is_set():
            if not await self.batch(self._random.choice((1, 1, 3, 5, 10))):
                await asyncio.sleep(PAUSE)

    async def drain(self, patience: float) -> int:
        """Pull and answer until nothing came for so many seconds. Returns the answers given."""
        given, dry = 0, 0.0
        while dry < patience:
            answered = await self.batch(20)
            given += answered
            dry = 0.0 if answered else dry + PAUSE
            if not answered:
                await asyncio.sleep(PAUSE)
        return given

    async def batch(self, count: int) -> int:
        """Lease, think, answer. Returns how many answers were acknowledged."""
        asked = await self._line.post("lease", f"{self._root}/leases", {"count": count})
        leases = asked.reply.get("leases", []) if asked.done else []
        if not leases:
            if self._chance("renew"):
                await self._line.get("open", f"{self._root}/leases")
            return 0
        await asyncio.sleep(self._random.random() * self._habits.think)
        if self._chance("abandon"):
            return 0
        if self._chance("late"):
            await asyncio.sleep(LEASE_SECONDS * (0.8 + self._random.random()))
        leases = await self._give_back(leases)
        if not leases:
            return 0
        told = await self._answer(leases)
        kept = [one for one in told.reply.get("outcomes", []) if told.done and one["outcome"] in {"accepted", "late"}]
        if kept and told.heard is not None:
            self._cycles.seen.append((asked.sent, told.heard))
        return len(kept)

    async def _give_back(self, leases: list[Any]) -> list[Any]:
        """Some are renewed, skipped or released first; the rest is to be answered."""
        if self._chance("renew"):
            await self._change("renew", leases)
        for verb in ("skip", "release"):
            if self._chance(verb):
                some, leases = leases[:1], leases[1:]
                await self._change(verb, some)
                if self._chance("replay"):
                    await self._change(verb, some)
        return leases

    async def _change(self, verb: str, leases: Sequence[Any]) -> Event:
        return await self._line.post(verb, f"{self._root}/leases/{verb}", {"leases": [one["lease"] for one in leases]})

    async def _answer(self, leases: Sequence[Any]) -> Event:
        """Send answers under a key until it is known what became of them, or give up."""
        body = {"annotations": [{"lease": one["lease"], "label": self._label(one)} for one in leases]}
        if self._chance("forge"):
            body["annotations"].append({"lease": str(self._random.randrange(1, 10**6)), "label": CLASSES[0]})
        key = uuid4().hex
        told = await self._annotate(body, key)
        while not told.done and told.status in {None, 503} and not self._chance("give_up"):
            await asyncio.sleep(PAUSE)
            told = await self._annotate(body, key)
        if self._chance("replay"):
            await self._annotate(body, key)
        if self._chance("repeat"):
            await self._annotate(body, uuid4().hex)
        if self._chance("clash"):
            other = {"annotations": [{**one, "label": self._random.choice(CLASSES)} for one in body["annotations"]]}
            await self._annotate({"annotations": [*other["annotations"][::-1], {"lease": "0", "label": "c0"}]}, key)
        return told

    async def _annotate(self, body: Any, key: str) -> Event:
        return await self._line.post("annotate", f"{self._root}/annotations", body, key=key)

    def _label(self, lease: Any) -> str:
        return self._random.choice(CLASSES) if self._chance("wrong") else self._truth(lease["data"])

    def _chance(self, habit: str) -> bool:
        return self._random.random() < getattr(self._habits, habit)
