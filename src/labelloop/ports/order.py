"""What the loop asks of Redis, the workers and the processes beside it; a part of the page of ports.

All of it may be thrown away at any time: the truth is in the store.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from labelloop.domain.errors import TooOften
from labelloop.domain.states import Lane
from labelloop.domain.types import Candidate, ItemNumber, Job, JobId, Pull, Query, RoundNumber, SlotState, Subject


class Queue(Protocol):
    """The order of what is served next, in Redis: fast, and rebuildable from SQL at any time."""

    def load(
        self,
        name: str,
        version: RoundNumber,
        lanes: Mapping[Lane, Sequence[Query]],
        slots: Sequence[SlotState],
        shares: Mapping[Lane, float],
    ) -> None:
        """Build the order of a round beside the serving one and swap it in at once. Older versions are ignored.

        Items with `slots` are taken with their votes, live leases and exclusions as SQL knows them.
        """

    def propose_all(
        self, name: str, pulls: Sequence[Pull], *, expires_at: datetime
    ) -> list[list[Candidate] | TooOften]:
        """Take candidates for each of these annotators, by the lanes' shares, and note their leases.

        Started items (with open slots) come first within their lane; a review pull is served disputed items only. What
        requires skills is proposed to those who cover it, at its rank. A pull with `pulls` counts as one; when that
        minute's are used up it is TooOften, which says when there are new.
        """

    def drop(self, name: str, annotator: Subject, states: Sequence[SlotState]) -> None:
        """SQL refused these candidates: forget their leases and take their state from SQL."""

    def done_all(self, name: str, counted: Sequence[tuple[Subject, Sequence[ItemNumber]]]) -> None:
        """Counted answers are committed: the lease is over and the slot is used up (also when it came late)."""

    def put_back(self, name: str, annotator: Subject, items: Sequence[ItemNumber], *, skip: bool) -> None:
        """Leases were released or skipped."""

    def sync(
        self,
        name: str,
        states: Sequence[SlotState],
        disputed: Mapping[ItemNumber, int],
        *,
        seen: Mapping[ItemNumber, str] | None = None,
        young: datetime | None = None,
    ) -> int:
        """Set what differs from SQL; returns how many differed.

        `seen` is what `touched` answered before SQL was read: what changed in the queue since then is left alone, for
        nobody knows which of the two is newer. A lease that ends after `young` may be on its way into SQL and stays.
        """

    def prioritize(self, name: str, items: Sequence[ItemNumber], level: int) -> int:
        """Give waiting items this priority at once. Returns how many the queue knows; the others wait for a round."""

    def renew(self, name: str, annotator: Subject, items: Sequence[ItemNumber], expires_at: datetime) -> None: ...


class QueueHealth(Protocol):
    """What the steward and the metrics ask of the queue."""

    def serving(self, name: str) -> RoundNumber | None:
        """The version that is served; None when Redis lost it."""

    def depth(self, name: str) -> Mapping[Lane, int]:
        """Waiting queries per lane."""

    def depth_by_requirement(self, name: str) -> Mapping[int, Mapping[Lane, int]]:
        """Waiting queries per requirement (0: none) and lane."""

    def touched(self, name: str) -> Mapping[ItemNumber, str]:
        """Every item that the queue knows more of than its place in the order, with a token of what it knows."""

    def reap(self, name: str, now: datetime) -> int:
        """Put back leases whose time is over. Returns how many."""

    def forget(self, name: str) -> None: ...

    def erase(self, name: str) -> None:
        """As forget, and also what would go by itself: who pulled how often, orders that were never swapped in."""

    def ping(self) -> bool: ...


class Bus(Protocol):
    """Messages to workers: ids only."""

    def send(self, job: Job) -> None:
        """Hand this attempt of a job to the worker of its kind; again is no error."""

    def nudge(self, name: str) -> None:
        """Tell the steward that a project has something to settle. Cheap; may be dropped."""

    def forget(self, name: str) -> None:
        """Take back every message about a project and its jobs."""


class Claims(Protocol):
    """Which attempt of a job a process works on, for as long as that process lives."""

    def hold(self, job: JobId, attempt: int) -> AbstractContextManager[bool]:
        """Enter with True when it is ours, with False when another process works on the same attempt."""

    def dropped(self, job: JobId, attempt: int) -> bool:
        """Whether the process that held it has died. False also where that cannot be seen from here."""

    def held(self, name: str) -> bool:
        """Whether a process that can be seen from here works on a job of this project."""


class Lock(Protocol):
    """One holder at a time across processes and hosts."""

    def hold(self, name: str, seconds: float) -> AbstractContextManager[bool]:
        """Enter with True when the lock is ours."""
