"""The rq worker of each kind; starting, stopping and what stays warm is the business of the processes.

One queue each: an rq worker on several queues takes jobs in a way that loses them when it is killed.
"""

import ctypes
import logging
import signal
import sys
from typing import Any, TypeVar

from redis import Redis
from rq import Queue, SimpleWorker, SpawnWorker, Worker
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker

from labelloop.adapters.rq.allowlist import AllowListedJob
from labelloop.adapters.rq.bus import KEPT_SECONDS, SAMPLER, STEWARD, TRAINER, queue

Kind = TypeVar("Kind", bound=BaseWorker)

WORKER_SECONDS = 25
"""An idle worker looks up this often less 15 s: so soon it sees a Redis that was restarted."""
MAINTENANCE_SECONDS = 5
MONITORING_SECONDS = 5


PR_SET_PDEATHSIG = 1


class TiedWorker(Worker):
    """Runs each job in a process of its own that ends with the worker, also when that is killed.

    A fork starts in milliseconds with what the worker has loaded. The worker itself computes nothing: no CUDA context
    and no pool of threads is there to be torn by it.
    """

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        """Run in the job's process: ask the kernel first to end it with the worker's main thread (Linux)."""
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        super().main_work_horse(job, queue)


def sampler_worker(connection: Redis, **options: Any) -> SimpleWorker:
    """Plans in its own process, so that the model stays warm."""
    return _worker(SimpleWorker, SAMPLER, connection, options)


def trainer_worker(connection: Redis, **options: Any) -> BaseWorker:
    """Trains in a new process each, so that its memory comes back whole. Where a fork is not safe it starts anew."""
    return _worker(TiedWorker if sys.platform == "linux" else SpawnWorker, TRAINER, connection, options)


def steward_worker(connection: Redis, **options: Any) -> SimpleWorker:
    """Tends in its own process: a pass is over in moments."""
    return _worker(SimpleWorker, STEWARD, connection, options)


def _worker(kind: type[Kind], name: str, connection: Redis, options: dict[str, Any]) -> Kind:
    logging.getLogger("rq").setLevel(logging.WARNING)
    for logger in ("rq.worker", "rq.job"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    settings: dict[str, Any] = {
        "connection": connection,
        "job_class": AllowListedJob,
        "serializer": JSONSerializer,
        "worker_ttl": WORKER_SECONDS,
        "maintenance_interval": MAINTENANCE_SECONDS,
        "job_monitoring_interval": MONITORING_SECONDS,
        "default_result_ttl": KEPT_SECONDS,
        "log_job_description": False,
    }
    return kind([queue(name, connection)], **settings | options)
