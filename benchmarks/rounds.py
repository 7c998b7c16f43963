"""What a round costs as the pool grows: seconds and memory of each stage, from 10,000 items to 10 million.

The pool is made in bulk: items by one statement, features (64 numbers each) straight into the files of their shards. A
logistic regression is trained on the first 2,000 labels; then a process of its own, with its numeric threads pinned as
a sampler has them, plans a round as the sampler does: look at the pool, score what the model has not seen, choose 1,000
with diversity and fill three lanes, keep the round, swap the queue. Then it plans again: with the same model nothing is
scored twice. Memory is what the process holds beyond the mapped files and beyond what it held before the round.

    python benchmarks/rounds.py [--items N ...] [--large] [--threads 2]

`--large` adds 10 million items (3 GB of features, 3 GB of items, some minutes to make). A million items are planned
once more with a class that is hunted, whose neighbours and groups are looked for in the first of the two rounds. Bars,
on two cores: 1 million in 10 s, 10 million in 100 s, 1 GB.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import report

NAME = "rounds"
WIDTH = 64
CLASSES = 10
LABELED = 2_000
SIZES = (10_000, 100_000, 1_000_000)
LARGE = 10_000_000
HUNTED = 1_000_000
BARS = {1_000_000: {"wall_s": 10.0, "extra_mb": 1024.0}, LARGE: {"wall_s": 100.0, "extra_mb": 1024.0}}
PROJECT = {
    "name": NAME,
    "labels": {"kind": "classes", "classes": [f"class-{code}" for code in range(CLASSES)]},
    "items": {"kind": "table"},
    "features": {"kind": "columns", "columns": [f"x{column}" for column in range(WIDTH)]},
    "model": {"kind": "sklearn", "parameters": {"max_iter": 200}},
    "lanes": {"informative": 0.8, "minority": 0.1, "audit": 0.1},
}
_MANY_ITEMS = """
    WITH RECURSIVE line(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM line WHERE n + 1 < :items)
    INSERT INTO item (project, number, key, digest, data, metadata, state, needed, priority, votes, pending, created_at)
    SELECT :project, n, printf('item-%09d', n), CAST(printf('%016d', n) AS BLOB), '{}', '{}', 'pooled', 1, 0, 0, 0, 0
    FROM line
