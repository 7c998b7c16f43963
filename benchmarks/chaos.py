"""Kills the whole service at random while people work, and checks that nothing was lost, doubled or stranded.

`labelloop up` runs on a fresh home with SQLite and the embedded Redis (or PostgreSQL), 32 annotators lease and answer
over HTTP, some late, some forgetful, while rounds are asked for every few seconds and API, sampler, trainer, steward,
Redis and, with PostgreSQL, a backend or the whole database are killed with -9. Then the kills end, everybody asks until
nothing is left, and what the annotators were told is held against the ledger. Exits with 1 on any broken promise.

    python benchmarks/chaos.py [--minutes M] [--database sqlite|postgresql] [--every S] [--seed N]
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import report
from chaos_check import Ledger, Verdict, check, stranded
from chaos_people import Notebook, Person, Wire

from labelloop.domain.errors import LabelloopError
from labelloop.domain.states import JobKind

ROOT = Path(__file__).parents[1]
LEASE_SECONDS = 3.0
PEOPLE = 32
RERANK_SECONDS = 3.0
PATIENCE = 60.0
"""After the kills: so long without any answer, and what is left counts as stranded."""
PIECE = 10_000
ITEMS_A_MINUTE = 22_000
"""About what everybody can label under kills, so that work lasts about as long as they do."""
VICTIMS = ("api", "api", "redis", "steward", "sampler", "trainer")
DATABASE_VICTIMS = ("backend", "backend", "database")
"""A backend that is killed takes all others with it; the database is its first process, which we start again."""
PROJECTS = {"solo": {"needed": 1}, "pair": {"needed": 2, "cap": 3}}


def project(name: str) -> dict[str, Any]:
    """A project on a plane whose labels are easy, with short leases and frequent trainings."""
    return {
        "name": name,
        "labels": {"kind": "classes", "classes": ["up", "down"]},
        "items": {"kind": "table"},
        "features": {"kind": "columns", "columns": ["x", "y"]},
        "model": {"kind": "sklearn", "calibrate": False},
        "lanes": {"informative": 0.8, "minority": 0.1, "audit": 0.1, "window": 2_000},
        "votes": PROJECTS[name],
        "lease": {"seconds": LEASE_SECONDS},
        "retrain": {"first": 50, "labels": 400},
    }


def items(count: int, seed: int) -> Iterator[list[dict[str, Any]]]:
    """Points of a plane, in pieces that are taken in within a call's patience."""
    rng = random.Random(seed)
    for start in range(0, count, PIECE):
        yield [
            {"key": f"p{number}", "data": {"x": rng.gauss(0, 1), "y": rng.gauss(0, 1), "n": number}}
            for number in range(start, min(start + PIECE, count))
        ]


@contextmanager
def running(home: Path, database: str | None) -> Iterator[Any]:
    """`labelloop up` on this home."""
    from labelloop.demo.service import Service

    extra = {} if database is None else {"LABELLOOP_DATABASE_URL": database}
    with Service(home, 0, extra=extra) as service:
        yield service


async def kill_at_random(home: Path, *, every: float, until: float, rng: random.Random, server: Any) -> list[Any]:
    """Kill -9 one process after another; returns (time, victim) of each."""
    kills = []
    while time.time() < until:
        await asyncio.sleep(rng.expovariate(1 / every))
        victim = rng.choice((*VICTIMS, *DATABASE_VICTIMS) if server else VICTIMS)
        with suppress(ProcessLookupError, OSError, ValueError, KeyError):
            if victim == "database":
                kills.append((time.time(), victim))
                await asyncio.to_thread(_kill_database, server)
                continue
            if victim == "backend":
                pid = await asyncio.to_thread(_backend, server, rng)
            else:
                pid = json.loads((home / "service.json").read_text())["processes"][victim]
                if victim == "api":  # the one that serves, not the one that stands by
                    pid = int((home / "api.pid").read_text())
            if pid:
                os.kill(pid, signal.SIGKILL)
                kills.append((time.time(), victim))
    return kills


async def rerank(wire: Wire, over: asyncio.Event) -> None:
    """Ask for a new order again and again."""
    while not over.is_set():
        for name in PROJECTS:
            with suppress(OSError, EOFError, ValueError, asyncio.TimeoutError, asyncio.IncompleteReadError):
                await wire.post(f"/v1/projects/{name}/rounds", {})
        await asyncio.sleep(RERANK_SECONDS)


