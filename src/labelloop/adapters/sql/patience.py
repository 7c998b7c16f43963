"""How long PostgreSQL may be silent before a connection is given up; SQLite needs none of it.

A network that breaks without a word leaves a connection on which nobody ever answers. The kernel finds out when the
other machine is gone, but not when something in between keeps the connection and drops what is sent. So a connection
itself gives up, by how long whoever uses it can wait: a person who asks for work, less; a steward who reads a pool,
longer; a migration, for ever.
"""

from collections.abc import Generator
from time import monotonic
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, event

HOT_SECONDS = 8.0
"""What somebody waits for: leases, answers, keys."""
OTHER_SECONDS = 60.0
IDLE_SECONDS = 3.0
"""The question whether a connection that lay idle is still there."""

CONNECT: dict[str, int | str] = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8_000,
}
"""Parameters of libpq, unless the URL has its own: how soon the kernel gives a machine up that is gone."""

Result = TypeVar("Result")


class PatientConnection(psycopg.Connection[Any]):
    """Gives up, and closes itself, when the server is silent for `patience` seconds (None: never)."""

    patience: float | None = None

    def wait(self, gen: Generator[Any, Any, Result], *args: Any, **kwargs: Any) -> Result:
        """As its parent, with an end."""
        steps = gen if self.patience is None else self._bounded(gen, self.patience)
        return super().wait(steps, *args, **kwargs)

    def _bounded(self, gen: Generator[Any, Any, Result], seconds: float) -> Generator[Any, Any, Result]:
        end = monotonic() + seconds
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    end = monotonic() + seconds
                elif monotonic() > end:
                    self.close()
                    raise psycopg.OperationalError(f"nothing came from the server for {seconds:g} s")
                wanted = gen.send(ready)
        except StopIteration as done:
            result: Result = done.value
            return result


def connect_patiently(engine: Engine) -> None:
    """Let an engine of psycopg open connections of this kind."""
    event.listen(engine, "do_connect", _connect)


def lose_patience(engine: Engine) -> None:
    """From now on its connections give up: called when the migrations, which may take long, are through."""
    event.listen(engine, "checkout", _use)
    event.listen(engine, "checkin", _rest)
    engine.dispose()


def hurry(connection: Connection) -> None:
    """Somebody waits for this transaction."""
    direct: Any = connection.connection.driver_connection
    direct.patience = HOT_SECONDS


def _connect(_dialect: Any, _record: Any, arguments: Any, parameters: Any) -> PatientConnection:
    return PatientConnection.connect(*arguments, **parameters)


def _use(direct: PatientConnection, *_: Any) -> None:
    direct.patience = OTHER_SECONDS


def _rest(direct: PatientConnection | None, *_: Any) -> None:
    if direct is not None:  # else it was given up
        direct.patience = IDLE_SECONDS
