"""The order of a large pool made anew while annotators pull: seconds from scores to served order; what pulls feel.

    python benchmarks/rerank.py [--items N …] [--windows N …] [--databases sqlite postgresql] [--seconds S]

All that waits is ranked by new scores, the window of it kept as a round and swapped into the queue, by the steps of
`loop.plan`: first alone, then again and again without a pause while 32 annotators lease 10 and submit 10 at 1,600
answers a second. A window of 5,000 is the default of a project, 50,000 the most that it may have. At the end Redis
loses everything and is filled again.
"""

import argparse
import threading
import time
from dataclasses import dataclass
from typing import Any

import dispatch_stage as stage
import numpy as np
import report
from dispatch_stage import Stage

from labelloop.adapters.redis.scripts import digest
from labelloop.domain.states import Lane
from labelloop.loop import plan
from labelloop.loop.compose import Ranked
from labelloop.loop.resolve import resolve
from labelloop.maths import selection

PACE_SECONDS = 0.2
LARGEST = 50_000
"""The longest window that a project may have (projects.dispatch)."""


@dataclass(frozen=True, slots=True)
class Reranked:
    """Seconds of each stage."""

    select: float
    save: float
    load: float

    @property
    def whole(self) -> float:
        """From scores to served order."""
        return self.select + self.save + self.load


def main() -> None:
    """Every pool with every window, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--windows", type=int, nargs="*", default=[5_000, LARGEST])
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--databases", nargs="*", default=["sqlite", "postgresql"])
    options = parser.parse_args()
    rows = []
    for database in options.databases:
        if database == "postgresql" and not stage.has_postgresql():
            print("PostgreSQL is not installed: left out")
            continue
        for items in options.items:
            if database == "postgresql" and items > 1_000_000:
                continue  # the pool alone would take most of an hour
            with stage.stage(database, {"pool": items}, window=LARGEST, annotators=32) as on:
                for window in options.windows:
                    rows.append(measure(on, "pool", window=window, seconds=options.seconds))
                    print(rows[-1], flush=True)
    report.finish("rerank", rows, packages=("redis", "sqlalchemy", "psycopg", "pysqlite3"))


def measure(on: Stage, name: str, *, window: int, seconds: float) -> dict[str, Any]:
    """Rank all of the pool again and again, first alone and then under 32 annotators; rebuild Redis from the store."""
    rng = np.random.default_rng(0)
    resolve(on.ports, name)  # as a steward does all the time
    alone = [rerank(on, name, rng, window) for _ in range(3)]
    stage.next_round(on.ports, name, LARGEST)  # enough for those who pull while nothing is ranked
    with stage.api(on) as (ports, _):
        job = {
            "keys": on.keys[:32],
            "batch": 10,
            "lease": f"/v1/projects/{name}/leases",
            "annotate": f"/v1/projects/{name}/annotations",
            "ports": ports,
            "seconds": seconds,
            "pace": PACE_SECONDS,
        }
        stage.crowd({**job, "seconds": 1.0})
        on.ports.ledger.study()
        quiet = stage.crowd(job)
        over, during = threading.Event(), list[Reranked]()

        def again() -> None:
            while not over.is_set():
                resolve(on.ports, name)
                on.ports.ledger.study()
                during.append(rerank(on, name, rng, window))

        thread = threading.Thread(target=again)
        thread.start()
        busy = stage.crowd(job)
        over.set()
        thread.join()
    rebuilt = _rebuild(on, name)
    return {
        "database": on.database,
        "items": on.ports.projects.row(name).items,
        "window": window,
        "rerank_s": _median([one.whole for one in alone]),
        "select_s": _median([one.select for one in alone]),
        "save_s": _median([one.save for one in alone]),
        "load_s": _median([one.load for one in alone]),
        "while_serving_s": _median([one.whole for one in during]),
        "swap_ms": _swap(on, name),
        "claim_p50_ms": quiet["lease"]["ms"]["p50"],
        "claim_p50_while_ms": busy["lease"]["ms"]["p50"],
        "claim_p99_ms": quiet["lease"]["ms"]["p99"],
        "claim_p99_while_ms": busy["lease"]["ms"]["p99"],
        "answers_s": round(quiet["acknowledged"] / quiet["wall"]),
        "answers_while_s": round(busy["acknowledged"] / busy["wall"]),
        "came_up_empty": busy["empty"],
        "rebuild_s": rebuilt,
        "redis_mb": _memory(on),
    }


def rerank(on: Stage, name: str, rng: np.random.Generator, window: int) -> Reranked:
    """From the scores of all that wait to the order served, by the steps of `loop.plan`."""
    ports, project = on.ports, on.ports.projects.get(name)
    waiting = ports.pool.waiting(name)
    scores = rng.random(len(waiting), dtype=np.float32)
    started = time.perf_counter()
    order = selection.top(scores, min(window, len(scores)), rng)
    ranked = Ranked(numbers=waiting[order], scores=scores[order], probabilities=np.ones(len(order)))
    queries = plan.to_queries(project, {Lane.INFORMATIVE: ranked})
    selected = time.perf_counter()
    planned = ports.rounds.save(
        name, queries, strategy="margin", seed=1, model=None, pool_version=1, stats={}, now=ports.clock.now()
    )
    if planned is None:
        raise SystemExit("the round was not saved")
    saved = time.perf_counter()
    plan.serve(ports, project, planned, queries)
    took = Reranked(selected - started, saved - selected, time.perf_counter() - saved)
    ports.rounds.forget(name)
    return took


def _swap(on: Stage, name: str) -> float | None:
    """Milliseconds of the longest swap that Redis noted."""
    client: Any = on.ports.queue._connection  # type: ignore[attr-defined]
    client.config_set("slowlog-log-slower-than", 0)
    client.slowlog_reset()
    stage.next_round(on.ports, name, 1_000)
    swaps = [one["duration"] / 1000 for one in client.slowlog_get(256) if digest("swap").encode() in one["command"]]
    client.config_set("slowlog-log-slower-than", 10_000)
    return round(max(swaps), 2) if swaps else None


def _rebuild(on: Stage, name: str) -> float:
    """Seconds to serve again after Redis lost everything."""
    ports = on.ports
    ports.queue.forget(name)
    started = time.perf_counter()
    serving = ports.rounds.serving(name)
    if serving is None:
        raise SystemExit("no round is served")
    plan.serve(ports, ports.projects.get(name), serving)
    return round(time.perf_counter() - started, 2)


def _memory(on: Stage) -> float:
    """MB of Redis with the window of this pool."""
    client: Any = on.ports.queue._connection  # type: ignore[attr-defined]
    return round(client.info("memory")["used_memory"] / 2**20, 1)


def _median(values: list[float]) -> float:
    return round(float(np.median(values)), 2)


if __name__ == "__main__":
    main()
