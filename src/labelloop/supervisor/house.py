"""Runs all processes of one home until told to stop: start order, restarts, readiness, stop order."""

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import httpx

from labelloop import telemetry
from labelloop.disk import home as home_folder
from labelloop.domain.errors import Conflict
from labelloop.settings import Settings
from labelloop.supervisor import keyring, programs
from labelloop.supervisor.child import Child
from labelloop.supervisor.door import Door
from labelloop.supervisor.nursery import starter
from labelloop.supervisor.programs import Counts
from labelloop.supervisor.server import RedisServer

__all__ = ["Counts", "House", "Ready"]

TICK = 0.05
STATE_FILE = "service.json"

log = telemetry.logger("labelloop.supervisor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What a person needs to use the service."""

    url: str
    home: Path
    keys: keyring.OwnKeys


class House:
    """All processes of one home. `run` returns when a signal asked for the end and everything has stopped.

    `open_keys` prepares the store and returns the owner's keys; it runs before any process starts.
    """

    def __init__(self, settings: Settings, counts: Counts, open_keys: Callable[[Settings], keyring.OwnKeys]) -> None:
        port = settings.port or programs.free_port(settings.host)
        self.settings = settings.model_copy(update={"port": port, "home": settings.home.absolute()})
        self._counts = counts
        self._open_keys = open_keys
        self._children: list[Child] = []
        self._asked = 0

    @property
    def url(self) -> str:
        """The address people use: a service that listens on every interface is reached by loopback from here."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.settings.host, self.settings.host)  # noqa: S104
        return f"http://[{host}]:{self.settings.port}" if ":" in host else f"http://{host}:{self.settings.port}"

    def run(self, announce: Callable[[Ready], None]) -> None:
        """Run until SIGINT or SIGTERM; a second one kills. Call it from the main thread.

        Raises:
            Invalid: the home folder cannot be made or written.
            Conflict: a service runs on this home already, or the port is taken.
            Unavailable: Redis does not start.
        """
        home = self.settings.home
        home_folder.make_writable(home)
        with (
            _alone(home),
            self._signals(),
            Door(self.settings.host, self.settings.port) as door,
            RedisServer(self.settings) as redis,
            starter(programs.environment(self.settings, redis.url), (door.fd,)) as start,
        ):
            try:
                settings = self.settings.model_copy(update={"redis_url": redis.url})
                keys = self._open_keys(settings)
                env = programs.environment(settings, redis.url)
                self._children = [Child(program, start) for program in programs.programs(self._counts, env, door.fd)]
                self._loop(redis, Ready(url=self.url, home=home, keys=keys), announce)
            finally:
                self._end_children()
                (home / STATE_FILE).unlink(missing_ok=True)

    def _loop(self, redis: RedisServer, ready: Ready, announce: Callable[[Ready], None]) -> None:
        announced = False
        while not self._asked:
            changed = [redis.tend(), *[child.tend() for child in self._children]]
            if any(changed):
                self._write_state(redis)
            if not announced and self._answers():
                announced = True
                announce(ready)
            time.sleep(TICK)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=1.0).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def _write_state(self, redis: RedisServer) -> None:
        """Who runs under which process id, for `doctor` and for whoever watches."""
        processes = {child.program.name: child.pid for child in self._children} | {"redis": redis.pid}
        state = {"pid": os.getpid(), "url": self.url, "redis_url": redis.url, "processes": processes}
        keyring.write_private(self.settings.home / STATE_FILE, state)

    def _end_children(self) -> None:
        """The API first, so that nobody is answered any more, then the workers; Redis ends after them."""
        children = list(reversed(self._children))
        for child in children:
            child.ask()
        deadline = time.monotonic() + max((child.program.patience for child in children), default=0.0)
        while any(child.running for child in children) and self._asked < 2 and time.monotonic() < deadline:
            time.sleep(TICK)
        for child in children:
            child.kill()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._asked += 1


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One service per home; the lock dies with its holder."""
    with (home / "service.lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise Conflict(
                f"A service runs on {home} already (process {file.read().strip() or 'unknown'}). "
                "Stop it first, or set LABELLOOP_HOME to another folder."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
