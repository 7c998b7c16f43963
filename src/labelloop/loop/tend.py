"""tend: one pass of the steward over a project. It reads SQL and repairs what any crash left behind.

Leases that ran out are freed, ballots resolved, Redis made true to SQL, due work asked for, and unfinished jobs handed
to workers. Every step may be done twice, or by two stewards at once, without harm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from croniter import croniter

from labelloop.domain import policy
from labelloop.domain.states import JobKind, JobState, Lane
from labelloop.domain.types import Job, PoolCounts, Round
from labelloop.loop.lease import to_review
from labelloop.loop.plan import serve
from labelloop.loop.pool import look
from labelloop.loop.resolve import resolve
from labelloop.ports import Ports
from labelloop.projects import Project

SILENCE = timedelta(seconds=10)
"""A running job whose worker has said nothing for so long is handed to another."""
ATTEMPTS = 5
"""A job that killed so many workers is given up."""
REPLAYED = timedelta(hours=24)
"""So long a repeat with the same Idempotency-Key is answered from the first time."""
GRANTING = timedelta(seconds=5)
"""A proposal of Redis that is younger may still be granted by SQL."""
LOW_WATER = 0.2
"""A lane with less than this part of its planned queries asks for the next window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TendReport:
    """What one pass did."""

    expired: int = 0
    settled: int = 0
    rebuilt: bool = False
    repaired: int = 0
    asked: tuple[str, ...] = ()


def tend(ports: Ports, name: str, *, thorough: bool = True) -> TendReport:
    """One pass. `thorough` also compares Redis with SQL item by item, which costs more and may run less often."""
    project = ports.projects.get(name)
    now = ports.clock.now()
    expired = ports.ledger.expire(name, now)
    ports.queue_health.reap(name, now)
    settled = resolve(ports, name)
    rebuilt = _rebuild(ports, project)
    if thorough:
        ports.ledger.forget_replies(name, now - REPLAYED)
        settled += to_review(ports, name)  # of a skip whose process died before it counted
    repaired = 0
    if thorough and not rebuilt and ports.rounds.serving(name) is not None:
        repaired = reconcile(ports, project)
    counts = ports.pool.counts(name)
    asked = [*_ask_round(ports, project, counts), *_ask_training(ports, project, counts)]
    dispatch(ports, name)
    return TendReport(expired=expired, settled=settled, rebuilt=rebuilt, repaired=repaired, asked=tuple(asked))


def reconcile(ports: Ports, project: Project) -> int:
    """Make Redis true to SQL, item by item; returns how many differed.

    Redis is read first: what it knows then and SQL does not tell of later is a message that was lost, such as that of
    a released lease; what changed in Redis meanwhile is left to the next pass.
    """
    name = project.name
    young = ports.clock.now() + timedelta(seconds=project.lease.seconds) - GRANTING
    seen = ports.queue_health.touched(name)
    states = ports.ledger.slots(name)
    strangers = seen.keys() - {state.item for state in states}
    states += ports.ledger.slots(name, sorted(strangers))
    return ports.queue.sync(name, states, ports.verdicts.disputed(name), seen=seen, young=young)


def dispatch(ports: Ports, name: str) -> None:
    """Hand unfinished jobs to workers; give up on one that killed too many."""
    now = ports.clock.now()
    for job in ports.jobs.unfinished(name, now - SILENCE):
        if job.attempt > ATTEMPTS:
            _give_up(ports, job, now)
        else:
            ports.bus.send(job)


def _give_up(ports: Ports, job: Job, now: datetime) -> None:
    if ports.jobs.claim(job.id, job.attempt, now) is None:
        return
    problem = {
        "type": "gave-up",
        "title": "Gave up",
        "detail": f"{ATTEMPTS} workers died or fell silent over this job. Look into their logs (memory?), then ask for"
        " a new one.",
    }
    ports.jobs.finish(job.id, job.attempt, now=now, result=None, problem=problem)


def _rebuild(ports: Ports, project: Project) -> bool:
    """Load the serving round again where Redis serves another one, or nothing."""
    serving, loaded = ports.rounds.serving(project.name), ports.queue_health.serving(project.name)
    if loaded == (serving.number if serving else None):
        return False
    if loaded is not None and (serving is None or loaded > serving.number):
        # Redis outlived the database, or swapped in a round that was never kept: nothing of it is true.
        ports.queue_health.forget(project.name)
    if serving is not None:
        serve(ports, project, serving)
    return True


# --- rounds ----------------------------------------------------------------------------------------------------


