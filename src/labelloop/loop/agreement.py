"""How far those who label agree, over the items that two or more of them answered; what each did is the store's to say.

Votes are compared as classes, so where an answer is none or several of them (regions, or a choice of many) nothing is
said: two answers of which one lacks a class are neither alike nor unlike.
"""

import math
from typing import Any

import numpy as np

from labelloop import schema
from labelloop.loop.pool import encode
from labelloop.maths import agreement as measures
from labelloop.ports import Ports

CONFUSED = 5
"""Pairs of classes that are named, at most."""


def agreement(ports: Ports, name: str) -> dict[str, Any] | None:
    """What can be said of the counted votes; None where one of them is not a single class.

    `items` have two votes or more, `observed` is the part of their pairs of votes that agree, `alpha` and `ac1` are
    that beyond chance; each is None where nothing can be said. `confused` are the classes that stand against each
    other most.
    """
    project = ports.projects.get(name)
    places, labels = ports.verdicts.shared(name)
    codes, classes = encode(project, labels), schema.of(project).classes
    if (codes < 0).any():
        return None
    against = measures.confused(places, codes, most=CONFUSED)
    return {
        "items": len(np.unique(places)),
        "votes": len(places),
        "observed": _told(measures.percent_agreement(places, codes)),
        "alpha": _told(measures.krippendorff_alpha(places, codes)),
        "ac1": _told(measures.gwet_ac1(places, codes, values=max(2, len(classes)))),
        "confused": [
            {"classes": [classes[first], classes[second]], "pairs": pairs}
            for first, second, pairs in zip(*(part.tolist() for part in against), strict=True)
        ],
    }


def _told(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else round(value, 4)
