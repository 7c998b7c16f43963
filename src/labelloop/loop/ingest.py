"""ingest: items enter the pool, in order, each once; a bad line is reported and the rest goes in."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from labelloop import schema
from labelloop.domain import skills
from labelloop.domain.errors import Invalid, UnknownProject
from labelloop.domain.types import IngestReport, InvalidLine, NewItem
from labelloop.ports import Ports
from labelloop.projects import Project

CHUNK = 2_000
"""Items per transaction: large enough to be fast, small enough that progress shows and a writer waits little."""
MAX_KEY = 512
MAX_REPORTED = 1_000
"""Bad lines that are reported one by one; the rest is only counted in `received`."""

KNOWN = frozenset({"key", "data", "label", "gold", "metadata", "needed", "requires", "synthetic"})


def read(raw: Any, line: int) -> NewItem | InvalidLine:
    """One JSON value of the wire, as an item or as what is wrong with it. `line` counts from 1."""
    if not isinstance(raw, Mapping):
        return InvalidLine(line=line, error="an item must be an object with `key` and `data`")
    if unknown := set(raw) - KNOWN:
        return InvalidLine(line=line, error=f"unknown keys {sorted(unknown)}; an item has: {', '.join(sorted(KNOWN))}")
    key, data, metadata = raw.get("key"), raw.get("data"), raw.get("metadata") or {}
    if isinstance(key, int) and not isinstance(key, bool):
        key = str(key)
    if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY or "\0" in key:
        return InvalidLine(line=line, error=f"`key` must be text of 1 to {MAX_KEY} characters, none of them NUL")
    if not isinstance(data, Mapping) or not data:
        return InvalidLine(line=line, error=f"item {key!r}: `data` must be an object with at least one field")
    if not isinstance(metadata, Mapping):
        return InvalidLine(line=line, error=f"item {key!r}: `metadata` must be an object")
    if wrong := _wrong(raw):
        return InvalidLine(line=line, error=f"item {key!r}: {wrong}")
    try:
        requires = skills.read(() if raw.get("requires") is None else raw["requires"])
    except Invalid as error:
        return InvalidLine(line=line, error=f"item {key!r}: `requires`: {error.detail}")
    synthetic = raw.get("synthetic", metadata.get("synthetic", False))
    if not isinstance(synthetic, bool):
        return InvalidLine(line=line, error=f"item {key!r}: `synthetic` must be true or false")
    return NewItem(
        key=key,
        data=data,
        label=raw.get("label"),
        gold=raw.get("gold"),
        metadata={**metadata, "synthetic": True} if synthetic else metadata,
        needed=raw.get("needed"),
        requires=requires,
        synthetic=synthetic,
        line=line,
    )


def _wrong(raw: Mapping[str, Any]) -> str | None:
    for name in ("label", "gold"):
        if not (raw.get(name) is None or isinstance(raw[name], str)):
            return f"`{name}` must be the name of a class"
    needed = raw.get("needed")
    if not (needed is None or (type(needed) is int and needed >= 1)):
        return "`needed` must be a whole number of votes from 1 up"
    return None


def check(project: Project, item: NewItem) -> NewItem | InvalidLine:
    """An item against its project: labels are in the schema, and the fields that are shown and measured are there."""
    classes = schema.of(project).classes
    for kind, label in (("label", item.label), ("gold", item.gold)):
        if label is not None and label not in classes:
            return InvalidLine(
                line=item.line,
                error=f"item {item.key!r}: {kind} {label!r} is not a class; classes: {', '.join(classes)}",
            )
    if item.needed is not None and item.needed > project.votes.most:
        return InvalidLine(
            line=item.line,
            error=f"item {item.key!r}: `needed` ({item.needed}) is above the cap of {project.votes.most} votes; "
            "lower it, or set votes.cap in the project file",
        )
    if item.synthetic and (item.label is None or item.gold is not None):
        return InvalidLine(
            line=item.line,
            error=f"item {item.key!r}: a synthetic item is trained on and never asked, so it needs a `label` and can "
            "have no `gold`",
        )
    broken = [name for name, value in item.data.items() if not _finite(value)]
    if broken:
        return InvalidLine(
            line=item.line,
            error=f"item {item.key!r}: field {broken[0]!r} holds NaN or infinity; fill or leave out what is not known",
        )
    for place, name in _fields(project).items():
        if name not in item.data:
            there = ", ".join(sorted(item.data))
            error = f"item {item.key!r}: no field {name!r} in `data` ({place} names it); fields there: {there}"
            return InvalidLine(line=item.line, error=error)
    if project.features.kind == "text" and not isinstance(text := item.data[project.features.field], str):
        kind = "nothing (null)" if text is None else type(text).__name__
        error = f"item {item.key!r}: the field {project.features.field!r} must be text, and is {kind}; send a string"
        return InvalidLine(line=item.line, error=error)
    return item


def ingest(
    ports: Ports,
    name: str,
    rows: Iterable[NewItem | InvalidLine],
    *,
    progress: Callable[[int], None] | None = None,
) -> IngestReport:
    """Take items into the pool of a project, a chunk per transaction.

    Idempotent by key: after a crash, send the same again. A known item that nobody was asked about yet takes a label
    that comes later. `progress` is told how many lines were handled so far.

    Raises:
        UnknownProject: no such project, or it is deleted meanwhile.
    """
    project, made = ports.projects.get(name), ports.projects.row(name).created_at
    total = IngestReport()
    for chunk in _chunks(row if isinstance(row, InvalidLine) else check(project, row) for row in rows):
        good = [row for row in chunk if isinstance(row, NewItem)]
        bad = tuple(row for row in chunk if isinstance(row, InvalidLine))
        if ports.projects.row(name).created_at != made:  # these items are not for another one of its name
            raise UnknownProject(name, ports.projects.names())
        report = ports.pool.add(name, good, ports.clock.now()) if good else IngestReport()
        total = replace(
            total,
            received=total.received + len(chunk),
            added=total.added + report.added,
            duplicates=total.duplicates + report.duplicates,
            labeled=total.labeled + report.labeled,
            invalid=(total.invalid + _by_line(bad + report.invalid))[:MAX_REPORTED],
        )
        if progress is not None:
            progress(total.received)
    if total.added or total.labeled:
        ports.bus.nudge(name)
    return total


def _by_line(invalid: tuple[InvalidLine, ...]) -> tuple[InvalidLine, ...]:
    return tuple(sorted(invalid, key=lambda one: one.line))


def _finite(value: Any) -> bool:
    """Whether all numbers in a JSON value are finite. Sums first: rows of numbers are long, and nearly always fine."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(_finite(one) for one in value.values())
    if not isinstance(value, list | tuple):
        return True
    try:
        return math.isfinite(sum(value)) or all(map(math.isfinite, value))
    except TypeError:
        return all(_finite(one) for one in value)


def _fields(project: Project) -> dict[str, str]:
    """The fields without which an item can be neither shown nor measured, by who names them in the project file."""
    shown = {"items.field": project.items.field} if project.items.field else {}
    features = project.features
    if features.kind == "columns":
        return shown | {f"features.columns[{at}]": name for at, name in enumerate(features.columns or ())}
    return shown | {"features.field": features.field}


def _chunks(rows: Iterable[NewItem | InvalidLine]) -> Iterator[list[NewItem | InvalidLine]]:
    waiting = iter(rows)
    while chunk := list(islice(waiting, CHUNK)):
        yield chunk
