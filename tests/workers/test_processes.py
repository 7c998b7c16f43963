"""`labelloop up` with its processes: started, restarted, stopped, and never left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

PATIENCE = 60.0


@dataclass(kw_only=True)
class Up:
    """A running `labelloop up`."""

    home: Path
    env: dict[str, str]
    process: subprocess.Popen[bytes]

    @property
    def state(self) -> dict[str, object]:
        with suppress(OSError, ValueError):
            return json.loads((self.home / "service.json").read_text())
        return {}

    @property
    def pids(self) -> dict[str, int]:
        return {name: pid for name, pid in (self.state.get("processes") or {}).items() if pid}

    def ready(self) -> bool:
        with suppress(httpx.HTTPError, KeyError):
            return httpx.get(f"{self.state['url']}/readyz", timeout=2).status_code == 200
        return False

    def cli(self, *argv: str) -> "subprocess.CompletedProcess[str]":
        argv = (sys.executable, "-m", "labelloop.cli", *argv)
        return subprocess.run(argv, env=self.env, capture_output=True, text=True, check=False, timeout=PATIENCE)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    env = os.environ | {"LABELLOOP_HOME": str(tmp_path / "home"), "LABELLOOP_PORT": "0"}
    with (tmp_path / "log").open("wb") as log:
        argv = [sys.executable, "-m", "labelloop.cli", "up"]
        process = subprocess.Popen(argv, env=env, stdout=log, stderr=log)
        running = Up(home=tmp_path / "home", env=env, process=process)
        try:
            _until(running.ready, "the service answers")
            _until(lambda: b"admin key" in (tmp_path / "log").read_bytes(), "it says where it is")
            yield running
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.05)


def _alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def _workers_listen(up: Up) -> bool:
    findings = {one["check"]: one["level"] for one in json.loads(up.cli("doctor", "--json").stdout)}
    return all(findings.get(f"worker {kind}") == "ok" for kind in ("sampler", "trainer", "steward"))


def _retrain(up: Up) -> None:
    """`retrain --wait` through real processes: without labels exit code 4, with the reason on the terminal."""
    file = up.home.parent / "p.toml"
    file.write_text('name = "p"\n[labels]\nkind = "classes"\nclasses = ["a", "b"]\n[features]\nkind = "text"\n')
    (up.home.parent / "p.jsonl").write_text('{"key": "1", "data": {"text": "one"}}\n')
    assert up.cli("project", "create", str(file)).returncode == 0
    assert up.cli("ingest", "p", str(up.home.parent / "p.jsonl")).returncode == 0
    ended = up.cli("retrain", "p", "--wait", "--timeout", "50")
    assert ended.returncode == 4, ended
    assert ended.stdout.strip()


def test_a_service_is_whole_heals_and_ends_without_orphans(up: Up) -> None:
    """Ready with private keys; each killed process comes back; a second start is refused; SIGTERM ends them all."""
    assert set(up.pids) == {"api", "api-2", "redis", "sampler", "steward", "trainer"}
    keys = up.home / "keys.json"
    assert keys.stat().st_mode & 0o777 == 0o600
    headers = {"Authorization": f"Bearer {json.loads(keys.read_text())['admin']}"}
    assert httpx.get(f"{up.state['url']}/v1/whoami", headers=headers).json()["role"] == "admin"
    _until(lambda: _workers_listen(up), "doctor sees all workers")

    _retrain(up)
    second = up.cli("up")
    assert second.returncode == 2
    assert "already" in second.stderr

    before = up.pids
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    _until(lambda: set(up.pids) == set(before) and not set(up.pids.values()) & set(before.values()), "all are new")
    _until(up.ready, "the service answers again")

    pids = list(up.pids.values())
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(timeout=PATIENCE) == 0
    assert _alive(pids) == []
    assert not (up.home / "service.json").exists()


def test_a_killed_supervisor_takes_everything_with_it(up: Up) -> None:
    """Kill -9 of the supervisor: the kernel ends its children, and the home can be used again at once."""
    pids = list(up.pids.values())
    up.process.kill()
    up.process.wait()
    _until(lambda: not _alive(pids), "all are gone")
    again = subprocess.Popen([sys.executable, "-m", "labelloop.cli", "up"], env=up.env, stdout=subprocess.DEVNULL)
    try:
        old = up.state
        _until(lambda: up.state != old and up.ready(), "a new service answers")
    finally:
        again.send_signal(signal.SIGINT)
        assert again.wait(timeout=PATIENCE) == 0


def test_nobody_is_refused_while_one_api_process_takes_over_from_another(up: Up) -> None:
    """Calls made right after kill -9 of the API wait for the process that stood by, and are answered by it."""
    serving = up.home / "api.pid"
    before = serving.read_text("ascii")
    os.kill(int(before), signal.SIGKILL)
    for _ in range(5):
        assert httpx.get(f"{up.state['url']}/readyz", timeout=PATIENCE).status_code == 200
    assert serving.read_text("ascii") != before


def test_the_steward_finishes_a_deletion_and_the_name_serves_again(up: Up) -> None:
    """Whoever marked a project was killed: it goes all the same, and another file of the name is labeled at once."""
    _retrain(up)
    database = up.home / "labelloop.db"
    marking = (
        f"from labelloop.adapters.sql.store import open_store; open_store('sqlite:///{database}').removals.begin('p')"
    )
    subprocess.run([sys.executable, "-c", marking], check=True)
    headers = {"Authorization": f"Bearer {json.loads((up.home / 'keys.json').read_text())['admin']}"}
    file = up.home.parent / "p.toml"
    file.write_text(file.read_text().replace('"b"', '"c", "d"'))
    _until(lambda: up.cli("project", "create", str(file)).returncode == 0, "the name is free")
    assert not (up.home / "projects" / "p").exists()
    assert up.cli("ingest", "p", str(up.home.parent / "p.jsonl")).returncode == 0
    with httpx.Client(base_url=str(up.state["url"]), headers=headers, timeout=PATIENCE) as http:
        leased: list[dict[str, str]] = []
        _until(lambda: leased or leased.extend(http.post("/v1/projects/p/leases", json={}).json()["leases"]), "work")
        answers = {"annotations": [{"lease": leased[0]["lease"], "label": "d"}]}
        done = http.post("/v1/projects/p/annotations", json=answers).json()
        assert [one["outcome"] for one in done["outcomes"]] == ["accepted"]
        assert http.delete("/v1/projects/p").json()["waits_for"] is None
        assert http.get("/v1/projects/p").status_code == 404
    log = (up.home.parent / "log").read_text()
    assert "Traceback" not in log
