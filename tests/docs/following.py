"""What following a page takes: its blocks as steps, a shell, and the service beside it; the pages are tests' own.

A block whose HTML comment says `not run` is left out, and one without a comment or with another is run as it stands.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 180
STEP = re.compile(
    r"(?:<!-- (?P<note>[^\n]+?) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```|<!-- page: (?P<page>\d+) ", re.DOTALL
)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A fenced block of a page, or a thing to do in the browser."""

    note: str
    kind: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that the block is to be saved as."""
        return self.note.removeprefix("file: ") if self.note.startswith("file: ") else None


def steps(page: str) -> list[Step]:
    """All steps of a page that are done, in order."""
    found = []
    for match in STEP.finditer((ROOT / page).read_text()):
        if match["page"]:
            found.append(Step(note="", kind="page", text=match["page"]))
        elif not (match["note"] or "").startswith("not run"):
            found.append(Step(note=match["note"] or "", kind=match["kind"], text=match["text"]))
    return found


def environment(folder: Path) -> dict[str, str]:
    """As in a shell whose virtual environment is active; the port is a free one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "LABELLOOP_PORT": str(port), "LABELLOOP_HOME": str(folder / ".labelloop")}


def shell(text: str, folder: Path, env: dict[str, str]) -> str:
    """Run a block as a person would type it; a line that fails fails the test."""
    command = ["bash", "-eo", "pipefail", "-c", text]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def up(command: str, folder: Path, env: dict[str, str]) -> Iterator[str]:
    """The service in the background, as in another terminal; gives its address, and ends it as Ctrl-C does."""
    log = folder / "up.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command.strip()}"], cwd=folder, env=env, stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + SECONDS
        while not (found := re.search(r"labelloop is up at (\S+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield found[1]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(SECONDS)
