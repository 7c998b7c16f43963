"""Statements of the hot path, handed to the database's driver itself; everything else goes through SQLAlchemy.

SQLAlchemy spends more on one statement than SQLite does on running it, and the two hot calls are made of short
statements. One text serves both databases: `?` stands for a value, `[?]` for a list of any length, sent as one value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement in the words of both drivers. Made once, by `statement`."""

    sqlite: str
    postgresql: str


def statement(text: str) -> Statement:
    """Read `?` as a value and `IN [?]` as membership in a list."""
    sqlite = text.replace("[?]", "(SELECT value FROM json_each(?))")
    return Statement(sqlite, text.replace("IN [?]", "= ANY(?)").replace("?", "%s"))


def inserting(table: str, *columns: str) -> Statement:
    """An INSERT of one row; `Driver.many` repeats it."""
    places = ", ".join("?" for _ in columns)
    return statement(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})")  # noqa: S608 - our own names


class Driver:
    """The driver's connection inside a transaction of SQLAlchemy, which begins and ends it.

    Errors of the driver surface as SQLAlchemy's, so that callers know one kind.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect: Any = connection.dialect
        self._direct: Any = connection.connection.driver_connection
        self.sqlite = connection.dialect.name == "sqlite"

    def rows(self, asked: Statement, *values: Any) -> list[Any]:
        """Every row of the answer, as tuples."""
        found: list[Any] = self._run(asked, values).fetchall()
        return found

    def run(self, asked: Statement, *values: Any) -> int:
        """How many rows it changed."""
        changed: int = self._run(asked, values).rowcount
        return changed

    def many(self, asked: Statement, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run it once for each row of values."""
        if not rows:
            return
        cursor = self._direct.cursor()
        try:
            cursor.executemany(asked.sqlite if self.sqlite else asked.postgresql, rows)
        except self._dialect.dbapi.Error as error:
            raise self._translated(asked, error) from error
        finally:
            cursor.close()

    def _run(self, asked: Statement, values: tuple[Any, ...]) -> Any:
        try:
            if self.sqlite:
                return self._direct.execute(asked.sqlite, [_as_json(value) for value in values])
            return self._direct.execute(asked.postgresql, values)
        except self._dialect.dbapi.Error as error:
            raise self._translated(asked, error) from error

    def _translated(self, asked: Statement, error: Any) -> BaseException:
        gone = self._dialect.is_disconnect(error, self._direct, None)
        if gone:
            self._connection.invalidate(error)
        failure: BaseException = DBAPIError.instance(
            asked.sqlite,
            None,
            error,
            self._dialect.dbapi.Error,
            hide_parameters=True,
            connection_invalidated=gone,
            dialect=self._dialect,
        )
        return failure


def _as_json(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, list) else value
