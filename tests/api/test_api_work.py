"""Lease, answer, skip, release: what an annotator's program sees."""

import concurrent.futures
from datetime import datetime
from uuid import uuid4

import orjson
import pytest

from labelloop.domain.states import Role
from labelloop.loop.map import draw


def test_a_batch_is_leased_answered_and_counted(service):
    """The whole way of a batch: leases with their data, outcomes, statistics, history."""
    project = service.project(items=12)
    with service.http(subject="ann") as http:
        leases = http.post(f"/v1/projects/{project}/leases", json={"count": 5}).json()["leases"]
        assert len(leases) == 5
        assert {"lease", "item", "key", "data", "lane", "expires_at"} <= set(leases[0])
        assert leases[0]["data"]["text"].startswith("Weather report")
        assert datetime.fromisoformat(leases[0]["expires_at"]) > service.ports.clock.now()
        body = {"annotations": [{"lease": one["lease"], "label": "good", "seconds": 1.5} for one in leases]}
        outcomes = http.post(f"/v1/projects/{project}/annotations", json=body).json()["outcomes"]
        assert [one["outcome"] for one in outcomes] == ["accepted"] * 5
        assert [one["lease"] for one in outcomes] == [one["lease"] for one in leases]
        me = http.get(f"/v1/projects/{project}/annotators/me").json()
        assert (me["annotator"], me["accepted"]) == ("ann", 5)
    with service.http(Role.REVIEWER) as http:
        history = http.get(f"/v1/projects/{project}/items/{leases[0]['item']}/history").json()
        assert history["annotations"][0]["label"] == "good"
        assert history["dispatches"][0]["annotator"] == "ann"
        rows = http.get(f"/v1/projects/{project}/annotators").json()["annotators"]
        assert [row["annotator"] for row in rows] == ["ann"]


def test_two_annotators_never_get_the_same_item(service):
    """Sixteen callers at once share out a pool without an item served twice."""
    project = service.project(items=60)

    def pull(_: int) -> list[int]:
        with service.http() as http:
            return [
                one["item"] for one in http.post(f"/v1/projects/{project}/leases", json={"count": 5}).json()["leases"]
            ]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        served = [item for items in pool.map(pull, range(16)) for item in items]
    assert sorted(served) == list(range(60))


def test_the_same_idempotency_key_has_one_effect(service):
    """A repeat gets the first answer and says so; another body under the key is refused."""
    project = service.project(items=4)
    with service.http() as http:
        lease = http.post(f"/v1/projects/{project}/leases", json={"count": 1}).json()["leases"][0]
        body = {"annotations": [{"lease": lease["lease"], "label": "bad"}]}
        headers = {"Idempotency-Key": uuid4().hex}
        first = http.post(f"/v1/projects/{project}/annotations", json=body, headers=headers)
        again = http.post(f"/v1/projects/{project}/annotations", json=body, headers=headers)
        assert first.json() == again.json()
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        body["annotations"][0]["label"] = "good"
        other = http.post(f"/v1/projects/{project}/annotations", json=body, headers=headers)
        assert other.status_code == 422
        assert other.json()["type"].endswith(":idempotency-mismatch")
        assert http.get(f"/v1/projects/{project}/annotators/me").json()["accepted"] == 1


def test_bad_answers_do_not_hold_up_good_ones(service):
    """Each bad answer of a batch is rejected with its reason; the good one is taken."""
    project = service.project(items=3)
    with service.http() as http, service.http() as other:
        lease = http.post(f"/v1/projects/{project}/leases", json={"count": 1}).json()["leases"][0]["lease"]
        foreign = other.post(f"/v1/projects/{project}/leases", json={"count": 1}).json()["leases"][0]["lease"]
        given = [
            {"lease": lease, "label": "superb"},
            {"lease": "999999", "label": "good"},
            {"lease": foreign, "label": "good"},
            {"lease": lease},
            {"lease": lease, "label": "good", "mood": "fine"},
            "nonsense",
            {"lease": lease, "label": "good"},
        ]
        response = http.post(f"/v1/projects/{project}/annotations", json={"annotations": given})
        outcomes = response.json()["outcomes"]
    assert [one["outcome"] for one in outcomes] == ["rejected"] * 6 + ["accepted"]
    assert "good, bad, odd" in outcomes[0]["reason"]
    assert all(one["reason"] for one in outcomes[:6])


