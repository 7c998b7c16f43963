"""The Lua scripts of the queue: loaded from package data, sent by digest, and again in full when the server forgot.

They go over a connection of the client's pool by hand: the client's own pipeline asks before each run whether the
server knows the scripts, which doubles the round trips, and spends more on each command than the server does.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import redis
from redis.exceptions import NoScriptError, ResponseError

Argument = str | int | float


@cache
def source(name: str) -> str:
    """The text of a script with what all of them share in front."""
    folder = files(__package__) / "lua"
    return "\n".join((folder / file).read_text("utf-8") for file in ("index.lua", f"{name}.lua"))


@cache
def digest(name: str) -> str:
    """By what name the server knows a script."""
    return hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest()


class Scripts:
    """Runs the scripts of one server by name; each runs atomically."""

    def __init__(self, connection: "redis.Redis") -> None:
        self._connection = connection

    def run(self, name: str, project: str, *args: Argument) -> Any:
        """Run one on the keys of a project."""
        return self.run_all(name, project, [args])[0]

    def run_all(self, name: str, project: str, calls: Sequence[Sequence[Argument]]) -> list[Any]:
        """Run one many times in as few round trips as there are bundles; not atomic as a whole."""
        answers: list[Any] = []
        for start in range(0, len(calls), BUNDLE):
            answers += self._bundle(name, project, calls[start : start + BUNDLE])
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise answer
        return answers

    def _bundle(self, name: str, project: str, calls: Sequence[Sequence[Argument]]) -> list[Any]:
        head = ("EVALSHA", digest(name), 1, key(project, "cfg"))
        answers = self._send([(*head, *args) for args in calls])
        unknown = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            self._connection.script_load(source(name))
            again = self._send([(*head, *calls[place]) for place in unknown])
            for place, answer in zip(unknown, again, strict=True):
                answers[place] = answer
        return answers

    def _send(self, commands: Sequence[tuple[Argument, ...]]) -> list[Any]:
        """The answers in order, errors of the server among them. A broken connection is tried again once."""
        pool: Any = self._connection.connection_pool
        connection = pool.get_connection()
        try:
            return list(
                connection.retry.call_with_retry(
                    lambda: _exchange(connection, commands), lambda _error: connection.disconnect()
                )
            )
        finally:
            pool.release(connection)


def _exchange(connection: Any, commands: Sequence[tuple[Argument, ...]]) -> list[Any]:
    connection.send_packed_command(connection.pack_commands(commands))
    return [_read(connection) for _ in commands]


def _read(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


BUNDLE = 32
"""Scripts per round trip: enough to hide the latency, few enough that others get their turn."""


def key(project: str, part: str) -> str:
    """A key of a project (index.lua lists them); the braces keep all of them in one slot of a cluster."""
    return f"labelloop:{{{project}}}:{part}"
