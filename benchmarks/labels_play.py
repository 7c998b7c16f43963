"""Plays one arm of the benchmark of labels with one seed, unless its curve lies in the cache already."""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import labels_sets as sets
import numpy as np
from threadpoolctl import threadpool_limits

from labelloop.adapters.estimators import EstimatorKinds
from labelloop.projects import Project, parse
from labelloop.simulation import data as arrays
from labelloop.simulation.arms import own_name
from labelloop.simulation.data import Data
from labelloop.simulation.replay import Terms, replay
from labelloop.simulation.run import full_data_score

FULL = "all labels"
FINAL = "random, once"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way of asking: sections of the project file that differ from the set's, and the terms that differ.

    `terms` may hold first, batch, growth, noise and budget, where "random" is as many labels as random gets. What is
    not given is the set's.
    """

    name: str
    strategy: Mapping[str, Any] = field(default_factory=dict)
    lanes: Mapping[str, Any] = field(default_factory=lambda: {"informative": 1.0, "minority": 0.0, "audit": 0.0})
    model: Mapping[str, Any] | None = None
    terms: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Other sections, by name: keys that differ from the set's."""

    def project(self, case: sets.Case) -> Project:
        """The set's project, asked this way."""
        raw = case.project.model_dump(mode="json")
        raw["strategy"] = dict(self.strategy) or {"kind": "margin"}
        raw["lanes"] = {**raw["lanes"], **self.lanes}
        if self.model:
            model = {**raw["model"], **self.model}
            model["parameters"] = {**raw["model"]["parameters"], **self.model.get("parameters", {})}
            raw["model"] = model
        raw |= {name: {**(raw.get(name) or {}), **section} for name, section in self.more.items()}
        return parse(raw, origin=f"{case.project.name}, {self.name}")

    def played(self, case: sets.Case) -> Terms:
        """The set's terms with this arm's."""
        own = {"budget": case.budget, "first": case.first, "batch": case.batch, "growth": case.growth}
        terms = {**own, **self.terms}
        return Terms(**terms | ({"budget": case.random} if terms["budget"] == "random" else {}))


def cached(folder: Path, name: str, arm: Arm, seed: int) -> dict[str, Any] | None:
    """The curve of this set, arm and seed, if it was played before."""
    path = _place(folder, name, arm, seed)
    kept: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    return kept


def curve(folder: Path, name: str, arm: Arm, seed: int) -> dict[str, Any]:
    """The curve of this set, arm and seed: read from the cache, or played and kept there."""
    kept = cached(folder, name, arm, seed)
    if kept is not None:
        return kept
    case = sets.case(name)
    project, terms = arm.project(case), arm.played(case)
    data, start = _data(folder, name), time.process_time()
    with threadpool_limits(1):
        played = replay(project, data, own_name(project), seed=seed, terms=terms, estimators=EstimatorKinds())
    rare = np.isin(data.codes[list(played.asked)], _rare(data))
    result = {
        "set": name,
        "arm": arm.name,
        "seed": seed,
        "labels": played.labels,
        "scores": played.scores,
        "rare": [int(rare[:labels].sum()) for labels in played.labels],
        "cpu_seconds": round(time.process_time() - start, 2),
    }
    _keep(_place(folder, name, arm, seed), result)
    return result


def _place(folder: Path, name: str, arm: Arm, seed: int) -> Path:
    case = sets.case(name)
    return folder / name / f"{_plain(arm.name)}-{_digest(arm.project(case), arm.played(case))}-{seed}.json"


def full(folder: Path, name: str) -> float:
    """The score of the set's model trained on its whole pool: the mean of three trainings."""
    case = sets.case(name)
    path = folder / name / f"full-{_digest(case.project, None)}.json"
    if not path.exists():
        with threadpool_limits(1):
            seeds = range(1 if "Logistic" in str(case.project.model) else 3)
            projects = [case.project.model_copy(update={"seed": seed}) for seed in seeds]
            data = _data(folder, name)
            scores = [full_data_score(project, data, first=case.first, batch=case.batch) for project in projects]
        _keep(path, {"set": name, "score": sum(scores) / len(scores)})
    return float(json.loads(path.read_text(encoding="utf-8"))["score"])


def final(name: str) -> Arm:
    """Random with as many labels as the set grants it, trained once: the score to beat."""
    labels = sets.case(name).random
    return Arm(name=FINAL, strategy=RANDOM, terms={"first": labels, "budget": labels})


RANDOM = {"kind": "random", "cold_start": {"kind": "random"}}

_held: dict[str, Data] = {}
RARE = 0.55
"""A class with less than this part of its fair share of the pool is rare."""


def _rare(data: Data) -> np.ndarray:
    counts = np.bincount(data.codes)
    return np.flatnonzero(counts < RARE * counts.mean())


def _data(folder: Path, name: str) -> Data:
    """The arrays of a set, made once and kept in the cache."""
    if name in _held:
        return _held[name]
    project = sets.case(name).project
    read = {"features", "source"}
    of = json.dumps(project.model_dump(mode="json", include=read), sort_keys=True)
    place = folder / name / f"arrays-{hashlib.sha256(of.encode()).hexdigest()[:12]}"
    if not (place / "done").exists():
        root = Path(os.environ["LABELLOOP_DATA"])
        arrays.load(project, data_dir=root, folder=place / "features").save(place)
        (place / "done").touch()
    _held.clear()
    _held[name] = Data.load(place)
    return _held[name]


def _digest(project: Project, terms: Terms | None) -> str:
    """What the curve depends on, in twelve digits: the project file and the terms, not the code."""
    content = [project.model_dump(mode="json"), asdict(terms) if terms else None]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _plain(name: str) -> str:
    return "".join(sign if sign.isalnum() else "_" for sign in name)


def _keep(path: Path, result: Mapping[str, Any]) -> None:
    """Written whole or not at all: a killed benchmark leaves no half curve."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(result) + "\n", encoding="utf-8")
    part.replace(path)
