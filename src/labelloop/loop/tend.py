"""tend: one pass of the steward over a project. It reads SQL and repairs what any crash left behind.

Leases that ran out are freed, ballots resolved, Redis made true to SQL, due work asked for, and unfinished jobs handed
to workers. Every step may be done twice, or by two stewards at once, without harm.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from croniter import croniter

from labelloop.domain import policy
from labelloop.domain.states import JobKind, JobState
from labelloop.domain.types import Job, PoolCounts
from labelloop.loop.lease import to_review
from labelloop.loop.plan import serve
from labelloop.loop.refill import dry_lane
from labelloop.loop.resolve import resolve
from labelloop.ports import Ports
from labelloop.projects import Project

SILENCE = timedelta(seconds=10)
"""A job whose worker has said nothing for so long is handed to another; one that is known to have died, at once."""
ATTEMPTS = 5
"""A job that killed so many workers is given up."""
GAVE_UP, CRASHED = "gave-up", "crashed"
PAUSE = timedelta(seconds=60)
"""So long after it was given up, or crashed, a round that is still due is asked for again."""
REPLAYED = timedelta(hours=24)
"""So long a repeat with the same Idempotency-Key is answered from the first time."""
GRANTING = timedelta(seconds=5)
"""A proposal of Redis that is younger may still be granted by SQL."""


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
    for job in _left(ports, name, now):
        if job.attempt > ATTEMPTS:
            _give_up(ports, job, now)
        else:
            ports.bus.send(job)


def _left(ports: Ports, name: str, now: datetime) -> list[Job]:
    """Jobs that nobody works on: due ones, and those whose worker has died or fallen silent."""
    left = ports.jobs.unfinished(name, now - SILENCE)
    known = {job.id for job in left}
    others = [job for job in ports.jobs.unfinished(name, now) if job.id not in known]
    return left + [job for job in others if job.state is JobState.DUE or ports.claims.dropped(job.id, job.attempt - 1)]


def _give_up(ports: Ports, job: Job, now: datetime) -> None:
    if ports.jobs.claim(job.id, job.attempt, now) is None:
        return
    problem = {
        "type": GAVE_UP,
        "title": "Gave up",
        "detail": f"{ATTEMPTS} workers died or fell silent over this job. Look into their logs (memory?), then ask for"
        " a new one.",
        "resolved": ports.pool.counts(job.project).resolved,
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
    elif counts.pooled and (lane := dry_lane(ports, project, serving)) is not None:
        due = policy.Due(key=f"refill-{serving.number}", reason=f"the lane {lane} runs dry")
    else:
        return []
    key, now = due.key, ports.clock.now()
    job, new = ports.jobs.ask(name, JobKind.PLAN, key, reason=due.reason, now=now)
    while not new and _given_up(job, now):
        key = f"{due.key}-after-{job.id}"
        job, new = ports.jobs.ask(name, JobKind.PLAN, key, reason=due.reason, now=now)
    return [key] if new else []


def _given_up(job: Job, now: datetime) -> bool:
    """Whether a job killed too many workers, or crashed as on a full disk, long enough ago to try again.

    Without a round nobody works. What failed by a reason of its own, such as bad features, waits for people.
    """
    gave_up = job.state is JobState.FAILED and (job.problem or {}).get("type") in {GAVE_UP, CRASHED}
    return gave_up and job.finished_at is not None and job.finished_at <= now - PAUSE


# --- trainings -------------------------------------------------------------------------------------------------

_OPEN = frozenset({JobState.DUE, JobState.RUNNING})


def _ask_training(ports: Ports, project: Project, counts: PoolCounts) -> list[str]:
    rules, name = project.retrain, project.name
    made, newest = ports.projects.row(name).created_at, ports.jobs.recent(name, JobKind.TRAIN, 1)
    last = newest[0] if newest else None
    facts = policy.TrainingFacts(
        now=ports.clock.now(),
        resolved=counts.resolved,
        resolved_then=_resolved_then(last),
        last=int(last.id.rsplit("-", 1)[1]) if last else 0,
        asked_at=last.created_at if last else None,
        running=last is not None and last.state in _OPEN,
        fired_at=_fired_at(rules.schedule, ports.clock.now()),
        class_counts=_class_counts(ports, name, made, counts.resolved)
        if rules.class_minimum and counts.resolved
        else None,
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


@lru_cache(maxsize=100)
def _class_counts(ports: Ports, name: str, _made: datetime, _resolved: int) -> Mapping[str, int]:
    """Labels by class; read again when there are more labels, and not at every tick.

    Another project of the same name was made at another time.
    """
    return Counter(ports.pool.labeled(name)[1])


def _classes_done(ports: Ports, project: Project) -> list[str]:
    """Classes that the newest model already had their minimum of, or that a training was asked for."""
    minimum = project.retrain.class_minimum or 0
    models = ports.models.all(project.name)
    known = models[-1].provenance.get("class_counts", {}) if models else {}
    asked = [job.due_key for job in ports.jobs.recent(project.name, JobKind.TRAIN, 10_000)]
    return [name for name, count in known.items() if count >= minimum] + [
        key.removeprefix("class-") for key in asked if key.startswith("class-")
    ]
