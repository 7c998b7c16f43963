"""The order of what is served next, as an index in Redis; what is true, also about who may hold what, is in SQL.

Every step is one Lua script, so nobody sees half of it. A server that fails surfaces as Unavailable.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import redis

from labelloop.adapters.redis.build import CHUNK, FEW, Builder
from labelloop.adapters.redis.connection import guarded, pairs
from labelloop.adapters.redis.scripts import Scripts, key
from labelloop.adapters.redis.states import PREFERENCE, Guard, as_json, chunks, milliseconds
from labelloop.domain.errors import TooOften
from labelloop.domain.states import Lane
from labelloop.domain.types import Candidate, ItemNumber, Query, RoundNumber, SlotState, Subject

SCAN = 400
"""Most entries that one call looks at in vain per lane, among the started and among the untouched: it bounds how long
all others wait. Where a scan of the started ends, the annotator's next one goes on."""
PAGE = 50
"""Started items read at a time."""


class RedisQueue:
    """Implements ports.Queue and ports.QueueHealth over one connection (made by `connect`)."""

    def __init__(self, connection: "redis.Redis", *, scan: int = SCAN, page: int = PAGE) -> None:
        self._connection = connection
        self._scripts = Scripts(connection)
        self._builder = Builder(connection, self._scripts)
        self._scan = scan
        self._page = page

    # --- ports.Queue -------------------------------------------------------------------------------------------

    @guarded
    def load(
        self,
        name: str,
        version: RoundNumber,
        lanes: Mapping[Lane, Sequence[Query]],
        slots: Sequence[SlotState],
        shares: Mapping[Lane, float],
    ) -> None:
        serving = self.serving(name)
        if serving is None or serving <= version:
            self._builder.load(name, version, lanes=lanes, slots=slots, shares=shares)

    @guarded
    def propose(
        self,
        name: str,
        annotator: Subject,
        count: int,
        *,
        expires_at: datetime,
        review: bool = False,
        pulls: int | None = None,
    ) -> list[Candidate]:
        if count < 1:
            return []
        expiry = milliseconds(expires_at)
        taken = self._scripts.run(
            "propose", name, annotator, expiry, count, int(review), self._scan, self._page, pulls or 0
        )
        if taken[:1] == ["wait"]:
            raise TooOften(
                f"You pulled work {pulls} times in a minute, as often as this project allows. Ask for larger batches.",
                retry_after=int(taken[1]) / 1000,
                project=name,
            )
        return [Candidate(item=ItemNumber(int(item)), lane=Lane(lane)) for item, lane in pairs(taken)]

    @guarded
    def drop(self, name: str, annotator: Subject, states: Sequence[SlotState]) -> None:
        calls = [("exact", annotator, as_json(part)) for part in chunks(states, FEW)]
        self._scripts.run_all("place", name, calls)

    @guarded
    def done(self, name: str, annotator: Subject, items: Sequence[ItemNumber]) -> None:
        self._scripts.run_all("done", name, [(annotator, *part) for part in chunks(items, FEW)])

    @guarded
    def put_back(self, name: str, annotator: Subject, items: Sequence[ItemNumber], *, skip: bool) -> None:
        self._scripts.run_all("put_back", name, [(annotator, int(skip), *part) for part in chunks(items, FEW)])

    @guarded
    def sync(
        self,
        name: str,
        states: Sequence[SlotState],
        disputed: Sequence[ItemNumber],
        *,
        seen: Mapping[ItemNumber, str] | None = None,
        young: datetime | None = None,
    ) -> int:
        """Set what differs from SQL; returns how many differed.

        Each item is compared and set by one script. Without `seen`, what was done after SQL was read may be set back;
        that costs a refused candidate or a wait until the next sync, never a wrong grant, for SQL has the last word.
        """
        guard = None if seen is None else Guard(seen=seen, young=young)
        listed = {int(str(item)) for item in self._connection.zrange(key(name, "started:review"), 0, -1)}
        calls = [(0, *part) for part in chunks(sorted(listed.difference(disputed)), CHUNK)]
        calls += [(1, *part) for part in chunks(sorted(set(disputed) - listed), CHUNK)]
        reviews = self._scripts.run_all("review", name, calls)
        rows = [("exact", "", as_json(part, guard=guard)) for part in chunks(states, FEW)]
        places = self._scripts.run_all("place", name, rows)
        return sum(map(int, reviews)) + sum(map(int, places))

    @guarded
    def prioritize(self, name: str, items: Sequence[ItemNumber], level: int) -> int:
        calls = [(PREFERENCE, level, *part) for part in chunks(items, FEW)]
        return sum(map(int, self._scripts.run_all("prioritize", name, calls)))

    @guarded
    def renew(self, name: str, annotator: Subject, items: Sequence[ItemNumber], expires_at: datetime) -> None:
        expiry = milliseconds(expires_at)
        self._scripts.run_all("renew", name, [(annotator, expiry, *part) for part in chunks(items, CHUNK)])

    # --- ports.QueueHealth -------------------------------------------------------------------------------------

    @guarded
    def serving(self, name: str) -> RoundNumber | None:
        version = self._connection.hget(key(name, "cfg"), "version")
        return None if version is None else RoundNumber(int(version))

    @guarded
    def depth(self, name: str) -> Mapping[Lane, int]:
        build = str(self._connection.hget(key(name, "cfg"), "build"))
        with self._connection.pipeline(transaction=False) as pipeline:
            for lane in Lane:
                pipeline.zcard(key(name, f"lane:{lane}:{build}"))
                pipeline.zcard(key(name, f"started:{lane}"))
            counts = pipeline.execute()
        return {lane: fresh + started for lane, (fresh, started) in zip(Lane, pairs(counts), strict=True)}

    @guarded
    def touched(self, name: str) -> Mapping[ItemNumber, str]:
        known = self._connection.hgetall(key(name, "items"))
        return {ItemNumber(int(item)): str(record) for item, record in known.items()}

    @guarded
    def reap(self, name: str, now: datetime) -> int:
        total = 0
        while reaped := int(self._scripts.run("reap", name, int(now.timestamp() * 1000), FEW)):
            total += reaped
        return total

    @guarded
    def forget(self, name: str) -> None:
        self._scripts.run("forget", name)

    @guarded
    def ping(self) -> bool:
        return bool(self._connection.ping())
