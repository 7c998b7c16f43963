"""Transactions: a reading one is a snapshot, writing ones of a project follow one another, errors become ours.

The adapters of the store say what happens inside a transaction; here is how one begins, waits and fails.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, Table, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.driver import Driver, statement
from labelloop.adapters.sql.group_commit import GroupCommit
from labelloop.domain.errors import Unavailable, UnknownProject
from labelloop.domain.states import ProjectState

T = TypeVar("T")

CHUNK = 5_000
"""Most values in one IN list; SQLite takes 32,766 parameters a statement, PostgreSQL 65,535."""

REST_SECONDS = 0.005
"""Longest rest between the pieces of a long write."""

TRUSTED_SECONDS = 1.0
"""How long the id of a project is remembered before it is looked up again. Whoever deletes one waits longer than that
before its name is free, so that no process takes another project of the name for it."""

STUDIED_FROM = 500
"""Rows from which it matters how PostgreSQL finds them."""
_DOUBLED = text("""
    SELECT s.relname FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
    WHERE s.schemaname = current_schema() AND s.n_mod_since_analyze >= :least AND s.n_mod_since_analyze > c.reltuples
""")

_NAMES = statement(f"SELECT name, id FROM project WHERE {tables.THERE}")  # noqa: S608 - our own words
_STILL = statement(f"SELECT name FROM project WHERE id = ? AND {tables.THERE}")  # noqa: S608 - our own words
_SEEN = statement("SELECT id, state FROM project WHERE id IN [?]")
_HELD = statement("SELECT id, state FROM project WHERE id IN [?] ORDER BY id FOR NO KEY UPDATE")
_TOUCHED = statement("SELECT id, state FROM project WHERE id IN [?] FOR KEY SHARE")
"""Locks of PostgreSQL: against other writers of a project, and only against its deletion."""
_GOING = "labelloop_going"
"""Under this name a connection knows which of its transaction's projects are being deleted."""

_abandoned: list[Any] = []
"""Connections a fork left in the child. They are the parent's, so they are neither used nor closed."""


class _Known(NamedTuple):
    """The id of a project, believed until then (monotonic seconds)."""

    id: int
    until: float


class Database:
    """One engine with its ways of reading and writing.

    `write` is a transaction of its own; `group` shares its commit with others that wait at the same time. Either
    returns only when what was written is durable. Writers of one project take its row first, so that they see each
    other's work and cannot deadlock; on SQLite all writers follow one another anyway. Nobody writes for a project that
    is being deleted: who names it learns inside the transaction that it is unknown.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sqlite = engine.dialect.name == "sqlite"
        snapshot = {} if self.sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reading = engine.execution_options(**snapshot)
        self._writing = engine.execution_options(labelloop_write=True)
        self._ids: dict[str, _Known] = {}
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
        self._group = GroupCommit(partial(self.begin, hot=True))

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
    def write(self, projects: Iterable[int] = (), *, touching: int | None = None) -> Iterator[Connection]:
        """A transaction that may write; committed when the block ends, rolled back when it raises.

        `projects` are held against other writers; one that is only `touching` is not, but it stays.

        Raises:
            UnknownProject: one of them is being deleted; nothing was written.
        """
        held = set(projects)
        with self.begin(held, touching=touching) as connection:
            self._refuse(connection, *held, *(() if touching is None else (touching,)))
            yield connection

    @contextmanager
    def begin(
        self, projects: Iterable[int] = (), *, touching: int | None = None, hot: bool = False
    ) -> Iterator[Connection]:
        """As `write`, also for projects that are being deleted."""
        held, touched = sorted(set(projects)), [] if touching is None else [touching]
        with _translated(), self._turn, self._writing.begin() as connection:
            if hot and self._hurry:
                self._hurry(connection)
            named = [(_SEEN, held + touched)] if self.sqlite else [(_HELD, held), (_TOUCHED, touched)]
            rows = [row for asked, ids in named if ids for row in Driver(connection).rows(asked, ids)]
            connection.info[_GOING] = {number for number, state in rows if not ProjectState(state).there}
            yield connection
            if self.sqlite:
                _still_open(connection)

    def group(self, project: int, operation: Callable[[Connection], T]) -> T:
        """Run a short write together with those that wait beside it; returns when the common commit is durable.

        Raises:
            Unavailable: the commit failed; nothing of it was written.
            UnknownProject: the project is being deleted; nothing of it was written.
        """

        def work(connection: Connection) -> T:
            self._refuse(connection, project)
            return operation(connection)

        with _translated():
            return self._group.run(project, work)

    def _refuse(self, connection: Connection, *projects: int) -> None:
        going = connection.info[_GOING].intersection(projects)
        if going:
            name = str(connection.execute(select(tables.project.c.name).where(tables.project.c.id.in_(going))).scalar())
            raise self.unknown(original(name), connection)

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

    def tidy(self, table: Table) -> None:
        """Let PostgreSQL clear away the many rows of a table that were deleted; SQLite does so as it goes.

        Each deletion of a parent looks for its children, and would walk over all those that are gone. Where it takes
        too long, PostgreSQL's own turn comes.
        """
        if self.sqlite:
            return
        with (
            suppress(Unavailable),
            _translated(),
            self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        ):
            connection.execute(text(f"VACUUM ANALYZE {connection.dialect.identifier_preparer.quote(table.name)}"))

    def insert(self, table: Table) -> Any:
        """An INSERT of this database's dialect, which knows ON CONFLICT."""
        return sqlite.insert(table) if self.sqlite else postgresql.insert(table)

    def id_of(self, name: str) -> int:
        """The id of a project, which never becomes another's. It is remembered for TRUSTED_SECONDS.

        Raises:
            UnknownProject: names those there are.
        """
        known, now = self._ids.get(name), time.monotonic()
        if known is not None and now < known.until:
            return known.id
        until = now + TRUSTED_SECONDS  # counted from before the look
        with self.read(hot=True) as connection:
            driver = Driver(connection)
            if known is not None and driver.rows(_STILL, known.id) == [(name,)]:
                self._ids[name] = _Known(known.id, until)
                return known.id
            there = {row[0]: row[1] for row in driver.rows(_NAMES)}
            if name not in there:
                raise self.unknown(name, connection)
        self._ids.update({one: _Known(number, until) for one, number in there.items()})
        return int(there[name])

    def unknown(self, name: str, connection: Connection) -> UnknownProject:
        """Forget what was known of this name; the error to raise."""
        self.forget(name)
        return UnknownProject(name, sorted(row[0] for row in Driver(connection).rows(_NAMES)))

    def forget(self, name: str) -> None:
        """Look the project of this name up again when it is asked for next."""
        self._ids.pop(name, None)

    def close(self) -> None:
        """Let the writer finish what it was given and close the connections."""
        self._group.close()
        self.engine.dispose()


def original(name: str) -> str:
    """The name that a project had before it was deleted. No name has a space, and every tombstone has."""
    return name.partition(" ")[0]


def chunks(values: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Lists of at most `size`, in order."""
    whole = list(values)
    for start in range(0, len(whole), size):
        yield whole[start : start + size]


def _after_fork(own: "weakref.ref[Database]") -> None:
    database = own()
    if database is not None:
        database.forget_parent()


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