"""

_LABEL = "UPDATE item SET state = 'resolved', source = 'import', label = ?, value = ? WHERE project = ? AND number = ?"


def main() -> None:
    """Make a pool of each size, plan its rounds in a process of their own, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--large", action="store_true", help="also 10 million items")
    parser.add_argument("--threads", type=int, default=2, help="numeric threads of the planning process")
    parser.add_argument("--scratch", type=Path, help="where the pools are made; the system's place if left out")
    parser.add_argument("--step", choices=("make", "plan"), help=argparse.SUPPRESS)
    parser.add_argument("--hunt", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step == "make":
        make_pool(options.items[0], hunt=options.hunt)
        return
    if options.step == "plan":
        plan_rounds(options.items[0], hunt=options.hunt)
        return
    sizes = [*options.items, *([LARGE] if options.large else [])]
    games = [(size, False) for size in sizes] + [(HUNTED, True)] * (HUNTED in sizes)
    rows = [row for size, hunt in games for row in _measured(size, options, hunt=hunt)]
    held = {
        str(size): all(row[name] <= bar for row in rows if _whole(row, size) for name, bar in BARS[size].items())
        for size in sizes
        if size in BARS
    }
    report.finish("rounds", rows, width=WIDTH, classes=CLASSES, threads=options.threads, held=held)


def _whole(row: dict[str, Any], size: int) -> bool:
    return row["items"] == size and row["stage"] == "round"


def _measured(size: int, options: argparse.Namespace, *, hunt: bool) -> list[dict[str, Any]]:
    """Rows of one size, with a class to hunt or without."""
    from labelloop.adapters.redis.embedded import EmbeddedRedis

    with (
        TemporaryDirectory(prefix="labelloop-rounds-", dir=options.scratch) as folder,
        EmbeddedRedis(Path(folder)) as redis,
    ):
        env = os.environ | {
            "LABELLOOP_HOME": folder,
            "LABELLOOP_REDIS_URL": redis.address,
            "LABELLOOP_LOG_LEVEL": "warning",
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(options.threads)),
        }
        for step in ("make", "plan"):
            argv = [sys.executable, __file__, "--step", step, "--items", str(size), *(["--hunt"] if hunt else [])]
            done = subprocess.run(argv, env=env, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


# --- the pool --------------------------------------------------------------------------------------------------


def make_pool(size: int, *, hunt: bool) -> None:
    """A project with so many items and their features, the first of them labeled, and a champion."""
    from labelloop import projects, wiring
    from labelloop.domain.types import JobId
    from labelloop.loop.promote import promote
    from labelloop.loop.train import train
    from labelloop.settings import Settings

    settings = Settings()
    ports = wiring.build(settings)
    try:
        floors = {"minority": {"floors": {f"class-{CLASSES - 1}": 100_000}}} if hunt else {}
        asked = projects.RECOMMENDED.model_dump(mode="json") | {"batch": 1_000}
        project = projects.parse(PROJECT | floors | {"strategy": asked})
        ports.projects.create(project, ports.clock.now())
        codes = _write_features(ports, project, size, settings.home)
        _write_items(settings, size, codes)
        model = train(ports, NAME, JobId("train-rounds-1"), lambda *_: None)
        promote(ports, NAME, model.number)
    finally:
        wiring.close(ports)


def _write_features(ports: Any, project: Any, size: int, home: Path) -> Any:
    """Overlapping classes, the last ones rarer; gives the class of each of the first LABELED."""
    import numpy as np

    from labelloop.adapters.features.store import marks_of
    from labelloop.disk import arrays
    from labelloop.domain.states import ItemState
    from labelloop.domain.types import Item, ItemNumber

    rng = np.random.default_rng(0)
    centres = rng.normal(0, 0.35, (CLASSES, WIDTH)).astype(np.float32)
    shares = np.linspace(1.0, 0.1, CLASSES)
    folder = home / "projects" / NAME / "features" / ports.features.version(project)
    step, first = project.items.shard_size, np.zeros(0, dtype=np.int64)
    for shard, start in enumerate(range(0, size, step)):
        count = min(step, size - start)
        codes = rng.choice(CLASSES, size=count, p=shares / shares.sum())
        rows = rng.standard_normal((count, WIDTH), dtype=np.float32) + centres[codes]
        items = [
            Item(number=ItemNumber(number), key=f"item-{number:09d}", data={}, state=ItemState.POOLED)
            for number in range(start, start + count)
        ]
        columns = {"rows": rows, "marks": marks_of(items)}
        arrays.save(folder, f"shard-{shard:06d}", columns, notes={"rows": count, "width": WIDTH})
        first = np.concatenate([first, codes])[:LABELED] if len(first) < LABELED else first
    return first


def _write_items(settings: Any, size: int, codes: Any) -> None:
    """All items in one transaction; the first are labeled by import."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(settings.database)
    with engine.begin() as connection:
        do = connection.exec_driver_sql
        project = do("SELECT id FROM project").scalar_one()
        connection.execute(sqlalchemy.text(_MANY_ITEMS), {"items": size, "project": project})
        labels = [(f"class-{code}", f"class-{code}", project, number) for number, code in enumerate(codes.tolist())]
        do(_LABEL, labels)
        counted = (size, size - len(labels), len(labels))
        do("UPDATE project SET items = ?, pooled = ?, resolved = ?, pool_version = 1", counted)
    engine.dispose()


# --- the rounds ------------------------------------------------------------------------------------------------


class Stages:
    """Wall and CPU seconds and the most memory of each stage; a stage that is entered often is summed up."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, float]] = {}
        self._base = self._most = _held_mb()
        self._over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside to this stage."""
        self._most, wall, cpu = _held_mb(), time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            one = self.found.setdefault(name, {"wall_s": 0.0, "cpu_s": 0.0, "extra_mb": 0.0})
            one["wall_s"] += time.perf_counter() - wall
            one["cpu_s"] += time.process_time() - cpu
            one["extra_mb"] = max(one["extra_mb"], self._most - self._base, _held_mb() - self._base)

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The function, counted to this stage."""

        def counted(*args: Any, **keywords: Any) -> Any:
            with self.stage(name):
                return work(*args, **keywords)

        return counted

    def rows(self, size: int, kind: str) -> list[dict[str, Any]]:
        """As a table, the whole round last."""
        self._over.set()
        total = {name: sum(one[name] for one in self.found.values()) for name in ("wall_s", "cpu_s")}
        total["extra_mb"] = max(one["extra_mb"] for one in self.found.values())
        stages = {**self.found, "round": total}
        return [
            {"items": size, "round": kind, "stage": name, **{key: round(value, 3) for key, value in one.items()}}
            for name, one in stages.items()
        ]

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self._most = max(self._most, _held_mb())


def _held_mb() -> float:
    """Memory of this process that no file backs."""
    with Path("/proc/self/status").open(encoding="ascii") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem"))) / 1024


def plan_rounds(size: int, *, hunt: bool) -> None:
    """Plan twice: with a model that has seen nothing yet, and with the same again."""
    from threadpoolctl import threadpool_limits

    from labelloop import wiring
    from labelloop.loop import plan as planning
    from labelloop.settings import Settings

    ports = wiring.build(Settings())
    watched = {name: getattr(planning, name) for name in ("featurize", "look", "score", "compose", "serve")}
    rows: list[dict[str, Any]] = []
    try:
        planning.load_model(ports, ports.projects.get(NAME), ports.projects.row(NAME).champion)
        with threadpool_limits(int(os.environ["OMP_NUM_THREADS"])):
            for kind in ("new model", "same model"):
                stages = Stages()
                for name, work in watched.items():
                    setattr(planning, name, stages.timed(name, work))
                with stages.stage("rest"):
                    planned = planning.plan(_writing(ports, stages), NAME, lambda *_: None)
                rest = stages.found.pop("rest")
                for name in ("wall_s", "cpu_s"):  # the stages happened inside of it
                    rest[name] -= sum(one[name] for one in stages.found.values())
                stages.found["rest"] = rest
                rows += stages.rows(size, f"{kind}, hunting" if hunt else kind)
        if planned is None or planned.queries < 1_000 or "fallback" in planned.stats:
            raise SystemExit(f"the round is not what was to be measured: {planned}")
    finally:
        wiring.close(ports)
    print(json.dumps(rows))


def _writing(ports: Any, stages: Stages) -> Any:
    """The ports, with the writing of the round as a stage."""

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(ports.rounds, name)

        save = staticmethod(stages.timed("keep", ports.rounds.save))

    return replace(ports, rounds=Watched())


if __name__ == "__main__":
    main()
