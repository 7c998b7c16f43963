"""How fast work goes out and answers come back: annotators who lease 10 and submit 10, without a pause, over HTTP.

The service runs in a process of its own under uvicorn on loopback, with SQLite and the embedded Redis, every answer
committed before it is acknowledged. In the same run an empty FastAPI endpoint gets the same requests from the same
client: the ratio says what the service costs beyond the web framework. Latencies include the client's own queueing:
all share the machine.

    python benchmarks/dispatch.py [--items N] [--seconds S]
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import psutil
import report
import texts
from fastapi import FastAPI, Request, Response

from labelloop import wiring
from labelloop.adapters.redis.embedded import EmbeddedRedis
from labelloop.api.keys import digest_key, new_key
from labelloop.domain.states import Role
from labelloop.domain.types import Identity, NewItem, Subject
from labelloop.loop.ingest import ingest
from labelloop.loop.plan import plan
from labelloop.projects import parse
from labelloop.settings import Settings

NAME, BATCH = "dispatch", 10
ANNOTATORS = (8, 32)
PROJECT = {
    "name": NAME,
    "labels": {"kind": "classes", "classes": list(texts.CLASSES)},
    "items": {"kind": "text", "field": "text"},
    "features": {"kind": "text", "vectorizer": "hashing", "max_terms": 4096},
    "strategy": {"kind": "margin", "cold_start": {"kind": "random"}},
    "lanes": {"informative": 1.0, "audit": 0.0, "window": 50_000},
    "retrain": {"labels": None, "first": 1_000_000},
}

empty = FastAPI()


@empty.post("/leases")
@empty.post("/annotations")
async def nothing(request: Request) -> Response:
    """Read the body and say nothing: what the web framework alone costs."""
    await request.body()
    return Response(b"{}", media_type="application/json")


@empty.get("/healthz")
async def alive() -> Response:
    """As the service has it."""
    return Response(b"{}", media_type="application/json")


@dataclass
class Tally:
    """What the annotators of one run saw."""

    items: int = 0
    lease: list[float] = field(default_factory=list)
    submit: list[float] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)


class Connection:
    """One kept-alive HTTP connection with as little in it as can be, so that the server is what is measured."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._head = port, f"Host: localhost\r\nAuthorization: Bearer {key}\r\n"

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def post(self, path: str, body: Any) -> tuple[Any, float]:
        """The decoded answer, and the seconds it took."""
        raw = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\n{self._head}Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
        )
        start = time.perf_counter()
        self._writer.write(head.encode() + raw)
        told = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(told.partition("content-length:")[2].partition("\r\n")[0])
        answer = await self._reader.readexactly(length)
        took = time.perf_counter() - start
        if not told.startswith("http/1.1 2"):
            raise SystemExit(f"POST {path}: {told.splitlines()[0]}: {answer.decode()[:300]}")
        return json.loads(answer), took


