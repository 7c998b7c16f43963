"""What people and programs ask about a project: its state, its learning curve, and why an item was served."""

from collections.abc import Mapping
from typing import Any

from labelloop import schema
from labelloop.domain.states import JobKind, Role
from labelloop.domain.types import ItemNumber, Job, Model, Round
from labelloop.loop import stability
from labelloop.ports import Ports

RECENT = 10


def status(ports: Ports, name: str) -> dict[str, Any]:
    """Counts by state, lane and requirement, champion, budget, last rounds, plans and trainings."""
    row = ports.projects.row(name)
    project = ports.projects.get(name, row.edition)
    counts = ports.pool.counts(name)
    rules = schema.of(project)
    champion = ports.models.get(name, row.champion) if row.champion is not None else None
    rounds = ports.rounds.recent(name, RECENT)
    return {
        "name": name,
        "title": project.title or name,
        "state": row.state.value,
        "edition": row.edition,
        "labels": {"kind": rules.kind, "classes": list(rules.classes), "instructions": rules.instructions},
        "items": {
            "kind": project.items.kind,
            "field": project.items.field,
            "counts": {part: getattr(counts, part) for part in counts.__dataclass_fields__},
            "conserved": counts.conserved,
        },
        "requirements": requirements(ports, name),
        "lanes": {lane.value: depth for lane, depth in ports.queue_health.depth(name).items()},
        "rank_gap": {
            lane.value: {"served": gap.served, "mean": gap.mean, "most": gap.most}
            for lane, gap in ports.rounds.gaps(name).items()
        },
        "budget": {"votes": project.stop.budget, "spent": row.spent},
        "champion": model_summary(champion) if champion else None,
        "stability": stability.told(rounds[0] if rounds else None),
        "rounds": [round_summary(one) for one in rounds],
        "plans": [job_summary(one) for one in ports.jobs.recent(name, JobKind.PLAN, RECENT)],
        "trainings": [job_summary(one) for one in ports.jobs.recent(name, JobKind.TRAIN, RECENT)],
        "lease": project.lease.model_dump(),
        "created_at": row.created_at.isoformat(),
    }


def requirements(ports: Ports, name: str) -> list[dict[str, Any]]:
    """What open items require, and how many of them no active key covers: these would wait for ever."""
    if not ports.projects.row(name).requirements:
        return []
    carried = ports.keys.carried(name)
    rows = []
    for one in ports.pool.open_requirements(name):
        roles = [role for role, skills in carried if one.skills <= skills]
        lonely = (0 if roles else one.pooled) + (
            0 if any(role.covers(Role.REVIEWER) for role in roles) else one.disputed
        )
        if one.pooled or one.disputed:
            row = {"requires": sorted(one.skills), "pooled": one.pooled, "disputed": one.disputed}
            rows.append({**row, "uncovered": lonely})
    return rows


def curve(ports: Ports, name: str) -> dict[str, Any]:
    """The learning curve: every model in order, with labels, votes spent, and audit metrics with intervals."""
    ports.projects.get(name)
    return {"project": name, "points": [model_summary(model) for model in ports.models.all(name)]}


def history(ports: Ports, name: str, item: ItemNumber) -> Mapping[str, Any]:
    """Every dispatch, annotation and consensus of one item."""
    return ports.ledger.history(name, item)


def model_summary(model: Model) -> dict[str, Any]:
    """A model as the wire shows it."""
    return {
        "number": model.number,
        "state": model.state.value,
        "reason": model.reason,
        "labels": model.labels,
        "spent": model.spent,
        "metrics": dict(model.metrics),
        "training_set": model.training_set,
        "artifact": model.artifact,
        "provenance": dict(model.provenance),
        "created_at": model.created_at.isoformat(),
    }


def round_summary(planned: Round) -> dict[str, Any]:
    """A round as the wire shows it. Which items are asked for which class is not shown: it would suggest the answer."""
    return {
        "number": planned.number,
        "strategy": planned.strategy,
        "seed": planned.seed,
        "model": planned.model,
        "pool_version": planned.pool_version,
        "queries": planned.queries,
        "stats": {name: part for name, part in planned.stats.items() if name != "minority"},
        "created_at": planned.created_at.isoformat(),
    }


def job_summary(job: Job) -> dict[str, Any]:
    """A job as the wire shows it."""
    return {
        "job": job.id,
        "project": job.project,
        "kind": job.kind.value,
        "reason": job.reason,
        "state": job.state.value,
        "attempt": job.attempt,
        "progress": job.progress,
        "message": job.message,
        "result": job.result,
        "problem": job.problem,
        "created_at": job.created_at.isoformat(),
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
    }
