"""Finished curves in a folder, so that a simulation that was killed, or grew by a strategy, plays only what is missing.

A curve is known by a digest of everything that it depends on: the arrays, the project as it was played, the terms, the
seed, labelloop's own code of choosing and training, and the versions of the libraries below it.
"""

import hashlib
import inspect
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from labelloop import strategies
from labelloop.disk import durable
from labelloop.projects import PluginStrategy, Project
from labelloop.simulation.data import Data
from labelloop.simulation.replay import Terms
from labelloop.simulation.results import Curve

_FORMAT = 1
_ROOMS = ("maths", "strategies", "loop", "adapters/estimators")
_FILES = ("measures.py", "schema.py", *(f"simulation/{name}.py" for name in ("arms", "lanes", "oracles", "replay")))
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "modAL-python", "imbalanced-learn")
_SILENT = ("title", "source", "votes", "lease", "promote", "stop")
"""Sections of a project file that a replay never looks at; what the source gives is in the arrays, and its score is
named apart."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The curves of one labeled set below a folder."""

    folder: Path

    def read(self, name: str, facts: Mapping[str, Any]) -> Curve | None:
        """The curve of these facts; None where there is none, or where its file is damaged."""
        try:
            found = orjson.loads(self._path(name, facts).read_bytes())
            curve = found["curve"]
            return Curve(
                strategy=curve["strategy"],
                seed=curve["seed"],
                labels=tuple(curve["labels"]),
                scores=tuple(float(score) for score in curve["scores"]),
                asked=tuple(curve["asked"]),
                seconds=tuple(float(seconds) for seconds in curve["seconds"]),
            )
        except (FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            return None

    def write(self, name: str, facts: Mapping[str, Any], curve: Curve) -> None:
        """Keep a curve, whole or not at all, with the facts that it is known by."""
        content = {"facts": facts, "curve": asdict(curve)}
        durable.write(self._path(name, facts), orjson.dumps(content, option=orjson.OPT_INDENT_2))

    def _path(self, name: str, facts: Mapping[str, Any]) -> Path:
        digest = hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()
        return self.folder / f"{re.sub(r'[^A-Za-z0-9.-]+', '_', name)[:60]}-{digest[:24]}.json"


def facts(project: Project, *, data: str, strategy: str, seed: int, terms: Terms) -> Mapping[str, Any]:
    """Everything that a curve depends on, as plain values: `project` as it is played, `data` the digest of arrays."""
    played = {name: value for name, value in project.model_dump(mode="json").items() if name not in _SILENT}
    return {
        "format": _FORMAT,
        "data": data,
        "project": played,
        "score": project.source.score if project.source else None,
        "strategy": strategy,
        "seed": seed,
        "terms": {**asdict(terms), "oracles": terms.people().model_dump(mode="json")},
        "code": _code(),
        "plugin": _plugin(project),
        "versions": _versions(),
    }


def digest(data: Data) -> str:
    """Of all arrays of a labeled set."""
    found = hashlib.sha256()
    for features in (data.features, data.test_features):
        parts = [features] if isinstance(features, np.ndarray) else [features.data, features.indices, features.indptr]
        for part in parts:
            found.update(f"{part.dtype.str}{part.shape}".encode())
            found.update(np.ascontiguousarray(part).data)
    for codes in (data.codes, data.test_codes):
        found.update(np.ascontiguousarray(codes, dtype="<i8").tobytes())
    return found.hexdigest()


@lru_cache(maxsize=1)
def _code() -> str:
    """Of our own source: another version of it may choose otherwise."""
    root = Path(__file__).parents[1]
    found = hashlib.sha256()
    rooms = (path for room in _ROOMS for path in (root / room).rglob("*.py"))
    for path in sorted([*rooms, *(root / file for file in _FILES)]):
        found.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return found.hexdigest()[:32]


@lru_cache(maxsize=1)
def _versions() -> Mapping[str, str]:
    known = {}
    for library in _LIBRARIES:
        try:
            known[library] = version(library)
        except PackageNotFoundError:
            continue
    return known


def _plugin(project: Project) -> str | None:
    """Of the source of a strategy from elsewhere; of all of its module, because functions call their neighbours."""
    if not isinstance(project.strategy, PluginStrategy):
        return None
    found = strategies.bind(project.strategy)
    try:
        source = inspect.getsourcefile(inspect.unwrap(getattr(found, "function", type(found))))
    except TypeError:  # compiled
        return None
    return hashlib.sha256(Path(source).read_bytes()).hexdigest()[:32] if source else None
