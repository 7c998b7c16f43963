"""Asking for a cycle by hand: a training or a round as a job, once per Idempotency-Key."""

from uuid import uuid4

from labelloop.domain.states import JobKind
from labelloop.domain.types import Job
from labelloop.ports import Ports


def request_training(ports: Ports, name: str, *, key: str | None = None) -> Job:
    """Ask for a retrain cycle: train, gate, re-rank. The same key gives the same job."""
    return _request(ports, name, JobKind.TRAIN, key)


def request_round(ports: Ports, name: str, *, key: str | None = None) -> Job:
    """Ask for a new ranking by the champion."""
    return _request(ports, name, JobKind.PLAN, key)


def _request(ports: Ports, name: str, kind: JobKind, key: str | None) -> Job:
    due_key = f"request-{key or uuid4().hex}"
    job, new = ports.jobs.ask(name, kind, due_key, reason="requested", now=ports.clock.now())
    if new:
        ports.bus.nudge(name)
    return job
