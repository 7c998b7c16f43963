"""Fixtures of the queue's tests."""

from redis_server import redis_connection, redis_server, redis_url

__all__ = ["redis_connection", "redis_server", "redis_url"]
