"""A Redis server of our own in the home folder, for whoever runs none; finding its program is `binary`'s business.

One process owns the server, others on the same home attach to it. It listens on a Unix socket only, and ends with
its owner, also when that one is killed: the kernel tells it (Linux). What it holds can be rebuilt from SQL, so a
file that it cannot read is set aside rather than repaired.
"""

import atexit
import contextlib
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Self

import psutil
import redis
from filelock import FileLock, Timeout
from redis.exceptions import RedisError

from labelloop.adapters.redis.binary import find
from labelloop.domain.errors import Unavailable

LONGEST_SOCKET = 100
"""Bytes of a socket's path: the kernel's limit is 107."""
START_SECONDS = 30.0
STOP_SECONDS = 5.0
SETTINGS = """\
port 0
unixsocket {socket}
unixsocketperm 700
dir {folder}
pidfile {pidfile}
logfile {log}
loglevel warning
daemonize no
save ""
appendonly yes
appendfsync everysec
aof-load-truncated yes
auto-aof-rewrite-min-size 16mb
maxmemory-policy noeviction
"""
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
    """The URL of the server of this home, as its owner wrote it down.

    Raises:
        Unavailable: none was ever started here.
    """
    try:
        return _folder(home).joinpath("address").read_text("utf-8").strip()
    except FileNotFoundError:
        raise Unavailable(
            f"No embedded Redis was started in {home} yet. Start the service (`labelloop up`), "
            "or set LABELLOOP_REDIS_URL.",
            home=str(home),
        ) from None


class EmbeddedRedis:
    """The server of one home folder: start it or attach to it, ask whether it answers, stop what was started."""

    def __init__(self, home: Path) -> None:
        self.folder = _folder(home)
        self._home = home
        self._lock = FileLock(self.folder / "lock", thread_local=False)
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None

    @property
    def address(self) -> str:
        """`unix:///…`; raises Unavailable before the first start."""
        return address(self._home)

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
                    f"Look into {self.folder / 'redis.log'}, or stop that process and start again.",
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
            keeper.join(STOP_SECONDS)
            if keeper.is_alive():
                process.kill()
                keeper.join(STOP_SECONDS)
            self._sweep()
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
            self._end_orphan()
            self._sweep()
            self._launch(program, deadline)
        except BaseException:
            self.stop()
            raise
        atexit.register(self.stop)
        return self.address

    def _launch(self, program: Path, deadline: float) -> None:
        for attempt in (1, 2):
            begin = self._log_size()
            self._configure()
            self._spawn(program)
            if self._ready(deadline):
                return
            said = self._said_since(begin)
            if attempt == 2 or self._alive() or not self._set_aside(said):
                raise Unavailable(
                    f"The embedded Redis ({program}) did not start: {said or 'it said nothing'}. Look into "
                    f"{self._log}. All it holds can be rebuilt: the folder {self.folder} may be deleted.",
                    home=str(self._home),
                )

    def _configure(self) -> None:
        socket = self._socket()
        values = {"socket": socket, "folder": self.folder.absolute(), "pidfile": self._pidfile, "log": self._log}
        quoted = {name: _quoted(str(value)) for name, value in values.items()}
        (self.folder / "redis.conf").write_text(SETTINGS.format(**quoted), "utf-8")
        (self.folder / "address").write_text(f"unix://{socket}\n", "utf-8")

    def _socket(self) -> Path:
        """Beside the data; in a private temporary folder when that path is longer than a socket's may be."""
        usual = self.folder.absolute() / "redis.sock"
        if len(os.fsencode(usual)) <= LONGEST_SOCKET:
            return usual
        with contextlib.suppress(Unavailable):
            before = Path(self.address.removeprefix("unix://"))
            if before.parent != self.folder.absolute() and _private(before.parent):
                return before
        return Path(tempfile.mkdtemp(prefix="labelloop-")) / "redis.sock"

    def _spawn(self, program: Path) -> None:
        """Start the server from a thread that lives as long as we do: its end is what the kernel reports."""
        command = [sys.executable, "-I", "-S", "-c", LAUNCH, str(os.getpid()), str(program)]
        command.append(str(self.folder.absolute() / "redis.conf"))
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

    # --- what an earlier owner left ----------------------------------------------------------------------------

    def _end_orphan(self) -> None:
        """Wait for the server of an owner that was killed; end it when it stays."""
        with contextlib.suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
            process = psutil.Process(int(self._pidfile.read_text("ascii")))
            if not self._is_ours(process):
                return
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(STOP_SECONDS)

    def _is_ours(self, process: psutil.Process) -> bool:
        # A server rewrites its command line to its name and socket, so its working folder tells it apart.
        try:
            return "-server" in process.name() and Path(process.cwd()) == self.folder.resolve()
        except psutil.AccessDenied:
            return False

    def _sweep(self) -> None:
        self._pidfile.unlink(missing_ok=True)
        with contextlib.suppress(Unavailable):
            socket = Path(self.address.removeprefix("unix://"))
            socket.unlink(missing_ok=True)

    def _set_aside(self, said: str) -> bool:
        """Put damaged files of the server out of its way. False when they were not its trouble."""
        files = list(self.folder.glob("appendonly*"))
        if not files or not any(word in said for word in ("AOF", "append only", "Bad file format")):
            return False
        damaged = self.folder / f"damaged-{time.time_ns()}"
        damaged.mkdir()
        for file in files:
            file.rename(damaged / file.name)
        return True

    @property
    def _pidfile(self) -> Path:
        return self.folder.absolute() / "redis.pid"

    @property
    def _log(self) -> Path:
        return self.folder.absolute() / "redis.log"

    def _log_size(self) -> int:
        return self._log.stat().st_size if self._log.exists() else 0

    def _said_since(self, begin: int) -> str:
        if not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            log.seek(begin)
            return " ".join(log.read().decode("utf-8", "replace").split())[-600:]


def _folder(home: Path) -> Path:
    return home / "redis"


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


def _private(folder: Path) -> bool:
    try:
        state = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and state.st_mode & 0o077 == 0


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