async def watch(ports: Any, over: asyncio.Event, broken: list[str]) -> None:
    """Items are conserved whenever anybody looks."""
    while not over.is_set():
        for name in PROJECTS:
            with suppress(LabelloopError):
                counts = await asyncio.to_thread(ports.pool.counts, name)
                if not counts.conserved or min(counts.pooled, counts.queued, counts.leased) < 0:
                    broken.append(f"{name}: {counts}")
        await asyncio.sleep(0.5)


async def storm(
    service: Any, ports: Any, keys: dict[str, str], options: argparse.Namespace, server: Any
) -> dict[str, Any]:
    """People, kills and re-ranking, then quiet until everything is drained."""
    rng, book, over, broken = random.Random(options.seed), Notebook(), asyncio.Event(), list[str]()
    port = int(service.url.rsplit(":", 1)[1].rstrip("/"))
    names = list(PROJECTS)
    people = [
        Person(
            name=who,
            project=names[at % len(names)],
            wire=Wire(port, key),
            book=book,
            rng=random.Random(f"{options.seed}-{who}"),
            lease_seconds=LEASE_SECONDS,
        )
        for at, (who, key) in enumerate(keys.items())
    ]
    work = [asyncio.create_task(one.work(over)) for one in people]
    calm = asyncio.Event()
    others = [
        asyncio.create_task(rerank(Wire(port, service.keys.admin), calm)),
        asyncio.create_task(watch(ports, over, broken)),
    ]
    until = time.time() + options.minutes * 60
    kills = await kill_at_random(service.home, every=options.every, until=until, rng=rng, server=server)
    calm.set()
    for one in people:
        one.sloth, one.most = 0.0, 50
    calm_since = time.time()
    while not await asyncio.to_thread(_drained, ports):
        await asyncio.sleep(1.0)
        if time.time() > max(calm_since, *(ended for _, ended in book.cycles[-PEOPLE:])) + PATIENCE:
            break
    over.set()
    await asyncio.gather(*work, *others, return_exceptions=True)
    return {"kills": kills, "book": book, "broken": broken}


def _backend(server: Any, rng: random.Random) -> int:
    """The process id of a PostgreSQL backend that serves somebody; 0 when none does, or the database recovers."""
    import psutil

    with suppress(psutil.Error):
        backends = psutil.Process(server.process.pid).children()
        serving = [one.pid for one in backends if " labelloop test_" in " ".join(one.cmdline())]
        return rng.choice(serving) if serving else 0
    return 0


def _kill_database(server: Any) -> None:
    server.kill()
    server.start()


def _drained(ports: Any) -> bool:
    try:
        counts = [ports.pool.counts(name) for name in PROJECTS]
    except LabelloopError:
        return False
    return all(one.pooled + one.queued + one.leased == 0 for one in counts)


def ledger_of(ports: Any, name: str) -> Ledger:
    """What the database holds of a project."""
    from sqlalchemy import select

    from labelloop.adapters.sql import tables

    database = ports.pool._database
    own = database.id_of(name)
    with database.read() as connection:
        annotations = connection.execute(select(tables.annotation).where(tables.annotation.c.project == own)).all()
        leases = connection.execute(select(tables.assignment).where(tables.assignment.c.project == own)).all()
        rows = connection.execute(select(tables.item).where(tables.item.c.project == own)).all()
    return Ledger(
        annotations={
            (row.item, row.annotator): {"label": row.label, "counted": row.counted, "assignment": row.assignment}
            for row in annotations
        },
        assignments={
            row.id: {
                "item": row.item,
                "annotator": row.annotator,
                "leased_at": row.leased_at.timestamp(),
                "ended_at": min(filter(None, (row.closed_at, row.expires_at))).timestamp(),
            }
            for row in leases
            if row.state in {"leased", "done"}
        },
        items={row.number: {"state": row.state, "needed": row.needed, "votes": row.votes} for row in rows},
        cap=PROJECTS[name].get("cap", 1),
    )


def recoveries(kills: list[Any], cycles: list[tuple[float, float]]) -> list[tuple[float, str, float]]:
    """Of each kill: when, whom, and the seconds to the end of the first whole cycle that began after it."""
    found = []
    for at, victim in kills:
        after = [ended for began, ended in cycles if began >= at]
        if after:
            found.append((at, victim, min(after) - at))
    return found


def _slowest(recovered: list[tuple[float, str, float]], most: int = 5) -> None:
    """Say what else was killed while the slowest recovered: that is where to look."""
    for at, victim, seconds in sorted(recovered, key=lambda one: -one[2])[:most]:
        others = [f"{name} +{then - at:.1f}" for then, name, _ in recovered if at < then < at + seconds]
        print(f"slow: {victim} took {seconds:.1f} s; meanwhile {', '.join(others) or 'nobody else'}")


