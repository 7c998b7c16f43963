"""The order of what is served next, locks, and a Redis server of our own."""

from labelloop.adapters.redis.connection import connect
from labelloop.adapters.redis.embedded import EmbeddedRedis
from labelloop.adapters.redis.lock import RedisLock
from labelloop.adapters.redis.queue import RedisQueue

__all__ = ["EmbeddedRedis", "RedisLock", "RedisQueue", "connect"]
