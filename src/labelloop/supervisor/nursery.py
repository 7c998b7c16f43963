"""Starts programs: by fork of the cradle, which has loaded what they need, or each in an interpreter of its own.

Here is the supervisor's end of the line to the cradle: it asks for processes, and knows which of them have died.
"""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from labelloop.supervisor import leash
from labelloop.supervisor.child import Program, Start

LONGEST = 1 << 10
"""Bytes of an event."""
LOOK_SECONDS = 0.01
KILLED = -signal.SIGKILL


@contextmanager
def starter(env: Mapping[str, str], fds: tuple[int, ...]) -> Iterator[Start]:
    """How programs are started on this system, in this environment; they may ask for any of these open files."""
    if sys.platform != "linux":
        yield start_alone
        return
    with Nursery(env, fds) as nursery:
        yield nursery.start


def start_alone(program: Program) -> leash.Running:
    """Start a program in an interpreter of its own, which loads everything anew."""
    return leash.spawn((sys.executable, "-m", *program.argv), program.env, fds=program.fds)


class Line:
    """A cradle and the line to it. When the cradle dies, so does all that it bore."""

    def __init__(self, env: Mapping[str, str], fds: tuple[int, ...]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            numbers = [str(fd) for fd in (theirs.fileno(), *fds)]
            argv = (sys.executable, "-m", "labelloop.supervisor.cradle", *numbers)
            self._process: subprocess.Popen[bytes] = leash.spawn(argv, env, fds=(theirs.fileno(), *fds))
        self._socket: socket.socket | None = ours
        self._ended: dict[int, int] = {}

    @property
    def cut(self) -> bool:
        """Whether the cradle is gone."""
        return self._socket is None

    def bear(self, program: Program) -> int:
        """Process id of a new process; 0 when the cradle died over it. A cradle that still loads makes us wait."""
        self._say({"name": program.name, "argv": list(program.argv), "fds": list(program.fds)})
        while (event := self._hear()) is not None:
            if "born" in event:
                return event["born"]
        return 0

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to a process that was born here."""
        self._say({"pid": pid, "signal": number})

    def ended(self, pid: int) -> int | None:
        """Exit code of a process that was born here, said once; None while it runs."""
        while self._hear(socket.MSG_DONTWAIT) is not None:
            pass
        return self._ended.pop(pid, KILLED if self.cut else None)

    def close(self) -> None:
        """End the cradle, and with it what it bore."""
        self._cut()

    def _say(self, wish: Mapping[str, Any]) -> None:
        try:
            if self._socket is not None:
                self._socket.send(json.dumps(wish).encode())
        except OSError:
            self._cut()

    def _hear(self, flags: int = 0) -> dict[str, int] | None:
        """The next event, or None: there is none now, or the cradle is gone."""
        if self._socket is None:
            return None
        try:
            message = self._socket.recv(LONGEST, flags)
        except BlockingIOError:
            return None
        except OSError:
            message = b""
        if not message:
            self._cut()
            return None
        event: dict[str, int] = json.loads(message)
        if "died" in event:
            self._ended[event["died"]] = event["code"]
        return event

    def _cut(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        leash.kill(self._process)


class Born:
    """A process that a cradle bore, as `subprocess.Popen` would show it."""

    def __init__(self, line: Line, pid: int) -> None:
        self.pid = pid
        self._line = line
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        if self._code is None:
            self._code = self._line.ended(self.pid)
        return self._code

    def wait(self) -> int:
        """Its exit code, when it has one."""
        while (code := self.poll()) is None:
            time.sleep(LOOK_SECONDS)
        return code

    def terminate(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.poll() is None:
            self._line.signal(self.pid, number)


class Nursery:
    """Starts programs by fork of a process that has loaded what they need; brings another one when that dies.

    Use it from one thread, which must outlive all that it starts. Their environment is the nursery's.
    """

    def __init__(self, env: Mapping[str, str], fds: tuple[int, ...]) -> None:
        self._env, self._fds = env, fds
        self._line: Line | None = None

    def __enter__(self) -> Self:
        """Begin to load, which takes seconds; a start meanwhile waits for it."""
        self._line = Line(self._env, self._fds)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._line is not None:
            self._line.close()

    def start(self, program: Program) -> Born:
        """A new process that runs the program."""
        if self._line is None or self._line.cut:
            self._line = Line(self._env, self._fds)
        return Born(self._line, self._line.bear(program))
