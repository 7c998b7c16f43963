"""What is wrong with a project file is said when it is created, not after a thousand labels."""

import pytest
from conftest_loop import create

from labelloop import projects
from labelloop.domain.errors import InvalidProject, ProjectExists
from labelloop.loop.create import create as create_checked

BASE = {
    "name": "p",
    "labels": {"kind": "classes", "classes": ["a", "b"]},
    "features": {"kind": "text"},
}


@pytest.mark.parametrize(
    "changes,part",
    [
        ({"model": {"kind": "sklearn", "estimator": "os.system"}}, "os.system"),
        ({"model": {"kind": "sklearn", "parameters": {"c": 1}}}, "no parameter 'c'"),
        ({"strategy": {"kind": "plugin", "name": "nobody"}}, "nobody"),
        ({"strategy": {"kind": "modal", "function": "os.system"}}, "modAL"),
        ({"strategy": {"kind": "expected_cost", "costs": [[0, 1, 1], [1, 0, 1], [9, 9, 0]]}}, "costs has 3 rows for 2"),
        ({"retrain": {"schedule": "61 * * * *"}}, "61"),
        ({"retrain": {"schedule": "0 0 31 2 *"}}, "31 2"),
        ({"retrain": {"schedule": "R 0 * * *"}}, "comes round"),
        ({"minority": {"targets": {"a": 0, "b": 0}}}, "every class has target 0"),
        ({"labels": {"kind": "label_studio", "config": "<View/>"}}, "control"),
        (
            {"source": {"score": "f1:sapm", "data": {"kind": "bundled", "name": "iris"}}},
            "source.score: 'sapm' is no class; the classes are a, b",
        ),
        (
            {"source": {"score": "acuracy", "data": {"kind": "bundled", "name": "iris"}}},
            "unknown 'acuracy'; known: a",
        ),
    ],
)
def test_a_file_that_cannot_work_is_refused(ports, changes, part):
    """The estimator, strategy, schedule or configuration is named, and nothing is kept."""
    with pytest.raises(InvalidProject, match=part):
        create_checked(ports, projects.parse(BASE | changes))
    assert ports.projects.names() == []


def test_the_same_file_twice_is_one_project(ports):
    """Creating again changes nothing; another file under the name is refused."""
    create_checked(ports, projects.parse(BASE))
    create_checked(ports, projects.parse(BASE))
    with pytest.raises(ProjectExists, match=r"another content \(seed\)"):
        create_checked(ports, projects.parse(BASE | {"seed": 7}))
    create(ports)
    assert ports.projects.names() == ["p", "plane"]
