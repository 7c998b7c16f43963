"""How fast work goes out and answers come back over HTTP, and what that costs the API.

    python benchmarks/dispatch.py [--items N] [--seconds S] [--databases sqlite postgresql]

A pool of a million items, a window of it in the queue. Annotators lease 10 and submit 10 without a pause, then one at a
time, then at a pace of 2,500 answers a second; every answer is committed before it is acknowledged (SQLite: WAL with
synchronous=FULL; PostgreSQL: as it comes). References in the same run: an empty FastAPI POST with the same bodies from
the same crowd, Redis' ZPOPMIN, and SQLite writing the same rows with nothing around it. At the end the store is
compared with what was acknowledged. Latencies are the crowd's and include its own queueing.
"""

import argparse
import json
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dispatch_stage as stage
import report
from dispatch_stage import Stage

MILLION, HUNDRED = "million", "hundred"


@dataclass(frozen=True, slots=True)
class Run:
    """So many annotators on a project, by batches, before so many API processes; `pace` is seconds between batches."""

    project: str
    annotators: int
    batch: int
    apis: int = 1
    pace: float = 0.0


RUNS = (
    Run(MILLION, 32, 10),
    Run(MILLION, 100, 10),
    Run(MILLION, 32, 10, pace=0.128),
    Run(HUNDRED, 8, 1),
    Run(HUNDRED, 32, 1),
    Run(MILLION, 32, 10, apis=2),
)
SHORT = {
    "server": "server",
    "annotators": "people",
    "batch": "batch",
    "items_s": "items/s",
    "cycles_s": "cycles/s",
    "cpu_ms_per_cycle": "CPU ms a cycle",
    "cpu_s_per_1000": "CPU s per 1,000",
    "lease_p50_ms": "claim p50 ms",
    "lease_p95_ms": "p95",
    "lease_p99_ms": "p99",
    "submit_p50_ms": "submit p50 ms",
    "submit_p99_ms": "p99 ",
    "of_empty": "of empty",
    "of_empty_cpu": "of empty, CPU",
    "leased_twice": "twice",
}
"""What the table shows of a row, and by which words; the JSON has everything."""


