"""Leases that are forged, foreign, replayed or cut off, and priorities: an outcome or a problem for each."""

import concurrent.futures
import json
from uuid import uuid4

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


def lease_of(http, project):
    return http.post(f"/v1/projects/{project}/leases", json={"count": 1}).json()["leases"][0]["lease"]


@pytest.mark.parametrize("verb", ["renew", "release", "skip"])
def test_forged_foreign_and_cut_leases_change_nothing(service, verb):
    """Each has an outcome that says so, beside a good one; the holder of the foreign lease keeps it."""
    project = service.project(items=4)
    with service.http() as http, service.http() as other:
        mine, foreign = lease_of(http, project), lease_of(other, project)
        given = [foreign, "987654321", "x", "", mine[:-1] or "0", f" {mine}", f"{mine}.0", mine]
        said = http.post(f"/v1/projects/{project}/leases/{verb}", json={"leases": given}).json()["outcomes"]
        assert [one["outcome"] for one in said] == ["rejected"] * 7 + ["accepted"]
        assert all(one["reason"] and "item" not in one for one in said[:7])
        assert [one["lease"] for one in other.get(f"/v1/projects/{project}/leases").json()["leases"]] == [foreign]


@pytest.mark.parametrize("verb", ["release", "skip"])
def test_a_replayed_release_or_skip_has_one_effect(service, verb):
    """Named twice it is one lease, later it is a duplicate; an answer to what was given back still has an outcome."""
    project = service.project(items=4)
    with service.http() as http:
        mine = lease_of(http, project)
        address = f"/v1/projects/{project}/leases/{verb}"
        said = [http.post(address, json={"leases": [mine, mine]}).json()["outcomes"] for _ in range(2)]
        assert [one["outcome"] for part in said for one in part] == ["accepted", "accepted", "duplicate", "duplicate"]
        assert annotate(http, project, mine) == ["late"]


def test_one_wrong_of_ten_holds_up_none_of_the_nine(service):
    """Nine are accepted, one outcome says why not, in the order they were sent."""
    project = service.project(items=12)
    with service.http() as http:
        leases = http.post(f"/v1/projects/{project}/leases", json={"count": 10}).json()["leases"]
        given = [{"lease": one["lease"], "label": "good"} for one in leases]
        given[3]["label"] = "marvellous"
        said = http.post(f"/v1/projects/{project}/annotations", json={"annotations": given}).json()["outcomes"]
        assert [one["outcome"] for one in said] == ["accepted"] * 3 + ["rejected"] + ["accepted"] * 6
        assert "marvellous" in said[3]["reason"]
        held = http.get(f"/v1/projects/{project}/leases").json()["leases"]
        assert [one["lease"] for one in held] == [leases[3]["lease"]]


def test_the_same_key_with_another_body_is_refused_and_the_first_answer_stands(service):
    """422 with the reason; the lease that the second body named is still open."""
    project = service.project(items=4)
    with service.http() as http:
        one, two = lease_of(http, project), lease_of(http, project)
        address, headers = f"/v1/projects/{project}/annotations", {"Idempotency-Key": uuid4().hex}
        for lease, status in ((one, 200), (two, 422), (one, 200)):
            body = {"annotations": [{"lease": lease, "label": "good"}]}
            said = http.post(address, json=body, headers=headers)
            assert said.status_code == status
        assert "another body" in http.post(address, json={"annotations": []}, headers=headers).json()["detail"]
        assert [held["lease"] for held in http.get(f"/v1/projects/{project}/leases").json()["leases"]] == [two]


def test_a_body_over_the_limit_is_a_problem_and_loses_nothing(service):
    """413 says what to do; the same answers in a smaller body are taken."""
    project = service.project(items=4)
    with service.http() as http:
        mine = lease_of(http, project)
        answer = {"lease": mine, "label": "good", "comment": "x" * 300_000}
        refused = http.post(f"/v1/projects/{project}/annotations", json={"annotations": [answer]})
        assert refused.status_code == 413
        assert refused.headers["content-type"] == "application/problem+json"
        assert annotate(http, project, mine) == ["accepted"]