def main() -> None:
    """Measure both servers with both crowds, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=40_000)
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    rows = []
    with TemporaryDirectory(prefix="labelloop-dispatch-") as scratch:
        home = Path(scratch)
        with EmbeddedRedis(home) as redis:
            settings = Settings(home=home, redis_url=redis.address)
            keys = _prepare(settings, options.items)
            env = {"LABELLOOP_HOME": str(home), "LABELLOOP_REDIS_URL": redis.address, "LABELLOOP_LOG_LEVEL": "error"}
            for annotators in ANNOTATORS:
                with _server("labelloop.api.asgi:create", env, factory=True) as (port, process):
                    ours = _crowd(port, process, keys[:annotators], seconds=options.seconds, real=True)
                with _server("dispatch:empty", env, factory=False) as (port, process):
                    bare = _crowd(port, process, keys[:annotators], seconds=options.seconds / 2, real=False)
                rows += [
                    {"server": "labelloop", "annotators": annotators, **ours},
                    {"server": "empty", "annotators": annotators, **bare},
                ]
                for row in rows[-2:]:
                    row["of_empty"] = round(row["requests_s"] / bare["requests_s"], 3)
            counted, twice = _audit(settings)
    acknowledged = sum(row["items"] for row in rows if row["server"] == "labelloop")
    if counted != acknowledged or twice:
        raise SystemExit(f"{acknowledged} answers acknowledged, {counted} in the store, {twice} items counted twice")
    packages = ("fastapi", "uvicorn", "redis", "rq")
    report.finish("dispatch", rows, packages=packages, pool=options.items, batch=BATCH, counted=counted, twice=twice)


def _prepare(settings: Settings, items: int) -> list[str]:
    """A project whose queue is up, and a key for each annotator."""
    ports = wiring.build(settings)
    try:
        ports.projects.create(parse(PROJECT), ports.clock.now())
        rows = (NewItem(key=f"t{at}", data={"text": text}) for at, (text, _) in enumerate(texts.texts(items)))
        ingest(ports, NAME, rows)
        plan(ports, NAME, lambda _part, _what: None)
        keys = [new_key() for _ in range(max(ANNOTATORS))]
        for at, key in enumerate(keys):
            who = Identity(subject=Subject(f"annotator-{at}"), role=Role.ANNOTATOR)
            ports.keys.create(who, digest_key(settings.hashing_secret, key), ports.clock.now())
    finally:
        wiring.close(ports)
    return keys


def _audit(settings: Settings) -> tuple[int, int]:
    """Counted votes in the store, and items with more than one of them, though one was asked for: must be 0."""
    ports = wiring.build(settings)
    try:
        numbers = [item.number for item in ports.pool.span(NAME, 0, ports.projects.row(NAME).items)]
        done = [state.done for state in ports.ledger.slots(NAME, numbers)]
    finally:
        wiring.close(ports)
    return sum(done), sum(votes > 1 for votes in done)


@contextmanager
def _server(app: str, env: dict[str, str], *, factory: bool) -> Iterator[tuple[int, psutil.Process]]:
    """Uvicorn with this application in a process of its own."""
    from labelloop.supervisor.programs import free_port

    port = free_port("127.0.0.1")
    argv = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--log-level", "error", "--no-access-log"]
    argv += ["--app-dir", str(Path(__file__).parent), *(["--factory"] if factory else [])]
    process = subprocess.Popen(argv, env=os.environ | env)
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


def _crowd(port: int, process: psutil.Process, keys: list[str], *, seconds: float, real: bool) -> dict[str, Any]:
    """All annotators at once, for so many seconds."""
    tally, before, start = Tally(), process.cpu_times(), time.perf_counter()
    work = _annotate if real else _post

    async def all_of_them() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(work(port, key, until, tally) for key in keys))

    asyncio.run(all_of_them())
    wall, after = time.perf_counter() - start, process.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    requests = len(tally.lease) + len(tally.submit)
    return {
        "items": tally.items,
        "items_s": round(tally.items / wall),
        "requests_s": round(requests / wall),
        "per_cpu_s": round(requests / max(cpu, 1e-9)),
        "lease_p50_ms": _quantile(tally.lease, 0.5),
        "lease_p99_ms": _quantile(tally.lease, 0.99),
        "submit_p50_ms": _quantile(tally.submit, 0.5),
        "submit_p99_ms": _quantile(tally.submit, 0.99),
        "rss_mb": round(process.memory_info().rss / 2**20),
        "leased_twice": len(tally.seen) - len(set(tally.seen)),
    }


async def _annotate(port: int, key: str, until: float, tally: Tally) -> None:
    labels = count()
    async with Connection(port, key) as http:
        while time.perf_counter() < until:
            answer, took = await http.post(f"/v1/projects/{NAME}/leases", {"count": BATCH})
            leases = answer["leases"]
            if not leases:
                raise SystemExit(f"no work left; give more --items ({answer})")
            tally.lease.append(took)
            tally.seen += [lease["item"] for lease in leases]
            said = [{"lease": one["lease"], "label": texts.CLASSES[next(labels) % 4], "seconds": 1.5} for one in leases]
            answer, took = await http.post(f"/v1/projects/{NAME}/annotations", {"annotations": said})
            tally.submit.append(took)
            tally.items += sum(outcome["outcome"] == "accepted" for outcome in answer["outcomes"])


async def _post(port: int, key: str, until: float, tally: Tally) -> None:
    """The same two bodies to the endpoint that does nothing."""
    said = [{"lease": str(at), "label": texts.CLASSES[at % 4], "seconds": 1.5} for at in range(BATCH)]
    async with Connection(port, key) as http:
        while time.perf_counter() < until:
            tally.lease.append((await http.post("/leases", {"count": BATCH}))[1])
            tally.submit.append((await http.post("/annotations", {"annotations": said}))[1])
            tally.items += BATCH


def _quantile(seconds: list[float], part: float) -> float | None:
    return round(1000 * float(np.quantile(seconds, part)), 2) if seconds else None


if __name__ == "__main__":
    main()
