"""What all worker processes share: pinned numeric threads, logs, and a run on one queue that outlives outages.

It is imported before numpy: BLAS reads its thread count once, when it is loaded.
"""

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing little is the point here
    from labelloop.settings import Settings

PAUSE_SECONDS = 0.3


def prepare(kind: str) -> "Settings":
    """Read the settings, pin the threads, set the logs up. Call it first."""
    from labelloop.settings import THREAD_VARIABLES, Settings

    settings = Settings()
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(settings.threads)
    from structlog.contextvars import bind_contextvars
    from threadpoolctl import threadpool_limits

    from labelloop import telemetry

    telemetry.configure(log_format=settings.log_format, level=settings.log_level)
    bind_contextvars(worker=kind, pid=os.getpid())
    threadpool_limits(settings.threads)  # libraries that were loaded already, by a plugin or a .pth file
    return settings


def serve(settings: "Settings", kind: str) -> None:
    """Work the queue of this kind until SIGTERM or SIGINT; the job in hand is finished first.

    rq leaves its loop when Redis goes away in the middle of a job, and when Redis is there again we go on.
    """
    from labelloop import wiring
    from labelloop.adapters.rq import workers
    from labelloop.adapters.rq.connection import connect
    from labelloop.domain.errors import Unavailable

    from .troubles import Troubles

    make = {"sampler": workers.sampler_worker, "trainer": workers.trainer_worker, "steward": workers.steward_worker}
    troubles = Troubles("work")
    while True:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))  # until rq has its own in place
        worker = None
        with troubles.logged(kind):
            worker = make[kind](connect(wiring.redis_address(settings)))
            worker.work(logging_level="WARNING")
            if worker._shutdown_requested_date is None:  # noqa: SLF001 - rq tells nobody why it left its loop
                raise Unavailable("Redis went away; connecting again.")
        if worker is not None and worker._shutdown_requested_date is not None:  # noqa: SLF001
            return
        time.sleep(PAUSE_SECONDS)
