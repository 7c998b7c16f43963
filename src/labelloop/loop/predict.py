"""predict: what a model says of the items that nobody answered, so that a few labels become a label for every item.

A prediction is no label: it is kept nowhere, no training sees it, and the export of labels does not have it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NotRequired, TypedDict

import numpy as np

from labelloop import schema
from labelloop.domain.errors import Conflict, Invalid
from labelloop.domain.states import ItemState
from labelloop.domain.types import Item, ItemNumber, Json, ModelNumber
from labelloop.loop.featurize import require_features
from labelloop.loop.fitting import Calibrated
from labelloop.loop.train import load_model
from labelloop.maths import acquisition
from labelloop.ports import Ports
from labelloop.projects import Project

PAGE = 5_000
"""Items that are asked of the store, and shown to the model, at a time."""
_OPEN = frozenset({ItemState.POOLED, ItemState.DISPUTED})
_DIGITS = 6


class Prediction(TypedDict):
    """An item without an answer and what the model says of it: its columns, in this order, whoever writes the row.

    `duplicate_of` is the key of the item that this one is an exact copy of. `confidence` is the calibrated probability
    of `label`, and `probabilities` that of every class, where they were asked for.
    """

    item: int
    key: str
    duplicate_of: str | None
    data: Mapping[str, Json]
    label: str
    confidence: float
    model: int
    probabilities: NotRequired[Mapping[str, float]]


def predict(
    ports: Ports, name: str, *, model: ModelNumber | None = None, least: float = 0.0, every_class: bool = False
) -> Iterator[Prediction]:
    """Every item without an answer, by number, with the class that the champion, or another model, puts it into.

    Items that are out, half answered or disputed are among them, and exact copies of all these.

    Args:
        ports: what the project lies in.
        name: the project.
        model: another one than the champion.
        least: leave out what the model is less sure of.
        every_class: tell the probability of each class.

    Raises:
        Invalid: `least` is no probability.
        Conflict: there is no model yet, or there are items without features yet.
        UnknownModel: the project has no model of this number.
        BadArtifact: the model's file is damaged.
    """
    if not 0 <= least <= 1:
        raise Invalid(f"The least confidence is a probability from 0 to 1, not {least:g}.")
    row = ports.projects.row(name)
    number = row.champion if model is None else model
    if number is None:
        raise Conflict(
            f"{name!r} has no model yet. Label on, or ask for a training: labelloop retrain {name}.", project=name
        )
    project = ports.projects.get(name, row.edition)
    require_features(ports, project, row.items)
    looking = load_model(ports, project, number)
    return _rows(ports, project, looking, number, items=row.items, least=least, every_class=every_class)


def _rows(
    ports: Ports,
    project: Project,
    model: Calibrated,
    number: ModelNumber,
    *,
    items: int,
    least: float,
    every_class: bool,
) -> Iterator[Prediction]:
    classes = schema.of(project).classes
    for start in range(0, items, PAGE):
        page = _unanswered(ports, project.name, ports.pool.span(project.name, start, min(start + PAGE, items)))
        if not page:
            continue
        looked_at = np.array([(first or item).number for item, first in page], dtype=np.int64)
        said = acquisition.believable(model.probabilities(ports.features.take(project, looked_at)))
        best, sure = said.argmax(axis=1).tolist(), said.max(axis=1).tolist()
        for at, (item, first) in enumerate(page):
            if sure[at] < least:
                continue
            predicted: Prediction = {
                "item": item.number,
                "key": item.key,
                "duplicate_of": None if first is None else first.key,
                "data": dict(item.data),
                "label": classes[best[at]],
                "confidence": round(sure[at], _DIGITS),
                "model": number,
            }
            if every_class:
                each = said[at].astype(float).round(_DIGITS).tolist()
                predicted["probabilities"] = dict(zip(classes, each, strict=True))
            yield predicted


def _unanswered(ports: Ports, name: str, items: Sequence[Item]) -> list[tuple[Item, Item | None]]:
    """Those without an answer, each with the item that it is a copy of, which was there before it."""
    copies = [item.duplicate_of for item in items if item.duplicate_of is not None and item.label is None]
    firsts: dict[ItemNumber, Item] = {item.number: item for item in ports.pool.items(name, sorted(set(copies)))}
    found: list[tuple[Item, Item | None]] = []
    for item in items:
        if item.state in _OPEN:
            found.append((item, None))
        elif item.duplicate_of in firsts and item.label is None and firsts[item.duplicate_of].state in _OPEN:
            found.append((item, firsts[item.duplicate_of]))
    return found
