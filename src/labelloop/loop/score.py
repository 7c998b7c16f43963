"""score: a model looks at the pool, a shard at a time, and writes what it saw as columns beside the features.

Scores are not rows of the store: they are files, made again at any time. A shard that is already scored by this model
is not scored again, so a killed job goes on where it stopped.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np

from labelloop import schema, strategies
from labelloop.domain.types import ModelNumber
from labelloop.loop.evidence import Block
from labelloop.loop.fitting import Calibrated
from labelloop.loop.neighbourhood import Neighbourhood
from labelloop.maths import acquisition
from labelloop.maths.arrays import Floats, Ints, present
from labelloop.maths.rarity import Surroundings
from labelloop.ports import Ports
from labelloop.projects import Project
from labelloop.strategies import Evidence, Need, Strategy


def score(ports: Ports, project: Project, shard: int, *, strategy: Strategy, eye: "ModelEye", rows: int) -> None:
    """Score the first `rows` of a shard by one model, unless that is done.

    Columns: `score` (n,) and `probabilities` (n, classes). Always exactly these rows, also when there are features of
    more: the last digits of a product of matrices depend on their size, and a replay compares bits.
    """
    done = ports.scores.read(project, eye.column, shard)
    if done is not None and len(done["score"]) == rows:
        return
    features = ports.features.shard(project, shard)[:rows]
    probabilities = eye.model.probabilities(features)
    if not strategy.needs:  # chance stands in where a model says nonsense (see fallback): then nothing it says counts
        probabilities = acquisition.believable(probabilities)
    evidence = Evidence(
        rows=rows,
        probabilities=probabilities,
        committee=eye.model.committee(features) if Need.COMMITTEE in strategy.needs else None,
        features=features if Need.FEATURES in strategy.needs else None,
        class_counts=eye.class_counts,
    )
    scores = strategies.checked_score(strategy, evidence, np.random.default_rng([eye.seed, shard]))
    ports.scores.write(
        project,
        eye.column,
        shard,
        {"score": scores.astype(np.float32), "probabilities": probabilities.astype(np.float32)},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEye:
    """A model and how it looks at the pool in one round; `column` is the name of its columns."""

    model: Calibrated
    column: str
    seed: int
    class_counts: Ints


def columns_of(ports: Ports, project: Project, number: ModelNumber, seed: int) -> str:
    """The name under which is kept what a model says of a pool, asked by the project's strategy.

    It depends on the strategy and on the model, known by what it is and not by its number alone, for another database
    beside the same files counts from one again.
    """
    return f"model-{number}-{ports.models.get(project.name, number).artifact[:12]}-{_strategy(project, seed)}"


def _strategy(project: Project, seed: int) -> str:
    """The strategy in the name of columns. A formula scores by the model alone; whatever may draw lots or count labels
    scores anew each round. A project file may change, so the name tells its options and the number of classes, too.
    """
    kind = project.strategy.kind
    asked = f"{project.strategy.model_dump_json()} {len(schema.of(project).classes)}"
    told = f"{kind}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"
    fixed = isinstance(strategies.bind(project.strategy), strategies.OfProbabilities | strategies.OfCommittee)
    return told if fixed or kind == "modal" else f"{told}-{seed}"


def kept(ports: Ports, project: Project, columns: str | None, numbers: Ints) -> Iterator[tuple[Ints, Floats | None]]:
    """What columns of this name say of items, a shard at a time: places in `numbers`, and probabilities (n, classes).

    None where they do not reach so far, or were thrown away when another round took their place.
    """
    size, shard_of = project.items.shard_size, numbers // project.items.shard_size
    for shard in present(shard_of).tolist():
        places: Ints = np.flatnonzero(shard_of == shard)
        rows = numbers[places] - shard * size
        found = None if columns is None else ports.scores.read(project, columns, shard)
        said: Any = () if found is None else found["probabilities"]
        yield places, np.asarray(said[rows]) if rows.max() < len(said) else None


class ScoredPool:
    """The evidence of a scored pool by item number, read from the columns shard by shard.

    Implements loop.evidence.EvidenceSource.
    """

    def __init__(self, ports: Ports, project: Project, eye: ModelEye | None, waiting: Ints) -> None:
        self._ports, self._project, self._eye, self._waiting = ports, project, eye, waiting

    def blocks(self) -> Iterator[Block]:
        """The waiting items of a shard at a time, with their scores."""
        size = self._project.items.shard_size
        last = int(self._waiting[-1]) if len(self._waiting) else -1
        for base in range(0, last + 1, size):
            start, stop = np.searchsorted(self._waiting, [base, base + size])
            numbers = self._waiting[start:stop]
            if len(numbers):
                yield Block(numbers, self._columns(base // size)["score"][numbers - base])

    def evidence(self, numbers: Ints, needs: frozenset[Need]) -> Evidence:
        """What is asked for about these items."""
        eye = self._eye
        features = None
        if needs & {Need.FEATURES, Need.COMMITTEE}:
            features = self._ports.features.take(self._project, numbers)
        return Evidence(
            rows=len(numbers),
            probabilities=self._gather("probabilities", numbers) if eye and Need.PROBABILITIES in needs else None,
            committee=eye.model.committee(features)
            if eye and features is not None and Need.COMMITTEE in needs
            else None,
            features=features if Need.FEATURES in needs else None,
            class_counts=eye.class_counts if eye else np.zeros(0, dtype=np.int64),
        )

    def reliability(self) -> tuple[float, ...] | None:
        """Of each class, what the model was worth on rows held out."""
        return None if self._eye is None else self._eye.model.reliability

    def surroundings(self, numbers: Ints) -> Surroundings:
        """Who of these items lies near whom; kept in this process as long as the pool stays the same."""
        made = self._ports.projects.row(self._project.name).created_at
        return _near(self._project.name, made).of(numbers, lambda some: self._ports.features.take(self._project, some))

    def _columns(self, shard: int) -> Mapping[str, Any]:
        if self._eye is None:
            raise ValueError("no model has looked at this pool")
        columns = self._ports.scores.read(self._project, self._eye.column, shard)
        if columns is None:
            raise ValueError(f"shard {shard} is not scored")
        return columns

    def _gather(self, column: str, numbers: Ints) -> Floats:
        """Rows of one column for ascending or unordered numbers; each shard is opened once."""
        size = self._project.items.shard_size
        shard_of = numbers // size
        parts: list[tuple[Ints, Floats]] = []
        for shard in present(shard_of).tolist():
            columns = self._columns(shard)
            places: Ints = np.flatnonzero(shard_of == shard)
            parts.append((places, np.asarray(columns[column][numbers[places] - shard * size])))
        if not parts:
            return np.zeros(0, dtype=np.float32)
        gathered = np.empty((len(numbers), *parts[0][1].shape[1:]), dtype=parts[0][1].dtype)
        for at, rows in parts:
            gathered[at] = rows
        return gathered


@lru_cache(maxsize=2)
def _near(_name: str, _made: datetime) -> Neighbourhood:
    """One for each project; another project of the same name was made at another time."""
    return Neighbourhood()
