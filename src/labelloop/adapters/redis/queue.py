"""The order of what is served next, as an index in Redis; what is true, also about who may hold what, is in SQL.

Every step is one Lua script, so nobody sees half of it. A server that fails surfaces as Unavailable.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain

import redis

from labelloop.adapters.redis.build import CHUNK, FEW, Builder
from labelloop.adapters.redis.connection import guarded, pairs
from labelloop.adapters.redis.scripts import Scripts, key
from labelloop.adapters.redis.states import PREFERENCE, Guard, as_json, chunks, milliseconds
from labelloop.domain.errors import TooOften
from labelloop.domain.states import Lane
from labelloop.domain.types import Candidate, ItemNumber, Pull, Query, RoundNumber, SlotState, Subject

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
    def propose_all(
        self, name: str, pulls: Sequence[Pull], *, expires_at: datetime
    ) -> list[list[Candidate] | TooOften]:
        expiry, bounds = milliseconds(expires_at), (self._scan, self._page)
        calls: list[tuple[str | int, ...]] = [
            (one.annotator, expiry, max(one.count, 0), int(one.review), *bounds, one.pulls or 0, *one.covers)
            for one in pulls
        ]
        answers = self._scripts.run_all("propose", name, calls)
        return [_candidates(name, one, taken) for one, taken in zip(pulls, answers, strict=True)]

    @guarded
    def drop(self, name: str, annotator: Subject, states: Sequence[SlotState]) -> None:
        calls = [("exact", annotator, as_json(part)) for part in chunks(states, FEW)]
        self._scripts.run_all("place", name, calls)

    @guarded
    def done_all(self, name: str, counted: Sequence[tuple[Subject, Sequence[ItemNumber]]]) -> None:
        calls: list[tuple[str | int, ...]]
        calls = [(annotator, *part) for annotator, items in counted for part in chunks(items, FEW)]
        self._scripts.run_all("done", name, calls)

    @guarded
    def put_back(self, name: str, annotator: Subject, items: Sequence[ItemNumber], *, skip: bool) -> None:
        self._scripts.run_all("put_back", name, [(annotator, int(skip), *part) for part in chunks(items, FEW)])

    @guarded
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

        Each item is compared and set by one script. Without `seen`, what was done after SQL was read may be set back;
        that costs a refused candidate or a wait until the next sync, never a wrong grant, for SQL has the last word.
        """
        guard = None if seen is None else Guard(seen=seen, young=young)
        listed = self._listed(name)
        over = [(item, 0) for item in sorted(listed.difference(disputed))]
        new = [(item, disputed[item]) for item in sorted(disputed.keys() - listed)]
        calls = [(add, *chain(*part)) for add, pairs_ in ((0, over), (1, new)) for part in chunks(pairs_, CHUNK)]
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
        counts = self.depth_by_requirement(name).values()
        return {lane: sum(one[lane] for one in counts) for lane in Lane}

    @guarded
    def depth_by_requirement(self, name: str) -> Mapping[int, Mapping[Lane, int]]:
        build = str(self._connection.hget(key(name, "cfg"), "build"))
        asked = [(requirement, lane) for requirement in self._in_use(name) for lane in Lane]
        with self._connection.pipeline(transaction=False) as pipeline:
            for requirement, lane in asked:
                pipeline.zcard(_of(key(name, f"lane:{lane}:{build}"), requirement))
                pipeline.zcard(_of(key(name, f"started:{lane}"), requirement))
            counts = pipeline.execute()
        found: dict[int, dict[Lane, int]] = {}
        for (requirement, lane), (fresh, started) in zip(asked, pairs(counts), strict=True):
            found.setdefault(requirement, {})[lane] = fresh + started
        return found

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
    def erase(self, name: str) -> None:
        self._scripts.run("forget", name)
        for found in self._connection.scan_iter(match=key(name, "*"), count=CHUNK):
            self._connection.unlink(found)

    def _in_use(self, name: str) -> range:
        """Numbers of requirements, 0 for none."""
        return range(int(self._connection.hget(key(name, "cfg"), "highest") or 0) + 1)

    def _listed(self, name: str) -> set[int]:
        """Disputed items that wait in the review lane."""
        with self._connection.pipeline(transaction=False) as pipeline:
            for requirement in self._in_use(name):
                pipeline.zrange(_of(key(name, "started:review"), requirement), 0, -1)
            return {int(str(item)) for part in pipeline.execute() for item in part}

    @guarded
    def ping(self) -> bool:
        return bool(self._connection.ping())


def _of(key_: str, requirement: int) -> str:
    """Items that require nothing have the plain key (index.lua)."""
    return f"{key_}:{requirement}" if requirement else key_


def _candidates(name: str, one: Pull, taken: list[str]) -> list[Candidate] | TooOften:
    if taken[:1] == ["wait"]:
        return TooOften(
            f"You pulled work {one.pulls} times in a minute, as often as this project allows. Ask for larger batches.",
            retry_after=int(taken[1]) / 1000,
            project=name,
        )
    return [Candidate(item=ItemNumber(int(item)), lane=_LANES[lane]) for item, lane in pairs(taken)]


_LANES = {lane.value: lane for lane in Lane}
