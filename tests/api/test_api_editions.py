"""Another file of a project over HTTP: what was changed is told, what cannot be is refused, editions stay readable."""

import pytest
from serving import project_file

from labelloop.domain.states import Role


def test_a_file_is_changed_read_and_remembered(service):
    """A dry run tells; the change is in force at once, also for the next pull; both editions can be read."""
    project = service.project(items=6)
    changed = project_file(project, lease={"maximum": 2}, title="Reviews")
    with service.http(Role.ENGINEER, subject="erin") as http:
        told = http.put(f"/v1/projects/{project}?dry=true", json=changed).json()
        assert told["edition"] == 1
        assert {one["key"] for one in told["differences"]} == {"lease.maximum", "title"}
        assert http.get(f"/v1/projects/{project}/file").json()["title"] == ""
        told = http.put(f"/v1/projects/{project}", json=changed)
        assert (told.status_code, told.json()["edition"], told.json()["reorders"]) == (200, 2, False)
        assert http.put(f"/v1/projects/{project}", json=changed).json()["differences"] == []
        with service.http() as annotator:
            assert len(annotator.post(f"/v1/projects/{project}/leases", json={"count": 5}).json()["leases"]) == 2
            assert annotator.get(f"/v1/projects/{project}").json()["title"] == "Reviews"
        assert http.get(f"/v1/projects/{project}/file?edition=1").json()["lease"]["maximum"] == 200
        newest, oldest = http.get(f"/v1/projects/{project}/editions").json()["editions"]
        assert (newest["edition"], newest["by"], oldest["differences"]) == (2, "erin", [])
        again = http.put(f"/v1/projects/{project}", json=http.get(f"/v1/projects/{project}/file?edition=1").json())
        assert again.json()["edition"] == 3


@pytest.mark.parametrize(
    "changes,status,kind",
    [({"seed": 3}, 409, "fixed-for-good"), ({"name": "other"}, 422, "invalid-project"), ({"odd": 1}, 422, "invalid")],
)
def test_what_cannot_be_changed_is_a_problem(service, changes, status, kind):
    """The problem names the key; a file of another project is sent back."""
    project = service.project(items=3)
    with service.http(Role.ENGINEER) as http:
        refused = http.put(f"/v1/projects/{project}", json=project_file(project) | changes)
        assert refused.status_code == status
        assert kind in refused.json()["type"]
        assert next(iter(changes)) in refused.json()["detail"] or "other" in refused.json()["detail"]
        assert http.get(f"/v1/projects/{project}/editions").json()["editions"][0]["edition"] == 1


def test_only_engineers_change_and_only_what_is_there(service):
    """An annotator may not; a project that does not exist, or an edition, is not found."""
    project = service.project(items=3)
    with service.http() as annotator:
        assert annotator.put(f"/v1/projects/{project}", json=project_file(project)).status_code == 403
        assert annotator.get(f"/v1/projects/{project}/file").status_code == 403
    with service.http(Role.ENGINEER) as http:
        assert http.put("/v1/projects/nobody", json=project_file("nobody")).status_code == 404
        assert http.get(f"/v1/projects/{project}/file?edition=7").status_code == 404
        assert http.get(f"/v1/projects/{project}/file?edition=0").status_code == 422
