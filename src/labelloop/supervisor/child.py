"""One supervised process: alive, or waiting out its backoff before the next start."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from labelloop import telemetry
from labelloop.supervisor import leash

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 1.0
SETTLED = 3.0
"""Seconds after which a process counts as healthy, so that its next death is a first one again."""

log = telemetry.logger("labelloop.supervisor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run under which name, with which open files; `patience` is how long it may take to end by itself.

    `argv` is a module and its arguments, as after `python -m`.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    fds: tuple[int, ...] = ()
    patience: float = 10.0


Start = Callable[[Program], leash.Running]


class Child:
    """Keeps one program running, by `start`. Give up never; log every death."""

    def __init__(self, program: Program, start: Start) -> None:
        self.program = program
        self._start = start
        self.restarts = 0
        self._process: leash.Running | None = None
        self._started = 0.0
        self._start_at = 0.0
        self.pause = FIRST_PAUSE
        """Seconds from the last death to the next start."""

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None else None

    def tend(self) -> bool:
        """Start it, or notice that it died. Returns whether its process id changed."""
        now = time.monotonic()
        if self._process is None:
            if now < self._start_at:
                return False
            self._process = self._start(self.program)
            self._started = now
            return True
        code = self._process.poll()
        if code is None:
            return False
        self._note_death(code, lived=now - self._started)
        return True

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process is not None and self._process.poll() is None

    def ask(self) -> None:
        """Ask it to end."""
        if self._process is not None and self.running:
            self._process.terminate()

    def kill(self) -> None:
        """See to it that it, and what it started, has ended."""
        if self._process is None:
            return
        if self.running:
            log.warning("process.killed", process=self.program.name)
            leash.kill(self._process)
        self._process = None

    def _note_death(self, code: int, lived: float) -> None:
        self.pause = FIRST_PAUSE if lived >= SETTLED or self.restarts == 0 else min(self.pause * 2, LONGEST_PAUSE)
        self.restarts += 1
        self._start_at = time.monotonic() + self.pause
        self._process = None
        log.error(
            "process.died",
            process=self.program.name,
            exit_code=code,
            lived_seconds=round(lived, 1),
            restarts=self.restarts,
            restart_in_seconds=round(self.pause, 2),
        )