def test_ten_thousand_leases_named_at_once_are_a_problem(service):
    """As many as may be named is said; nothing is given back or recorded."""
    project = service.project(items=4)
    with service.http() as http:
        mine = lease_of(http, project)
        base = f"/v1/projects/{project}"
        for verb in ("renew", "release", "skip"):
            assert http.post(f"{base}/leases/{verb}", json={"leases": [mine] * 10_000}).status_code == 413
        body = {"annotations": [{"lease": mine, "label": "good"}] * 10_000}
        assert http.post(f"{base}/annotations", content=json.dumps(body)[:190_000]).status_code == 400
        assert http.post(f"{base}/annotations", json={"annotations": [{}] * 10_000}).status_code == 413
        assert [one["lease"] for one in http.get(f"{base}/leases").json()["leases"]] == [mine]


def test_a_key_of_another_project_leases_and_answers_nothing(service):
    """403 on every call of the loop, whoever holds the lease; the lease stays its holder's."""
    project, other = service.project(items=4), service.project(items=4)
    with service.http(subject="anna") as anna, service.http(subject="anna", project=other) as astray:
        mine = lease_of(anna, project)
        base = f"/v1/projects/{project}"
        calls = [
            ("leases", {"count": 1}),
            ("annotations", {"annotations": [{"lease": mine, "label": "good"}]}),
            *((f"leases/{verb}", {"leases": [mine]}) for verb in ("renew", "release", "skip")),
        ]
        for call, body in calls:
            refused = astray.post(f"{base}/{call}", json=body)
            assert (refused.status_code, refused.json()["allowed"]) == (403, other)
        assert astray.get(f"{base}/leases").status_code == 403
        assert annotate(anna, project, mine) == ["accepted"]


def nested(levels):
    return "[" * levels + "]" * levels


def test_a_body_that_is_nested_too_deeply_is_malformed(service):
    """400 on every call, item streams name the line; what could not be written again is not taken in."""
    project = service.project(items=2)
    with service.http(Role.ENGINEER) as http:
        for call, body in (
            ("annotations", f'{{"annotations": [{{"lease": "1", "label": {nested(400)}}}]}}'),
            ("annotations", f'{{"annotations": {nested(900)}}}'),
            ("leases", nested(900)),
            ("items", f'[{{"key": "a", "data": {{"text": {nested(900)}}}}}]'),
        ):
            said = http.post(f"/v1/projects/{project}/{call}", content=body, headers={"Idempotency-Key": uuid4().hex})
            assert (call, said.status_code) == (call, 400)
            assert "nested" in said.json()["detail"]
        lines = "\n".join(
            f'{{"key": "n{levels}", "data": {{"text": "level {levels}", "more": {nested(levels)}}}}}'
            for levels in (10, 900)
        )
        headers = {"Content-Type": "application/x-ndjson"}
        said = http.post(f"/v1/projects/{project}/items", content=lines, headers=headers).json()
        assert (said["added"], [one["line"] for one in said["invalid"]]) == (1, [2])


def test_crooked_calls_in_a_crowd_hurt_only_their_senders(service):
    """Forty at once, a third of them nonsense: each good answer is accepted, each wrong one has a reason."""
    project = service.project(items=60)
    wrong = [{"lease": {"a": []}, "label": "good"}, [[]], None, 7, {"lease": "1", "label": {"good": 1}}]

    def work(at):
        with service.http() as http:
            good = {"lease": lease_of(http, project), "label": "good"}
            given = [wrong[at % 5], good] if at % 3 == 0 else [good]
            headers = {"Idempotency-Key": f"crowd-{at}"}
            said = http.post(f"/v1/projects/{project}/annotations", json={"annotations": given}, headers=headers)
            return [one["outcome"] for one in said.json()["outcomes"]]

    with concurrent.futures.ThreadPoolExecutor(20) as crowd:
        found = list(crowd.map(work, range(40)))
    assert found == [["rejected", "accepted"] if at % 3 == 0 else ["accepted"] for at in range(40)]
    assert service.ports.projects.row(project).spent == 40


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
