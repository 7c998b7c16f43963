"""The program that loads everything once and bears the processes of a service by fork: each starts in milliseconds.

The supervisor sends it wishes, `{"name", "argv", "fds"}` to bear or `{"pid", "signal"}`, and is told `{"born": pid}`
and `{"died": pid, "code": n}`. It starts no threads, so what it forks is whole; what it loaded is shared by all that it
bears until one of them writes to it. Linux only: elsewhere a fork of a loaded process is not safe.
"""

import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

LOADED = (
    "labelloop.api.asgi",
    "labelloop.cli.app",
    "labelloop.jobs",
    "labelloop.adapters.rq.workers",
    "labelloop.adapters.estimators.sklearn_kind",
    "sklearn.linear_model",
    "uvicorn.protocols.http.httptools_impl",
)
"""What the processes would load at their start. What takes long and only some need, such as torch, is not here."""
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
LOOK_MS = 20
LONGEST = 1 << 16
"""Bytes of a message."""


def main(line: socket.socket, fds: Sequence[int]) -> None:
    """Bear what the supervisor at the other end of this line asks for, until it is gone."""
    for name in LOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection writes to every object it looks at, and what is written to is shared no more
    poll = select.poll()
    poll.register(line, select.POLLIN)
    while True:
        if poll.poll(LOOK_MS):
            message = line.recv(LONGEST)
            if not message:
                return
            _fulfil(json.loads(message), line, fds)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                _tell(line, {"died": ended[0], "code": os.waitstatus_to_exitcode(ended[1])})


def _fulfil(wish: Mapping[str, Any], line: socket.socket, fds: Sequence[int]) -> None:
    if "signal" in wish:
        with suppress(ProcessLookupError):  # never another's: a process id is free only after its death was told
            os.kill(wish["pid"], wish["signal"])
        return
    parent = os.getpid()
    if (pid := os.fork()) != 0:
        _tell(line, {"born": pid})
        return
    line.close()
    for fd in set(fds) - set(wish["fds"]):
        os.close(fd)
    _become(wish["name"], wish["argv"], parent)


def _tell(line: socket.socket, event: Mapping[str, int]) -> None:
    line.send(json.dumps(event).encode())


def _become(name: str, argv: Sequence[str], parent: int) -> NoReturn:
    """Run a module as `python -m` does, in a session of its own, tied to the process that bore this one."""
    os.setsid()
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_NAME, f"ll-{name}".encode(), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the process that bore this one is gone")
    sys.argv = list(argv)
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
    sys.exit(0)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), [int(fd) for fd in sys.argv[2:]])
