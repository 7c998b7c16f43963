"""The short way to the two hot calls answers as the way through FastAPI does."""

import asyncio
import json

import httpx
import pytest

from labelloop.api.app import create_app
from labelloop.api.shortcut import Shortcut
from labelloop.domain.states import Role

VARY = {"date", "server", "content-length", "x-request-id"}
"""Headers that differ between any two answers, or belong to the server around the application."""


@pytest.fixture(scope="module")
def long_way(service):
    """The same application, where the hot calls go through FastAPI like all others."""
    app = create_app(service.ports, service.settings)
    before = len(app.user_middleware)
    app.user_middleware = [one for one in app.user_middleware if one.cls is not Shortcut]
    assert len(app.user_middleware) == before - 1
    return app


def post(app, path, body, headers):
    """One request straight to the application."""

    async def once():
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            return await http.post(path, content=body, headers=headers)

    return asyncio.run(once())


def shape(value):
    """Names and types without the values that differ from lease to lease."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value]
    return type(value).__name__


REFUSED = {
    "not JSON": ("leases", b"{"),
    "no object": ("leases", b"[]"),
    "an unknown key": ("leases", b'{"cuont": 1}'),
    "no number": ("leases", b'{"count": "ten"}'),
    "too many": ("leases", b'{"count": 10000}'),
    "a body over the limit": ("annotations", b" " * 300_000),
    "no list": ("annotations", b'{"annotations": {}}'),
    "a wrong answer": ("annotations", b'{"annotations": [{"lease": "999999", "label": "odd"}]}'),
    "nothing": ("annotations", b""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_refused_in_the_same_words(service, long_way, case):
    """Status, body and headers are the same on both ways."""
    project, (part, body) = service.project(), REFUSED[case]
    headers = {"Authorization": f"Bearer {service.key()}", "Content-Type": "application/json"}
    path = f"/v1/projects/{project}/{part}"
    short = httpx.post(service.url + path, content=body, headers=headers, verify=False)
    long = post(long_way, path, body, headers)
    assert (short.status_code, short.json()) == (long.status_code, long.json())
    assert own(short) == own(long)


@pytest.mark.parametrize("part", ["leases", "annotations"])
@pytest.mark.parametrize("key", ["", "ll_nobody", "another project's"])
def test_who_is_not_let_in_is_not_let_in_by_the_short_way(service, long_way, part, key):
    """Without a key, with an unknown one, and with one of another project."""
    project = service.project()
    if key == "another project's":
        key = service.key(project=service.project())
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    path = f"/v1/projects/{project}/{part}"
    short = httpx.post(service.url + path, content=b"{}", headers=headers, verify=False)
    long = post(long_way, path, b"{}", headers)
    assert short.status_code in {401, 403, 404}
    assert (short.status_code, short.json()) == (long.status_code, long.json())


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_a_wrong_idempotency_key_is_refused_on_both_ways(service, long_way, key):
    """An empty one, and one that is too long."""
    project = service.project()
    headers = {"Authorization": f"Bearer {service.key()}", "Idempotency-Key": key}
    path, body = f"/v1/projects/{project}/annotations", b'{"annotations": []}'
    short = httpx.post(service.url + path, content=body, headers=headers, verify=False)
    long = post(long_way, path, body, headers)
    assert short.status_code == 422
    assert (short.status_code, short.json()) == (long.status_code, long.json())


def test_work_and_its_acknowledgement_look_the_same(service, long_way):
    """A lease and its answer by either way have the same form, and a repeated answer is a replay on the other."""
    project = service.project(items=6)
    headers = {"Authorization": f"Bearer {service.key(Role.ANNOTATOR)}"}
    path = f"/v1/projects/{project}"
    short = httpx.post(f"{service.url}{path}/leases", json={"count": 2}, headers=headers, verify=False)
    long = post(long_way, f"{path}/leases", b'{"count": 2}', headers)
    assert short.status_code == long.status_code == 200
    assert shape(short.json()) == shape(long.json())
    sent = {"annotations": [{"lease": one["lease"], "label": "odd"} for one in short.json()["leases"]]}
    keyed = headers | {"Idempotency-Key": "once"}
    first = httpx.post(f"{service.url}{path}/annotations", json=sent, headers=keyed, verify=False)
    again = post(long_way, f"{path}/annotations", json.dumps(sent).encode(), keyed)
    assert [one["outcome"] for one in first.json()["outcomes"]] == ["accepted", "accepted"]
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"


def own(answer):
    """The headers that the application sets."""
    return {name: value for name, value in answer.headers.items() if name not in VARY}
