"""The service as a whole: errors, headers, limits, jobs, models, metrics, the OpenAPI document."""

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving import project_file

from labelloop import telemetry
from labelloop.api import problems
from labelloop.api.middleware import Observe
from labelloop.domain import errors
from labelloop.domain.states import Role


def test_every_error_of_ours_has_a_status_of_its_own_family():
    """No error falls through to 500 unless it is the service's fault."""
    expected = {
        errors.UnknownItem("x"): 404,
        errors.InvalidProject("x"): 422,
        problems.MalformedJson("x"): 400,
        errors.ProjectExists("x"): 409,
        errors.IdempotencyMismatch("x"): 422,
        errors.NotAuthenticated("x"): 401,
        errors.NotAllowed("x"): 403,
        errors.TooLarge("x"): 413,
        errors.CannotTrain("x"): 422,
        errors.BadArtifact("x"): 500,
        errors.Unavailable("x"): 503,
    }
    assert {error.slug: problems.status_of(error) for error in expected} == {e.slug: s for e, s in expected.items()}


def test_a_problem_carries_its_ids_but_they_never_hide_the_standard_members():
    """RFC 9457: type, title, status and detail are ours whatever an error is about."""
    found = problems.of_error(errors.UnknownItem("There is no item 5.", item=5, status="strange"))
    assert found == {
        "item": 5,
        "type": "urn:labelloop:problem:unknown-item",
        "title": "The project has no such item",
        "status": 404,
        "detail": "There is no item 5.",
    }


def test_when_the_store_is_away_callers_are_told_to_come_back():
    """503 with Retry-After."""
    response = problems.respond(errors.Unavailable("The store does not answer."))
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0


@pytest.mark.parametrize("method, path, status", [("GET", "/nope", 404), ("DELETE", "/v1/projects", 405)])
def test_unknown_addresses_are_problems(service, method, path, status):
    """Also where no route is reached."""
    response = service.bare.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/healthz", "/nope", "/v1/projects", "/openapi.json"])
def test_every_answer_is_safe(service, path):
    """Policy, nosniff and no referrer on pages, calls and errors alike; nobody else's origin is let in."""
    response = service.bare.get(path, headers={"Origin": "https://elsewhere.example"})
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert re.fullmatch(r"[0-9a-f]{16}", response.headers["x-request-id"])
    assert not [name for name in response.headers if name.startswith("access-control")]
    assert "server" not in response.headers


def test_a_request_id_of_the_caller_is_kept_when_it_is_plain(service):
    """So that logs of both sides meet; anything else is replaced."""
    for given, kept in (("trace-1.2", True), ("x" * 65, False), ("a b", False)):
        found = service.bare.get("/healthz", headers={"X-Request-Id": given}).headers["x-request-id"]
        assert (found == given) is kept


def test_a_body_over_the_limit_is_refused_also_without_a_length(service):
    """Announced or chunked, 413 and what to do; just below the limit it is read."""
    project = service.project()
    path = f"/v1/projects/{project}/items"
    with service.http(Role.ENGINEER) as http:

        def chunks() -> Iterator[bytes]:
            for _ in range(30):
                yield b" " * 10_000

        for content in (b" " * 300_000, chunks()):
            response = http.post(path, content=content, headers={"Content-Type": "application/json"})
            assert response.status_code == 413
            assert "NDJSON" in response.json()["detail"]
        just = b"[" + b" " * 199_000 + b"]"
        assert http.post(path, content=just, headers={"Content-Type": "application/json"}).status_code == 200


