"""A real Redis server for tests: one per session, started as the service starts it, and empty for each test."""

from collections.abc import Iterator

import pytest
import redis

from labelloop.adapters.redis import EmbeddedRedis, connect
from labelloop.adapters.redis.binary import find
from labelloop.domain.errors import Unavailable


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A running server; skipped where none is installed (which CI counts as a failure)."""
    try:
        find()
    except Unavailable as error:
        pytest.skip(error.detail)
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """The URL of a server that holds nothing."""
    with connect(redis_server.address) as connection:
        connection.flushall()
    return redis_server.address


@pytest.fixture
def redis_connection(redis_url: str) -> Iterator["redis.Redis"]:
    """A connection, as the queue uses it, to a server that holds nothing."""
    with connect(redis_url) as connection:
        yield connection
