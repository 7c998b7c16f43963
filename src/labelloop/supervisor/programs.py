"""Which programs make up a running service, and the environment they share."""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from labelloop.settings import THREAD_VARIABLES, Settings
from labelloop.supervisor.child import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many processes of each kind. One steward leads and one API process serves at a time; more are spares."""

    api: int = 2
    sampler: int = 1
    trainer: int = 1
    steward: int = 1


def environment(settings: Settings, redis_url: str) -> dict[str, str]:
    """The environment of every process: ours, with what was decided at the start written out."""
    fixed = {
        "LABELLOOP_HOME": str(settings.home.absolute()),
        "LABELLOOP_HOST": settings.host,
        "LABELLOOP_PORT": str(settings.port),
        "LABELLOOP_REDIS_URL": redis_url,
        "PYTHONUNBUFFERED": "1",
    }
    return os.environ | dict.fromkeys(THREAD_VARIABLES, str(settings.threads)) | fixed


def programs(counts: Counts, env: dict[str, str], door: int) -> Iterator[Program]:
    """In the order they start; they end in the opposite order. `door` is the socket that the API serves on."""
    for kind, count in (("steward", counts.steward), ("sampler", counts.sampler), ("trainer", counts.trainer)):
        for place in range(1, count + 1):
            name = kind if count == 1 else f"{kind}-{place}"
            yield Program(name=name, argv=(f"labelloop_workers.{kind}",), env=env)
    for place in range(1, counts.api + 1):
        name = "api" if place == 1 else f"api-{place}"
        serve = ("labelloop.cli", "serve", "--standby", "--fd", str(door))
        yield Program(name=name, argv=serve, env=env, fds=(door,))


def free_port(host: str) -> int:
    """A port nobody listens on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
