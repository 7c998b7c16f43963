"""What skills cost the queue: server time and steps of a pull, by how many requirements there are and are covered.

The first row is a queue in which nothing is required; the last is somebody without skills in front of items that
all require one.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import redis
import report

from labelloop.adapters.redis import EmbeddedRedis, RedisQueue, connect
from labelloop.domain.errors import TooOften
from labelloop.domain.skills import MOST_REQUIREMENTS
from labelloop.domain.states import Lane
from labelloop.domain.types import ItemNumber, Pull, Query, RoundNumber, Subject

NAME = "routing"
LANES = {Lane.INFORMATIVE: 0.7, Lane.MINORITY: 0.2, Lane.AUDIT: 0.1}
PULLS = 300
ANNOTATORS = 32
BATCHES = (1, 10)


@dataclass(frozen=True, slots=True)
class Case:
    """So many different requirements beside items without any, of which an annotator covers some.

    `open_ones`: whether there are items that require nothing.
    """

    kinds: int
    covers: int
    open_ones: bool = True

    def requirement(self, item: int) -> int:
        """The items take turns."""
        return item % (self.kinds + 1) if self.open_ones else 1 + item % self.kinds


CASES = (
    Case(0, 0),
    Case(1, 0),
    Case(1, 1),
    Case(16, 3),
    Case(64, 3),
    Case(64, 64),
    Case(MOST_REQUIREMENTS, 3),
    Case(MOST_REQUIREMENTS, MOST_REQUIREMENTS),
    Case(1, 0, open_ones=False),
)


def main() -> None:
    """Measure every case on one server, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000, help="items that wait, in three lanes")
    items: int = parser.parse_args().items
    with tempfile.TemporaryDirectory(prefix="labelloop-bench-") as home, EmbeddedRedis(Path(home)) as server:
        connection = connect(server.address)
        rows = [_row(connection, case, items) for case in CASES]
    report.finish("routing", rows, packages=("redis",), items=items, pulls=PULLS)


def _row(connection: "redis.Redis", case: Case, items: int) -> dict[str, Any]:
    covers, row = range(1, case.covers + 1), dict[str, Any]()
    for batch in BATCHES:
        best = float("inf")
        for _ in range(3):
            connection.flushall()
            queue = RedisQueue(connection)
            _load(queue, case, items)
            micro, steps, got = _pull(connection, queue, batch, covers)
            best = min(best, micro)
        row |= {f"us_per_pull_{batch}": best, f"steps_{batch}": steps, f"items_{batch}": got}
    return {"requirements": case.kinds, "covered": case.covers, "all_require": not case.open_ones, **row}


def _load(queue: RedisQueue, case: Case, items: int) -> None:
    size = items // len(LANES)
    lanes = {
        lane: [
            Query(ItemNumber(item), lane, rank, 0.0, 1.0, requires=case.requirement(item))
            for rank, item in enumerate(range(at * size, (at + 1) * size))
        ]
        for at, lane in enumerate(LANES)
    }
    queue.load(NAME, RoundNumber(1), lanes, [], LANES)


def _pull(
    connection: "redis.Redis", queue: RedisQueue, batch: int, covers: Sequence[int]
) -> tuple[float, float, float]:
    """Microseconds of the server, commands inside the scripts, and items, each per pull."""
    ends, got = datetime.now(UTC) + timedelta(minutes=5), 0
    connection.config_resetstat()
    for at in range(PULLS):
        one = Pull(annotator=Subject(f"a{at % ANNOTATORS}"), count=batch, covers=tuple(covers))
        proposed = queue.propose_all(NAME, [one], expires_at=ends)[0]
        got += 0 if isinstance(proposed, TooOften) else len(proposed)
    told: dict[str, Any] = connection.info("commandstats")
    scripts = told["cmdstat_evalsha"]
    inside = sum(one["calls"] for name, one in told.items() if name not in _OUTSIDE)
    return scripts["usec"] / PULLS, inside / PULLS, got / PULLS


_OUTSIDE = {"cmdstat_evalsha", "cmdstat_config|resetstat", "cmdstat_info", "cmdstat_script|load"}

if __name__ == "__main__":
    main()