def main() -> None:
    """Measure, compare with the store, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--window", type=int, default=50_000)
    parser.add_argument("--databases", nargs="*", default=["sqlite", "postgresql"])
    options = parser.parse_args()
    pools = {MILLION: options.items, HUNDRED: min(100_000, options.items)}
    empty = {batch: _empty(batch, options.seconds / 2) for batch in (10, 1)}
    rows = [{"server": "empty FastAPI", "annotators": 32, "batch": batch, **row} for batch, row in empty.items()]
    facts: dict[str, Any] = {}
    for database in options.databases:
        if database == "postgresql" and not stage.has_postgresql():
            print("PostgreSQL is not installed: left out")
            continue
        with stage.stage(database, pools, window=options.window, annotators=100) as on:
            facts.setdefault("zpopmin", _zpopmin(on))
            if database == "sqlite":
                facts["sqlite_alone"] = stage.sqlite_alone(on, MILLION)
            measured = [_run(on, options, run) for run in RUNS]
            for row in measured:
                of = empty[row["batch"]]
                row["of_empty"] = round(row["requests_s"] / of["requests_s"], 3)
                row["of_empty_cpu"] = round(row["per_cpu_s"] / of["per_cpu_s"], 3)
            rows += measured
            facts[f"exact_{database}"] = _exact(on, measured)
    for name in ("zpopmin", "sqlite_alone"):
        if name in facts:
            report.show(name.replace("_", " "), [facts[name]])
    report.show("dispatch", [{word: row.get(name) for name, word in SHORT.items()} for row in rows])
    packages = ("fastapi", "uvicorn", "redis", "hiredis", "sqlalchemy", "psycopg", "pysqlite3")
    report.finish("dispatch", rows, packages=packages, table=False, pool=options.items, window=options.window, **facts)


def _run(on: Stage, options: argparse.Namespace, run: Run) -> dict[str, Any]:
    stage.next_round(on.ports, run.project, options.window)
    job = {
        "keys": on.keys[: run.annotators],
        "batch": run.batch,
        "pace": run.pace,
        "lease": f"/v1/projects/{run.project}/leases",
        "annotate": f"/v1/projects/{run.project}/annotations",
    }
    with stage.api(on, run.apis) as (ports, servers):
        stage.crowd({**job, "ports": ports, "seconds": 0.7})  # warm: caches, connections, prepared statements
        on.ports.ledger.study()  # as a steward does every few seconds
        before, redis = stage.spent(servers), stage.spent([on.redis])
        seen = stage.crowd({**job, "ports": ports, "seconds": options.seconds})
        used, redis = stage.spent(servers) - before, stage.spent([on.redis]) - redis
        memory = sum(server.memory_info().rss for server in servers)
    row = _row(seen, used, run.batch)
    extra = {"redis_cpu": round(redis / seen["wall"], 2), "rss_mb": round(memory / 2**20)}
    paced = f", {round(run.annotators * run.batch / run.pace):,} a second" if run.pace else ""
    server = f"{on.database}{f' ×{run.apis}' if run.apis > 1 else ''}{paced}"
    return {"server": server, "annotators": run.annotators, "batch": run.batch, **row, **extra, "project": run.project}


def _row(seen: dict[str, Any], used: float, batch: int) -> dict[str, Any]:
    lease, submit = seen["lease"], seen["annotate"]
    wall, calls = seen["wall"], lease["calls"] + submit["calls"]
    done = seen["acknowledged"] or submit["calls"] * batch
    return {
        "items_s": round(done / wall),
        "cycles_s": round(submit["calls"] / wall),
        "requests_s": round(calls / wall),
        "per_cpu_s": round(calls / max(used, 1e-9)),
        "cpu_ms_per_cycle": round(1000 * used / max(submit["calls"], 1), 3),
        "cpu_s_per_1000": round(1000 * used / max(done, 1), 3),
        "api_cpu": round(used / wall, 2),
        "lease_p50_ms": lease["ms"]["p50"],
        "lease_p95_ms": lease["ms"]["p95"],
        "lease_p99_ms": lease["ms"]["p99"],
        "submit_p50_ms": submit["ms"]["p50"],
        "submit_p99_ms": submit["ms"]["p99"],
        "crowd_cpu": round(seen["cpu"] / wall, 2),
        "acknowledged": seen["acknowledged"],
        "leased_twice": seen["leased_twice"],
    }


def _empty(batch: int, seconds: float) -> dict[str, Any]:
    """The same two bodies to endpoints that do nothing."""
    said = [{"lease": str(10**6 + at), "label": stage.CLASSES[at % 4], "seconds": 1.5} for at in range(batch)]
    bodies = [("/leases", json.dumps({"count": batch})), ("/annotations", json.dumps({"annotations": said}))]
    with stage.bare() as (ports, servers):
        job = {"keys": ["ll_" + "x" * 32] * 32, "ports": ports, "bodies": bodies}
        stage.crowd({**job, "seconds": 0.5})
        before = stage.spent(servers)
        seen = stage.crowd({**job, "seconds": seconds})
        used = stage.spent(servers) - before
    row = _row(seen, used, batch)
    return {**row, "items_s": None, "acknowledged": None, "leased_twice": None}


def _zpopmin(on: Stage, entries: int = 100_000, at_once: int = 32) -> dict[str, Any]:
    """Redis alone: one entry popped from a sorted set per command, so many commands on their way at a time."""
    client = on.ports.queue._connection  # type: ignore[attr-defined]
    for start in range(0, entries, 5_000):
        client.zadd("bench", {str(member): member for member in range(start, start + 5_000)})
    wire = socket.socket(socket.AF_UNIX)
    wire.connect(str(on.settings.redis_url).removeprefix("unix://"))
    command = b"*2\r\n$7\r\nZPOPMIN\r\n$5\r\nbench\r\n" * at_once
    before, started = stage.spent([on.redis]), time.perf_counter()
    for _ in range(entries // at_once):
        wire.sendall(command)
        answers = 0
        while answers < at_once:
            answers += wire.recv(65_536).count(b"*2\r\n")
    wall, used = time.perf_counter() - started, stage.spent([on.redis]) - before
    wire.close()
    return {"pops_s": round(entries / wall), "pops_per_redis_cpu_s": round(entries / max(used, 1e-9))}


def _exact(on: Stage, measured: Sequence[dict[str, Any]]) -> dict[str, int]:
    """What the store counts against what was acknowledged; the warm-ups were acknowledged, too."""
    ports = on.ports
    stored = twice = 0
    for name in (MILLION, HUNDRED):
        states = ports.ledger.slots(name)
        stored += sum(state.done for state in states)
        twice += sum(state.done > 1 for state in states)
    acknowledged = sum(row["acknowledged"] for row in measured)
    return {"acknowledged": acknowledged, "stored": stored, "stored_twice": twice}


if __name__ == "__main__":
    main()
