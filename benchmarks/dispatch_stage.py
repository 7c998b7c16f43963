"""What the benchmarks of dispatch stand on: databases with a large pool, API processes, and the crowd.

The pool is written straight into the tables (taking a million items in over HTTP is another benchmark); a SQLite file
with it is kept in the temporary folder and copied for each run.
"""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psutil
from fastapi import FastAPI, Request, Response
from sqlalchemy import text

from labelloop import wiring
from labelloop.adapters.redis.embedded import EmbeddedRedis
from labelloop.adapters.sql import tables
from labelloop.adapters.sql.driver import Driver, inserting, statement
from labelloop.adapters.sql.store import Store, open_store
from labelloop.api.keys import digest_key, new_key
from labelloop.domain.states import Lane, Role
from labelloop.domain.types import Identity, ItemNumber, Query, Subject
from labelloop.loop import plan
from labelloop.ports import Ports
from labelloop.projects import parse
from labelloop.settings import Settings

HERE = Path(__file__).parent
CLASSES = ("business", "science", "sports", "world")
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
CROWD_CORES = CORES[-1:]
"""The crowd keeps to one core; the servers run wherever there is room, as on a machine of their users."""

empty = FastAPI()


@empty.post("/leases")
@empty.post("/annotations")
async def nothing(request: Request) -> Response:
    """Read the body and say nothing: what the web framework alone costs."""
    await request.body()
    return Response(b"{}", media_type="application/json")


def project_file(name: str, window: int) -> dict[str, Any]:
    """A project whose order is made by hand here."""
    return {
        "name": name,
        "labels": {"kind": "classes", "classes": list(CLASSES)},
        "items": {"kind": "text", "field": "text"},
        "features": {"kind": "text", "vectorizer": "hashing", "max_terms": 4096},
        "strategy": {"kind": "margin", "cold_start": {"kind": "random"}},
        "lanes": {"informative": 1.0, "audit": 0.0, "window": window},
        "retrain": {"labels": None, "first": 1_000_000},
        "lease": {"maximum": 1_000},
    }


# --- databases ---------------------------------------------------------------------------------------------------


def fill(store: Store, name: str, items: int, *, window: int) -> None:
    """A project with so many items that wait, made by the database itself."""
    now = wiring.SystemClock().now()
    store.projects.create(parse(project_file(name, window)), now)
    kept = {"project": store.database.id_of(name), "items": items}
    with store.engine.begin() as connection:
        filled = text(_FILL_SQLITE if store.database.sqlite else _FILL_POSTGRESQL)
        connection.execute(filled, {**kept, "created": tables.microseconds(now)})
        connection.execute(
            text("UPDATE project SET items = :items, pooled = :items, pool_version = 1 WHERE id = :project"), kept
        )


_WORDS = " || ".join(f"' word' || (n * {step}) % 9973" for step in (7, 11, 13, 17, 19, 23, 29, 31))
_FILL = """INSERT INTO item
    (project, number, key, digest, data, metadata, state, needed, priority, votes, pending, created_at)
    SELECT :project, n, 't' || n, %s, %s, %s, 'pooled', 1, 0, 0, 0, :created FROM %s"""
_DATA = f"""'{{"text": "Text ' || n || {_WORDS} || '"}}'"""
_FILL_SQLITE = "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :items) " + (
    _FILL % ("CAST(printf('%016d', n) AS BLOB)", _DATA, "'{}'", "numbers")
)
_FILL_POSTGRESQL = _FILL % (
    "decode(lpad(to_hex(n), 32, '0'), 'hex')",
    _DATA,
    "'{}'",
    "generate_series(CAST(0 AS integer), :items - 1) AS numbers(n)",
)


@contextmanager
def sqlite(home: Path, pools: Mapping[str, int], *, window: int) -> Iterator[str]:
    """The URL of a SQLite database with these projects; made once, then copied."""
    told = json.dumps([dict(pools), window, sorted(tables.metadata.tables), _schema()])
    kept = Path(tempfile.gettempdir()) / f"labelloop-bench-{hashlib.sha256(told.encode()).hexdigest()[:12]}.db"
    if not kept.exists():
        draft = kept.with_name(f"{kept.name}.{os.getpid()}")
        store = open_store(f"sqlite:///{draft}")
        for name, items in pools.items():
            fill(store, name, items, window=window)
        store.close()
        draft.rename(kept)
    shutil.copyfile(kept, home / "labelloop.db")
    yield f"sqlite:///{home / 'labelloop.db'}"


def _schema() -> str:
    return hashlib.sha256((HERE.parent / "src/labelloop/adapters/sql/tables.py").read_bytes()).hexdigest()


@contextmanager
def postgresql(_: Path, pools: Mapping[str, int], *, window: int) -> Iterator[str]:
    """The URL of a PostgreSQL database with these projects, on a new server with its default settings."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    import postgres

    with postgres.server() as socket, postgres.database(socket) as url:
        store = open_store(url)
        for name, items in pools.items():
            fill(store, name, items, window=window)
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        store.close()
        yield url


def has_postgresql() -> bool:
    """Whether there is a server to start."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    import postgres

    return postgres.binaries() is not None


def next_round(ports: Ports, name: str, window: int) -> None:
    """Plan the next window by number and serve it: what was not asked yet comes next."""
    waiting = ports.pool.waiting(name)[:window]
    queries = [
        Query(
            item=ItemNumber(item),
            lane=Lane.INFORMATIVE,
            rank=rank,
            score=1.0 - rank / window,
            probability=1.0,
        )
        for rank, item in enumerate(waiting.tolist())
    ]
    planned = ports.rounds.save(
        name, queries, strategy="margin", seed=1, model=None, pool_version=1, stats={}, now=ports.clock.now()
    )
    if planned is None:
        raise SystemExit("the round was not saved")
    plan.serve(ports, ports.projects.get(name), planned)


