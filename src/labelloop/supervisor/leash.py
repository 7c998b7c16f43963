"""Starts a process that cannot outlive its parent, and kills a whole family; decides nothing about when."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Protocol

import psutil

# Runs in the child before it becomes the program: asks the kernel to kill it when the thread that started it is gone,
# and gives up when that happened already. A program of its own, because code between fork and exec is not safe where
# threads run.
LAUNCH = """\
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None, use_errno=True).prctl(1, 9, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the process that started this one is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Running(Protocol):
    """A process that was started, as `subprocess.Popen` shows it."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""

    def wait(self) -> int:
        """Its exit code, when it has one."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""


def spawn(
    argv: Sequence[str], env: Mapping[str, str], *, log: IO[bytes] | None = None, fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start `argv` (its first part a path) in its own session; the kernel kills it when the calling *thread* ends.

    So call it from the main thread only. Its own session, so that Ctrl-C reaches the supervisor alone and everything
    is stopped in order. Its output goes to `log`, or where ours goes; it inherits `fds` under the same numbers.
    """
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCH, str(os.getpid())]
    return subprocess.Popen(  # noqa: S603 - our own programs
        [*launcher, *argv],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        pass_fds=tuple(fds),
    )


def kill(process: Running) -> None:
    """Kill it and all its descendants, now."""
    family: list[psutil.Process] = []
    with suppress(psutil.Error):
        family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for member in family:
        with suppress(psutil.Error):  # psutil checks the start time: a recycled process id is not hit
            member.kill()
    process.wait()
