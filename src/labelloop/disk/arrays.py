"""Sets of arrays in files, swapped as one and read memory-mapped; what the arrays mean is the caller's business.

A set `shard-000003` of a folder is the file `shard-000003.json` (which arrays, in which sub-folder, and the caller's
notes) and that sub-folder with one `.npy` per array. A new version goes to a sub-folder of its own; replacing the JSON
file is the one step that swaps all arrays together. A reader that came before keeps its maps: the bytes stay until the
last map is gone.
"""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import orjson
from filelock import FileLock

from labelloop.disk import durable

_ATTEMPTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySet:
    """Arrays by name, memory-mapped and read-only, with the notes kept beside them. `version` differs for each save."""

    arrays: Mapping[str, Any]
    notes: Mapping[str, Any]
    version: str


def save(folder: Path, name: str, arrays: Mapping[str, Any], *, notes: Mapping[str, Any] | None = None) -> str:
    """Keep arrays as the set `name` of `folder`, in place of what was there; all of them or none. Gives the version.

    Raises:
        ValueError: a name that would not stay in the folder, or an array of Python objects.
    """
    for part in (name, *arrays):
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}", part):
            raise ValueError(f"{part!r} cannot be the name of an array or of a set of arrays.")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{name}.lock"):
        version = f"{name}.{token_hex(6)}"
        try:
            _write_arrays(folder / version, arrays)
            index = {"version": version, "arrays": list(arrays), "notes": dict(notes or {})}
            durable.write(folder / f"{name}.json", orjson.dumps(index))
        except BaseException:
            shutil.rmtree(folder / version, ignore_errors=True)
            raise
        _sweep(folder, name, keep=version)
    return version


def describe(folder: Path, name: str) -> Mapping[str, Any] | None:
    """The notes of a set without opening its arrays; None where there is no such set."""
    index = _index(folder, name)
    return None if index is None else index["notes"]


def version(folder: Path, name: str) -> str | None:
    """Which version of a set is in force; None where there is no such set."""
    index = _index(folder, name)
    return None if index is None else str(index["version"])


def read(folder: Path, name: str) -> ArraySet | None:
    """The set in force, or None where there is none."""
    for _ in range(_ATTEMPTS):
        index = _index(folder, name)
        if index is None:
            return None
        try:
            home = folder / index["version"]
            arrays = {part: _open(home / f"{part}.npy") for part in index["arrays"]}
        except FileNotFoundError:
            continue  # swapped between the two reads: the next index names the new files
        return ArraySet(arrays=arrays, notes=index["notes"], version=index["version"])
    return None


def _index(folder: Path, name: str) -> Any:
    try:
        return orjson.loads((folder / f"{name}.json").read_bytes())
    except FileNotFoundError:
        return None


def _open(path: Path) -> Any:
    # An empty array has no bytes to map.
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:
        return np.load(path, allow_pickle=False)


def _write_arrays(home: Path, arrays: Mapping[str, Any]) -> None:
    home.mkdir()
    for part, array in arrays.items():
        with (home / f"{part}.npy").open("wb") as file:
            np.save(file, np.asarray(array), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
    durable.sync_folder(home)


def _sweep(folder: Path, name: str, *, keep: str) -> None:
    """Remove earlier versions, and what a killed writer left. The caller holds the set's lock."""
    pattern = re.compile(re.escape(name) + r"\.[0-9a-f]{12}")
    for entry in os.scandir(folder):
        if entry.name != keep and pattern.fullmatch(entry.name):
            shutil.rmtree(entry.path, ignore_errors=True)
