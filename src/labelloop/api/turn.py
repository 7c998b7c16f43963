"""One API process of a home serves at a time; others stand by, all loaded, and take its place the moment it is gone.

The turn is a lock on a file, which the kernel takes from whoever dies, however he dies.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE = "api.lock"


@contextmanager
def turn(home: Path) -> Iterator[None]:
    """Wait for the turn and keep it; the file says which process has it."""
    with (home / FILE).open("a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
