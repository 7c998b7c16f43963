"""The Lua scripts of the queue: loaded from package data, sent by digest, and again in full when the server forgot."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import redis

Argument = str | int | float


@cache
def source(name: str) -> str:
    """The text of a script with what all of them share in front."""
    folder = files(__package__) / "lua"
    return "\n".join((folder / file).read_text("utf-8") for file in ("index.lua", f"{name}.lua"))


class Scripts:
    """Runs the scripts of one server by name; each runs atomically."""

    def __init__(self, connection: "redis.Redis") -> None:
        self._connection = connection
        self._known: dict[str, Any] = {}

    def run(self, name: str, project: str, *args: Argument) -> Any:
        """Run one on the keys of a project."""
        return self._script(name)(keys=[key(project, "cfg")], args=args)

    def run_all(self, name: str, project: str, calls: Sequence[Sequence[Argument]]) -> list[Any]:
        """Run one many times in as few round trips as there are bundles; not atomic as a whole."""
        answers: list[Any] = []
        for start in range(0, len(calls), BUNDLE):
            with self._connection.pipeline(transaction=False) as pipeline:
                for args in calls[start : start + BUNDLE]:
                    self._script(name)(keys=[key(project, "cfg")], args=args, client=pipeline)
                answers += pipeline.execute()
        return answers

    def _script(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._connection.register_script(source(name))
        return self._known[name]


BUNDLE = 32
"""Scripts per round trip: enough to hide the latency, few enough that others get their turn."""


def key(project: str, part: str) -> str:
    """A key of a project (index.lua lists them); the braces keep all of them in one slot of a cluster."""
    return f"labelloop:{{{project}}}:{part}"