def main() -> int:
    """Run, check, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("MINUTES", "1")))
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default=os.environ.get("DATABASE", "sqlite"))
    parser.add_argument("--every", type=float, default=1.5, help="mean seconds between kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the result instead of benchmarks/results")
    options = parser.parse_args()
    from labelloop import wiring
    from labelloop.settings import Settings

    with TemporaryDirectory(prefix="labelloop-chaos-") as scratch, _database(options.database) as (url, server):
        home = Path(scratch) / "home"
        with running(home, url) as service:
            keys = _prepare(service, int(ITEMS_A_MINUTE * options.minutes) + 1_000, options.seed)
            ports = wiring.build(Settings(home=home, database_url=url))
            seen = asyncio.run(storm(service, ports, keys, options, server))
            verdicts = {name: _judge(ports, name, seen["book"]) for name in PROJECTS}
            wiring.close(ports)
    return _report(seen, verdicts, options)


@contextmanager
def _database(kind: str) -> Iterator[tuple[str | None, Any]]:
    """Its URL, and the server that may be killed."""
    if kind == "sqlite":
        yield None, None
        return
    sys.path.insert(0, str(ROOT / "tests"))
    import postgres

    with postgres.running() as server, postgres.database(str(server.folder)) as url:
        yield url, server


def _prepare(service: Any, count: int, seed: int) -> dict[str, str]:
    """Both projects with their pools, and a key for everybody."""
    with service.client() as client:
        for name in PROJECTS:
            client.create_project(project(name))
            for part in items(count // (2 if name == "pair" else 1), seed):
                client.ingest(name, part)
        keys = {f"person-{at}": client.create_key(f"person-{at}", "annotator") for at in range(PEOPLE)}
        for name in PROJECTS:
            while client.project(name)["rounds"] == []:
                time.sleep(0.2)
    return keys


def _judge(ports: Any, name: str, book: Notebook) -> tuple[Verdict, int]:
    ledger, told = ledger_of(ports, name), book.told.get(name, [])
    verdict = check(told, ledger)
    verdict.stranded = stranded(ledger)
    for job in ports.jobs.recent(name, JobKind.PLAN, 3) if verdict.stranded else ():
        print(f"{name}: {job.due_key} is {job.state} after {job.attempt} attempts: {job.problem or job.message}")
    return verdict, sum(one.outcome in {"accepted", "late", "surplus"} for one in told)


def _report(seen: dict[str, Any], verdicts: dict[str, Any], options: argparse.Namespace) -> int:
    kills, book = seen["kills"], seen["book"]
    recovered = recoveries(kills, book.cycles)
    took = sorted(seconds for _, _, seconds in recovered)
    by_victim: dict[str, list[float]] = {}
    for _, victim, seconds in sorted(recovered, key=lambda one: one[2]):
        by_victim.setdefault(victim, []).append(seconds)
    _slowest(recovered)
    totals = Counter(dict.fromkeys(("lost", "doubled", "over_cap", "stranded"), 0))
    for verdict, _ in verdicts.values():
        for part in totals:
            totals[part] += len(getattr(verdict, part))
            for case in getattr(verdict, part)[:5]:
                print(f"{part}: {case}")
    for case in [*seen["broken"][:5], *book.strange[:5]]:
        print(f"strange: {case}")
    facts = {
        "database": options.database,
        "minutes": options.minutes,
        "kills": len(kills),
        "kills_while_work_was_left": len(took),
        "acknowledged": sum(count for _, count in verdicts.values()),
        **totals,
        "not_conserved": len(seen["broken"]),
        "strange_answers": len(book.strange),
        "broken_calls": book.unanswered,
        "recovery_p50_s": round(took[len(took) // 2], 2) if took else None,
        "recovery_p95_s": round(took[int(len(took) * 0.95)], 2) if took else None,
        "recovery_max_s": round(took[-1], 2) if took else None,
    }
    rows = [
        {"victim": name, "kills": len(of_it), "recovery_p50_s": of_it[len(of_it) // 2], "slowest_s": of_it[-1]}
        for name, of_it in by_victim.items()
    ]
    report.finish(f"chaos-{options.database}", rows, folder=options.keep or report.RESULTS, **facts)
    held = not (sum(totals.values()) or seen["broken"] or book.strange)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
