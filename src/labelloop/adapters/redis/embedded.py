"""A Redis server of our own in the home folder, for whoever runs none; its program and its files are the
business of `binary` and `folder`.

One process owns the server, others on the same home attach to it. It listens on a Unix socket only, and ends with
its owner, also when that one is killed: the kernel tells it (Linux). What it holds can be rebuilt from SQL, so a
file that it cannot read is set aside rather than repaired.
"""

import atexit
import contextlib
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Self

import redis
from filelock import FileLock, Timeout
from redis.exceptions import RedisError

from labelloop.adapters.redis import folder
from labelloop.adapters.redis.binary import find
from labelloop.adapters.redis.folder import ServerFolder
from labelloop.domain.errors import Unavailable

START_SECONDS = 30.0
# Runs in the child before it becomes the server: asks the kernel to be told (SIGTERM) when the thread that started
# it is gone, and gives up when that happened already.
LAUNCH = """\
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None, use_errno=True).prctl(1, 15, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the process that started this server is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def address(home: Path) -> str:
    """The URL of the server of this home, for whoever attaches to it.

    Raises:
        Unavailable: none was ever started here.
    """
    return ServerFolder(home).address


class EmbeddedRedis:
    """The server of one home folder: start it or attach to it, ask whether it answers, stop what was started."""

    def __init__(self, home: Path) -> None:
        self._files = ServerFolder(home)
        self.folder = self._files.path
        self._home = home
        self._lock = FileLock(self.folder / "lock", thread_local=False)
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None

    @property
    def address(self) -> str:
        """`unix:///…`; raises Unavailable before the first start."""
        return self._files.address

    @property
    def owned(self) -> bool:
        """Whether this object started the server, rather than attached to another's."""
        return self._process is not None

    def running(self) -> bool:
        """Whether the server answers."""
        with contextlib.suppress(Unavailable):
            return _answers(self.address)
        return False

    def start(self) -> str:
        """Own the server of this home, or attach to it when another process does. Returns its address.

        Raises:
            Unavailable: no server program is installed, or it did not start; says what to do.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.owned and not self._alive():
                self.stop()
            if self.owned or self._acquire():
                return self._own(deadline)
            if self.running():
                return self.address
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"Another process holds {self.folder / 'lock'}, but its Redis does not answer. "
                    f"Look into {self._files.log}, or stop that process and start again.",
                    home=str(self._home),
                )
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server if this object started it: asked first, killed when it does not listen."""
        process, keeper = self._process, self._keeper
        self._process = self._keeper = None
        atexit.unregister(self.stop)
        if process is not None and keeper is not None:
            process.terminate()
            keeper.join(folder.STOP_SECONDS)
            if keeper.is_alive():
                process.kill()
                keeper.join(folder.STOP_SECONDS)
            self._files.sweep()
        self._lock.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- the owner's part --------------------------------------------------------------------------------------

    def _acquire(self) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        return True

    def _own(self, deadline: float) -> str:
        if self._process is not None:
            return self.address
        try:
            program = find()
            self._files.end_orphan()
            self._files.sweep()
            self._launch(program, deadline)
        except BaseException:
            self.stop()
            raise
        atexit.register(self.stop)
        return self.address

    def _launch(self, program: Path, deadline: float) -> None:
        for attempt in (1, 2):
            begin = self._files.log_size()
            self._files.configure()
            self._spawn(program)
            if self._ready(deadline):
                return
            said = self._files.said_since(begin)
            if attempt == 2 or self._alive() or not self._files.set_aside(said):
                raise Unavailable(
                    f"The embedded Redis ({program}) did not start: {said or 'it said nothing'}. Look into "
                    f"{self._files.log}. All it holds can be rebuilt: the folder {self.folder} may be deleted.",
                    home=str(self._home),
                )

    def _spawn(self, program: Path) -> None:
        """Start the server from a thread that lives as long as we do: its end is what the kernel reports."""
        command = [sys.executable, "-I", "-S", "-c", LAUNCH, str(os.getpid()), str(program)]
        command.append(str(self._files.settings))
        started: Future[subprocess.Popen[bytes]] = Future()
        self._keeper = threading.Thread(target=_keep, args=(command, started), name="embedded-redis", daemon=True)
        self._keeper.start()
        self._process = started.result()

    def _ready(self, deadline: float) -> bool:
        while self._alive():
            if _answers(self.address):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return False

    def _alive(self) -> bool:
        return self._keeper is not None and self._keeper.is_alive()


def _keep(command: list[str], started: "Future[subprocess.Popen[bytes]]") -> None:
    try:
        # A session of its own, so that Ctrl-C in our terminal reaches us first.
        process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        started.set_exception(error)
        return
    started.set_result(process)
    process.wait()


def _answers(url: str) -> bool:
    client = redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1)
    try:
        return bool(client.ping())
    except RedisError:
        return False
    finally:
        client.close()
