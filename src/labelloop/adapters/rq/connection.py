"""Connecting rq to Redis; rq keeps its own keys (`rq:…`) and reads bytes, so the queue's connection is not for it."""

from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as NotConnected
from redis.retry import Retry

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 4.0


def connect(url: str) -> Redis:
    """A client of the server at `url` (`redis://`, `rediss://` or `unix://`); nothing is sent yet.

    A worker that blocks on its queue raises the timeout of its own client by itself.
    """
    return Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        retry=Retry(ConstantBackoff(0.05), 1, supported_errors=(NotConnected,)),
    )
