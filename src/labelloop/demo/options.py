"""What a demo is asked to do, and the project as the demo plays it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labelloop.demo.oracle import Habits
from labelloop.domain.errors import InvalidProject
from labelloop.projects import Project, example

BUDGET = 400
LEASE_SECONDS = 8.0
"""Simulated annotators are quick, so what a killed process held comes back soon."""


PEOPLE: Mapping[str, Habits] = {
    "anna": Habits(accuracy=0.99, think=0.12, ahead=5, rest=60),
    "ben": Habits(accuracy=0.97, think=0.18, ahead=5, rest=60),
    "cleo": Habits(accuracy=0.92, think=0.25, ahead=5, rest=60, skip=0.05),
}
"""Simulated annotators. They wait for a model when they are far ahead of it, so that a slow machine shows as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the demo runs. `seeds` is the number of runs of random sampling it is compared with."""

    project: str = "digits"
    budget: int | None = None
    keep: bool = False
    port: int = 0
    home: Path = Path(".labelloop-demo")
    out: Path = Path("demo")
    seconds_limit: float = 600.0
    seeds: int = 5
    plain: bool = False
    people: Mapping[str, Habits] = field(default_factory=lambda: PEOPLE)


def project_of(options: Options) -> Project:
    """The project file, with a budget to spend and short leases.

    Raises:
        InvalidProject: no such file, no labeled source, or no test set to measure on.
    """
    project = example(options.project)
    if project.source is None:
        raise InvalidProject(f"{project.name} has no [source]: the demo needs to know the true labels.")
    budget = options.budget or project.stop.budget or BUDGET
    lease = project.lease.model_copy(update={"seconds": min(project.lease.seconds, LEASE_SECONDS)})
    return project.model_copy(update={"lease": lease, "stop": project.stop.model_copy(update={"budget": budget})})
