"""Chaos: 32 annotators work while every process of the service is killed with -9 at random, and nothing may be lost.

`make chaos` runs it: MINUTES=5, DATABASE=sqlite|postgresql. The service is what `labelloop up` starts. Annotators
lease, answer, err, come late, repeat themselves and vanish; new items keep coming in, the pool is ranked again every
few seconds, models are trained and promoted. Then the killing stops, everybody pulls until nothing comes any more, and
what the annotators were told is compared with what the ledger holds (`chaos_history`).

lost, doubled, over_cap, stranded, untrue and unequal must be 0; the exit code says whether they are. recovery: seconds
from a kill to the first answer that is acknowledged to a lease asked for after it, by an annotator who does nothing
else. Histories are kept beside the log of the service in the folder that is named at the end when something is wrong.
"""

import argparse
import asyncio
import math
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import chaos_history
import chaos_house
import chaos_ledger
import report
from chaos_history import Event
from chaos_people import CLASSES, LEASE_SECONDS, TIDY, Annotator, Cycles, Habits
from chaos_wire import Line

from labelloop.projects import parse

NAME = "chaos"
PROJECT: dict[str, Any] = {
    "name": NAME,
    "labels": {"kind": "classes", "classes": list(CLASSES)},
    "items": {"kind": "table", "shard_size": 4096},
    "features": {"kind": "columns"},
    "lanes": {"informative": 0.7, "minority": 0.1, "audit": 0.2, "audit_items": 2000, "window": 1000},
    "votes": {"needed": 1, "cap": 5, "overlap": {"share": 0.1, "needed": 2}},
    "lease": {"seconds": LEASE_SECONDS, "maximum": 40, "skips_to_review": 3},
    "retrain": {"first": 60, "labels": 1500},
}
OPEN_ITEMS = 1500
"""As many open items the feeder keeps in the pool, so that draining it at the end is quick."""
CHUNK = 500
REVIEWERS = 2
RANK_SECONDS = 4.0
POLL_SECONDS = 0.5
DRY_SECONDS = 3 * LEASE_SECONDS
SETTLE_SECONDS = 90.0


class Run:
    """One run: who takes part, and what they noted."""

    def __init__(self, house: chaos_house.House, folder: Path, options: argparse.Namespace) -> None:
        self.house, self.folder, self.options = house, folder, options
        self.rng = random.Random(options.seed)
        self.notes: list[Event] = []
        self.polls: list[Any] = []
        self.kills: list[tuple[str, float]] = []
        self.cycles = Cycles()
        self.over = asyncio.Event()
        self._items = 0
        self._lines: list[Line] = []

    def line(self, who: str, key: str) -> Line:
        """A line for somebody."""
        line = Line(self.house.address, key, who=who, notes=self.notes, folder=self.folder)
        self._lines.append(line)
        return line

    async def all_of_it(self) -> None:
        """Prepare, work under fire, let the dust settle, drain."""
        self._chief = self.line("chief", self.house.admin_key())
        await self._until("project", "/v1/projects", PROJECT, 201)
        while self._items < OPEN_ITEMS:
            await self._feed()
        people = [await self._annotator(at) for at in range(self.options.annotators)]
        while not self.cycles.seen:
            await people[0].batch(1)
        under_fire = [asyncio.create_task(one.work(self.over)) for one in people]
        under_fire += [asyncio.create_task(task()) for task in (self._feed_on, self._rank_on, self._poll_on)]
        await self._kill_on()
        self.over.set()
        await asyncio.gather(*under_fire)
        await self._drain()
        for line in self._lines:
            line.close()

    async def _annotator(self, at: int, *, role: str = "", tidy: bool = False) -> Annotator:
        role = role or ("reviewer" if at and at <= REVIEWERS else "annotator")
        who = f"{role}-{at}"
        made = await self._until("key", "/v1/keys", {"subject": who, "role": role}, 201)
        habits = TIDY if at == 0 or tidy else Habits()
        line, seed = self.line(who, made.reply["key"]), self.options.seed * 1000 + at
        return Annotator(line, NAME, habits=habits, truth=_truth, cycles=self.cycles, seed=seed)

    async def _until(self, verb: str, path: str, body: Any, wanted: int, *, key: str | None = None) -> Event:
        """Repeat a request that may be repeated until it is answered."""
        while True:
            told = await self._chief.post(verb, path, body, key=key)
            if told.status == wanted:
                return told
            if told.status not in {None, 503}:
                raise SystemExit(f"{verb}: {told}")
            await asyncio.sleep(0.1)

    # --- what goes on meanwhile --------------------------------------------------------------------------------

    async def _feed(self) -> None:
        """Ingest the next items; after an answer that did not come the same ones again, which adds none twice."""
        rows = [_item(self._items + at, self.rng) for at in range(CHUNK)]
        told = await self._until("ingest", f"/v1/projects/{NAME}/items", rows, 200)
        if told.reply["received"] != CHUNK or told.reply["added"] + told.reply["duplicates"] != CHUNK:
            raise SystemExit(f"ingest: {told.reply}")
        self._items += CHUNK

    async def _feed_on(self) -> None:
        while not self.over.is_set():
            if self.polls and self.polls[-1]["pooled"] + self.polls[-1]["queued"] < OPEN_ITEMS:
                await self._feed()
            await asyncio.sleep(POLL_SECONDS)

    async def _rank_on(self) -> None:
        """Ask for a new order every few seconds, twice under the same key: it is one job."""
        while not self.over.is_set():
            key = uuid4().hex
            for _ in range(2):
                await self._until("plan", f"/v1/projects/{NAME}/rounds", {}, 202, key=key)
            await asyncio.sleep(RANK_SECONDS * (0.5 + self.rng.random()))

    async def _poll_on(self) -> None:
        while not self.over.is_set():
            await self._poll()
            await asyncio.sleep(POLL_SECONDS)

    async def _poll(self) -> Any:
        told = await self._chief.get("project", f"/v1/projects/{NAME}")
        if told.done:
            self.polls.append(told.reply["items"]["counts"])
        return told.reply

    async def _kill_on(self) -> None:
        end = time.monotonic() + 60 * self.options.minutes
        kinds = self.house.kinds()
        while time.monotonic() < end:
            await asyncio.sleep(min(self.rng.expovariate(1 / self.options.mean), 5 * self.options.mean))
            kind, moment = self.rng.choice(kinds), time.time()
            if self.house.kill(kind, self.rng):
                self.kills.append((kind, moment))
            if not self.house.alive():
                raise SystemExit("the supervisor is gone, though nobody killed it")

    # --- the end -----------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """New people pull until nothing comes; reviewers settle the disputed; jobs end."""
        most = int(PROJECT["votes"]["cap"])
        people = [await self._annotator(100 + at, role="annotator", tidy=True) for at in range(most)]
        people += [await self._annotator(200, role="reviewer", tidy=True)]
        await asyncio.gather(*(one.drain(DRY_SECONDS) for one in people))
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            reply = await self._poll()
            if self._at_rest(reply):
                return
            await asyncio.gather(*(one.drain(1.0) for one in people))

    def _at_rest(self, reply: Any) -> bool:
        counts = reply.get("items", {}).get("counts", {})
        settled = counts and counts["resolved"] + counts["retired"] == counts["ingested"]
        book = chaos_ledger.read(self.house.database, parse(PROJECT)) if settled else None
        return book is not None and not book.unfinished and all(one.state != "leased" for one in book.leases)


