"""The store over both databases."""

from collections.abc import Iterator

import postgres
import pytest
from store_desk import Desk

from labelloop.adapters.sql.store import Store, open_store


@pytest.fixture(scope="session")
def socket() -> Iterator[str]:
    """One PostgreSQL for the run."""
    with postgres.server() as folder:
        yield folder


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path) -> Iterator[str]:
    """An empty database, by URL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'labelloop.db'}"
        return
    with postgres.database(request.getfixturevalue("socket")) as fresh:
        yield fresh


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """The store over a fresh database."""
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture
def desk(store: Store, url: str) -> Desk:
    """The store and its helper."""
    return Desk(store, url)
