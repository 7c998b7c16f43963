"""The store over both databases."""

from collections.abc import Iterator
from pathlib import Path

import postgres
import pytest
from sqlalchemy import create_engine
from store_desk import Desk

from labelloop.adapters.sql.store import Store, open_store
from labelloop.adapters.sql.tables import metadata


@pytest.fixture(scope="session")
def socket() -> Iterator[str]:
    """One PostgreSQL for the run."""
    with postgres.server() as folder:
        yield folder


DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]


@pytest.fixture(scope="session")
def migrated(socket: str) -> Iterator[str]:
    """One database of that PostgreSQL with our tables."""
    with postgres.database(socket) as url:
        open_store(url).close()
        yield url


@pytest.fixture(params=DATABASES)
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database nobody has opened yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'labelloop.db'}"
        return
    with postgres.database(request.getfixturevalue("socket")) as fresh:
        yield fresh


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without rows. Making one takes PostgreSQL long, so its tests share one and empty it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'labelloop.db'}"
    shared: str = request.getfixturevalue("migrated")
    engine = create_engine(shared)
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    engine.dispose()
    return shared


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """The store over an empty database."""
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture
def desk(store: Store, url: str) -> Desk:
    """The store and its helper."""
    return Desk(store, url)
