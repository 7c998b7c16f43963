"""Statements of the hot path, compiled once. On SQLite they run on the driver itself, elsewhere through SQLAlchemy.

SQLAlchemy spends about 150 µs of Python on each execution, many times what SQLite needs for it, and dispatch runs a
dozen per batch. The statement stays one Core expression for both databases; only how it is run differs.
"""

import re
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Executable
from sqlalchemy.dialects import sqlite

_DIALECT = sqlite.dialect(paramstyle="named")
_EXPANDING = re.compile(r"\(__\[POSTCOMPILE_(\w+)\]\)")

Params = Mapping[str, Any]
Process = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Driver:
    """SQLite's own connection, in a transaction, without SQLAlchemy's bookkeeping around it."""

    raw: Any


Session = Connection | Driver
"""What a statement is run in."""


class Prepared:
    """One statement. Parameters come by name; values and rows are converted as SQLAlchemy would.

    An expanding parameter (`column.in_(bindparam(…, expanding=True))`) takes a list of numbers.
    """

    def __init__(self, statement: Executable) -> None:
        self.statement = statement
        self._compiled: dict[tuple[str, ...], _Compiled] = {}

    def rows(self, connection: Session, params: Params) -> list[Any]:
        """All rows, with a field per column."""
        if isinstance(connection, Connection) and connection.dialect.name != "sqlite":
            return list(connection.execute(self.statement, params))
        compiled = self._for(())
        return compiled.fetch(_driver(connection).execute(compiled.sql, compiled.bind(params)))

    def one(self, connection: Session, params: Params) -> Any:
        """The only row."""
        (row,) = self.rows(connection, params)
        return row

    def run(self, connection: Session, params: Params) -> int:
        """Rows that were changed; nothing is returned."""
        if isinstance(connection, Connection) and connection.dialect.name != "sqlite":
            return int(connection.execute(self.statement, params).rowcount)
        compiled = self._for(())
        return int(_driver(connection).execute(compiled.sql, compiled.bind(params)).rowcount)

    def many(self, connection: Session, rows: Sequence[Params]) -> None:
        """Once per row; an INSERT takes its columns from the first."""
        if isinstance(connection, Connection) and connection.dialect.name != "sqlite":
            connection.execute(self.statement, rows)
            return
        compiled = self._for(tuple(rows[0]))
        _driver(connection).executemany(compiled.sql, map(compiled.bind, rows))

    def returning(self, connection: Session, rows: Sequence[Params]) -> list[Any]:
        """Insert rows and give what their RETURNING says, in any order."""
        if isinstance(connection, Connection) and connection.dialect.name != "sqlite":
            return list(connection.execute(self.statement, rows))
        compiled, driver = self._for(tuple(rows[0])), _driver(connection)
        return [row for one in rows for row in compiled.fetch(driver.execute(compiled.sql, compiled.bind(one)))]

    def _for(self, keys: tuple[str, ...]) -> "_Compiled":
        known = self._compiled.get(keys)
        if known is None:
            known = self._compiled[keys] = _Compiled(self.statement, keys)
        return known


class _Compiled:
    """SQL text with named parameters, and how values get in and out."""

    def __init__(self, statement: Any, keys: tuple[str, ...]) -> None:
        compiled = statement.compile(dialect=_DIALECT, column_keys=list(keys) or None)
        lists = _EXPANDING.findall(compiled.string)
        self.sql = _EXPANDING.sub(r"(SELECT value FROM json_each(:\1))", compiled.string)
        processes = compiled._bind_processors.items()  # noqa: SLF001
        self._processes: dict[str, Process] = {name: process for name, process in processes if callable(process)}
        self._processes.update(dict.fromkeys(lists, _as_json))
        literals = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        self._literals = {name: self._processes.get(name, _same)(value) for name, value in literals.items()}
        columns = compiled._result_columns  # noqa: SLF001
        make: Any = namedtuple  # noqa: PYI024 - the fields are known only now
        self._row: Callable[[Any], Any] = make("Row", [column.keyname for column in columns])._make
        found = ((at, column.type._cached_result_processor(_DIALECT, None)) for at, column in enumerate(columns))  # noqa: SLF001
        self._results: list[tuple[int, Process]] = [(at, process) for at, process in found if process is not None]

    def bind(self, params: Params) -> dict[str, Any]:
        bound = {**self._literals, **params}
        for name, process in self._processes.items():
            if name in params:
                bound[name] = process(params[name])
        return bound

    def fetch(self, cursor: Any) -> list[Any]:
        if not self._results:
            return [self._row(row) for row in cursor.fetchall()]
        made = []
        for row in cursor.fetchall():
            values = list(row)
            for at, process in self._results:
                values[at] = process(values[at])
            made.append(self._row(values))
        return made


def _driver(connection: Session) -> Any:
    """The driver's connection under one that is checked out and in a transaction."""
    return connection.raw if isinstance(connection, Driver) else connection.connection.driver_connection


def _as_json(values: Sequence[int]) -> str:
    return orjson.dumps(list(values), option=orjson.OPT_SERIALIZE_NUMPY).decode()


def _same(value: Any) -> Any:
    return value
