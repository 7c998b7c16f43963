"""What differs between two project files, key by key."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labelloop.projects.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A key of the file, with dots between its parts, and its values; None where one of the files has no such key."""

    key: str
    before: Any
    after: Any


def differences(before: Project, after: Project) -> list[Difference]:
    """The keys whose values differ, in the order of the file.

    Where another kind is chosen, keys of the kind before have no value after, and the other way round.

    Example:
        >>> from labelloop.projects import parse
        >>> raw = {"name": "p", "labels": {"kind": "classes", "classes": ["a", "b"]}, "features": {"kind": "text"}}
        >>> [one] = differences(parse(raw), parse({**raw, "stop": {"budget": 100}}))
        >>> one
        Difference(key='stop.budget', before=None, after=100)
    """
    then, now = (dict(_leaves("", project.model_dump(mode="json"))) for project in (before, after))
    return [
        Difference(key=key, before=then.get(key), after=now.get(key))
        for key in {**then, **now}
        if then.get(key) != now.get(key)
    ]


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Keys and values below a place; what people name themselves, as classes, is a leaf as a whole."""
    if not isinstance(value, Mapping) or not value or place in _NAMED_BY_PEOPLE:
        yield place, value
        return
    for key, inner in value.items():
        yield from _leaves(f"{place}.{key}" if place else str(key), inner)


_NAMED_BY_PEOPLE = {"model.parameters", "source.keep", "source.data.classes", "minority.targets", "votes.lanes"}
