"""Who may call what."""

import pytest
from fastapi.routing import APIRoute

from labelloop.api.access import Requires, public
from labelloop.api.keys import REMEMBERED_SECONDS, KeyRing, digest_key, new_key
from labelloop.api.routes import ROUTERS
from labelloop.domain.states import Role

ROUTES = [route for router in ROUTERS for route in router.routes]
PUBLIC = {"health", "ready", "openapi", "page", "page_file", "favicon"}


def declared(route: APIRoute) -> list[object]:
    """The declarations of access among a route's dependencies."""
    calls = [dependency.call for dependency in route.dependant.dependencies]
    return [call for call in calls if call is public or isinstance(call, Requires)]


def address(route: APIRoute) -> str:
    """The route's path with something in every place."""
    return route.path.format(project="p", number=1, item=1, field="image", job="train-p-1", name="main.js", key="0")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation_id or route.path)
def test_every_route_declares_one_role(route):
    """A route that does not say who may call it does not get past this test."""
    assert isinstance(route, APIRoute)
    assert len(declared(route)) == 1
    assert (declared(route)[0] is public) == (route.operation_id in PUBLIC)


def test_operation_ids_are_given_and_unique():
    """Programs name calls by their operation id."""
    names = [route.operation_id for route in ROUTES]
    assert all(names)
    assert len(set(names)) == len(names)


def test_no_get_changes_anything():
    """Every call that changes state is a POST, PUT or DELETE, so that no link or picture can trigger it."""
    changing = {"create_project", "ingest", "lease", "renew", "release", "skip", "annotate", "plan", "train", "promote"}
    changing |= {"update_project", "pause", "resume", "prioritize", "prioritize_items", "draw_map", "delete_project"}
    changing |= {"create_key", "revoke_key", "change_skills"}
    assert {route.operation_id for route in ROUTES if route.methods != {"GET"}} == changing


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.operation_id not in PUBLIC | {"metrics"}], ids=lambda r: r.operation_id
)
def test_no_call_without_a_key(service, route):
    """Without a key, and with a wrong one, the answer is 401 and says how to send one."""
    method = next(iter(route.methods))
    for headers in (
        {},
        {"Authorization": "Bearer ll_wrong"},
        {"Authorization": "Basic abc"},
        {"Authorization": "ll_x"},
    ):
        response = service.bare.request(method, address(route), headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.operation_id not in PUBLIC and declared(route)[0].role is not Role.ANNOTATOR],
    ids=lambda route: route.operation_id,
)
def test_each_role_stops_where_it_should(service, route):
    """One role below the declared one is refused, whatever the path names."""
    roles = list(Role)
    below = roles[roles.index(declared(route)[0].role) - 1]
    with service.http(below) as http:
        response = http.request(next(iter(route.methods)), address(route))
    assert response.status_code == 403
    assert response.json()["type"] == "urn:labelloop:problem:not-allowed"
    assert below.value in response.json()["detail"]


def test_a_key_of_one_project_is_refused_elsewhere(service):
    """A limited key sees its own project, lists only that, and gets 403 on any other and on its jobs."""
    mine, other = service.project(items=3), service.project(items=3)
    with service.http(Role.ENGINEER, project=mine) as http:
        assert http.get(f"/v1/projects/{mine}").status_code == 200
        assert http.get(f"/v1/projects/{other}").status_code == 403
        assert [row["project"] for row in http.get("/v1/projects").json()["projects"]] == [mine]
        with service.http(Role.ENGINEER) as free:
            job = free.post(f"/v1/projects/{other}/trainings").json()["job"]
        assert http.get(f"/v1/jobs/{job}").status_code == 403
        assert http.post("/v1/projects", json={"name": "x"}).status_code == 422


def test_a_key_is_made_once_and_works_at_once(service):
    """An administrator makes a key for a subject; whoami says whose it is; the store never sees the key itself."""
    project = service.project()
    with service.http(Role.ADMIN) as http:
        made = http.post("/v1/keys", json={"subject": "ann", "role": "annotator", "project": project})
    assert made.status_code == 201
    key = made.json()["key"]
    assert key.startswith("ll_")
    assert len(key) > 30
    found = service.bare.get("/v1/whoami", headers={"Authorization": f"Bearer {key}"}).json()
    assert found == {"subject": "ann", "role": "annotator", "project": project, "skills": []}
    database = b"".join(path.read_bytes() for path in service.settings.home.glob("labelloop.db*"))
    assert key.encode() not in database


@pytest.mark.parametrize(
    "body",
    [
        {"subject": ""},
        {"subject": "a\nb"},
        {"subject": "a", "role": "king"},
        {"subject": "a", "rule": 1},
        {"subject": "a", "skills": ["Lang:DE"]},
        {"subject": "a", "skills": "lang:de"},
        [],
    ],
)
def test_a_wrong_key_request_names_the_place(service, body):
    """What is wrong with it is said; nothing is made."""
    with service.http(Role.ADMIN) as http:
        response = http.post("/v1/keys", json=body)
    assert response.status_code == 422
    assert response.json()["errors"]


