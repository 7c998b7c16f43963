"""An rq job that runs nothing but our job functions; what they do is their own business.

rq imports and calls whatever dotted name stands in Redis, with the JSON serializer too, so without this whoever can
write to Redis could run any code in a worker. Names are compared before anything is imported.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from rq.job import Job, JobStatus

from labelloop.domain.errors import NotAllowed

PLAN = "labelloop.jobs.plan"
TRAIN = "labelloop.jobs.train"
MAP = "labelloop.jobs.draw"
TIDY = "labelloop.jobs.tidy"
ALLOWED = frozenset({PLAN, TRAIN, MAP, TIDY})


class AllowListedJob(Job):
    """Refuses any other function, and all that rq would call around it: methods, callbacks, webhooks."""

    allowed: ClassVar[frozenset[str]] = ALLOWED

    @classmethod
    def create(cls, func: Any, *args: Any, **kwargs: Any) -> Job:
        """Make a job to enqueue; raises NotAllowed for a function that is not listed."""
        job = super().create(func, *args, **kwargs)
        _check(job, cls.allowed)
        return job

    @property
    def func(self) -> Callable[..., Any]:
        """The function to run; raises NotAllowed, before any import, when it is not listed."""
        _check(self, self.allowed)
        function: Callable[..., Any] = super().func
        return function

    @property
    def success_callback(self) -> None:
        """Never one: it would be imported by name."""
        return

    @property
    def failure_callback(self) -> None:
        """Never one: it would be imported by name."""
        return

    @property
    def stopped_callback(self) -> None:
        """Never one: it would be imported by name."""
        return

    def send_webhooks(self, status: str | JobStatus, *, exc_string: str | None = None) -> None:
        """Never any: rq would call whatever address stands in Redis."""


def _check(job: Job, allowed: frozenset[str]) -> None:
    name = job.func_name
    if name not in allowed or job.instance is not None:
        raise NotAllowed(
            f"{name!r} is no job of labelloop ({', '.join(sorted(allowed))}); it was not run. Somebody else writes "
            "to this Redis: give labelloop a server, or a database, of its own.",
            function=str(name),
        )
