"""Asking for a cycle by hand: a training or a round as a job, once per Idempotency-Key."""

from uuid import uuid4

from labelloop.domain.states import JobKind, JobState
from labelloop.domain.types import Job
from labelloop.ports import Ports


def request_training(ports: Ports, name: str, *, key: str | None = None) -> Job:
    """Ask for a retrain cycle: train, gate, re-rank. The same key gives the same job."""
    return _request(ports, name, JobKind.TRAIN, key)


def request_round(ports: Ports, name: str, *, key: str | None = None) -> Job:
    """Ask for a new ranking by the champion."""
    return _request(ports, name, JobKind.PLAN, key)


def request_map(ports: Ports, name: str) -> Job:
    """Ask for a map of the pool as it stands now: the same labels, round and model are drawn once."""
    row, serving = ports.projects.row(name), ports.rounds.serving(name)
    state = (
        f"{row.pool_version}-{serving.number if serving else 0}-{row.champion or 0}-{ports.pool.counts(name).resolved}"
    )
    job, new = ports.jobs.ask(name, JobKind.MAP, f"map-{state}", reason="requested", now=ports.clock.now())
    if job.state is JobState.FAILED:
        return _request(ports, name, JobKind.MAP, None)
    if new:
        ports.bus.nudge(name)
    return job


def _request(ports: Ports, name: str, kind: JobKind, key: str | None) -> Job:
    due_key = f"request-{key or uuid4().hex}"
    job, new = ports.jobs.ask(name, kind, due_key, reason="requested", now=ports.clock.now())
    if new:
        ports.bus.nudge(name)
    return job
