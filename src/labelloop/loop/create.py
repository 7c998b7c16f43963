"""Creating a project: everything in its file that could fail later is tried now, before anybody labels."""

import re

from croniter import CroniterBadDateError, croniter

from labelloop import measures, schema, strategies
from labelloop.domain.errors import InvalidProject
from labelloop.domain.types import Subject
from labelloop.ports import Estimators, Ports
from labelloop.projects import CostStrategy, Project


def create(ports: Ports, project: Project, *, by: Subject | None = None) -> None:
    """Keep a project. The same file again changes nothing.

    Raises:
        InvalidProject: a labeling configuration, estimator, strategy or schedule that cannot work; says why.
        ProjectExists: another file has this name.
    """
    check(ports.estimators, project)
    ports.projects.create(project, ports.clock.now(), by=by)


def check(estimators: Estimators, project: Project) -> None:
    """Try what a project file names: its schema, model, strategy and schedule.

    Raises:
        InvalidProject: as for `create`.
    """
    if len(schema.of(project).classes) == 1:
        raise InvalidProject("labels: one class leaves nothing to choose; give <Choices> with two or more <Choice>")
    unknown = sorted(project.minority.named() - set(schema.of(project).classes))
    if unknown:
        raise InvalidProject(
            f"minority: {unknown[0]!r} is no class; the classes are {', '.join(schema.of(project).classes)}"
        )
    if not any(project.minority.targets.get(name, 1.0) for name in schema.of(project).classes or ["any"]):
        raise InvalidProject("minority.targets: every class has target 0; give one a weight, or leave the section out")
    measures.scorer(project)
    estimators.check(project.model)
    if project.synthetic is not None:
        estimators.check_synthetic(project.synthetic)
    strategies.bind(project.strategy)
    costs = project.strategy.costs if isinstance(project.strategy, CostStrategy) else None
    if costs is not None and len(costs) != len(schema.of(project).classes):
        raise InvalidProject(
            f"strategy.costs has {len(costs)} rows for {len(schema.of(project).classes)} classes; give one for each, in"
            f" this order: {', '.join(schema.of(project).classes)}"
        )
    schedule = project.retrain.schedule
    if schedule is not None and not _comes_round(schedule):
        raise InvalidProject(
            f"retrain.schedule: {schedule!r} is no cron expression with a date that comes round, such as `0 2 * * *`"
        )


def _comes_round(schedule: str) -> bool:
    """Whether a cron expression has dates: the 31st of February has none, and one by lot another at each look."""
    if not croniter.is_valid(schedule) or {"R", "H"} & set(re.split("[^A-Z]", schedule.upper())):
        return False
    try:
        croniter(schedule).get_prev()
    except CroniterBadDateError:
        return False
    return True
