"""What a worker may run in a test: a list of its own, in a module that a spawned process can import."""

import os
from pathlib import Path

from labelloop.adapters.rq.allowlist import AllowListedJob


class ListedJob(AllowListedJob):
    allowed = frozenset({"bus_jobs.note", "bus_jobs.fail"})


def note(path, text):
    """Leave a trace: what was said, and by which process."""
    with Path(path).open("a") as file:
        file.write(f"{text} {os.getpid()}\n")


def fail(path):
    """Break."""
    note(path, "failed")
    raise ValueError(path)
