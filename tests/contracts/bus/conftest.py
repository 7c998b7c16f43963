"""Fixtures of the bus's tests."""

import pytest
from redis_server import redis_server, redis_url

from labelloop.adapters.rq import connect

__all__ = ["redis_server", "redis_url"]


@pytest.fixture
def connection(redis_url):
    """A connection, as rq uses it, to a server that holds nothing."""
    with connect(redis_url) as connection:
        yield connection
