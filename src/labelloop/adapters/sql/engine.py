"""Opens an engine by URL with the settings that durability asks for; knows nothing of tables."""

import logging
import sqlite3
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from labelloop.domain.errors import Invalid, Unavailable

FIXED_SQLITE = (3, 51, 3)
"""From here on SQLite does not corrupt a file when two connections write and checkpoint its WAL at once."""
BUSY_MILLISECONDS = 60_000
POLL_SECONDS = 0.001

_log = logging.getLogger(__name__)


def open_engine(url: str) -> Engine:
    """An engine for `sqlite:///path` or `postgresql+psycopg://…`.

    SQLite: WAL, synchronous=FULL (a commit survives a power cut), foreign keys on, writers wait for each other.

    Raises:
        Invalid: another kind of URL, or a driver is missing; says what to do.
        Unavailable: the file cannot be opened.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise Invalid("The database URL cannot be read. Use sqlite:///PATH or postgresql+psycopg://…") from None
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        return _open_sqlite(parsed)
    if kind in {"postgresql", "postgres"}:
        return _open_postgresql(parsed)
    raise Invalid(f"The database {kind!r} is not supported. Use sqlite:///PATH or postgresql+psycopg://…")


def _open_sqlite(url: URL) -> Engine:
    if url.database in {None, "", ":memory:"}:
        raise Invalid("A database in memory is seen by one connection only. Name a file: sqlite:///PATH.")
    path = Path(str(url.database))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"The folder of the database {path} cannot be made: {error.strerror}.") from error
    engine = create_engine(url, module=_sqlite_module(), pool_size=8, max_overflow=56, pool_timeout=60)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _sqlite_module() -> ModuleType:
    try:
        from pysqlite3 import dbapi2
    except ImportError:
        module: ModuleType = sqlite3.dbapi2
    else:
        module = dbapi2
    if module.sqlite_version_info < FIXED_SQLITE:
        _log.warning(
            "SQLite %s has a rare fault that can corrupt the file when two processes write at once; "
            "install pysqlite3 or a Python with SQLite 3.51.3 or newer, or use PostgreSQL.",
            module.sqlite_version,
        )
    return module


def _prepare_sqlite(connection: Any, record: Any) -> None:  # noqa: ARG001
    connection.isolation_level = None  # the driver shall not begin transactions behind our back
    for pragma in (f"busy_timeout={BUSY_MILLISECONDS}", "synchronous=FULL", "foreign_keys=ON", "cache_size=-32768"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the write lock at once: one that starts as a reader cannot wait for its turn later.
    if not connection.get_execution_options().get("labelloop_write", False):
        connection.exec_driver_sql("BEGIN")
    elif not _locked_soon(connection.connection.driver_connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _locked_soon(direct: Any) -> bool:
    """Take the write lock within the busy timeout, asking every millisecond.

    SQLite itself sleeps longer and longer, up to a tenth of a second, while a writer of another process that has much
    to write comes and goes.
    """
    deadline = time.monotonic() + BUSY_MILLISECONDS / 1000
    direct.execute("PRAGMA busy_timeout=0").close()
    try:
        while time.monotonic() < deadline:
            try:
                direct.execute("BEGIN IMMEDIATE").close()
            except direct.OperationalError as error:
                if "locked" not in str(error):
                    return False  # asked once more by the caller, whose error is the engine's
            else:
                return True
            time.sleep(POLL_SECONDS)
    finally:
        direct.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}").close()
    return False


def _open_postgresql(url: URL) -> Engine:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise Invalid("PostgreSQL needs its driver: pip install 'labelloop[postgresql]'.") from None
    from labelloop.adapters.sql.patience import CONNECT, connect_patiently

    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=8,
        max_overflow=24,
        pool_timeout=10,
        pool_pre_ping=True,
        connect_args={name: value for name, value in CONNECT.items() if name not in url.query},
    )
    connect_patiently(engine)
    return engine
