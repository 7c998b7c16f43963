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


@dataclass(frozen=True, slots=True)
class Insertion:
    """New rows of one table: repeated by SQLite, copied in by PostgreSQL. Made once, by `inserting`."""

    sqlite: str
    postgresql: str


def statement(text: str) -> Statement:
    """Read `?` as a value and `IN [?]` as membership in a list."""
    sqlite = text.replace("[?]", "(SELECT value FROM json_each(?))")
    return Statement(sqlite, text.replace("IN [?]", "= ANY(?)").replace("?", "%s"))


def inserting(table: str, *columns: str) -> Insertion:
    """Rows of values for these columns, for `Driver.add`."""
    names, places = ", ".join(columns), ", ".join("?" for _ in columns)
    return Insertion(
        f"INSERT INTO {table} ({names}) VALUES ({places})",  # noqa: S608 - our own names
        f"COPY {table} ({names}) FROM STDIN",
    )


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

    def each(self, asked: Statement, rows: Sequence[tuple[Any, ...]]) -> None:
        """The same change once for each of these rows of values."""
        cursor = self._direct.cursor()
        try:
            cursor.executemany(asked.sqlite if self.sqlite else asked.postgresql, rows)
        except self._dialect.dbapi.Error as error:
            raise self._translated(asked, error) from error
        finally:
            cursor.close()

    def add(self, to: Insertion, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert these rows."""
        if not rows:
            return
        cursor = self._direct.cursor()
        try:
            if self.sqlite:
                cursor.executemany(to.sqlite, rows)
            else:
                with cursor.copy(to.postgresql) as copy:
                    for row in rows:
                        copy.write_row(row)
        except self._dialect.dbapi.Error as error:
            raise self._translated(to, error) from error
        finally:
            cursor.close()

    def _run(self, asked: Statement, values: tuple[Any, ...]) -> Any:
        try:
            if self.sqlite:
                return self._direct.execute(asked.sqlite, [_as_json(value) for value in values])
            return self._direct.execute(asked.postgresql, values)
        except self._dialect.dbapi.Error as error:
            raise self._translated(asked, error) from error

    def _translated(self, asked: Statement | Insertion, error: Any) -> BaseException:
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
