"""Leases that are forged, foreign, replayed or cut off, and priorities: an outcome or a problem for each."""

import pytest

from labelloop.domain.states import Role


def annotate(http, project, *leases, label="odd"):
    body = {"annotations": [{"lease": lease, "label": label} for lease in leases]}
    return [one["outcome"] for one in http.post(f"/v1/projects/{project}/annotations", json=body).json()["outcomes"]]


@pytest.mark.parametrize("lease", ["999999", "-1", "0", "", "9" * 30, "1e3", "1; DROP TABLE item", "٣"])
def test_a_forged_lease_is_rejected_beside_a_good_one(service, lease):
    """The good answer counts, the forged one gets an outcome."""
    project = service.project(items=4)
    with service.http() as http:
        good = http.post(f"/v1/projects/{project}/leases", json={"count": 1}).json()["leases"][0]["lease"]
        assert annotate(http, project, lease, good) == ["rejected", "accepted"]


def test_a_foreign_lease_is_rejected_and_stays_its_holders(service):
    """Neither another annotator nor another project can use it."""
    project, other = service.project(items=4), service.project(items=4)
    with service.http(subject="anna") as anna, service.http(subject="bert") as bert:
        mine = anna.post(f"/v1/projects/{project}/leases", json={"count": 1}).json()["leases"][0]["lease"]
        assert annotate(bert, project, mine) == ["rejected"]
        assert annotate(anna, other, mine) == ["rejected"]
        assert annotate(anna, project, mine) == ["accepted"]
        assert annotate(anna, project, mine) == ["duplicate"]


def test_ten_thousand_leases_asked_at_once_are_a_problem(service):
    """It says how many may be asked for, and nothing is leased."""
    project = service.project(items=4)
    with service.http() as http:
        refused = http.post(f"/v1/projects/{project}/leases", json={"count": 10_000})
        assert refused.status_code == 413
        assert "1000" in refused.json()["detail"]
        assert http.get(f"/v1/projects/{project}/leases").json()["leases"] == []


def test_an_engineer_puts_an_item_first(service):
    """The next lease is that item; annotators may not, and an unknown item or priority is a problem."""
    project = service.project(items=6, lanes={"informative": 1, "audit": 0})
    with service.http() as http, service.http(Role.ENGINEER) as engineer:
        address = f"/v1/projects/{project}/items/5/priority"
        assert http.post(address, json={"priority": "first"}).status_code == 403
        assert engineer.post(address, json={"priority": "now"}).status_code == 422
        assert engineer.post(f"/v1/projects/{project}/items/77/priority", json={"priority": "first"}).status_code == 404
        said = engineer.post(address, json={"priority": "first"})
        assert (said.status_code, said.json()["items"]) == (200, [5])
        many = engineer.post(f"/v1/projects/{project}/items/priority", json={"priority": "last", "items": [0, 1]})
        assert many.status_code == 200
        got = http.post(f"/v1/projects/{project}/leases", json={"count": 6}).json()["leases"]
        assert got[0]["item"] == 5
        assert {one["item"] for one in got[-2:]} == {0, 1}
