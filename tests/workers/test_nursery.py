"""The nursery: processes born of one that is loaded live, die and are told of like any other."""

import ast
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from labelloop.supervisor import leash
from labelloop.supervisor.child import Program
from labelloop.supervisor.nursery import Nursery

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks a loaded process")
PATIENCE = 30.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module that writes down who runs it, and then waits or ends as told."""
    (tmp_path / "small_program.py").write_text(
        "import os, pathlib, sys, time\n"
        "fds = sorted(int(fd) for fd in os.listdir('/proc/self/fd'))\n"
        "loaded = 'labelloop.jobs' in sys.modules and 'sklearn' in sys.modules\n"
        "facts = [sys.argv[1:], os.getsid(0) == os.getpid(), loaded, fds, __name__]\n"
        "path = pathlib.Path(__file__).parent / f'{sys.argv[1]}.txt'\n"
        "path.write_text(repr(facts))\n"
        "time.sleep(60) if sys.argv[2] == 'wait' else sys.exit(int(sys.argv[2]))\n"
    )
    return tmp_path


@pytest.fixture
def door() -> Iterator[int]:
    """An open file that some may inherit."""
    reader, writer = os.pipe()
    yield reader
    os.close(reader)
    os.close(writer)


@pytest.fixture
def nursery(folder: Path, door: int) -> Iterator[Nursery]:
    with Nursery(_env(folder), (door,)) as nursery:
        yield nursery


def _env(folder: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _program(*argv: str, fds: tuple[int, ...] = ()) -> Program:
    return Program(name="small", argv=("small_program", *argv), env={}, fds=fds)


def _until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.01)


def _facts(folder: Path, name: str) -> list[object]:
    path = folder / f"{name}.txt"
    _until(lambda: path.exists() and path.read_text(), "the program runs")
    return ast.literal_eval(path.read_text())


def test_a_program_runs_as_by_python_dash_m_with_all_that_it_needs_loaded(
    nursery: Nursery, folder: Path, door: int
) -> None:
    """Its arguments, its name, a session of its own; open are the files that it asked for, and no others."""
    nursery.start(_program("with", "wait", fds=(door,)))
    nursery.start(_program("without", "wait"))
    argv, own_session, loaded, fds, name = _facts(folder, "with")
    assert (argv, own_session, loaded, name) == (["with", "wait"], True, True, "__main__")
    assert set(fds) - set(_facts(folder, "without")[3]) == {door}


def test_the_cradle_has_no_threads_that_a_fork_could_hurt(nursery: Nursery, folder: Path) -> None:
    """A fork of a process with threads may find locks held by nobody, so loading must start none.

    Only the allocator that pyarrow brings has one, and sees to forks itself.
    """
    born = nursery.start(_program("one", "wait"))
    _facts(folder, "one")
    cradle = psutil.Process(born.pid).parent()
    assert cradle is not None
    names = [(task / "comm").read_text().strip() for task in Path(f"/proc/{cradle.pid}/task").iterdir()]
    assert [name for name in names if name != "jemalloc_bg_thd"] == ["python"]


def test_how_it_ended_is_known(nursery: Nursery) -> None:
    """Exit codes and signals are told, one process's not for another's, again and again the same."""
    first, second, third = (nursery.start(_program(name, how)) for name, how in (("a", "0"), ("b", "7"), ("c", "wait")))
    assert (first.wait(), second.wait()) == (0, 7)
    assert third.poll() is None
    third.terminate()
    assert third.wait() == -signal.SIGTERM
    assert (first.poll(), second.poll(), third.poll()) == (0, 7, -signal.SIGTERM)
    third.terminate()  # of one that has ended: nothing


def test_when_the_cradle_dies_so_does_what_it_bore_and_another_takes_its_place(nursery: Nursery, folder: Path) -> None:
    """No orphan is left, every process is known to be dead, and the next start works."""
    born = nursery.start(_program("old", "wait"))
    _facts(folder, "old")
    cradle = psutil.Process(born.pid).parent()
    assert cradle is not None
    cradle.kill()
    assert born.wait() == -signal.SIGKILL
    _until(lambda: not psutil.pid_exists(born.pid), "the kernel ended it")
    assert nursery.start(_program("new", "3")).wait() == 3
    assert born.poll() == -signal.SIGKILL


def test_nothing_outlives_the_nursery(folder: Path) -> None:
    """Closing it ends the cradle and all that it bore."""
    with Nursery(_env(folder), ()) as nursery:
        born = nursery.start(_program("last", "wait"))
        _facts(folder, "last")
    _until(lambda: not psutil.pid_exists(born.pid), "it has ended")
    leash.kill(born)  # again is no error
