"""The steward: keeps Redis true to SQL, frees leases, asks for rounds and trainings; several may run, one leads.

A thread ticks over all projects; the main thread works the queue that others nudge it through.
"""

import threading
import time
from contextlib import suppress

from . import process

TICK_SECONDS = 0.3
THOROUGH_SECONDS = 3.0
LEAD_SECONDS = 2.0
"""How long a leader that dies keeps the lead."""


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = process.prepare("steward")
    over = threading.Event()
    thread = threading.Thread(target=_tick, args=(over,), name="tend", daemon=True)
    thread.start()
    try:
        process.serve(settings, "steward")
    finally:
        over.set()
        thread.join(timeout=5.0)


def _tick(over: threading.Event) -> None:
    """Lead, or wait to lead; whatever goes wrong is logged once and tried again."""
    from labelloop import jobs
    from labelloop.domain.errors import UnknownProject
    from labelloop.loop.delete import go_on
    from labelloop.loop.tend import tend

    from .troubles import Troubles

    troubles = Troubles("tend")
    thorough_at = 0.0
    while not over.wait(TICK_SECONDS):
        with troubles.logged("steward"):
            ports = jobs.ports()
            with ports.lock.hold("steward", LEAD_SECONDS) as ours:
                if not ours:
                    continue
                thorough = time.monotonic() >= thorough_at
                for name in ports.projects.names():
                    with troubles.logged(name), suppress(UnknownProject):  # deleted since its name was read
                        tend(ports, name, thorough=thorough)
                for departure in ports.removals.departing():
                    with troubles.logged(departure.name):
                        go_on(ports, departure)
                if thorough:
                    ports.ledger.study()
                    thorough_at = time.monotonic() + THOROUGH_SECONDS


if __name__ == "__main__":
    main()
