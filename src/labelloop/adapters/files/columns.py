"""What a model said of a shard, as columns of numbers beside the features; who reads them, and why, is not known."""

import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from labelloop.disk import arrays
from labelloop.projects import Project

_ATTEMPTS = 5


class ColumnFiles:
    """Implements ports.ScoreFiles: one `.npy` per column below `home/projects/PROJECT/scores/NAME`."""

    def __init__(self, home: Path) -> None:
        self._home = home / "projects"

    def write(self, project: Project, name: str, shard: int, columns: Mapping[str, Any]) -> None:
        """Keep arrays (n, …) of a shard under a name such as `model-3`; atomic.

        Raises:
            ValueError: columns of unequal length.
        """
        lengths = {column: len(values) for column, values in columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of one shard must be equally long: {lengths}")
        for attempt in range(_ATTEMPTS):
            try:
                arrays.save(self._folder(project) / name, _shard(shard), columns)
            except FileNotFoundError:  # discarded by another process in the middle of it
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    def read(self, project: Project, name: str, shard: int) -> Mapping[str, Any] | None:
        found = arrays.read(self._folder(project) / name, _shard(shard))
        return None if found is None else found.arrays

    def discard(self, project: Project, keep: Iterable[str]) -> None:
        """Delete all columns but those of these names, and what an interrupted discard left."""
        kept = set(keep)
        home = self._folder(project)
        for folder in home.iterdir() if home.is_dir() else ():
            if folder.name in kept:
                continue
            # Renamed first, so that a reader finds a set whole or not at all.
            grave = folder if folder.name.startswith(".") else home / f".{folder.name}.{token_hex(6)}"
            with suppress(OSError):
                folder.rename(grave)
            shutil.rmtree(grave, ignore_errors=True)

    def _folder(self, project: Project) -> Path:
        return self._home / project.name / "scores"


def _shard(number: int) -> str:
    return f"shard-{number:06d}"
