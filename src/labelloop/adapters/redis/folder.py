"""The folder of a Redis server of our own: its settings, socket, log, and what an earlier owner left in it."""

import contextlib
import os
import stat
import tempfile
import time
from pathlib import Path
from urllib.parse import quote, unquote

import psutil

from labelloop.domain.errors import Unavailable

LONGEST_SOCKET = 100
"""Bytes of a socket's path: the kernel's limit is 107."""
STOP_SECONDS = 5.0
"""How long a server that was asked to end may take."""
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


class ServerFolder:
    """`redis/` in the home folder. Only the owner of the server writes here."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.path = home / "redis"
        self.settings = self.path.absolute() / "redis.conf"
        self.pidfile = self.path.absolute() / "redis.pid"
        self.log = self.path.absolute() / "redis.log"

    @property
    def address(self) -> str:
        """The URL of the server, as its owner wrote it down.

        Raises:
            Unavailable: none was ever started here.
        """
        with contextlib.suppress(FileNotFoundError):
            return (self.path / "address").read_text("utf-8").strip()
        raise Unavailable(
            f"No embedded Redis was started in {self._home} yet. Start the service (`labelloop up`), "
            "or set LABELLOOP_REDIS_URL.",
            home=str(self._home),
        )

    @property
    def socket(self) -> Path:
        """The socket of that address."""
        return Path(unquote(self.address.removeprefix("unix://")))

    def configure(self) -> None:
        """Write the settings, and the address for others to attach to."""
        socket = self._place_socket()
        values = {"socket": socket, "folder": self.path.absolute(), "pidfile": self.pidfile, "log": self.log}
        quoted = {name: _quoted(str(value)) for name, value in values.items()}
        self.settings.write_text(SETTINGS.format(**quoted), "utf-8")
        draft = self.path / "address.new"
        draft.write_text(f"unix://{quote(str(socket))}\n", "utf-8")
        draft.replace(self.path / "address")

    def _place_socket(self) -> Path:
        """Beside the data; in a private temporary folder when that path is longer than a socket's may be."""
        usual = self.path.absolute() / "redis.sock"
        if len(os.fsencode(usual)) <= LONGEST_SOCKET:
            return usual
        with contextlib.suppress(Unavailable):
            before = self.socket
            if before.parent != self.path.absolute() and _private(before.parent):
                return before
        return Path(tempfile.mkdtemp(prefix="labelloop-")) / "redis.sock"

    def end_orphan(self) -> None:
        """Wait for the server of an owner that was killed; end it when it stays."""
        with contextlib.suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
            process = psutil.Process(int(self.pidfile.read_text("ascii")))
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
            return "-server" in process.name() and Path(process.cwd()) == self.path.resolve()
        except psutil.AccessDenied:
            return False

    def sweep(self) -> None:
        """Take away the pidfile and the socket of a server that is gone."""
        self.pidfile.unlink(missing_ok=True)
        with contextlib.suppress(Unavailable):
            self.socket.unlink(missing_ok=True)

    def set_aside(self, said: str) -> bool:
        """Put damaged files of the server out of its way. False when they were not its trouble."""
        files = list(self.path.glob("appendonly*"))
        if not files or not any(word in said for word in ("AOF", "append only", "Bad file format")):
            return False
        damaged = self.path / f"damaged-{time.time_ns()}"
        damaged.mkdir()
        for file in files:
            file.rename(damaged / file.name)
        return True

    def log_size(self) -> int:
        """Bytes of the log so far."""
        return self.log.stat().st_size if self.log.exists() else 0

    def said_since(self, begin: int) -> str:
        """The end of what the server has logged since then, on one line."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(begin)
            return " ".join(log.read().decode("utf-8", "replace").split())[-600:]


def _private(folder: Path) -> bool:
    try:
        state = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and state.st_mode & 0o077 == 0


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
