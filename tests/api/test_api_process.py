"""The service as a process of its own: how it starts, what it logs, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from labelloop.domain.states import Role


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def process(home: Path, *arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """A server process and a connection to it."""
    port = free_port()
    env = {**os.environ, "LABELLOOP_HOME": str(home), "LABELLOOP_PORT": str(port), **environment}
    command = [argument.format(port=port) for argument in arguments]
    with subprocess.Popen([sys.executable, *command], env=env, stderr=subprocess.PIPE, text=True) as running:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", verify=False) as http:
                deadline = time.monotonic() + 60
                while running.poll() is None and time.monotonic() < deadline:
                    try:
                        http.get("/healthz")
                        break
                    except httpx.TransportError:
                        time.sleep(0.05)
                yield running, http
        finally:
            running.kill()


def test_the_factory_serves_logs_as_json_and_ends_when_told(tmp_path):
    """Each log line is JSON, with the request's id and no key; without Redis it is alive but not ready."""
    arguments = ("-m", "uvicorn", "labelloop.api.asgi:create", "--factory", "--port", "{port}")
    with process(tmp_path, *arguments, LABELLOOP_LOG_FORMAT="json", LABELLOOP_LOG_LEVEL="debug") as (running, http):
        assert http.get("/healthz").json() == {"status": "alive"}
        ready = http.get("/readyz")
        assert (ready.status_code, ready.json()["store"], ready.json()["queue"]) == (503, "ready", "silent")
        assert int(ready.headers["retry-after"]) > 0
        refused = http.get("/v1/whoami", headers={"Authorization": "Bearer ll_verysecret", "X-Request-Id": "trace-7"})
        assert refused.status_code == 401
        running.send_signal(signal.SIGTERM)
        _, errors = running.communicate(timeout=30)
    lines = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    mine = next(line for line in lines if line.get("request_id") == "trace-7")
    assert (mine["event"], mine["operation"], mine["status"]) == ("request", "whoami", 401)
    assert "verysecret" not in errors
    assert running.returncode in {0, -signal.SIGTERM}


def test_serve_listens_where_the_settings_say(tmp_path):
    """The call that the command line makes."""
    program = "from labelloop.api import serve; from labelloop.settings import Settings; serve(Settings())"
    with process(tmp_path, "-c", program) as (_, http):
        response = http.get("/")
        assert response.status_code == 200
        assert "server" not in response.headers


def test_a_sender_that_hangs_up_leaves_whole_chunks_and_no_thread(service):
    """What was committed before stays; the service goes on, and the same items can be sent again."""
    project = service.project()
    key = service.key(Role.ENGINEER)
    lines = b"".join(json.dumps({"key": str(n), "data": {"text": f"text {n}"}}).encode() + b"\n" for n in range(2500))
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        head = f"POST /v1/projects/{project}/items HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        head += "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + f"{len(lines):x}\r\n".encode() + lines + b"\r\n")
    deadline = time.monotonic() + 20
    while service.ports.pool.counts(project).ingested < 2000 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert service.ports.pool.counts(project).ingested == 2000
    with service.http(Role.ENGINEER) as http:
        again = http.post(
            f"/v1/projects/{project}/items", content=lines, headers={"Content-Type": "application/x-ndjson"}
        ).json()
    assert (again["received"], again["added"], again["duplicates"]) == (2500, 500, 2000)