def test_skip_release_renew_and_resume(service):
    """Skipped items never come back, released ones may; open leases are listed after a reload; renewal moves expiry."""
    project = service.project(items=3)
    with service.http() as http:
        base = f"/v1/projects/{project}/leases"
        leases = http.post(base, json={"count": 3}).json()["leases"]
        assert [one["lease"] for one in http.get(base).json()["leases"]] == [one["lease"] for one in leases]
        skipped, released, kept = (one["lease"] for one in leases)
        assert http.post(f"{base}/skip", json={"leases": [skipped]}).json()["outcomes"][0]["outcome"] == "accepted"
        assert http.post(f"{base}/release", json={"leases": [released]}).json()["outcomes"][0]["outcome"] == "accepted"
        renewed = http.post(f"{base}/renew", json={"leases": [kept, "77", "x"]}).json()["outcomes"]
        assert [one["outcome"] for one in renewed] == ["accepted", "rejected", "rejected"]
        assert renewed[0]["expires_at"] > leases[2]["expires_at"]
        assert [one["lease"] for one in http.get(base).json()["leases"]] == [kept]
        again = http.post(base, json={"count": 3}).json()["leases"]
        assert [one["item"] for one in again] == [leases[1]["item"]]
        empty = http.post(base, json={"count": 3}).json()
        assert empty["leases"] == []
        assert empty["retry_after"] > 0
        assert empty["reason"]


def test_a_paused_project_hands_out_nothing_but_takes_answers(service):
    """Pausing loses no work that is under way."""
    project = service.project(items=4)
    with service.http() as http, service.http(Role.ENGINEER) as engineer:
        lease = http.post(f"/v1/projects/{project}/leases", json={"count": 1}).json()["leases"][0]
        assert engineer.post(f"/v1/projects/{project}/pause").json()["state"] == "paused"
        empty = http.post(f"/v1/projects/{project}/leases", json={"count": 1}).json()
        assert empty["leases"] == []
        assert "paused" in empty["reason"]
        body = {"annotations": [{"lease": lease["lease"], "label": "odd"}]}
        found = http.post(f"/v1/projects/{project}/annotations", json=body).json()["outcomes"][0]
        assert found["outcome"] == "accepted"
        assert engineer.post(f"/v1/projects/{project}/resume").json()["state"] == "active"
        assert len(http.post(f"/v1/projects/{project}/leases", json={"count": 1}).json()["leases"]) == 1


@pytest.mark.parametrize(
    "call, body, status",
    [
        ("leases", {"count": 0}, 422),
        ("leases", {"count": True}, 422),
        ("leases", {"count": "3"}, 422),
        ("leases", {"count": 1001}, 413),
        ("leases", {"number": 1}, 422),
        ("leases", [], 422),
        ("leases/renew", {}, 422),
        ("leases/skip", {"leases": "5"}, 422),
        ("leases/skip", {"leases": [None]}, 422),
        ("leases/release", {"leases": ["1"] * 1001}, 413),
        ("annotations", {"annotations": {}}, 422),
        ("annotations", {"annotations": [{}] * 1001}, 413),
    ],
)
def test_wrong_requests_are_named(service, call, body, status):
    """Each is a problem that says what to send instead."""
    project = service.project()
    with service.http() as http:
        response = http.post(f"/v1/projects/{project}/{call}", json=body)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.json()["detail"]) > 20


def test_a_body_that_is_not_json_is_400(service):
    """Malformed is not the same as invalid."""
    project = service.project()
    with service.http() as http:
        response = http.post(f"/v1/projects/{project}/leases", content=b'{"count": ')
    assert response.status_code == 400
    assert response.json()["type"].endswith(":malformed-json")


def test_leases_are_json_whatever_the_items_hold(service):
    """Text beyond the basic plane, control characters and deep values come back as they went in."""
    data = {"text": "𝔘 \u2028 </script> \x07 é", "deep": [{"a": [1, 2.5, None, True]}]}
    project = service.project(items=[{"key": "k", "data": data}])
    with service.http() as http:
        raw = http.post(f"/v1/projects/{project}/leases", json={"count": 1}).content
    assert orjson.loads(raw)["leases"][0]["data"] == data


def test_a_map_is_asked_for_drawn_by_a_worker_and_read(service):
    """Before it is drawn the answer says how to ask; engineers only, because it tells the model's guesses."""
    project = service.project(items=30)
    path = f"/v1/projects/{project}/map"
    with service.http(Role.REVIEWER) as http:
        assert http.get(path).status_code == http.post(path).status_code == 403
    with service.http(Role.ENGINEER) as http:
        missing = http.get(path)
        assert missing.status_code == 404
        assert missing.json()["type"].endswith("no-map")
        asked = http.post(path)
        assert asked.status_code == 202
        assert http.post(path).json() == asked.json()
        assert http.get(asked.headers["location"]).json()["kind"] == "map"
        draw(service.ports, project, lambda _part, _what: None)
        drawn = http.get(path).json()
        item = drawn["points"]["item"][0]
        assert http.get(f"/v1/projects/{project}/items/{item}").json()["key"] == f"k{item}"
        assert http.get(f"/v1/projects/{project}/items/999").status_code == 404
    assert len(drawn["points"]["item"]) == 30
    assert set(drawn["layouts"]) == {"pca", "tsne"}
    assert drawn["stale"] is False