def test_a_key_for_an_unknown_project_is_not_made(service):
    """A typo in the project's name is a 404, not a key that works nowhere."""
    with service.http(Role.ADMIN) as http:
        assert http.post("/v1/keys", json={"subject": "a", "project": "nope"}).status_code == 404


def test_an_administrator_of_one_project_makes_keys_for_it_only(service):
    """A limited administrator cannot make himself an unlimited key."""
    project = service.project()
    with service.http(Role.ADMIN, project=project) as http:
        assert http.post("/v1/keys", json={"subject": "a"}).status_code == 403
        assert http.post("/v1/keys", json={"subject": "a", "project": project}).status_code == 201


def test_an_administrator_ends_a_key_and_changes_skills_by_its_id(service):
    """The list shows whose keys there are and none of them; what is told is what the store holds."""
    project = service.project()
    with service.http(Role.ADMIN) as http:
        made = [
            http.post("/v1/keys", json={"subject": "mia", "project": project, "skills": ["law"]}).json()
            for _ in range(2)
        ]
        said = http.get("/v1/keys", params={"subject": "mia"})
        assert not any(one["key"] in said.text for one in made)
        assert {one["id"] for one in said.json()["keys"]} == {one["id"] for one in made}
        address = f"/v1/keys/{made[0]['id']}"
        changed = http.put(f"{address}/skills", json={"skills": ["lang:de"]})
        assert (changed.status_code, changed.json()["skills"]) == (200, ["lang:de"])
        assert http.put(f"{address}/skills", json={"skills": ["Lang"]}).status_code == 422
        assert http.put(f"{address}/skills", json={}).status_code == 422
        assert http.get("/v1/keys", params={"project": project}).json()["keys"][0]["skills"] == ["lang:de"]
        ended = [http.delete(address).json() for _ in range(2)]
        assert ended[0]["revoked_at"] is not None
        assert ended[0] == ended[1]
        assert http.put(f"{address}/skills", json={"skills": []}).status_code == 409
        assert [one["id"] for one in http.get("/v1/keys?subject=mia").json()["keys"]] == [made[1]["id"]]
        assert len(http.get("/v1/keys?subject=mia&revoked=true").json()["keys"]) == 2
        assert http.delete("/v1/keys/nobody").status_code == 404


def test_an_administrator_of_one_project_has_to_do_with_its_keys_alone(service):
    """Others are neither listed, nor ended, nor changed."""
    project, other = service.project(), service.project()
    with service.http(Role.ADMIN) as free:
        theirs = [free.post("/v1/keys", json={"subject": "eve", "project": of}).json()["id"] for of in (other, None)]
        ours = free.post("/v1/keys", json={"subject": "ann", "project": project}).json()["id"]
    with service.http(Role.ADMIN, project=project) as http:
        assert {one["project"] for one in http.get("/v1/keys").json()["keys"]} == {project}
        assert http.get("/v1/keys", params={"project": other}).status_code == 403
        for key in theirs:
            assert http.delete(f"/v1/keys/{key}").status_code == 403
            assert http.put(f"/v1/keys/{key}/skills", json={"skills": []}).status_code == 403
        assert http.delete(f"/v1/keys/{ours}").status_code == 200


def test_a_revoked_key_stops_working_within_seconds(service):
    """The ring forgets what it knows after a few seconds and then believes the store."""
    now = [100.0]
    ring = KeyRing(service.ports.keys, service.settings.hashing_secret, clock=lambda: now[0])
    key = service.key(Role.REVIEWER)
    assert ring.recall(key) is None
    assert ring.find(key).role is Role.REVIEWER
    service.ports.keys.revoke(digest_key(service.settings.hashing_secret, key), service.ports.clock.now())
    assert ring.recall(key) is not None
    now[0] += REMEMBERED_SECONDS
    assert ring.recall(key) is None
    assert ring.find(key) is None


def test_keys_differ_and_depend_on_the_secret():
    """No two keys are equal, and a digest says nothing without the secret."""
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    key = keys.pop()
    assert digest_key(b"one", key) != digest_key(b"two", key)


def test_metrics_are_open_to_this_machine_only_when_nothing_forwards(service):
    """A local scraper needs no key; a request that a proxy passed on does."""
    assert service.bare.get("/metrics").status_code == 200
    assert service.bare.get("/metrics", headers={"X-Forwarded-For": "10.0.0.1"}).status_code == 401
    with service.http(Role.ANNOTATOR) as http:
        assert http.get("/metrics").status_code == 403
