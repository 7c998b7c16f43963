"""Takes a file, or a project's own source, into the pool with a progress bar on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labelloop.adapters.files import readers, sources
from labelloop.domain.types import IngestReport, InvalidLine, NewItem
from labelloop.loop.ingest import ingest
from labelloop.ports import Ports
from labelloop.projects import ArraySource, Project, TableSource
from labelloop.settings import Settings


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
            rows: Iterator[NewItem | InvalidLine] = iter(pool)
        else:
            set_total(readers.total(file))
            rows = readers.read_items(file, progress=tell, **reading(project, file, columns))
        if without_labels:
            rows = (replace(row, label=None) if isinstance(row, NewItem) else row for row in rows)
        return ingest(ports, name, rows, progress=tell if file is None else None)


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