def test_a_false_content_length_is_refused(service):
    """A header that is no number does not get a body past the limit."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(b"POST /v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n")
        assert connection.recv(100).split()[1] in {b"400", b"413"}


def test_an_unforeseen_error_says_nothing_of_the_inside():
    """The caller gets a problem with the request id; the sentence of the error stays in the log."""

    async def broken(_scope, _receive, _send):
        raise RuntimeError("the password is hunter2")

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/v1/x", "headers": [], "state": {}}
    asyncio.run(Observe(broken, metrics=telemetry.Metrics())(scope, None, send))
    assert sent[0]["status"] == 500
    found = json.loads(sent[1]["body"])
    assert found["request_id"] in found["detail"]
    assert "hunter2" not in sent[1]["body"].decode()


def test_a_project_with_a_typo_names_the_known_keys(service):
    """The problem says where, and what is known there."""
    with service.http(Role.ENGINEER) as http:
        response = http.post("/v1/projects", json={**project_file("typo"), "stratgy": {}})
        assert response.status_code == 422
        assert "'stratgy'" in response.json()["detail"]
        assert "strategy" in response.json()["detail"]


def test_a_project_is_created_once(service):
    """The same file again is no error; another one under the name is a conflict."""
    with service.http(Role.ENGINEER) as http:
        first = http.post("/v1/projects", json=project_file("once"))
        assert first.status_code == 201
        assert first.headers["location"] == "/v1/projects/once"
        assert http.post("/v1/projects", json=project_file("once")).status_code == 201
        assert http.post("/v1/projects", json=project_file("once", seed=5)).status_code == 409


def test_a_project_tells_what_a_page_must_know(service):
    """Classes, instructions, the field to show, budget and counts."""
    project = service.project(items=4, stop={"budget": 3})
    with service.http() as http:
        found = http.get(f"/v1/projects/{project}").json()
        missing = http.get("/v1/projects/nope")
    assert found["labels"]["classes"] == ["good", "bad", "odd"]
    assert found["items"]["field"] == "text"
    assert found["items"]["counts"]["ingested"] == 4
    assert found["budget"] == {"votes": 3, "spent": 0}
    assert missing.status_code == 404
    assert project in missing.json()["detail"]


def test_trainings_and_rounds_are_jobs_and_a_key_asks_once(service):
    """202 with a job to look at; the same Idempotency-Key gives the same job, another key another one."""
    project = service.project(items=4)
    with service.http(Role.ENGINEER) as http:
        path = f"/v1/projects/{project}/trainings"
        one = http.post(path, headers={"Idempotency-Key": "nightly-1"})
        assert one.status_code == 202
        assert one.json() == http.post(path, headers={"Idempotency-Key": "nightly-1"}).json()
        assert one.json() != http.post(path, headers={"Idempotency-Key": "nightly-2"}).json()
        job = http.get(one.headers["location"]).json()
        assert (job["job"], job["project"], job["kind"], job["state"]) == (one.json()["job"], project, "train", "due")
        planned = http.post(f"/v1/projects/{project}/rounds").json()["job"]
        assert http.get(f"/v1/jobs/{planned}").json()["kind"] == "plan"
        assert http.get("/v1/jobs/train-nope-1").status_code == 404
        assert http.post(path, headers={"Idempotency-Key": "x" * 300}).status_code == 422
        assert http.post("/v1/projects/nope/trainings").status_code == 404


def test_the_classes_of_a_fresh_project_are_all_there_and_empty(service):
    """A row for each class, with nothing asked and nothing claimed of chance; annotators are not told."""
    project = service.project()
    with service.http(Role.REVIEWER) as http:
        found = http.get(f"/v1/projects/{project}/classes").json()
        assert http.get("/v1/projects/nope/classes").status_code == 404
    with service.http(Role.ANNOTATOR) as http:
        assert http.get(f"/v1/projects/{project}/classes").status_code == 403
    assert (found["labels"], found["audit"]) == (0, 0)
    assert found["classes"]
    assert {one["lanes"]["minority"]["by_chance"] for one in found["classes"]} == {None}


def test_models_and_curve_of_a_fresh_project_are_empty(service):
    """No champion yet, nothing to promote, and that is said."""
    project = service.project()
    with service.http(Role.ENGINEER) as http:
        assert http.get(f"/v1/projects/{project}/models").json() == {"champion": None, "models": []}
        assert http.get(f"/v1/projects/{project}/curve").json()["points"] == []
        assert http.post(f"/v1/projects/{project}/models/1/promote").status_code == 404
        assert http.post(f"/v1/projects/{project}/models/one/promote").status_code == 422
        assert http.get("/v1/projects/nope/models").status_code == 404


def test_alive_and_ready(service):
    """Both answer without a key."""
    assert service.bare.get("/healthz").json() == {"status": "alive"}
    assert service.bare.get("/readyz").json() == {"status": "ready", "store": "ready", "queue": "ready"}


def test_metrics_count_what_happened(service):
    """Items by state add up, answers are counted by outcome, calls have latencies, and all have a help line."""
    project = service.project(items=6)
    with service.http() as http:
        leases = http.post(f"/v1/projects/{project}/leases", json={"count": 2}).json()["leases"]
        answer = {"lease": leases[0]["lease"], "label": "good"}
        http.post(f"/v1/projects/{project}/annotations", json={"annotations": [answer]})
    text = service.bare.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}

    def value(name: str, **labels: str) -> float:
        samples = [sample for family in families.values() for sample in family.samples if sample.name == name]
        return next(sample.value for sample in samples if sample.labels == {"project": project, **labels})

    assert value("labelloop_annotations_total", outcome="accepted") == 1
    assert value("labelloop_leases_total", outcome="leased") == 2
    assert value("labelloop_items_ingested_total", outcome="added") == 6
    states = ("pooled", "queued", "leased", "resolved", "disputed", "retired")
    assert sum(value("labelloop_items", state=state) for state in states) == 6
    assert value("labelloop_items", state="leased") == 1
    assert value("labelloop_spent_votes") == 1
    assert {s.value for s in families["labelloop_scrape_errors"].samples} == {0}
    operations = {sample.labels["operation"] for sample in families["labelloop_request_seconds"].samples}
    assert {"lease", "annotate", "ingest"} <= operations
    assert all(family.documentation for family in families.values())
    named = {name.removesuffix("_total") for name in telemetry.METRICS}
    assert {name for name in families if not name.endswith("_created")} == named


def test_the_openapi_document_is_whole(service):
    """Every reference leads somewhere, every call of the wire is there, bodies are described."""
    document = service.bare.get("/openapi.json").json()
    text = json.dumps(document)
    for name in set(re.findall(r'"#/components/schemas/([^"]+)"', text)):
        assert name in document["components"]["schemas"]
    calls = {call["operationId"]: call for path in document["paths"].values() for call in path.values()}
    assert {"lease", "annotate", "ingest", "train", "promote", "export", "history", "media", "curve"} <= set(calls)
    assert "application/x-ndjson" in calls["ingest"]["requestBody"]["content"]
    assert calls["health"]["security"] == []
    assert calls["lease"]["x-role"] == "annotator"
    assert "application/problem+json" in calls["lease"]["responses"]["default"]["content"]


def test_the_page_and_its_files_come_from_the_package(service):
    """Each with its type and a tag; names that are not files of the page lead nowhere."""
    page = service.bare.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for name in re.findall(r'(?:src|href)="(/page/[^"]+)"', page.text):
        found = service.bare.get(name)
        assert found.status_code == 200
        again = service.bare.get(name, headers={"If-None-Match": found.headers["etag"]})
        assert again.status_code == 304
    for name in ("..%2Fapp.py", "nope.js", "index.html%00", "%2e%2e/app.py"):
        assert service.bare.get(f"/page/{name}").status_code == 404
