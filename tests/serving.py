"""A real service for tests of the doors: uvicorn on a free port over SQLite and an embedded Redis."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import uvicorn

from labelloop import wiring
from labelloop.adapters.redis.embedded import EmbeddedRedis
from labelloop.api import OPTIONS
from labelloop.api.app import create_app
from labelloop.api.keys import digest_key, new_key
from labelloop.domain.states import Role
from labelloop.domain.types import Identity, Subject
from labelloop.loop.plan import plan
from labelloop.ports import Ports
from labelloop.settings import Settings

WORDS = ("sun", "rain", "snow", "fog", "wind", "hail", "storm", "cloud", "frost", "heat")


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service, and how tests talk to it."""

    url: str
    ports: Ports
    settings: Settings
    bare: httpx.Client
    """A connection without a key."""

    def key(self, role: Role = Role.ANNOTATOR, *, subject: str | None = None, project: str | None = None) -> str:
        """A fresh key of this role."""
        key = new_key()
        identity = Identity(subject=Subject(subject or f"{role}-{uuid4().hex[:6]}"), role=role, project=project)
        self.ports.keys.create(identity, digest_key(self.settings.hashing_secret, key), self.ports.clock.now())
        return key

    @contextmanager
    def http(self, role: Role = Role.ANNOTATOR, **who: Any) -> Iterator[httpx.Client]:
        """A connection with a fresh key of this role."""
        headers = {"Authorization": f"Bearer {self.key(role, **who)}"}
        with httpx.Client(base_url=self.url, headers=headers, timeout=30, verify=False) as client:
            yield client

    def project(self, name: str | None = None, *, items: list[dict[str, Any]] | int = 0, **sections: Any) -> str:
        """A project with items, planned, so that work can be leased."""
        name = name or f"p{uuid4().hex[:8]}"
        with self.http(Role.ADMIN) as http:
            http.post("/v1/projects", json=project_file(name, **sections)).raise_for_status()
            if items:
                rows = [text_item(number) for number in range(items)] if isinstance(items, int) else items
                report = http.post(f"/v1/projects/{name}/items", json=rows).raise_for_status().json()
                assert report["added"] == len(rows), report
                self.plan(name)
        return name

    def plan(self, name: str) -> None:
        """What a sampler would do: plan a round."""
        plan(self.ports, name, lambda _progress, _message: None)


def project_file(name: str, *, items_section: dict[str, Any] | None = None, **sections: Any) -> dict[str, Any]:
    """A small text project; sections replace its own."""
    return {
        "name": name,
        "labels": {"kind": "classes", "classes": ["good", "bad", "odd"]},
        "items": items_section or {"kind": "text", "field": "text"},
        "features": {"kind": "text", "field": "text", "vectorizer": "hashing", "max_terms": 256},
        "strategy": {"kind": "margin", "cold_start": {"kind": "random"}},
        **sections,
    }


def text_item(number: int) -> dict[str, Any]:
    """One item of text, each different."""
    words = f"{WORDS[number % 10]} and {WORDS[number // 10 % 10]}"
    return {"key": f"k{number}", "data": {"text": f"Weather report {number}: {words}"}}


@contextmanager
def running(home: Path, **environment: Any) -> Iterator[Service]:
    """A service in this process, stopped at the end."""
    redis = EmbeddedRedis(home)
    redis.start()
    settings = Settings(home=home, secret="a secret for tests", **environment)
    ports = wiring.build(settings)
    server = uvicorn.Server(uvicorn.Config(create_app(ports, settings), host="127.0.0.1", port=0, **OPTIONS))
    thread = threading.Thread(target=server.run, name="service")
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive(), "the service did not start"
            assert time.monotonic() < deadline, "the service did not start in 20 s"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        # Nothing is verified because nothing is encrypted; reading the authorities' certificates would cost most.
        with httpx.Client(base_url=url, timeout=30, verify=False) as bare:
            yield Service(url=url, ports=ports, settings=settings, bare=bare)
    finally:
        server.should_exit = True
        thread.join(20)
        wiring.close(ports)
        redis.stop()