def _item(number: int, rng: random.Random) -> dict[str, Any]:
    """A point near the corner of its class; some items ask for more votes of their own."""
    code = number % len(CLASSES)
    angle = 2 * math.pi * code / len(CLASSES)
    data = {"x": 2 * math.cos(angle) + rng.gauss(0, 0.8), "y": 2 * math.sin(angle) + rng.gauss(0, 0.8)}
    wish = {"needed": 3} if number % 20 == 0 else {}
    return {"key": f"i{number}", "data": data, **wish}


def _truth(data: Any) -> str:
    """The class whose corner is nearest."""
    corners = [2 * math.pi * code / len(CLASSES) for code in range(len(CLASSES))]
    away = [math.dist((data["x"], data["y"]), (2 * math.cos(a), 2 * math.sin(a))) for a in corners]
    return CLASSES[away.index(min(away))]


def _quantile(values: list[float], part: float) -> float | None:
    return round(sorted(values)[min(len(values) - 1, int(part * len(values)))], 2) if values else None


def summary(run: Run, verdict: chaos_history.Verdict) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One row per kind of victim, and the facts of the whole."""
    times = [(kind, run.cycles.recovery(moment)) for kind, moment in run.kills]
    rows = []
    for kind, kills in sorted(Counter(kind for kind, _ in times).items()):
        took = [seconds for one, seconds in times if one == kind and seconds is not None]
        rows.append({"killed": kind, "kills": kills, **_spread(took)})
    told = Counter(event.status for event in run.notes)
    facts = {
        "kills": len(run.kills),
        "acknowledged": verdict.acknowledged,
        **verdict.counts(),
        **{f"recovery_{name}": value for name, value in _spread([t for _, t in times if t is not None]).items()},
        "unrecovered": sum(seconds is None for _, seconds in times),
        "counted": verdict.counted,
        "requests": len(run.notes),
        "broken": told[None],
        "told_503": told[503],
        "polls": len(run.polls),
        "items": run.polls[-1]["ingested"] if run.polls else 0,
    }
    return rows, facts


def _spread(took: list[float]) -> dict[str, float | None]:
    middle = round(statistics.median(took), 2) if took else None
    return {"p50_s": middle, "p95_s": _quantile(took, 0.95), "max_s": round(max(took), 2) if took else None}


def main() -> None:
    """Run, judge, report; exit code 1 when anything was violated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--mean", type=float, default=2.0, help="mean seconds between two kills")
    parser.add_argument("--annotators", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=report.RESULTS, help="folder of chaos.json")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="ll-chaos-"))
    (home / "told").mkdir()
    with chaos_house.service(home, options.database) as house:
        run = Run(house, home / "told", options)
        asyncio.run(run.all_of_it())
        verdict = chaos_history.check(run.notes, chaos_ledger.read(house.database, parse(PROJECT)), run.polls)
    rows, facts = summary(run, verdict)
    report.finish(
        "chaos",
        rows,
        packages=("fastapi", "uvicorn", "redis", "rq"),
        folder=options.out,
        database=options.database,
        minutes=options.minutes,
        mean_s=options.mean,
        annotators=options.annotators,
        seed=options.seed,
        **facts,
    )
    if verdict.clean and not facts["unrecovered"]:
        shutil.rmtree(home, ignore_errors=True)
        return
    for kind, sentences in verdict.found.items():
        for sentence in sentences[:20]:
            print(f"{kind}: {sentence}", file=sys.stderr)
    sys.exit(f"violated; histories and log are in {home}")


if __name__ == "__main__":
    main()
