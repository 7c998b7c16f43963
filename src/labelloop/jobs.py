"""The door for rq: functions that a worker runs, by ids only. Their import paths are on the wire: an API.

A job is a row in SQL; here it is claimed, kept alive by a heartbeat while it runs, and ended with a result or a
problem. A second run of the same attempt finds it claimed and does nothing. The steward of this home sees at once when
the process that runs it dies; others see it by its silence.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import structlog

from labelloop import telemetry, wiring
from labelloop.domain.errors import LabelloopError, Unavailable, UnknownJob, UnknownProject
from labelloop.domain.states import JobKind
from labelloop.domain.types import Job, JobId
from labelloop.loop import map as mapping
from labelloop.loop import plan as planning
from labelloop.loop import promote as promoting
from labelloop.loop import resolve as resolving
from labelloop.loop import tend as tending
from labelloop.loop import train as training
from labelloop.loop.featurize import Beat
from labelloop.ports import Ports
from labelloop.settings import Settings

HEARTBEAT = 1.0
"""Seconds between two signs of life of a running job; well below tend.SILENCE."""

SETTLE_SECONDS = 60
"""The first round waits so long at most for an ingest to end."""

log = structlog.get_logger("labelloop.jobs")


class Overtaken(Exception):
    """Another attempt has taken this job over."""


def plan(job_id: str, attempt: int) -> None:
    """Run one attempt of a plan job."""

    def work(ports: Ports, job: Job, beat: Beat) -> Mapping[str, Any]:
        _settle(ports, job.project, beat)
        planned = planning.plan(ports, job.project, beat)
        return {"round": planned.number if planned else None}

    _run(job_id, attempt, work)


def _settle(ports: Ports, project: str, beat: Beat) -> None:
    """Before the first round, wait until the pool stops growing: the transform is fitted on what is there then."""
    if ports.rounds.serving(project) is not None:
        return
    for _ in range(SETTLE_SECONDS):
        before = ports.projects.row(project).pool_version
        beat(0.0, "waiting for the first items to be in")
        time.sleep(1.0)
        if ports.projects.row(project).pool_version == before:
            return


def train(job_id: str, attempt: int) -> None:
    """Run one attempt of a train job: train, then the gate."""

    def work(ports: Ports, job: Job, beat: Beat) -> Mapping[str, Any]:
        model = training.train(ports, job.project, job.id, beat)
        beat(0.9, "the gate")
        model = promoting.promote(ports, job.project, model.number)
        return {"model": model.number, "state": model.state.value, "reason": model.reason, "labels": model.labels}

    _run(job_id, attempt, work)


def draw(job_id: str, attempt: int) -> None:
    """Run one attempt of a map job."""

    def work(ports: Ports, job: Job, beat: Beat) -> Mapping[str, Any]:
        drawn = mapping.draw(ports, job.project, beat)
        return {"round": drawn["round"], "model": drawn["model"], "labeled": drawn["labeled"]}

    _run(job_id, attempt, work)


def tidy(project: str) -> None:
    """Tend one project now; the steward's own ticks come anyway. One that was deleted meanwhile needs nothing."""
    with suppress(UnknownProject):
        tending.tend(ports(), project, thorough=False)


@cache
def ports() -> Ports:
    """The ports of this process, wired once. A process that was spawned for one job has no log yet."""
    settings = Settings()
    telemetry.configure(log_format=settings.log_format, level=settings.log_level)
    return wiring.build(settings)


def _run(job_id: str, attempt: int, work: Callable[[Ports, Job, Beat], Mapping[str, Any]]) -> None:
    hand = ports()
    try:
        with hand.claims.hold(JobId(job_id), attempt) as ours:
            job = hand.jobs.claim(JobId(job_id), attempt, hand.clock.now()) if ours else None
            if job is not None:
                _run_claimed(hand, job, attempt, work)
    except (UnknownJob, UnknownProject) as error:
        _let_go(hand, JobId(job_id), attempt, error)


def _run_claimed(hand: Ports, job: Job, attempt: int, work: Callable[[Ports, Job, Beat], Mapping[str, Any]]) -> None:
    note = log.bind(job=job.id, attempt=attempt, project=job.project)
    if job.kind is JobKind.TRAIN:
        resolving.resolve(hand, job.project)  # who answers and then asks for a training means these answers, too
    # Counted before the work: labels that arrive meanwhile belong to the next training.
    resolved = hand.pool.counts(job.project).resolved
    result: Mapping[str, Any] | None = None
    problem: Mapping[str, Any] | None = None
    try:
        with _alive(hand, job, attempt) as beat:
            result = {**work(hand, job, beat), "resolved": resolved}
    except Overtaken:
        if not _deleted(hand, job, attempt):
            note.warning("job.overtaken")
        return
    except Unavailable as error:
        note.warning("job.interrupted", reason=error.detail)  # it stays running and silent: the steward repeats it
        return
    except LabelloopError as error:
        if _deleted(hand, job, attempt):
            return
        problem = {"type": error.slug, "title": type(error).__name__, "detail": error.detail, **error.ids}
    except Exception as error:  # noqa: BLE001 - whatever it is, the job must end with a reason
        if _deleted(hand, job, attempt):
            return
        note.exception("job.crashed")
        problem = {"type": tending.CRASHED, "title": type(error).__name__, "detail": f"{type(error).__name__}: {error}"}
    if problem is not None:
        problem = {**problem, "resolved": resolved}
    hand.jobs.finish(job.id, attempt, now=hand.clock.now(), result=result, problem=problem)
    (note.info if problem is None else note.warning)("job.finished", result=result, problem=problem)
    hand.bus.nudge(job.project)


def _deleted(hand: Ports, job: Job, attempt: int) -> bool:
    """Whether a job ends because its project is being deleted, which is nothing to worry about; then it is over."""
    try:
        hand.projects.row(job.project)
    except UnknownProject as error:
        _let_go(hand, job.id, attempt, error)
        return True
    except LabelloopError:
        return False
    return False


def _let_go(hand: Ports, job: JobId, attempt: int, error: LabelloopError) -> None:
    """End a job, where it is still known: a deletion waits for those that run."""
    problem = {"type": error.slug, "title": type(error).__name__, "detail": error.detail}
    hand.jobs.finish(job, attempt, now=hand.clock.now(), result=None, problem=problem)
    log.info("job.gone", job=job, reason=error.detail)


@contextmanager
def _alive(hand: Ports, job: Job, attempt: int) -> Iterator[Beat]:
    """Beat in the background while the work runs; the yielded beat raises Overtaken when another attempt runs."""
    state: dict[str, Any] = {"part": 0.0, "what": "started", "ours": True}
    over = threading.Event()

    def pulse() -> None:
        while not over.wait(HEARTBEAT):
            try:
                state["ours"] = hand.jobs.beat(
                    job.id, attempt, now=hand.clock.now(), progress=state["part"], message=state["what"]
                )
            except LabelloopError:
                log.warning("job.heartbeat-missed", job=job.id)

    def beat(part: float, what: str) -> None:
        if not state["ours"]:
            raise Overtaken
        state.update(part=part, what=what)

    thread = threading.Thread(target=pulse, name=f"heartbeat-{job.id}", daemon=True)
    thread.start()
    try:
        yield beat
    finally:
        over.set()
        thread.join()
