"""The order of a large pool made anew while annotators pull: seconds from scores to served order; what pulls feel."""

import threading
import time
from dataclasses import dataclass
from typing import Any

import dispatch_stage as stage
import numpy as np
from dispatch_stage import Stage

from labelloop.adapters.redis.scripts import digest
from labelloop.domain.states import Lane
from labelloop.domain.types import ItemNumber, Query, RoundNumber
from labelloop.loop import plan
from labelloop.loop.plan import Ranked
from labelloop.loop.resolve import resolve
from labelloop.maths import selection


@dataclass(frozen=True, slots=True)
class Reranked:
    """Seconds of each stage."""

    select: float
    save: float
    load: float


def measure(on: Stage, name: str, *, window: int, seconds: float) -> dict[str, Any]:
    """Rank all of the pool again and again, first alone and then under 32 annotators; rebuild Redis from the store."""
    rng = np.random.default_rng(0)
    resolve(on.ports, name)  # as a steward does all the time
    alone = [rerank(on, name, rng, window) for _ in range(3)]
    with stage.api(on) as (ports, servers):
        job = {
            "keys": on.keys[:32],
            "batch": 10,
            "lease": f"/v1/projects/{name}/leases",
            "annotate": f"/v1/projects/{name}/annotations",
            "ports": ports,
            "seconds": seconds,
            "pace": 0.2,
        }
        stage.crowd({**job, "seconds": 1.0})
        quiet = stage.crowd(job)
        over, during = threading.Event(), list[Reranked]()

        def again() -> None:
            while not over.is_set():
                resolve(on.ports, name)
                during.append(rerank(on, name, rng, window))

        thread = threading.Thread(target=again)
        thread.start()
        busy = stage.crowd(job)
        over.set()
        thread.join()
        del servers
    rebuilt = _rebuild(on, name)
    return {
        "rerank_s": _median([one.select + one.save + one.load for one in alone]),
        "select_s": _median([one.select for one in alone]),
        "save_s": _median([one.save for one in alone]),
        "load_s": _median([one.load for one in alone]),
        "while_serving_s": _median([one.select + one.save + one.load for one in during]),
        "swap_ms": _swap(on, name),
        "claim_p50_ms": quiet["lease"]["ms"]["p50"],
        "claim_p50_while_ms": busy["lease"]["ms"]["p50"],
        "claim_p99_ms": quiet["lease"]["ms"]["p99"],
        "claim_p99_while_ms": busy["lease"]["ms"]["p99"],
        "rebuild_s": rebuilt,
        **_memory(on),
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


def _memory(on: Stage) -> dict[str, float]:
    """MB of Redis with the window of this pool, and with one out of ten million items."""
    client: Any = on.ports.queue._connection  # type: ignore[attr-defined]
    now = client.info("memory")["used_memory"] / 2**20
    window = 50_000
    chosen = np.random.default_rng(1).choice(10_000_000, window, replace=False)
    queries = [
        Query(item=ItemNumber(item), lane=Lane.INFORMATIVE, rank=rank, score=0.5, probability=1.0)
        for rank, item in enumerate(chosen.tolist())
    ]
    on.ports.queue.load("tenmillion", RoundNumber(1), {Lane.INFORMATIVE: queries}, [], {Lane.INFORMATIVE: 1.0})
    more = client.info("memory")["used_memory"] / 2**20 - now
    on.ports.queue.forget("tenmillion")
    return {"redis_mb": round(now, 1), "redis_10m_mb": round(more, 1)}


def _median(values: list[float]) -> float:
    return round(float(np.median(values)), 2)
