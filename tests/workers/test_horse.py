"""A job's own process: it ends with its worker."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from labelloop.supervisor import leash

HORSE = """
import time
from labelloop.adapters.rq.workers import TiedWorker
from rq import Worker
Worker.main_work_horse = lambda self, job, queue: time.sleep(60)
print("ready", flush=True)
TiedWorker.main_work_horse(object.__new__(TiedWorker), None, None)
"""


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent death signal is Linux's")
def test_the_process_of_a_job_ends_when_its_worker_is_killed(tmp_path: Path) -> None:
    """Kill -9 of a trainer ends the training it began; the steward hands it to another."""
    (tmp_path / "horse.py").write_text(HORSE)
    (tmp_path / "trainer.py").write_text(
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, {str(tmp_path / 'horse.py')!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); child.wait()\n"
    )
    trainer = subprocess.Popen([sys.executable, tmp_path / "trainer.py"], stdout=subprocess.PIPE, text=True)
    assert trainer.stdout is not None
    with trainer.stdout as said:
        horse = int(said.readline())
        time.sleep(0.3)  # from "ready" to the call that asks the kernel
        os.kill(trainer.pid, signal.SIGKILL)
        trainer.wait()
    assert _gone(horse)


def test_killing_a_process_kills_what_it_started(tmp_path: Path) -> None:
    """A process that does not listen is ended with all its descendants."""
    code = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    with (tmp_path / "log").open("wb") as log:
        process = leash.spawn([sys.executable, "-c", code], os.environ, log=log)
    deadline = time.monotonic() + 20
    while not (text := (tmp_path / "log").read_text()).strip() and time.monotonic() < deadline:
        time.sleep(0.05)
    leash.kill(process)
    assert _gone(int(text))
