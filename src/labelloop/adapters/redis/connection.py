"""Connecting to Redis with timeouts, and naming its failures as ours; what is asked of it is the others' business."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as TooSlow
from redis.retry import Retry

from labelloop.domain.errors import Unavailable

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 4.0
"""No command of ours takes a tenth of it; whoever waits is a person."""
DOWN = (NotConnected, TooSlow, ReadOnlyError, OutOfMemoryError)
# Answers of a server that is up but cannot serve now: loading its file, or unable to write it.
BUSY = ("LOADING", "MISCONF", "OOM", "BUSY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN")


def connect(url: str) -> "redis.Redis":
    """A client of the server at `url` (`redis://`, `rediss://` or `unix://`); nothing is sent yet.

    A broken connection is opened again once, at once; a server that is silent is not asked again.
    """
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        health_check_interval=30,
        retry=Retry(ConstantBackoff(0.05), 1, supported_errors=(NotConnected,)),
    )


def guarded(function: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
    """Let failures of the server surface as Unavailable, so that callers know one error for it."""

    @wraps(function)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        try:
            return function(*args, **kwargs)
        except RedisError as error:
            raise _translated(error) from error

    return call


def _translated(error: RedisError) -> Exception:
    if isinstance(error, DOWN) or (isinstance(error, ResponseError) and str(error).startswith(BUSY)):
        return Unavailable(
            f"Redis does not answer ({error}). Try again; if it stays so, see that the server at LABELLOOP_REDIS_URL, "
            "or `labelloop up` for the embedded one, is running."
        )
    return error


def pairs(flat: list[Any]) -> list[tuple[Any, Any]]:
    """[a, b, c, d] → [(a, b), (c, d)]: how Lua answers a table."""
    return list(zip(flat[::2], flat[1::2], strict=True))
