"""The whole loop in processes of its own, while each of them is killed with -9 once."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

PROJECT = """
name = "few_digits"
[labels]
kind = "classes"
classes = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
[items]
kind = "image"
field = "image"
[source]
holdout = 0.3
limit = 400
[source.data]
kind = "bundled"
name = "digits"
[features]
kind = "pixels"
field = "image"
maximum = 16
[model]
kind = "sklearn"
calibrate = false
[strategy]
kind = "margin"
[strategy.cold_start]
kind = "random"
[lease]
seconds = 3
[retrain]
first = 8
labels = 10
[stop]
budget = 100
"""
KILLED = ("trainer", "sampler", "api", "redis", "steward")


def _pids(home: Path) -> dict[str, int]:
    with suppress(OSError, ValueError):
        return {k: v for k, v in json.loads((home / "service.json").read_text())["processes"].items() if v}
    return {}


@pytest.mark.slow
def test_the_demo_ends_by_itself_and_everything_holds_though_each_process_is_killed_once(tmp_path: Path) -> None:
    """Kill -9 of trainer, sampler, API, Redis and steward, two seconds apart: no vote is lost, no orphan is left."""
    (tmp_path / "few_digits.toml").write_text(PROJECT)
    home, out = tmp_path / "home", tmp_path / "out"
    argv = [sys.executable, "-m", "labelloop.cli", "demo", "--project", str(tmp_path / "few_digits.toml")]
    argv += ["--home", str(home), "--out", str(out), "--seeds", "2", "--plain", "--seconds-limit", "200"]
    with (tmp_path / "log").open("wb") as log:
        demo = subprocess.Popen(argv, stdout=log, stderr=log, env=os.environ | {"LABELLOOP_THREADS": "1"})
        try:
            killed = _kill_each_once(demo, home)
            code = demo.wait(timeout=250)
        finally:
            if demo.poll() is None:
                demo.send_signal(signal.SIGKILL)
    said = (tmp_path / "log").read_text()
    assert code == 0, said + (home / "service.log").read_text()[-8000:]
    assert killed == set(KILLED)
    story = json.loads((out / "demo.json").read_text())
    assert all(check["held"] for check in story["checks"])
    assert story["spent"] == 100
    assert len(story["models"]) >= 4
    assert (out / "demo.png").stat().st_size > 10_000
    assert not _left_behind(home), "processes of the demo were left behind"


def _kill_each_once(demo: subprocess.Popen[bytes], home: Path) -> set[str]:
    """Once work has begun, one kill every two seconds; waits for the process to be there again before the next."""
    killed: set[str] = set()
    while not (home / "truth.json").exists() and demo.poll() is None:
        time.sleep(0.1)
    for name in KILLED:
        time.sleep(2.0)
        pid = _pids(home).get(name)
        if demo.poll() is not None or pid is None:
            break
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed.add(name)
    return killed


def _left_behind(home: Path) -> list[str]:
    """Command lines of processes that work on this home."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("LABELLOOP_HOME") == str(home) or str(home) in " ".join(process.cmdline()):
                    found.append(" ".join(process.cmdline()))
        if not found:
            return []
        time.sleep(0.2)
    return found
