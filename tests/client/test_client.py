"""The Python client against a real service, and against one that is away for a moment."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from serving import Service, project_file, text_item

import labelloop
from labelloop.client import Client, ClientError, Lease, Outcome
from labelloop.domain.states import Role
from labelloop.loop.train import train


@contextmanager
def client(service: Service, role: Role = Role.ANNOTATOR, **who: Any) -> Iterator[Client]:
    """A client with a fresh key."""
    with Client(service.url, service.key(role, **who), patience=5) as found:
        yield found


def test_the_whole_loop_by_the_client(service):
    """Create, ingest from a generator, lease, answer, look: every method meets the service that it was written for."""
    with client(service, Role.ADMIN) as admin:
        name = admin.create_project(project_file("by-client"))
        report = admin.ingest(name, (text_item(number) for number in range(40)))
        assert (report.received, report.added, report.duplicates, report.invalid) == (40, 40, 0, ())
        assert admin.ingest(name, [text_item(0), {"key": ""}]).invalid[0]["line"] == 2
        service.plan(name)
        key = admin.create_key("ann", project=name)
        with labelloop.Client(service.url, key) as ann:
            assert ann.whoami() == {"subject": "ann", "role": "annotator", "project": name, "skills": []}
            assert [row["project"] for row in ann.projects()] == [name]
            leases = ann.lease(name, 3)
            assert len(leases) == 3
            assert isinstance(leases[0], Lease)
            assert [one.lease for one in ann.open_leases(name)] == [one.lease for one in leases]
            assert ann.renew(name, [leases[0].lease])[0].expires_at > leases[0].expires_at
            assert ann.skip(name, [leases[0].lease])[0].outcome == "accepted"
            assert ann.release(name, [leases[1].lease])[0].outcome == "accepted"
            done = ann.annotate(name, [{"lease": leases[2].lease, "label": "good", "comment": "clear"}])
            assert done == [Outcome(lease=leases[2].lease, outcome="accepted", item=leases[2].item)]
            assert ann.annotator(name)["accepted"] == 1
        assert admin.history(name, leases[2].item)["annotations"][0]["label"] == "good"
        assert [row["annotator"] for row in admin.annotators(name)] == ["ann"]
        assert admin.agreement(name)["items"] == 0
        assert admin.project(name)["items"]["counts"]["ingested"] == 40
        assert admin.models(name) == {"champion": None, "models": []}
        assert admin.curve(name)["points"] == []
        assert admin.classes(name)["audit"] == 0
        changed = project_file(name, lease={"maximum": 3})
        assert admin.update_project(changed, dry=True)["edition"] == 1
        assert admin.update_project(changed)["edition"] == 2
        assert admin.project_file(name)["lease"]["maximum"] == 3
        assert admin.project_file(name, 1)["lease"]["maximum"] == 200
        assert [one["edition"] for one in admin.editions(name)] == [2, 1]
        job = admin.request_training(name, idempotency_key="once")
        assert job == admin.request_training(name, idempotency_key="once")
        assert admin.job(job)["kind"] == "train"
        assert admin.job(admin.request_round(name))["kind"] == "plan"
        admin.pause(name)
        assert "paused" in admin.lease(name, 1).reason
        admin.resume(name)
        assert admin.lease(name, 1).reason is None
        assert admin.ready()


def test_items_that_require_skills_by_the_client(service):
    """Items say what they require, keys what they carry; who has not is told what is missing, and gets nothing."""
    with client(service, Role.ADMIN) as admin:
        name = admin.create_project(project_file("by-skill"))
        admin.ingest(name, [{**text_item(at), "requires": ["lang:de", "law"]} for at in range(3)])
        service.plan(name)
        assert [one["uncovered"] for one in admin.project(name)["requirements"]] == [3]
        keys = [admin.create_key("ann"), admin.create_key("dora", skills={"law", "lang:de", "lang:fr"})]
        assert [one["uncovered"] for one in admin.project(name)["requirements"]] == [0]
        with labelloop.Client(service.url, keys[0]) as ann, labelloop.Client(service.url, keys[1]) as dora:
            idle = ann.lease(name, 3)
            assert not idle
            assert "lang:de + law (skills of your key: none)" in idle.reason
            assert dora.whoami()["skills"] == ["lang:de", "lang:fr", "law"]
            assert len(dora.lease(name, 3)) == 3
        assert admin.history(name, 0)["requires"] == ["lang:de", "law"]


def test_keys_by_the_client(service):
    """An administrator sees who has a key, lets one learn something, and ends another."""
    with client(service, Role.ADMIN) as admin:
        name = admin.create_project(project_file("keys-of-a-team"))
        keys = [admin.create_key("mia", project=name) for _ in range(2)]
        first, second = admin.keys(project=name)
        assert first["subject"] == second["subject"] == "mia"
        assert admin.change_skills(first["id"], {"law"})["skills"] == ["law"]
        assert admin.revoke_key(second["id"])["revoked_at"] is not None
        assert [one["skills"] for one in admin.keys(subject="mia")] == [["law"]]
        assert len(admin.keys(subject="mia", revoked=True)) == len(keys)
        with pytest.raises(ClientError, match="Nobody knows this key"):
            admin.revoke_key("0123456789ab")


def test_export_streams_rows(service):
    """Labels that came along come back, one row each."""
    items = [{**text_item(number), "label": "good"} for number in range(3)]
    name = service.project(items=items)
    with client(service, Role.ENGINEER) as found:
        assert [(row["key"], row["label"]) for row in found.export(name)] == [(f"k{n}", "good") for n in range(3)]
        with pytest.raises(ClientError, match="no project"):
            list(found.export("nope"))
        twin = {"key": "twin", "data": {field: f"{text}!" for field, text in items[1]["data"].items()}}
        found.ingest(name, [twin])
        service.plan(name)
        alike = [row for row in found.export(name, near_duplicates=0.98) if row["source"] == "near_duplicate"]
        assert [(row["key"], row["duplicate_of"], row["label"]) for row in alike] == [("twin", "k1", "good")]
        with pytest.raises(ClientError, match="above 0 and up to 1"):
            list(found.export(name, near_duplicates=2))


def test_predictions_by_the_client(service):
    """Row by row; what there is no model for is a refusal with its reason."""
    items = [{**text_item(number), "label": ("good", "bad")[number % 2]} for number in range(10)]
    name = service.project(items=items + [text_item(number) for number in range(10, 15)])
    with client(service, Role.ENGINEER) as found:
        with pytest.raises(ClientError, match="no model yet"):
            list(found.predictions(name))
        train(service.ports, name, found.request_training(name), lambda _part, _what: None)
        found.promote(name, 1)
        rows = list(found.predictions(name, probabilities=True))
        assert [row["key"] for row in rows] == [f"k{number}" for number in range(10, 15)]
        assert list(found.predictions(name, model=1, least=1.0)) == []


def test_a_refusal_carries_the_problem(service):
    """Programs get the slug, the status and the ids; people get the sentence. It is not tried again."""
    with client(service) as found:
        with pytest.raises(ClientError, match="There is no project 'nope'") as caught:
            found.project("nope")
        assert (caught.value.status, caught.value.slug) == (404, "unknown-project")
        assert caught.value.problem["project"] == "nope"
        began = time.monotonic()
        with pytest.raises(ClientError) as caught:
            found.create_key("me", "admin")
        assert caught.value.status == 403
        assert time.monotonic() - began < 2


def test_a_job_that_does_not_end_is_given_up(service):
    """Waiting has an end, and says what to look at."""
    name = service.project(items=3)
    with client(service, Role.ENGINEER) as found:
        job = found.request_training(name)
        with pytest.raises(TimeoutError, match="workers running"):
            found.wait(job, timeout=0.3, poll=0.1)


def test_leases_are_renewed_while_one_works_and_the_rest_goes_back(service):
    """Held for longer than a lease lasts; after the block the unanswered ones are free for others."""
    name = service.project(items=4, lease={"seconds": 1.5})
    with client(service, subject="slow") as found:
        with found.work(name, count=4) as batch:
            first, second, *rest = batch
            time.sleep(2.5)
            service.ports.ledger.expire(name, service.ports.clock.now())
            assert len(service.ports.ledger.held(name, "slow", service.ports.clock.now())) == 4
            assert batch.answer(first, "good", seconds=2.0).outcome == "accepted"
            assert batch.skip(second).outcome == "accepted"
            assert batch.answer(rest[0], "superb").outcome == "rejected"
        assert len(found.open_leases(name)) == 0
        assert threading.active_count() < 50
        assert not [thread for thread in threading.enumerate() if thread.name == "labelloop-renew"]
    with client(service) as other:
        assert {one.item for one in other.lease(name, 9)} == {second.item, *(one.item for one in rest)}


def test_an_error_inside_the_block_gives_the_leases_back(service):
    """Whatever happens to the person's program, others get the items at once."""
    name = service.project(items=2)
    with client(service) as found:
        with pytest.raises(ZeroDivisionError), found.work(name, count=2):
            raise ZeroDivisionError
        assert len(found.open_leases(name)) == 0


