"""How many predictions the last training changed: a report, for whoever asks himself whether more labels still pay.

The model of a round and that of the round before it are held against each other on waiting items that are drawn by lot.
What both said of them lies beside the features already, as columns, when the round is planned; only where the model
before has not looked at a shard it looks now, at the items that were drawn. Nothing of a round depends on this.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog

from labelloop.domain.types import ModelNumber, Round
from labelloop.loop.score import kept
from labelloop.loop.train import load_model
from labelloop.maths import acquisition, selection, stopping
from labelloop.maths.arrays import Ints
from labelloop.ports import Ports
from labelloop.projects import Project

ROWS = 20_000
"""Items at most that both models are asked about: a change of one in a thousand still shows."""
LEAST = 100
"""Of fewer items nothing is said: one of them would be more than a part in a hundred."""
TRAININGS = 3
"""So many trainings in a row must have changed hardly anything."""
_LOT = 0x73746179
"""Sets the draw of the items apart from what else a round draws by its seed."""

log = structlog.get_logger("labelloop.plan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """Waiting items (n,) that were drawn, and the class (n,) that the model of the round before puts each into."""

    numbers: Ints
    classes: Ints


def remembered(
    ports: Ports, project: Project, before: Round | None, *, champion: ModelNumber | None, waiting: Ints
) -> Remembered | None:
    """What the model before says, looked up before the columns of the new one take the place of its own.

    None where there is nothing to compare: the same model or none, few items, or a model that cannot be loaded any
    more, which is logged.
    """
    if before is None or champion is None or before.model in {None, champion} or len(waiting) < LEAST:
        return None
    numbers = selection.by_lot(waiting, ROWS, seed=before.seed ^ _LOT)
    classes = _classes(ports, project, ModelNumber(before.model or 0), before.stats.get("columns"), numbers)
    return None if classes is None else Remembered(numbers=numbers, classes=classes)


def noted(
    ports: Ports,
    project: Project,
    known: Remembered | None,
    *,
    before: Round | None,
    champion: ModelNumber | None,
    columns: str | None,
) -> dict[str, Any]:
    """For a round's stats: Cohen's kappa of both models, and the part of the items whose class changed.

    A new window of the same model goes on with what the window before says.
    """
    if before is None or champion is None:
        return {}
    if before.model == champion:
        return {"stability": before.stats["stability"]} if "stability" in before.stats else {}
    classes = None if known is None else _classes(ports, project, champion, columns, known.numbers)
    if known is None or classes is None:
        return {}
    found = {
        "kappa": round(float(stopping.kappa(known.classes, classes)), 4),
        "changed": round(float((known.classes != classes).mean()), 4),
        "rows": len(classes),
        "since": before.model,
    }
    return {"stability": {**found, "earlier": _kappas(before)[1 - TRAININGS :] if _trained(found, champion) else []}}


def told(planned: Round | None) -> dict[str, Any] | None:
    """What a round's stats say of it, by which model, and whether trainings change hardly anything any more."""
    found: Mapping[str, Any] | None = planned.stats.get("stability") if planned else None
    if planned is None or found is None:
        return None
    return {**found, "model": planned.model, "stabilised": stopping.stabilised(_kappas(planned), window=TRAININGS)}


def _kappas(planned: Round) -> list[float]:
    """Of the trainings up to a round's model, oldest first; none where it was rolled back to, which is no training."""
    found: Mapping[str, Any] | None = planned.stats.get("stability")
    return [*found["earlier"], found["kappa"]] if found and _trained(found, planned.model) else []


def _trained(found: Mapping[str, Any], model: ModelNumber | None) -> bool:
    return int(found["since"]) < int(model or 0)


def _classes(ports: Ports, project: Project, number: ModelNumber, columns: str | None, numbers: Ints) -> Ints | None:
    """The class (n,) that a model puts each of these items into; from its columns of a round, where they reach so far.

    None where it cannot be told: a report must not cost the round, whatever is wrong with an old model.
    """
    try:
        found = np.empty(len(numbers), dtype=np.int64)
        for places, there in kept(ports, project, columns, numbers):
            said = there
            if said is None:
                model = load_model(ports, project, number)
                said = model.probabilities(ports.features.take(project, numbers[places])).astype(np.float32)
            # A row that is no distribution says nothing, wherever it comes from.
            found[places] = acquisition.believable(said).argmax(axis=1)
    except Exception as error:  # noqa: BLE001 - see above
        log.warning("plan.stability", project=project.name, model=number, reason=str(error))
        return None
    return found
