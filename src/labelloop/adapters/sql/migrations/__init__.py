"""Brings the tables of a database up to date. The steps are in `versions`, one module each, oldest first.

A new step: change `tables`, write `versions/vNNNN_subject.py` with the number of the step before as `down_revision`
(use `op.batch_alter_table`, for SQLite), and run the tests: one compares the steps with the tables on both databases.
"""

import time
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from labelloop.domain.errors import Invalid, Unavailable

_LOCK = 7_305_803_041_288_717_164
"""Number of the advisory lock on PostgreSQL; anything, as long as it stays the same."""
PATIENCE = 60.0
"""Seconds to wait for another process that opens the same SQLite file."""


def upgrade(engine: Engine) -> None:
    """Run the missing steps in one transaction, under a lock: all of them or none, once.

    Raises:
        Invalid: the database was written by a newer version of labelloop.
        Unavailable: it does not answer.
    """
    if _is_current(engine):
        return
    # Loaded only where there is something to do: every training is a process of its own, and alembic is slow to import.
    from alembic.util import CommandError

    try:
        if engine.dialect.name == "sqlite":
            _use_wal(engine)
        with engine.execution_options(labelloop_write=True).connect() as connection:
            _keys(connection, on=False)
            try:
                with connection.begin():
                    _run(connection)
            finally:
                _keys(connection, on=True)
    except CommandError as error:
        raise Invalid(f"The database is of a newer labelloop ({error}). Install that version, or newer.") from error
    except OperationalError as error:
        raise Unavailable(f"The database cannot be opened: {error.orig}.") from error


def _is_current(engine: Engine) -> bool:
    """Whether the newest step was taken: one read, without a lock."""
    newest = max(path.stem for path in (Path(__file__).parent / "versions").glob("v*.py"))
    try:
        with engine.connect() as connection:
            taken = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    except DBAPIError:  # no such table yet, or no answer: the full way says which
        return False
    return [f"v{number}" for number in taken] == [newest.split("_")[0]]


def _run(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if broken:
            raise Invalid(
                f"A migration left rows without what they refer to, such as {broken[0]}; nothing was changed."
            )


def _keys(connection: Connection, *, on: bool) -> None:
    """Foreign keys are off while SQLite's tables are copied, or dropping the old copy takes rows along."""
    if connection.dialect.name == "sqlite":
        driver = connection.connection.driver_connection
        assert driver is not None  # noqa: S101 - a connection that is checked out has one
        driver.execute(f"PRAGMA foreign_keys={'ON' if on else 'OFF'}").close()


def _use_wal(engine: Engine) -> None:
    """The file remembers. Switching needs the file for itself and does not wait, so we do."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            raw = engine.raw_connection()
            try:
                cursor = raw.cursor()
                mode = cursor.execute("PRAGMA journal_mode=WAL").fetchall()
            finally:
                raw.close()
        except engine.dialect.loaded_dbapi.DatabaseError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise Unavailable(f"The database {engine.url.database} cannot be opened: {error}.") from error
        else:
            if mode == [("wal",)]:
                return
            raise Unavailable(f"The folder of {engine.url.database} does not support SQLite's WAL. Use a local disk.")
        time.sleep(0.05)
