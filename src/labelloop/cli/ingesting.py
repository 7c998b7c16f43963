"""Takes a file, or a project's own source, into the pool with a progress bar on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from labelloop.adapters.files import readers, sources
from labelloop.domain.errors import InvalidItems
from labelloop.domain.types import IngestReport, InvalidLine, NewItem
from labelloop.loop.ingest import ingest
from labelloop.ports import Ports
from labelloop.projects import ArraySource, Project, TableSource
from labelloop.settings import Settings

Row = NewItem | InvalidLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the caller says about a file: columns of label, key and required skills.

    None: as the project's source has it; "": none.
    """

    label: str | None = None
    key: str | None = None
    requires: str | None = None


def take_in(ports: Ports, name: str, file: Path | None, *, columns: Columns, without_labels: bool) -> IngestReport:
    """Ingest `file`, or the source the project names.

    Raises:
        UnknownProject: no such project.
        InvalidItems: a file that cannot be read as a whole.
        InvalidProject: no file, and a project without a source.
    """
    project = ports.projects.get(name)
    with _bar(name) as (set_total, tell):
        if file is None:
            pool = sources.load_source(project, Settings().data).pool
            set_total(len(pool))
            rows: Iterator[Row] = iter(pool)
        else:
            set_total(readers.total(file))
            options = reading(project, file, columns)
            rows = readers.read_items(file, progress=tell, **options)
            if columns.label is None and "label" not in options:
                rows = _unshown(rows, project, file)
        if without_labels:
            rows = (replace(row, label=None) if isinstance(row, NewItem) else row for row in rows)
        return ingest(ports, name, rows, progress=tell if file is None else None)


def _unshown(rows: Iterator[Row], project: Project, file: Path) -> Iterator[Row]:
    """The rows, unless they hold the labels of the project's source among what people are shown.

    Raises:
        InvalidItems: they do; says how to name them.
    """
    data = project.source.data if project.source is not None else None
    label = data.label if isinstance(data, TableSource) else None
    first = list(islice(rows, 1))
    if any(isinstance(row, NewItem) and row.label is None and label in row.data for row in first):
        raise InvalidItems(
            f"{file}: {label!r}, which holds the labels in the project's source, would be among what people see. Add"
            f" --label {label} if it is the label here, too, or --label '' if it is not."
        )
    return chain(first, rows)


def reading(project: Project, file: Path, columns: Columns) -> dict[str, Any]:
    """Options to read `file` with: those of the project's source where it is of the same form, and the caller's."""
    options = _as_source(project, file)
    for name, given in (("label", columns.label), ("key", columns.key), ("requires", columns.requires)):
        if given is not None:
            options[name] = given or None
    if columns.label == "":
        options.pop("labels", None)
    return options


def _as_source(project: Project, file: Path) -> dict[str, Any]:
    data = project.source.data if project.source is not None else None
    if isinstance(data, ArraySource) and file.suffix == ".npz":
        names = {"features": data.features, "labels": data.label, "label": "label"}
        return names | {"field": data.field, "spread": data.columns, "classes": data.classes}
    if isinstance(data, TableSource) and file.suffix == Path(data.path).suffix:
        named: dict[str, Any] = {"label": data.label, "key": data.key, "columns": data.columns}
        return named | {"quoting": data.quoting, "classes": data.classes}
    return {}


@contextmanager
def _bar(title: str) -> Iterator[tuple[Callable[[int], None], Callable[[int], None]]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"ingest {title}", total=None)
        yield lambda total: progress.update(task, total=total), lambda done: progress.update(task, completed=done)
