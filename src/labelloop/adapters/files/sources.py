"""The labeled examples that a project file names under `source`, cut into pool and test set, the same way every time.

For `labelloop ingest PROJECT`, `simulate` and the demo. What is done with pool and test set they decide.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

import numpy as np

from labelloop import schema
from labelloop.adapters.files import bundled
from labelloop.adapters.files.readers import read_items
from labelloop.domain.errors import InvalidItems, InvalidProject
from labelloop.domain.types import InvalidLine, NewItem
from labelloop.projects import ArraySource, BundledSource, Project, Source, TableSource

VARIABLE = "LABELLOOP_DATA"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledData:
    """Labeled items: the pool in a shuffled order, and the test set, which is empty when the project keeps none."""

    pool: list[NewItem]
    test: list[NewItem]


def load_source(project: Project, data_dir: Path | None) -> LabeledData:
    """Read, thin out, hold out, shuffle and limit, all by the project's seed.

    Args:
        project: its `source` section says what is read.
        data_dir: the folder that stands for $LABELLOOP_DATA in paths.

    Raises:
        InvalidProject: no source, or one whose path or classes do not fit.
        InvalidItems: a file that cannot be read, a row without label, or a label outside the schema.
    """
    if project.source is None:
        raise InvalidProject(f"Project {project.name!r} has no [source.data]: say there where labeled examples are.")
    source = project.source
    rng = np.random.default_rng(project.seed)
    rows = _labeled(project, _read(source.data, data_dir, test=False))
    test = _labeled(project, _read(source.data, data_dir, test=True))
    rows, test = _thin(project, rows, rng), _thin(project, test, rng)
    if not test and source.holdout > 0:
        rows, test = _hold_out(rows, source, rng)
    shuffled = [rows[place] for place in rng.permutation(len(rows))]
    return LabeledData(pool=shuffled[: source.limit], test=test)


def expand(path: str, data_dir: Path | None) -> Path:
    """A path of a project file with $LABELLOOP_DATA put in.

    Raises:
        InvalidProject: the variable is used but not set, or there is no such file.
    """
    for spelled in (f"${VARIABLE}", f"${{{VARIABLE}}}"):
        if path == spelled or path.startswith(f"{spelled}/"):
            if data_dir is None:
                raise InvalidProject(
                    f"{path}: {VARIABLE} is not set. Set it to the folder that holds the example data; "
                    "the project file says where each data set comes from."
                )
            path = f"{data_dir}{path[len(spelled) :]}"
            break
    found = Path(path).expanduser()
    if not found.is_file():
        where = os.fspath(found.absolute())
        raise InvalidProject(
            f"{where}: there is no such file. The project file says where its data come from; a relative path counts"
            " from the folder that the command runs in, or from the project file's."
        )
    return found


def _read(data: BundledSource | TableSource | ArraySource, data_dir: Path | None, *, test: bool) -> Iterator[NewItem]:
    """The items of the pool, or of the data set's own test part, if it has one."""
    if isinstance(data, BundledSource):
        yield from () if test else bundled.items(data.name)
    elif isinstance(data, TableSource):
        path = data.test_path if test else data.path
        if path is not None:
            file = expand(path, data_dir)
            rows = read_items(
                file,
                label=data.label,
                key=data.key,
                columns=data.columns,
                quoting=data.quoting,
                classes=data.classes,
            )
            yield from _valid(file, rows)
    elif isinstance(data, ArraySource):
        features = data.test_features if test else data.features
        labels = data.test_label if test else data.label
        if features is not None and labels is not None:
            file = expand(data.path, data_dir)
            rows = read_items(
                file,
                features=features,
                label=labels,
                field=data.field,
                spread=data.columns,
                classes=data.classes,
            )
            for item in _valid(file, rows):
                # Both parts come from one file, so row numbers alone would give the same key twice.
                yield _renamed(item, f"test-{item.key}") if test else item
    else:
        assert_never(data)


def _valid(path: Path, rows: Iterator[NewItem | InvalidLine]) -> Iterator[NewItem]:
    for row in rows:
        if isinstance(row, InvalidLine):
            raise InvalidItems(f"{path}, line {row.line}: {row.error}.")
        yield row


def _labeled(project: Project, items: Iterator[NewItem]) -> list[NewItem]:
    """The items, if each has a label of the schema."""
    classes = schema.of(project).classes
    known = set(classes)
    kept = []
    for item in items:
        if item.label is None:
            raise InvalidItems(
                f"Project {project.name!r}: item {item.key!r} of its source has no label; its fields are: "
                f"{', '.join(item.data)}. Name the column of the label as source.data.label."
            )
        if item.label not in known:
            raise InvalidItems(
                f"Project {project.name!r}: item {item.key!r} of its source has the label {item.label!r}, which is not "
                f"one of its classes ({', '.join(classes)}). Rename it in source.data.classes, or add it to labels."
            )
        kept.append(item)
    return kept


def _thin(project: Project, items: list[NewItem], rng: np.random.Generator) -> list[NewItem]:
    """Keep the part of each class that the source's `keep` names; the order stays."""
    keep = project.source.keep if project.source is not None else {}
    if unknown := sorted(set(keep) - set(schema.of(project).classes)):
        raise InvalidProject(f"source.keep names {unknown[0]!r}, which is not a class of project {project.name!r}.")
    dropped: set[int] = set()
    for name in sorted(keep):
        places = [place for place, item in enumerate(items) if item.label == name]
        count = len(places) - round(len(places) * keep[name])
        dropped.update(rng.permutation(places)[:count].tolist())
    return [item for place, item in enumerate(items) if place not in dropped]


def _hold_out(
    items: Sequence[NewItem], source: Source, rng: np.random.Generator
) -> tuple[list[NewItem], list[NewItem]]:
    """Pool and test set: the same part of each class, drawn at random; of two rows, one each."""
    held: set[int] = set()
    for name in sorted({item.label or "" for item in items}):
        places = [place for place, item in enumerate(items) if item.label == name]
        count = min(max(1, round(len(places) * source.holdout)), len(places) - 1)
        held.update(rng.permutation(places)[:count].tolist())
    pool = [item for place, item in enumerate(items) if place not in held]
    return pool, [item for place, item in enumerate(items) if place in held]


def _renamed(item: NewItem, key: str) -> NewItem:
    return replace(item, key=key)
