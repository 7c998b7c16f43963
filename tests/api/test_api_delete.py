"""DELETE of a project over HTTP: by an administrator, once, and for everybody at once."""

import sys

import pytest

from labelloop.client import Client, ClientError
from labelloop.domain.states import Role
from labelloop.loop import delete as deleting


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    """There is one process only, and the tests of a key say when it is forgotten."""
    monkeypatch.setattr(deleting, "KEY_SECONDS", 1.5)


def test_a_project_is_deleted_and_its_name_is_free(service):
    """What went is said; lists, pulls and looks know nothing of it; another one of the name begins empty."""
    name, other = service.project(items=5), service.project(items=3)
    with service.http(Role.ANNOTATOR) as http:
        lease = http.post(f"/v1/projects/{name}/leases", json={"count": 2}).json()["leases"][0]["lease"]
        http.post(f"/v1/projects/{name}/annotations", json={"annotations": [{"lease": lease, "label": "good"}]})
    with service.http(Role.ADMIN) as http:
        done = http.delete(f"/v1/projects/{name}")
        assert done.status_code == 200
        went = {"items": 5, "annotations": 1, "models": 0, "keys": 0}
        assert done.json() == {"project": name, **went, "waits_for": None}
        assert http.delete(f"/v1/projects/{name}").status_code == 404
        assert http.get(f"/v1/projects/{name}").status_code == 404
        listed = {row["project"] for row in http.get("/v1/projects").json()["projects"]}
        assert name not in listed
        assert other in listed
        assert name not in http.get("/metrics").text.replace("labelloop_annotations", "").split("labelloop_items{")[1]
    service.project(name, items=2, labels={"kind": "classes", "classes": ["new", "old"]})
    with service.http(Role.ANNOTATOR) as http:
        found = http.get(f"/v1/projects/{name}").json()
        assert found["labels"]["classes"] == ["new", "old"]
        assert found["items"]["counts"]["ingested"] == 2
        assert len(http.post(f"/v1/projects/{name}/leases", json={"count": 9}).json()["leases"]) == 2


def test_an_engineer_may_not(service):
    """Who may create and pause a project may not delete it, and nothing happens."""
    name = service.project(items=2)
    with service.http(Role.ENGINEER) as http:
        refused = http.delete(f"/v1/projects/{name}")
        assert refused.status_code == 403
        assert "admin" in refused.json()["detail"]
        assert http.get(f"/v1/projects/{name}").status_code == 200


def test_an_administrator_of_one_project_deletes_that_one(service):
    """His key goes with it; another project is not his to delete."""
    name, other = service.project(items=2), service.project(items=2)
    with service.http(Role.ADMIN, project=name) as http:
        assert http.delete(f"/v1/projects/{other}").status_code == 403
        done = http.delete(f"/v1/projects/{name}").json()
    assert (done["keys"], done["waits_for"]) == (1, None)
    with service.http(Role.ADMIN) as http:
        assert http.get(f"/v1/projects/{other}").status_code == 200


def test_answers_to_its_open_leases_are_refused(service):
    """Somebody who has an item in hand hears that the project is not there; his batch is no error of the service."""
    name = service.project(items=5)
    with Client(service.url, service.key()) as client, Client(service.url, service.key(Role.ADMIN)) as admin:
        batch = client.lease(name, 3)
        assert admin.delete_project(name)["items"] == 5
        with pytest.raises(ClientError) as refused:
            client.annotate(name, [{"lease": batch[0].lease, "label": "good"}])
        assert refused.value.status == 404
        with pytest.raises(ClientError, match="There is no project"):
            client.lease(name)


def test_a_large_one_is_left_to_the_steward(service, monkeypatch):
    """The call answers in time and says what is left; the same call again goes on; until then the name is taken."""
    routes = sys.modules["labelloop.api.routes.projects"]
    monkeypatch.setattr(routes, "DELETE_SECONDS", 0.0)
    name = service.project(items=5)
    with service.http(Role.ADMIN) as http:
        first = http.delete(f"/v1/projects/{name}").json()
        assert first["waits_for"] in {"rows", "caches"}
        taken = http.post(
            "/v1/projects",
            json={"name": name, "labels": {"kind": "classes", "classes": ["a", "b"]}, "features": {"kind": "text"}},
        )
        assert (taken.status_code, taken.json()["type"]) == (409, "urn:labelloop:problem:project-exists")
        assert "still being deleted" in taken.json()["detail"]
        monkeypatch.setattr(routes, "DELETE_SECONDS", 20.0)
        assert http.delete(f"/v1/projects/{name}").json()["waits_for"] is None
        assert http.delete(f"/v1/projects/{name}").status_code == 404