def test_no_work_is_an_empty_batch_that_says_why(service):
    """The block is entered all the same."""
    name = service.project()
    with client(service) as found, found.work(name) as batch:
        assert list(batch) == []
        assert batch.leases.retry_after > 0
        assert batch.leases.reason


class Flaky(ThreadingHTTPServer):
    """Does what its script says, request by request: a status with headers, or hang up."""

    daemon_threads = True

    def __init__(self, script: list[tuple[int, dict[str, str]] | None]) -> None:
        super().__init__(("127.0.0.1", 0), FlakyHandler)
        self.script = script
        self.seen: list[tuple[str | None, bytes, float]] = []


class FlakyHandler(BaseHTTPRequestHandler):
    """One connection to Flaky."""

    server: Flaky
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Note the request and follow the script."""
        body = self.read_chunked() if "Transfer-Encoding" in self.headers else self.rfile.read(self.length())
        self.server.seen.append((self.headers["Idempotency-Key"], body, time.monotonic()))
        step = self.server.script.pop(0) if self.server.script else (200, {})
        if step is None:
            self.close_connection = True
            return
        status, headers = step
        answer = {"outcomes": [], "received": 1, "added": 1, "duplicates": 0, "invalid": [], "detail": "away"}
        content = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def length(self) -> int:
        """Bytes of the body."""
        return int(self.headers["Content-Length"] or 0)

    def read_chunked(self) -> bytes:
        """A chunked body."""
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, *_: object) -> None:
        """Be silent."""


@contextmanager
def flaky(*script: tuple[int, dict[str, str]] | None) -> Iterator[tuple[Flaky, str]]:
    """A server that fails as told."""
    server = Flaky(list(script))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_answers_are_repeated_under_one_key_until_they_are_taken():
    """A broken connection, then 503: the same body under the same key, after the wait that was asked for."""
    with flaky(None, (503, {"Retry-After": "1"})) as (server, url), Client(url, "ll_x", patience=20) as found:
        found.annotate("p", [{"lease": "1", "label": "a"}])
        found.annotate("p", [{"lease": "2", "label": "a"}])
    keys = [key for key, _, _ in server.seen]
    assert len(server.seen) == 4
    assert len(set(keys[:3])) == 1
    assert keys[0]
    assert keys[3] != keys[0]
    assert len({body for _, body, _ in server.seen[:3]}) == 1
    assert server.seen[2][2] - server.seen[1][2] >= 1


def test_items_that_can_be_read_again_are_sent_again_and_others_are_not():
    """A list is repeated whole; half a generator would be sent as if it were all, so its error is raised."""
    items = [{"key": "a", "data": {"x": 1}}]
    with flaky((503, {}), (200, {}), (503, {})) as (server, url), Client(url, "ll_x", patience=20) as found:
        assert found.ingest("p", items).added == 1
        assert server.seen[0][1] == server.seen[1][1] == b'{"key": "a", "data": {"x": 1}}\n'
        with pytest.raises(ClientError):
            found.ingest("p", iter(items))
    assert len(server.seen) == 3


def test_patience_has_an_end():
    """A service that stays away is an error in the end; without patience at once."""
    with flaky(*[(503, {})] * 100) as (server, url):
        with Client(url, "ll_x", patience=0) as found, pytest.raises(ClientError, match="away"):
            found.annotate("p", [])
        assert len(server.seen) == 1
        with Client(url, "ll_x", patience=1) as found, pytest.raises(ClientError, match="away"):
            found.annotate("p", [])
        assert len(server.seen) > 2


def test_making_a_key_is_not_repeated():
    """A key whose answer got lost must not become two keys."""
    with flaky((503, {})) as (server, url), Client(url, "ll_x", patience=5) as found:
        with pytest.raises(ClientError):
            found.create_key("ann")
        assert len(server.seen) == 1


def test_something_else_at_the_address_is_told():
    """An answer that is no problem+json still becomes a sentence."""
    with flaky((404, {"Content-Type": "text/html"})) as (_, url), Client(url, "ll_x") as found:
        with pytest.raises(ClientError) as caught:
            found.annotate("p", [])
        assert caught.value.status == 404


def test_the_client_is_light():
    """Importing it brings neither numbers nor servers nor databases along."""
    program = "import sys, labelloop; labelloop.Client; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    heavy = {
        "numpy",
        "sklearn",
        "sqlalchemy",
        "redis",
        "rq",
        "fastapi",
        "pydantic",
        "labelloop.loop",
        "labelloop.ports",
    }
    assert not heavy & set(loaded)
    assert "labelloop.client" in loaded