def _ask_round(ports: Ports, project: Project, counts: PoolCounts) -> list[str]:
    """A first round, one for new items, one for another champion, or the next window of a lane that runs dry."""
    name, serving = project.name, ports.rounds.serving(project.name)
    row = ports.projects.row(name)
    if counts.ingested == 0 or any(job.state in _OPEN for job in ports.jobs.recent(name, JobKind.PLAN, 3)):
        return []
    if serving is None:
        due = policy.Due(key=f"pool-{row.pool_version}", reason="the pool has items and no round")
    elif serving.model != row.champion:
        due = policy.Due(key=f"champion-{row.champion}-after-{serving.number}", reason="another champion serves")
    elif serving.pool_version != row.pool_version:
        due = policy.Due(key=f"pool-{row.pool_version}", reason="new items came in")
    elif counts.pooled and (lane := _dry_lane(ports, project, serving)) is not None:
        due = policy.Due(key=f"refill-{serving.number}", reason=f"the lane {lane} runs dry")
    else:
        return []
    _, new = ports.jobs.ask(name, JobKind.PLAN, due.key, reason=due.reason, now=ports.clock.now())
    return [due.key] if new else []


def _dry_lane(ports: Ports, project: Project, serving: Round) -> str | None:
    """Lanes that have little left of what was planned, while items wait that the next window would bring.

    The lanes that a strategy fills are looked at together: an item that both wanted stands in one of them, so neither
    need have been full. Items that wait for more votes are in no lane and need no plan.
    """
    planned: Mapping[str, int] = serving.stats.get("lanes", {})
    depth = ports.queue_health.depth(project.name)
    groups = {lane: "audit" if lane == Lane.AUDIT else "informative" for lane in planned}
    dry = []
    for group in dict.fromkeys(groups.values()):
        lanes = [lane for lane in planned if groups[lane] == group]
        left = sum(depth.get(Lane(lane), 0) for lane in lanes)
        if left == 0 or left < LOW_WATER * sum(planned[lane] for lane in lanes):
            dry.append(group)
    if not dry:
        return None
    view = look(ports, project, items=0)
    asked = [query.item for query in ports.rounds.queries(project.name, serving.number)]
    waiting = {"audit": view.reserve, "informative": view.waiting}
    return next((group for group in dry if not np.isin(waiting[group], asked).all()), None)


# --- trainings -------------------------------------------------------------------------------------------------

_OPEN = frozenset({JobState.DUE, JobState.RUNNING})


def _ask_training(ports: Ports, project: Project, counts: PoolCounts) -> list[str]:
    rules, name = project.retrain, project.name
    newest = ports.jobs.recent(name, JobKind.TRAIN, 1)
    last = newest[0] if newest else None
    facts = policy.TrainingFacts(
        now=ports.clock.now(),
        resolved=counts.resolved,
        resolved_then=_resolved_then(last),
        last=int(last.id.rsplit("-", 1)[1]) if last else 0,
        asked_at=last.created_at if last else None,
        running=last is not None and last.state in _OPEN,
        fired_at=_fired_at(rules.schedule, ports.clock.now()),
        class_counts=_class_counts(ports, project) if rules.class_minimum and counts.resolved else None,
    )
    due = policy.retrain_due(
        facts,
        first=rules.first,
        labels=rules.step(facts.resolved_then),
        every=rules.every,
        class_minimum=rules.class_minimum,
        done_classes=_classes_done(ports, project) if rules.class_minimum else (),
    )
    if due is None:
        return []
    _, new = ports.jobs.ask(name, JobKind.TRAIN, due.key, reason=due.reason, now=ports.clock.now())
    return [due.key] if new else []


def _resolved_then(last: Job | None) -> int:
    """Labels when the last training took its set; a failed one says so too, so that it is not asked for at once."""
    if last is None:
        return 0
    facts = last.result or last.problem or {}
    return int(facts.get("resolved", 0))


def _fired_at(schedule: str | None, now: datetime) -> datetime | None:
    """The last date of a cron expression up to now."""
    if schedule is None:
        return None
    return croniter(schedule, now.astimezone(UTC)).get_prev(datetime)


def _class_counts(ports: Ports, project: Project) -> dict[str, int]:
    _, labels, _ = ports.pool.labeled(project.name)
    counts: dict[str, int] = {}
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
    return counts


def _classes_done(ports: Ports, project: Project) -> list[str]:
    """Classes that the newest model already had their minimum of, or that a training was asked for."""
    minimum = project.retrain.class_minimum or 0
    models = ports.models.all(project.name)
    known = models[-1].provenance.get("class_counts", {}) if models else {}
    asked = [job.due_key for job in ports.jobs.recent(project.name, JobKind.TRAIN, 10_000)]
    return [name for name, count in known.items() if count >= minimum] + [
        key.removeprefix("class-") for key in asked if key.startswith("class-")
    ]
