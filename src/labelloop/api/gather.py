"""Calls that wait together are worked on together: many requests of the event loop become one call of a sync verb.

While one group is worked on in a thread, the next one gathers. So the group is as large as the load makes it, nobody
waits for company, and the hops between threads, the round trips and the commit are paid once a group. What a verb does
with the group is the loop's business.
"""

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

from labelloop.domain.errors import LabelloopError

Wish = TypeVar("Wish")
Answer = TypeVar("Answer")

MOST_ITEMS = 2_000
"""Items in one group, unless a single call names more: it bounds how long the others wait for the commit."""


@dataclass(frozen=True, slots=True, eq=False)
class _Call(Generic[Wish, Answer]):
    project: str
    wish: Wish
    items: int
    future: "asyncio.Future[Answer]"


class Gather(Generic[Wish, Answer]):
    """One verb for all who call it. It is called by project, and answers, or errs, for each wish in order.

    Args:
        verb: called in a thread as verb(project, wishes); an error among the answers is its caller's alone, one of ours
            that is raised is everybody's. After any other each wish is tried alone.
        at_once: groups that may be under way at the same time.
    """

    def __init__(
        self, verb: Callable[[str, Sequence[Wish]], Sequence[Answer | Exception]], *, at_once: int = 1
    ) -> None:
        self._verb = verb
        self._waiting: deque[_Call[Wish, Answer]] = deque()
        self._idle = at_once
        self._inbox: SimpleQueue[tuple[list[_Call[Wish, Answer]], asyncio.AbstractEventLoop]] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name="labelloop-gather", daemon=True) for _ in range(at_once)
        ]
        self._started = False

    async def ask(self, project: str, wish: Wish, *, items: int) -> Answer:
        """The verb's answer to this wish, which is about so many items. Called in the event loop.

        Raises:
            LabelloopError: what the verb said of this wish or of its whole group.
        """
        loop = asyncio.get_running_loop()
        call = _Call(project, wish, items, loop.create_future())
        if not self._waiting:
            loop.call_soon(self._start, loop)  # after all who are there already
        self._waiting.append(call)
        answer: Answer = await call.future
        return answer

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._started:
            self._started = True
            for thread in self._threads:
                thread.start()
        while self._idle and self._waiting:
            self._idle -= 1
            self._inbox.put((self._next(), loop))

    def _next(self) -> list[_Call[Wish, Answer]]:
        group, items = list[_Call[Wish, Answer]](), 0
        while self._waiting and (not group or items + self._waiting[0].items <= MOST_ITEMS):
            group.append(self._waiting.popleft())
            items += group[-1].items
        return group

    def _run(self) -> None:
        while True:
            group, loop = self._inbox.get()
            self._work(group, loop)

    def _work(self, group: list[_Call[Wish, Answer]], loop: asyncio.AbstractEventLoop) -> None:
        by_project: dict[str, list[_Call[Wish, Answer]]] = defaultdict(list)
        for call in group:
            by_project[call.project].append(call)
        told = [told for project, calls in by_project.items() for told in self._answers(project, calls)]
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._tell, told, loop)

    def _answers(
        self, project: str, calls: list[_Call[Wish, Answer]]
    ) -> list[tuple[_Call[Wish, Answer], Answer | Exception]]:
        try:
            return list(zip(calls, self._verb(project, [call.wish for call in calls]), strict=True))
        except LabelloopError as error:
            return [(call, error) for call in calls]
        except Exception as error:  # noqa: BLE001 - nobody foresaw it: one of them brought it, the others shall not pay
            if len(calls) == 1:
                return [(calls[0], error)]
            return [told for call in calls for told in self._answers(project, [call])]

    def _tell(
        self, told: list[tuple[_Call[Wish, Answer], Answer | Exception]], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._idle += 1
        self._start(loop)
        for call, answer in told:
            if call.future.done():  # the caller went away
                continue
            if isinstance(answer, Exception):
                call.future.set_exception(answer)
            else:
                call.future.set_result(answer)
