"""Transactions: a reading one is a snapshot, writing ones of a project follow one another, errors become ours.

The adapters of the store say what happens inside a transaction; here is how one begins, waits and fails.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.group_commit import GroupCommit
from labelloop.domain.errors import Unavailable, UnknownProject

T = TypeVar("T")

CHUNK = 5_000
"""Most values in one IN list; SQLite takes 32,766 parameters a statement, PostgreSQL 65,535."""

REST_SECONDS = 0.005
"""Longest rest between the pieces of a long write."""

STUDIED_FROM = 500
"""Rows from which it matters how PostgreSQL finds them."""
_DOUBLED = text("""
    SELECT s.relname FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
    WHERE s.schemaname = current_schema() AND s.n_mod_since_analyze >= :least AND s.n_mod_since_analyze > c.reltuples
""")

_abandoned: list[Any] = []
"""Connections a fork left in the child. They are the parent's, so they are neither used nor closed."""


class Database:
    """One engine with its ways of reading and writing.

    `write` is a transaction of its own; `group` shares its commit with others that wait at the same time. Either
    returns only when what was written is durable. Writers of one project take its row first, so that they see each
    other's work and cannot deadlock; on SQLite all writers follow one another anyway.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sqlite = engine.dialect.name == "sqlite"
        snapshot = {} if self.sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reading = engine.execution_options(**snapshot)
        self._writing = engine.execution_options(labelloop_write=True)
        self._ids: dict[str, int] = {}
        self._hurry: Callable[[Connection], None] | None = None
        if not self.sqlite:
            from labelloop.adapters.sql import patience  # its driver is there for PostgreSQL only

            patience.lose_patience(engine)
            self._hurry = patience.hurry
        self._start()
        own = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _after_fork(own))

    def _start(self) -> None:
        self._turn: Any = threading.Lock() if self.sqlite else nullcontext()
        self._group = GroupCommit(partial(self.write, hot=True))

    def forget_parent(self) -> None:
        """In a forked child: leave the parent's connections alone and begin afresh."""
        _abandoned.extend((self.engine.pool, self._group))
        self.engine.dispose(close=False)
        self._start()

    @contextmanager
    def read(self, *, hot: bool = False) -> Iterator[Connection]:
        """A transaction that sees one moment of the store, whatever others commit meanwhile.

        `hot`: a person waits for it, so a database that is silent is given up sooner.
        """
        with _translated(), self._reading.begin() as connection:
            if hot and self._hurry:
                self._hurry(connection)
            yield connection

    @contextmanager
    def write(self, projects: Iterable[int] = (), *, hot: bool = False) -> Iterator[Connection]:
        """A transaction that may write; committed when the block ends, rolled back when it raises."""
        with _translated(), self._turn, self._writing.begin() as connection:
            if hot and self._hurry:
                self._hurry(connection)
            if not self.sqlite:
                _lock(connection, sorted(set(projects)))
            yield connection
            if self.sqlite:
                _still_open(connection)

    def group(self, project: int, operation: Callable[[Connection], T]) -> T:
        """Run a short write together with those that wait beside it; returns when the common commit is durable.

        Raises:
            Unavailable: the commit failed; nothing of it was written.
        """
        with _translated():
            return self._group.run(project, operation)

    def rest(self, since: float) -> None:
        """Give way after one piece of a long write, begun at `since` (time.monotonic): for as long as it took.

        On SQLite annotators' answers wait while somebody else writes. Who has much to write does so in pieces, and
        leaves them half of the time.
        """
        if self.sqlite:
            time.sleep(min(time.monotonic() - since, REST_SECONDS))

    def study(self) -> None:
        """Let PostgreSQL analyze the tables that doubled since it did; its own turn comes once a minute at most.

        A table that it believes to be nearly empty is read from end to end for each lease, which in the first minute
        of many annotators is most of what it does. SQLite takes the indexes by rule.
        """
        if self.sqlite:
            return
        with _translated(), self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            doubled = connection.execute(_DOUBLED, {"least": STUDIED_FROM}).scalars().all()
            for name in tables.metadata.tables.keys() & set(doubled):  # others' tables are their business
                connection.execute(text(f"ANALYZE {connection.dialect.identifier_preparer.quote(name)}"))

    def insert(self, table: Table) -> Any:
        """An INSERT of this database's dialect, which knows ON CONFLICT."""
        return sqlite.insert(table) if self.sqlite else postgresql.insert(table)

    def id_of(self, name: str) -> int:
        """The id of a project. Projects are never renamed or deleted, so it may be remembered.

        Raises:
            UnknownProject: names those there are.
        """
        known = self._ids.get(name)
        if known is not None:
            return known
        with self.read(hot=True) as connection:
            rows = connection.execute(select(tables.project.c.name, tables.project.c.id)).all()
        self._ids.update({row.name: row.id for row in rows})
        if name not in self._ids:
            raise UnknownProject(name, sorted(self._ids))
        return self._ids[name]

    def close(self) -> None:
        """Let the writer finish what it was given and close the connections."""
        self._group.close()
        self.engine.dispose()


def chunks(values: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Lists of at most `size`, in order."""
    whole = list(values)
    for start in range(0, len(whole), size):
        yield whole[start : start + size]


def _after_fork(own: "weakref.ref[Database]") -> None:
    database = own()
    if database is not None:
        database.forget_parent()


def _lock(connection: Connection, projects: list[int]) -> None:
    rows = tables.project
    if projects:
        held = select(rows.c.id).where(rows.c.id.in_(projects)).order_by(rows.c.id)
        connection.execute(held.with_for_update(key_share=True))


def _still_open(connection: Connection) -> None:
    """A full disk makes SQLite roll back by itself, and the driver's commit of nothing would then succeed."""
    driver: Any = connection.connection.driver_connection
    if not driver.in_transaction:
        raise Unavailable("The database gave up the transaction; the disk may be full. Make room and try again.")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("All connections to the database are busy. Try again in a moment.") from error
    except IntegrityError:
        raise
    except DBAPIError as error:
        if error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError, InternalError)):
            raise Unavailable(f"The database does not answer: {error.orig}. Try again in a moment.") from error
        raise
