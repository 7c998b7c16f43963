"""A crowd of annotators in a process of its own: as little between them and the server as can be, so that the server
is what is measured. Reads what to do as JSON from standard input, says what it saw as JSON on standard output.

    {"port": …, "keys": […], "seconds": …, "batch": 10, "lease": "/v1/…/leases", "annotate": "/v1/…/annotations",
     "classes": […], "cores": [1]}

With `cores` it keeps to them. With `pace` each annotator begins a cycle every so many seconds instead of at once. With
`bodies` it posts those in turn to their paths and ignores the answers.
"""

import asyncio
import json
import os
import random
import sys
import time
from itertools import count
from typing import Any

import orjson
import uvloop

HEAD = "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
END = b"\r\n\r\n"


class Crowd:
    """What all annotators of a run share: until when, and what they saw."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.batch = int(job.get("batch", 10))
        self.classes = job.get("classes", ["a"])
        self.number = count()
        self.until = 0.0
        self.latencies: dict[str, list[float]] = {"lease": [], "annotate": []}
        self.outcomes: dict[str, int] = {}
        self.items: list[int] = []
        self.acknowledged: list[int] = []
        self.errors: list[str] = []
        self.empty = 0
        self.busy = len(job["keys"])
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def leave(self, error: str = "") -> None:
        """One annotator goes home."""
        if error:
            self.errors.append(error)
        self.busy -= 1
        if self.busy == 0 and not self.over.done():
            self.over.set_result(None)


class Annotator(asyncio.Protocol):
    """Leases, answers, and so on until the time is over; what was leased last is still answered."""

    def __init__(self, crowd: Crowd, key: str) -> None:
        self.crowd = crowd
        self.heads = {
            path: HEAD.format(path=path, key=key).encode() + b"Content-Length: "
            for path in (
                crowd.job.get("lease"),
                crowd.job.get("annotate"),
                *(p for p, _ in crowd.job.get("bodies", ())),
            )
            if path
        }
        self.buffer = b""
        self.turn = count()
        self.what = "lease"
        self.asked = 0.0
        self.began = 0.0
        self.chance = random.Random(key)
        self.gone = False

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self.transport = transport
        self.rest()

    def next(self, leases: list[dict[str, Any]]) -> None:
        """The next call: answer what was leased, or ask for more."""
        crowd = self.crowd
        if not leases and time.perf_counter() >= crowd.until:
            self.go("")
        elif "bodies" in crowd.job:
            bodies = crowd.job["bodies"]
            path, body = bodies[next(self.turn) % len(bodies)]
            self.what = "lease" if path.endswith("leases") else "annotate"
            self.post(path, body.encode())
        elif leases:
            self.what = "annotate"
            classes, number = crowd.classes, crowd.number
            said = [
                {"lease": one["lease"], "label": classes[next(number) % len(classes)], "seconds": 1.5} for one in leases
            ]
            self.post(crowd.job["annotate"], orjson.dumps({"annotations": said}))
        else:
            self.what = "lease"
            self.post(crowd.job["lease"], b'{"count":%d}' % crowd.batch)

    def post(self, path: str, body: bytes) -> None:
        """Send one request."""
        self.asked = time.perf_counter()
        self.transport.write(self.heads[path] + b"%d\r\n\r\n" % len(body) + body)

    def data_received(self, data: bytes) -> None:
        """Put an answer together from what arrives."""
        self.buffer += data
        end = self.buffer.find(END)
        if end < 0:
            return
        head = self.buffer[:end].lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        whole = end + 4 + length
        if len(self.buffer) < whole:
            return
        body, self.buffer = self.buffer[end + 4 : whole], self.buffer[whole:]
        self.crowd.latencies[self.what].append(time.perf_counter() - self.asked)
        if not head.startswith(b"http/1.1 2"):
            self.go(f"{self.what}: {head[:40].decode()} {body[:200].decode()}")
            return
        self.answered(body)

    def answered(self, body: bytes) -> None:
        """Note what an answer says, and go on."""
        crowd = self.crowd
        if "bodies" in crowd.job:
            self.next([])
        elif self.what == "lease":
            leases = orjson.loads(body)["leases"]
            crowd.items += [one["item"] for one in leases]
            if leases:
                self.next(leases)
                return
            crowd.empty += 1
            asyncio.get_running_loop().call_later(0.02, self.next, [])
        else:
            for one in orjson.loads(body)["outcomes"]:
                crowd.outcomes[one["outcome"]] = crowd.outcomes.get(one["outcome"], 0) + 1
                if one["outcome"] == "accepted":
                    crowd.acknowledged.append(one["item"])
            self.rest()

    def rest(self) -> None:
        """Begin the next cycle: at once, or when the pace says so."""
        pace = self.crowd.job.get("pace", 0.0)
        if not pace:
            self.next([])
            return
        now = time.perf_counter()
        self.began = (self.began or now) + pace * self.chance.uniform(0.5, 1.5)
        asyncio.get_running_loop().call_later(max(0.0, self.began - now), self.next, [])

    def connection_lost(self, exc: Exception | None) -> None:
        """The server hung up."""
        self.go(f"the connection was lost ({exc})")

    def go(self, error: str) -> None:
        """Leave, once."""
        if not self.gone:
            self.gone = True
            self.crowd.leave(error)
            self.transport.close()


async def run(job: dict[str, Any]) -> dict[str, Any]:
    """All annotators at once, for so many seconds."""
    crowd = Crowd(job)
    loop, ports = asyncio.get_running_loop(), job["ports"]
    started, used = time.perf_counter(), time.process_time()
    crowd.until = started + job["seconds"]
    for at, key in enumerate(job["keys"]):
        await loop.create_connection(lambda key=key: Annotator(crowd, key), "127.0.0.1", ports[at % len(ports)])
    await crowd.over
    wall = time.perf_counter() - started
    return {
        "wall": wall,
        "cpu": time.process_time() - used,
        **{what: {"calls": len(took), "ms": _quantiles(took)} for what, took in crowd.latencies.items()},
        "outcomes": crowd.outcomes,
        "leased": len(crowd.items),
        "leased_twice": len(crowd.items) - len(set(crowd.items)),
        "acknowledged": len(crowd.acknowledged),
        "acknowledged_twice": len(crowd.acknowledged) - len(set(crowd.acknowledged)),
        "empty": crowd.empty,
        "errors": crowd.errors[:5],
    }


def _quantiles(took: list[float]) -> dict[str, float | None]:
    took.sort()
    parts = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {name: round(1000 * took[int(part * (len(took) - 1))], 2) if took else None for name, part in parts.items()}


def main() -> None:
    """One run."""
    job = json.load(sys.stdin)
    if job.get("cores"):
        os.sched_setaffinity(0, job["cores"])
    print(json.dumps(uvloop.run(run(job))))


if __name__ == "__main__":
    main()
