"""Of each class: the labels there are and that are wanted, what each lane brought, and what chance would have brought.

A report, not a verb. Chance is estimated from the audit lane, which is drawn by lot.
"""

from collections import Counter
from typing import Any

from labelloop import schema
from labelloop.domain.states import Lane
from labelloop.domain.types import ItemNumber
from labelloop.loop.credit import Credit
from labelloop.loop.shares import of_round
from labelloop.maths.estimation import wilson
from labelloop.ports import Ports

ASKING = (Lane.INFORMATIVE, Lane.MINORITY)


def classes_of(ports: Ports, name: str) -> dict[str, Any]:
    """One row per class, in the order of the project.

    `share` is of all labels, `target` what minority.targets asks for of it (equal shares where it is silent), `missing`
    the labels up to minority.floors. `lanes` tells of the answers that each lane asked for: how many there are
    (`asked`), how many were of this class (`came`, their share with a 95 % interval), and how many chance would have
    brought among as many (`by_chance`, with the interval of the audit lane; None before the audit has an answer).
    """
    project = ports.projects.get(name)
    classes, rules = schema.of(project).classes, project.minority
    numbers, labels, _ = ports.pool.labeled(name)
    lanes = ports.rounds.asked(name, [ItemNumber(number) for number in numbers.tolist()])
    came: dict[Lane, Counter[str]] = {lane: Counter() for lane in (*ASKING, Lane.AUDIT)}
    for number, label in zip(numbers.tolist(), labels, strict=True):
        lane = lanes.get(ItemNumber(number))
        if lane in came:
            came[lane][label] += 1
    counts, weights = Counter(labels), {one: rules.targets.get(one, 1.0) for one in classes}
    audit, serving = came[Lane.AUDIT], ports.rounds.serving(name)
    noted = serving.stats.get("minority", {}) if serving else {}
    return {
        "project": name,
        "labels": len(labels),
        "audit": audit.total(),
        "classes": [
            {
                "class": one,
                "labels": counts[one],
                "share": counts[one] / len(labels) if labels else None,
                "target": weights[one] / sum(weights.values()) if sum(weights.values()) else None,
                "floor": rules.floors.get(one),
                "missing": max(0, rules.floors.get(one, 0) - counts[one]),
                "mute": noted.get("mute", {}).get(one),
                "lanes": {lane.value: _brought(came[lane], audit, one) for lane in ASKING},
            }
            for one in classes
        ],
        "minority": {
            "share": of_round(project, serving).get(Lane.MINORITY, 0.0),
            "ways": [
                {"way": way, "answers": kept.answers, "came": kept.came}
                for way, kept in Credit.from_json(noted).ways.items()
            ],
        },
    }


def _brought(came: Counter[str], audit: Counter[str], one: str) -> dict[str, Any]:
    asked = came.total()
    chance = wilson(audit[one], audit.total()) if audit.total() else None
    return {
        "asked": asked,
        "came": came[one],
        "share": wilson(came[one], asked)._asdict() if asked else None,
        "by_chance": None if chance is None else {part: asked * value for part, value in chance._asdict().items()},
    }
