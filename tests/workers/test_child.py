"""One supervised process: the first restart is quick, a crash loop slows down, and nobody gives up."""

import os
import sys
import time
from collections.abc import Callable

from labelloop.supervisor import leash
from labelloop.supervisor.child import FIRST_PAUSE, Child, Program


def _running(code: str) -> Callable[[Program], leash.Running]:
    return lambda program: leash.spawn((sys.executable, "-S", "-c", code), program.env)


def _until_started(child: Child, within: float) -> float:
    began = time.monotonic()
    while child.pid is None:
        child.tend()
        assert time.monotonic() - began < within
        time.sleep(0.01)
    return time.monotonic() - began


def test_a_crash_loop_slows_down_and_never_ends() -> None:
    """Each death doubles the wait before the next start, and the count of restarts grows."""
    child = Child(Program(name="doomed", argv=(), env=os.environ), _running("raise SystemExit(3)"))
    waits = []
    for _ in range(4):
        _until_started(child, 20)
        while child.pid is not None:
            child.tend()
            time.sleep(0.005)
        waits.append(child.pause)
    assert waits[0] == FIRST_PAUSE
    assert waits == sorted(waits)
    assert waits[-1] >= 4 * FIRST_PAUSE
    assert child.restarts == 4


def test_a_process_ends_politely_when_asked() -> None:
    """Asked, a process may finish what it does; then nothing is left to kill."""
    child = Child(Program(name="sleeper", argv=(), env=os.environ), _running("import time; time.sleep(60)"))
    _until_started(child, 20)
    assert child.running
    child.ask()
    deadline = time.monotonic() + 20
    while child.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not child.running
    child.kill()
    assert child.pid is None
