"""What is measured after a run: its models on the held-out test set, and its answers by the truth."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelloop import schema
from labelloop.domain.errors import BadArtifact
from labelloop.domain.types import ModelNumber
from labelloop.loop.train import load_model
from labelloop.maths import estimation
from labelloop.measures import score_name, scorer
from labelloop.ports import Ports
from labelloop.projects import Project
from labelloop.simulation import data as sets


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One model of the run: labels it was trained on, its score on the test set and on the audit, and its fate."""

    model: int
    labels: int
    state: str
    test: float
    test_low: float | None
    test_high: float | None
    audit: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked of people, by the truth.

    Classes are the true ones; `wrong` counts labels that were trained on and false; `right` the right answers of each
    annotator; `served_in_order` is the mean distance between planned and served place.
    """

    by_strategy: Mapping[str, int]
    audit: Mapping[str, int]
    pool: Mapping[str, int]
    trained: int
    wrong: int
    right: Mapping[str, int]
    served_in_order: float | None

    @property
    def noise(self) -> float:
        """Part of the training labels that is false."""
        return self.wrong / self.trained if self.trained else 0.0


def score_models(ports: Ports, project: Project, *, data_dir: Path | None, folder: Path) -> list[Point]:
    """Every model of the run on the test set, from its artifact, in order of training; features as in the service."""
    data = sets.load(project, data_dir=data_dir, folder=folder)
    score = scorer(project)
    points: list[Point] = []
    for model in ports.models.all(project.name):
        if model.state == "degenerate":
            continue
        try:
            probabilities = load_model(ports, project, ModelNumber(model.number)).probabilities(data.test_features)
        except BadArtifact:
            continue
        low, high = None, None
        if score_name(project) == "accuracy":
            right = int((probabilities.argmax(axis=1) == data.test_codes).sum())
            _, low, high = estimation.wilson(right, len(data.test_codes))
        points.append(
            Point(
                model=int(model.number),
                labels=model.labels,
                state=str(model.state),
                test=score(probabilities, data.test_codes),
                test_low=low,
                test_high=high,
                audit=model.metrics.get("accuracy"),
            )
        )
    return points


def look_at_answers(project: Project, rows: Iterable[Mapping[str, Any]], truth: Mapping[str, str]) -> Asked:
    """Class balance and truth of the labels, from the export."""
    classes = schema.of(project).classes
    asked = {"audit": dict.fromkeys(classes, 0), "": dict.fromkeys(classes, 0)}
    trained = wrong = 0
    places: list[tuple[float, float]] = []
    right: dict[str, int] = {}
    for row in rows:
        counted = [vote for vote in row["annotations"] if vote["counted"]]
        if not counted:
            continue
        served = counted[0]["served"]
        true = truth[row["key"]]
        for vote in counted:
            right[vote["annotator"]] = right.get(vote["annotator"], 0) + (vote["label"] == true)
        asked["audit" if served["lane"] == "audit" else ""][true] += 1
        if served["lane"] != "audit":
            trained += 1
            wrong += row["label"] != true
        if served["planned_rank"] is not None and served["served_rank"] is not None:
            places.append((served["planned_rank"], served["served_rank"]))
    pool = dict.fromkeys(classes, 0)
    for label in truth.values():
        pool[label] += 1
    return Asked(
        by_strategy=asked[""],
        audit=asked["audit"],
        pool=pool,
        trained=trained,
        wrong=wrong,
        right=right,
        served_in_order=_in_order(places),
    )


def _in_order(places: Sequence[tuple[float, float]]) -> float | None:
    """Mean distance between planned and served place."""
    return sum(abs(planned - served) for planned, served in places) / len(places) if places else None
