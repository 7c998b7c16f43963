"""The steps build the tables that are declared, once, whoever comes first; and what an engine refuses to open."""

import re
import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from store_desk import START, project_file

from labelloop.adapters.sql import engine as engines
from labelloop.adapters.sql.engine import open_engine
from labelloop.adapters.sql.migrations import upgrade
from labelloop.adapters.sql.store import open_store
from labelloop.adapters.sql.tables import metadata
from labelloop.domain.errors import Invalid, Unavailable

OPEN = "import sys; from labelloop.adapters.sql.store import open_store; open_store(sys.argv[1]).close()"


def indexes(engine) -> dict[str, str]:
    """Every index as the database itself words it; comparing these finds what Alembic does not look at."""
    asked = {
        "sqlite": "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%'",
        "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    }
    with engine.connect() as connection:
        rows = connection.execute(text(asked[engine.dialect.name])).all()
    return {name: re.sub(r"\s+", " ", sql) for name, sql in rows if not name.startswith("alembic")}


def test_the_steps_build_what_is_declared(fresh_url):
    """Migrated tables equal the declared ones: types, keys and the conditions of partial indexes."""
    engine = open_engine(fresh_url)
    upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    migrated = indexes(engine)
    with engine.begin() as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
    declared = indexes(engine)
    engine.dispose()
    assert migrated.keys() == declared.keys()
    for name, sql in declared.items():
        if "CREATE TABLE" not in sql:  # tables: the order of clauses is free, and Alembic compared them
            assert migrated[name] == sql


def test_opening_again_changes_nothing(fresh_url):
    """What was written is still there after the next start."""
    first = open_store(fresh_url)
    first.projects.create(project_file(), START)
    first.close()
    second = open_store(fresh_url)
    assert second.projects.names() == ["demo"]
    second.close()


def test_several_processes_may_open_a_new_database_at_once(fresh_url):
    """One migrates, the others wait."""
    processes = [subprocess.Popen([sys.executable, "-c", OPEN, fresh_url], stderr=subprocess.PIPE) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()


def test_a_database_of_a_newer_version_is_left_alone(fresh_url):
    """An old program says so instead of guessing."""
    open_store(fresh_url).close()
    engine = open_engine(fresh_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(Invalid, match="newer"):
        open_store(fresh_url)


def test_a_failing_step_leaves_nothing_behind(fresh_url, monkeypatch):
    """Steps are one transaction on both databases: a crash half way is as if it had not begun."""
    engine = open_engine(fresh_url)

    def fail(connection) -> None:
        connection.execute(text("CREATE TABLE half (a INTEGER)"))
        raise RuntimeError

    monkeypatch.setattr("labelloop.adapters.sql.migrations._run", fail)
    with pytest.raises(RuntimeError):
        upgrade(engine)
    monkeypatch.undo()
    upgrade(engine)
    assert "half" not in inspect(engine).get_table_names()
    engine.dispose()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "nonsense"])
def test_other_databases_are_refused_with_a_remedy(url):
    """The message says which URLs there are."""
    with pytest.raises(Invalid, match="sqlite:///PATH"):
        open_store(url)


def test_a_server_that_is_not_there_is_unavailable():
    """Try again, says the error; nothing hangs."""
    with pytest.raises(Unavailable):
        open_store("postgresql://nobody@127.0.0.1:1/none?connect_timeout=2")


def test_a_file_that_is_no_database_is_unavailable(tmp_path):
    """A damaged or foreign file is named, not overwritten."""
    path = tmp_path / "x.db"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(Unavailable):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes().startswith(b"not a database")


def test_sqlite_commits_survive_a_power_cut(tmp_path):
    """WAL, full synchronisation and foreign keys on every connection."""
    store = open_store(f"sqlite:///{tmp_path / 'deep' / 'x.db'}")
    with store.engine.connect() as connection:
        asked = [connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("journal_mode", "synchronous")]
        assert asked == ["wal", 2]
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    store.close()


def test_a_sqlite_with_the_known_fault_is_warned_of(tmp_path, monkeypatch, caplog):
    """Once per start, with the remedy."""
    monkeypatch.setattr(engines, "FIXED_SQLITE", (99, 0, 0))
    open_engine(f"sqlite:///{tmp_path / 'x.db'}").dispose()
    assert "pysqlite3" in caplog.text
