"""From 100,000 texts in a file to a queue ordered by a model: seconds and peak memory of each process on the way.

Each step is a process of its own, as in the service: the command line ingests; a plan job computes features and puts
the cold queue up; a train job fits the first model on the labels that came along; a plan job scores the pool and swaps
the queue. Bars: under 90 s in all, ingest well under 30 s, no process over 1.5 GB.

    python benchmarks/pool.py [--items N]
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import report
import texts

from labelloop.adapters.redis.embedded import EmbeddedRedis

NAME = "pool"
LABELED = 200
"""The first rows bring their label along, so that a first model can be trained."""
PROJECT = f"""
name = "{NAME}"
labels = {{ kind = "classes", classes = {json.dumps(list(texts.CLASSES))} }}
items = {{ kind = "text", field = "text" }}
features = {{ kind = "text", vectorizer = "tfidf", min_count = 2 }}
model = {{ kind = "sklearn", parameters = {{ C = 10.0, max_iter = 1000 }} }}
strategy = {{ kind = "margin", cold_start = {{ kind = "diversity" }} }}
lanes = {{ informative = 0.8, minority = 0.1, audit = 0.1 }}
"""
BARS = {"seconds": 90.0, "ingest_seconds": 30.0, "peak_mb": 1536.0}


def main() -> None:
    """Run all steps and report, or one step in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--step", choices=("plan", "train"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        job_step(options.step)
        return
    with TemporaryDirectory(prefix="labelloop-pool-") as scratch:
        folder = Path(scratch)
        (folder / "pool.toml").write_text(PROJECT, encoding="utf-8")
        write_items(folder / "items.jsonl", options.items)
        with EmbeddedRedis(folder / "home") as redis:
            rows = _steps(folder, redis.address)
            depth = _depth(folder)
    total = {"step": "in all", "wall_s": round(sum(row["wall_s"] for row in rows), 2)}
    total["cpu_s"] = round(sum(row["cpu_s"] for row in rows), 2)
    total["peak_mb"] = max(row["peak_mb"] for row in rows)
    rows.append(total)
    held = {
        "seconds": total["wall_s"] < BARS["seconds"],
        "ingest_seconds": rows[0]["wall_s"] < BARS["ingest_seconds"],
        "peak_mb": total["peak_mb"] < BARS["peak_mb"],
    }
    report.finish("pool", rows, items=options.items, bars=BARS, held=held, queue=depth)


def write_items(path: Path, count: int) -> None:
    """The pool as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        for number, (text, label) in enumerate(texts.texts(count)):
            item: dict[str, Any] = {"key": f"text-{number:06d}", "data": {"text": text}}
            if number < LABELED:
                item["label"] = label
            file.write(json.dumps(item) + "\n")


def _steps(folder: Path, redis: str) -> list[dict[str, Any]]:
    env = os.environ | {
        "LABELLOOP_HOME": str(folder / "home"),
        "LABELLOOP_REDIS_URL": redis,
        "LABELLOOP_LOG_LEVEL": "warning",
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    }
    cli = [sys.executable, "-m", "labelloop.cli"]
    job = [sys.executable, __file__, "--step"]
    _timed("project", [*cli, "project", "create", str(folder / "pool.toml")], env)
    return [
        _timed("ingest", [*cli, "ingest", NAME, str(folder / "items.jsonl")], env),
        _timed("features, cold queue", [*job, "plan"], env),
        _timed("first model", [*job, "train"], env),
        _timed("scores, queue by model", [*job, "plan"], env),
    ]


def _timed(step: str, argv: list[str], env: dict[str, str]) -> dict[str, Any]:
    """Run a process to its end: wall and CPU seconds, and the most memory it had resident."""
    start = time.perf_counter()
    process = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{step} ended with exit code {process.returncode}: {' '.join(argv)}")
    return {
        "step": step,
        "wall_s": round(wall, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mb": round(usage.ru_maxrss / 1024, 1),
    }


def job_step(kind: str) -> None:
    """Run the oldest waiting job of this kind as a worker would, or one that is asked for here."""
    from labelloop import jobs, wiring
    from labelloop.domain.states import JobKind, JobState
    from labelloop.loop.request import request_round, request_training
    from labelloop.settings import Settings

    settings = Settings()
    ports = wiring.build(settings)
    try:
        due = [job for job in ports.jobs.recent(NAME, JobKind(kind), 10) if job.state is JobState.DUE]
        job = due[-1] if due else {"plan": request_round, "train": request_training}[kind](ports, NAME)
        {"plan": jobs.plan, "train": jobs.train}[kind](job.id, job.attempt + 1)
        ended = ports.jobs.get(job.id)
    finally:
        wiring.close(ports)
    if ended.state is not JobState.DONE:
        raise SystemExit(f"{job.id}: {ended.problem}")


def _depth(folder: Path) -> dict[str, int]:
    """What waits in each lane at the end: the queue is really there."""
    from labelloop import wiring
    from labelloop.settings import Settings

    ports = wiring.build(Settings(home=folder / "home"))
    try:
        depth = {lane.value: count for lane, count in ports.queue_health.depth(NAME).items()}
        serving = ports.rounds.serving(NAME)
    finally:
        wiring.close(ports)
    if serving is None or serving.model is None or not sum(depth.values()):
        raise SystemExit(f"the queue is not ready: {serving}, {depth}")
    return depth


if __name__ == "__main__":
    main()