def sqlite_alone(on: "Stage", name: str, *, groups: int = 40, group: int = 160) -> dict[str, float]:
    """What the rows of a lease and of an answer cost SQLite itself, durably, so many at a time; nothing is left."""
    path = on.settings.home / "labelloop.db"
    copy = path.with_name("alone.db")
    shutil.copyfile(path, copy)
    store = open_store(f"sqlite:///{copy}")
    project = store.database.id_of(name)
    began, ends = 10**15, 2 * 10**15
    used, started = time.process_time(), time.perf_counter()
    for at in range(groups):
        ids = range(1 + at * group, 1 + (at + 1) * group)
        with store.database.write() as connection:
            Driver(connection).add(
                _LEASE, [(n, project, n, f"annotator-{n // 10}", 0, "leased", "informative", began, ends) for n in ids]
            )
        with store.database.write() as connection:
            driver = Driver(connection)
            driver.run(_DONE, began, list(ids))
            driver.add(_ANSWER, [(project, n, f"annotator-{n // 10}", n, "a", "accepted", 1, "x", began) for n in ids])
            driver.run(_COUNT, project, list(ids))
    wall, used = time.perf_counter() - started, time.process_time() - used
    store.close()
    copy.unlink()
    items = groups * group
    return {"items_s": round(items / wall), "items_per_cpu_s": round(items / used), "commit_of": group}


_LEASE = inserting(
    "assignment", *("id", "project", "item", "annotator", "slot", "state", "lane", "leased_at", "expires_at")
)
_DONE = statement("UPDATE assignment SET state = 'done', closed_at = ? WHERE id IN [?]")
_ANSWER = inserting(
    "annotation", *("project", "item", "annotator", "assignment", "value", "outcome", "counted", "role", "created_at")
)
_COUNT = statement("UPDATE item SET votes = 1, pending = 1 WHERE project = ? AND number IN [?]")


# --- processes ---------------------------------------------------------------------------------------------------


@dataclass
class Stage:
    """A home with a database and Redis, keys for a crowd, and ports to look into it."""

    settings: Settings
    ports: Ports
    keys: list[str]
    redis: psutil.Process
    database: str
    servers: list[psutil.Process] = field(default_factory=list)


@contextmanager
def stage(database: str, pools: Mapping[str, int], *, window: int, annotators: int) -> Iterator[Stage]:
    """Everything but the API."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="labelloop-bench-")))
        kind = sqlite if database == "sqlite" else postgresql
        url = stack.enter_context(kind(home, pools, window=window))
        redis = stack.enter_context(EmbeddedRedis(home))
        settings = Settings(home=home, redis_url=redis.address, database_url=url)
        ports = wiring.build(settings)
        stack.callback(wiring.close, ports)
        keys = [new_key() for _ in range(annotators)]
        for at, key in enumerate(keys):
            who = Identity(subject=Subject(f"annotator-{at}"), role=Role.ANNOTATOR)
            ports.keys.create(who, digest_key(settings.hashing_secret, key), ports.clock.now())
        pid = int((redis.folder / "redis.pid").read_text())
        yield Stage(settings=settings, ports=ports, keys=keys, redis=psutil.Process(pid), database=database)


@contextmanager
def api(on: Stage, count: int = 1) -> Iterator[tuple[list[int], list[psutil.Process]]]:
    """API processes as `labelloop serve` runs them."""
    environment = {
        "LABELLOOP_HOME": str(on.settings.home),
        "LABELLOOP_REDIS_URL": str(on.settings.redis_url),
        "LABELLOOP_DATABASE_URL": str(on.settings.database_url),
        "LABELLOOP_LOG_LEVEL": "warning",
    }
    with ExitStack() as stack:
        started = [
            stack.enter_context(_server([sys.executable, "-m", "labelloop.cli", "serve"], environment))
            for _ in range(count)
        ]
        yield [port for port, _ in started], [process for _, process in started]


@contextmanager
def bare() -> Iterator[tuple[list[int], list[psutil.Process]]]:
    """The empty FastAPI application under the same server."""
    code = (
        f"import sys, os, uvicorn; sys.path.insert(0, {str(HERE)!r}); from dispatch_stage import empty;"
        "uvicorn.run(empty, port=int(os.environ['LABELLOOP_PORT']), access_log=False, log_config=None, log_level=40)"
    )
    with _server([sys.executable, "-c", code], {}) as (port, process):
        yield [port], [process]


@contextmanager
def _server(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[tuple[int, psutil.Process]]:
    from labelloop.supervisor.programs import free_port

    port = free_port("127.0.0.1")
    process = subprocess.Popen(command, env={**os.environ, **environment, "LABELLOOP_PORT": str(port)})
    try:
        asyncio.run(_wait(port, process))
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


async def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        return
    raise SystemExit("the server did not start")


def crowd(job: Mapping[str, Any]) -> dict[str, Any]:
    """What a crowd in a process of its own saw."""
    asked = {**job, "cores": CROWD_CORES, "classes": CLASSES}
    ran = subprocess.run(
        [sys.executable, str(HERE / "dispatch_crowd.py")], input=orjson.dumps(asked), capture_output=True, check=False
    )
    if ran.returncode:
        raise SystemExit(ran.stderr.decode())
    seen: dict[str, Any] = orjson.loads(ran.stdout)
    if seen["errors"]:
        raise SystemExit(f"the crowd was refused: {seen['errors']}")
    return seen


def spent(processes: Sequence[psutil.Process]) -> float:
    """CPU seconds of these processes so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)
