"""Handing jobs to workers over rq; that a job is wanted at all is kept in SQL, so any message here may get lost."""

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.exceptions import DuplicateJobError, NoSuchJobError
from rq.job import JobStatus
from rq.serializers import JSONSerializer

from labelloop.adapters.rq.allowlist import MAP, PLAN, TIDY, TRAIN, AllowListedJob
from labelloop.domain.errors import Unavailable
from labelloop.domain.job_names import attempt_of
from labelloop.domain.states import JobKind
from labelloop.domain.types import Job

SAMPLER, TRAINER, STEWARD = "sampler", "trainer", "steward"
# A map waits for a training rather than a round for a map.
QUEUE_OF = {JobKind.PLAN: SAMPLER, JobKind.TRAIN: TRAINER, JobKind.MAP: TRAINER}
FUNCTION_OF = {JobKind.PLAN: PLAN, JobKind.TRAIN: TRAIN, JobKind.MAP: MAP}

JOB_SECONDS = 24 * 3600
"""When rq ends a job by force. The heartbeat in SQL finds a dead one in seconds; this ends one that hangs."""
TIDY_SECONDS = 120
KEPT_SECONDS = 600
"""How long rq remembers that an attempt was handed over."""
QUIET_SECONDS = 5.0
"""After a nudge that failed: whoever answers meanwhile does not wait for Redis too."""
CLAIMING = timedelta(seconds=5)
"""A worker that took a message up so long ago has claimed its job, or never will."""
NUDGE_SECONDS = 0.2
"""Shortest time between two nudges of one process about one project."""


class RqBus:
    """Implements ports.Bus over a connection made by `connect`."""

    def __init__(self, connection: Redis) -> None:
        self._queues = {name: queue(name, connection) for name in (SAMPLER, TRAINER, STEWARD)}
        self._nudged: dict[str, float] = {}

    def send(self, job: Job) -> None:
        """Hand this attempt of a job to the worker of its kind; again is no error.

        Only attempts that nobody has claimed are sent, so one that rq holds for run, or for running too long, is one
        whose worker could not reach the store, or died before it could claim: it goes out again.

        Raises:
            Unavailable: Redis does not answer; the steward sends the job again.
        """
        message = {
            "args": (job.id, job.attempt),
            "job_id": f"{job.id}-{job.attempt}",
            "timeout": JOB_SECONDS,
            "result_ttl": KEPT_SECONDS,
            "failure_ttl": KEPT_SECONDS,
        }
        to, function = QUEUE_OF[job.kind], FUNCTION_OF[job.kind]
        try:
            if not self._enqueue(to, function, **message) and self._dropped(to, str(message["job_id"])):
                self._enqueue(to, function, **message)
        except RedisError as error:
            raise Unavailable(f"Job {job.id} was not sent: Redis does not answer ({error}).", job=job.id) from error

    def _dropped(self, to: str, job_id: str) -> bool:
        """Forget a message that no worker will come back to; False when one waits or is being taken up."""
        waiting = self._queues[to]
        try:
            known = AllowListedJob.fetch(job_id, connection=waiting.connection, serializer=JSONSerializer)
        except NoSuchJobError:
            return True
        status, since = known.get_status(refresh=False), known.started_at or known.enqueued_at
        if status == JobStatus.QUEUED and waiting.get_job_position(job_id) is not None:
            return False
        young = since is not None and datetime.now(UTC) - since.replace(tzinfo=UTC) < CLAIMING
        if young and status in {JobStatus.QUEUED, JobStatus.STARTED}:
            return False
        known.delete()
        return True

    def nudge(self, name: str) -> None:
        """Tell the steward that a project has something to settle.

        One pass that waits is enough for all nudges before it; a pass that runs may have looked already, so one more
        may wait behind it under a second id. Whatever gets lost here, the steward's own ticks find.
        """
        now = time.monotonic()
        if now - self._nudged.get(name, -NUDGE_SECONDS) < NUDGE_SECONDS:
            return
        self._nudged[name] = now
        try:
            _ = self._tidy(name, f"tidy-{name}") or self._tidy(name, f"tidy-{name}-again")
        except RedisError:
            self._nudged[name] = time.monotonic() + QUIET_SECONDS

    def forget(self, name: str) -> None:
        """Take back every message about a project and its jobs; none of them is running.

        Raises:
            Unavailable: Redis does not answer.
        """
        try:
            for waiting in self._queues.values():
                _erase(waiting, name)
        except RedisError as error:
            raise Unavailable(f"Messages about {name} stay: Redis does not answer ({error}).", project=name) from error

    def _tidy(self, name: str, job_id: str) -> bool:
        return self._enqueue(
            STEWARD, TIDY, args=(name,), job_id=job_id, timeout=TIDY_SECONDS, result_ttl=0, failure_ttl=1
        )

    def _enqueue(self, to: str, function: str, **options: Any) -> bool:
        """Whether it went in; False when this id is there already."""
        try:
            self._queues[to].enqueue_call(function, unique=True, description=options["job_id"], **options)
        except DuplicateJobError:
            return False
        return True


def _about(name: str, job_id: str) -> bool:
    return job_id in {f"tidy-{name}", f"tidy-{name}-again"} or attempt_of(name, job_id)


def _erase(waiting: Queue, name: str) -> None:
    ended = (waiting.finished_job_registry, waiting.failed_job_registry)
    begun = waiting.started_job_registry  # also those whose worker died; rq notes "JOB:EXECUTION" of each
    known = set(waiting.get_job_ids()).union(*(kept.get_job_ids(cleanup=False) for kept in (*ended, begun)))
    for job_id in [one for one in known if _about(name, one)]:
        with suppress(NoSuchJobError):
            AllowListedJob.fetch(job_id, connection=waiting.connection, serializer=JSONSerializer).delete()
        waiting.remove(job_id)
        for kept in ended:
            kept.remove(job_id)
        for entry in waiting.connection.zscan_iter(begun.key, match=f"{job_id}:*"):
            waiting.connection.zrem(begun.key, entry[0])


def queue(name: str, connection: Redis) -> Queue:
    """An rq queue as all of ours are: JSON, and listed functions only."""
    return Queue(name, connection=connection, job_class=AllowListedJob, serializer=JSONSerializer)
