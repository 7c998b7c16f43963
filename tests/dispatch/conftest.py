"""The whole of dispatch over real servers: Redis beside SQLite, and beside PostgreSQL where there is one."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import postgres
import pytest
from sqlalchemy import create_engine

from labelloop import wiring
from labelloop.adapters.redis.embedded import EmbeddedRedis
from labelloop.adapters.sql.store import open_store
from labelloop.adapters.sql.tables import metadata
from labelloop.ports import Ports
from labelloop.settings import Settings

sys.path.insert(0, str(Path(__file__).parents[1] / "loop"))

from conftest_loop import TurnedClock

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]


@pytest.fixture(scope="session")
def redis_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """One real server for all tests of dispatch."""
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def migrated() -> Iterator[str]:
    """One PostgreSQL database with our tables; making one takes long, so its tests share it and empty it."""
    with postgres.server() as socket, postgres.database(socket) as url:
        open_store(url).close()
        yield url


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with our tables: opening a copy is quicker than making another."""
    path = tmp_path_factory.mktemp("blank") / "labelloop.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without rows."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("blank"), tmp_path / "labelloop.db")
        return f"sqlite:///{tmp_path / 'labelloop.db'}"
    shared: str = request.getfixturevalue("migrated")
    empty(shared)
    return shared


def empty(url: str) -> None:
    """Delete all rows."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    engine.dispose()


@pytest.fixture
def ports(database: str, redis_home: EmbeddedRedis, tmp_path: Path) -> Iterator[Ports]:
    """All ports, wired as in production, with a clock that is turned by hand and an empty Redis."""
    built = wiring.build(Settings(home=tmp_path, database_url=database, redis_url=redis_home.address))
    built.queue._connection.flushall()
    yield replace(built, clock=TurnedClock())
    wiring.close(built)


@pytest.fixture
def clock(ports: Ports) -> TurnedClock:
    """The clock of the ports."""
    return ports.clock
