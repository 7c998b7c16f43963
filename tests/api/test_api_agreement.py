"""Who may see all annotators is told how far they agree; an annotator is not."""

from labelloop.domain.states import Role


def vote(service, project, name, answer):
    """One person answers all it gets."""
    with service.http(subject=name) as http:
        leases = http.post(f"/v1/projects/{project}/leases", json={"count": 20}).json()["leases"]
        answers = [{"lease": one["lease"], "label": answer(one["item"])} for one in leases]
        assert answers
        http.post(f"/v1/projects/{project}/annotations", json={"annotations": answers}).raise_for_status()


def test_reviewers_see_how_far_people_agree_and_annotators_do_not(service):
    """Beside the rows of all annotators; an annotator is refused these, and nothing of it is in what he may see."""
    project = service.project(items=8, votes={"needed": 2, "cap": 2})
    vote(service, project, "ann", lambda _: "good")
    vote(service, project, "bob", lambda item: "bad" if item < 2 else "good")
    with service.http(Role.REVIEWER) as http:
        told = http.get(f"/v1/projects/{project}/annotators").json()
    assert [row["annotator"] for row in told["annotators"]] == ["ann", "bob"]
    assert (told["agreement"]["items"], told["agreement"]["observed"]) == (8, 0.75)
    assert told["agreement"]["confused"] == [{"classes": ["good", "bad"], "pairs": 2}]
    with service.http(subject="ann") as http:
        assert http.get(f"/v1/projects/{project}/annotators").status_code == 403
        for path in ("", "/annotators/me"):
            assert "agreement" not in http.get(f"/v1/projects/{project}{path}").json()


def test_a_project_without_votes_says_null_and_not_nan(service):
    """No answers at all: valid JSON with nulls."""
    project = service.project(items=3)
    with service.http(Role.REVIEWER) as http:
        reply = http.get(f"/v1/projects/{project}/annotators")
    assert "NaN" not in reply.text
    assert reply.json()["agreement"]["alpha"] is None
    assert reply.json()["agreement"]["items"] == 0
