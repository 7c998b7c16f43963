"""Updating a project: another file is put in force as its next edition, while people label by the one before.

Once there are items, what is bound to the file stays: their numbers, labels by their classes, the lot that drew the
audit. Who wants another of these wants another project. Rounds and models name the edition that they were made by.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labelloop import schema
from labelloop.domain.errors import Conflict, FixedForGood
from labelloop.domain.states import Lane
from labelloop.domain.types import ProjectRow, Subject
from labelloop.loop.create import check
from labelloop.ports import Ports
from labelloop.projects import Difference, Project, differences

TRIES = 5
ORDERING = ("labels", "items", "strategy", "lanes", "minority", "votes")
"""Sections that the order of the queue depends on."""
LEARNING = ("labels", "model", "synthetic")
"""Sections that show in the next model only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What came of it. reorders: whether another order of the queue was asked for; retrains: whether it takes another
    training, which nobody was asked for, until everything is as the file says.
    """

    edition: int
    differences: Sequence[Difference]
    reorders: bool
    retrains: bool


def update(ports: Ports, project: Project, *, by: Subject, dry: bool = False) -> Update:
    """Put another file of a project in force; the same file again changes nothing. `dry`: only say what would change.

    Raises:
        UnknownProject: nothing of this name is there to be changed.
        InvalidProject: as for `create`.
        FixedForGood: a key that items, labels or the audit are bound to; says which and why.
    """
    check(ports.estimators, project)
    for _ in range(TRIES):
        row = ports.projects.row(project.name)
        before = ports.projects.get(project.name, row.edition)
        found = differences(before, project)
        if row.items:
            _allow(before, project, found, row)
        told = Update(
            edition=row.edition + bool(found and not dry),
            differences=found,
            reorders=row.items > 0 and _touches(found, ORDERING),
            retrains=row.champion is not None and _touches(found, LEARNING),
        )
        if dry or not found:
            return told
        plan = f"edition {told.edition} of the project file" if told.reorders else None
        now, empty = ports.clock.now(), not row.items
        if ports.projects.change(project, known=row.edition, empty=empty, by=by, now=now, plan=plan):
            if told.reorders:
                ports.bus.nudge(project.name)
            return told
    raise Conflict(f"the file of {project.name!r} keeps changing; look again", project=project.name)


def history(ports: Ports, name: str) -> list[dict[str, Any]]:
    """The editions of a project's file, newest first: number, since when, by whom, what differs from the one before."""
    known = ports.projects.editions(name)
    files = {one.number: ports.projects.get(name, one.number) for one in known}
    return [
        {
            "edition": one.number,
            "created_at": one.created_at,
            "by": one.by,
            "differences": [asdict(key) for key in differences(files[one.number - 1], files[one.number])]
            if one.number - 1 in files
            else [],
        }
        for one in known
    ]


def _touches(found: Sequence[Difference], sections: Sequence[str]) -> bool:
    return any(one.key.partition(".")[0] in sections and one.key != "labels.instructions" for one in found)


def _allow(before: Project, after: Project, found: Sequence[Difference], row: ProjectRow) -> None:
    """Raise FixedForGood with every key that may not change any more."""
    reasons = [reason for one in found if (reason := _fixed(one.key, before, after, row))]
    if reasons:
        raise FixedForGood(
            f"This cannot be changed in {after.name!r}: {'; '.join(dict.fromkeys(reasons))}. Leave it as it is, or "
            "create a project of another name and ingest the export of this one.",
            project=after.name,
        )


def _fixed(key: str, before: Project, after: Project, row: ProjectRow) -> str | None:
    """Why a key may not change; None where it may."""
    section = key.partition(".")[0]
    if key == "seed":
        return "seed (the lot that reserved the audit was drawn by it)"
    if section == "features" or key == "items.shard_size":
        return f"{key} (the numbers of items, and models of them, are made by it)"
    if section == "labels" and key != "labels.instructions":
        return _labels(before, after)
    if key == "lanes.audit_items" and row.audit_threshold is not None:
        return "lanes.audit_items (the audit was reserved before anything was asked)"
    if key == "lanes.audit" and row.audit_threshold == 0 and after.lanes.shares().get(Lane.AUDIT):
        return "lanes.audit (nothing was reserved for an audit before items were asked)"
    return None


def _labels(before: Project, after: Project) -> str | None:
    """Classes may be added behind the others, controls anywhere: answers that are there keep their meaning."""
    then, now = schema.of(before), schema.of(after)
    if now.classes[: len(then.classes)] != then.classes:
        return "labels (classes that are there stay in their places; new ones come behind them)"
    kept = (then.controls or {}).items() <= (now.controls or {}).items()
    if then.kind != now.kind or not kept:
        return "labels (answers by its controls are there; new controls may be added)"
    return None
