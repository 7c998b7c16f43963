"""Which arms cannot be played: a strategy that needs a committee with a model of one voice.

Found by fitting the model on a handful of made-up rows, so that nobody waits an hour to hear of it.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from labelloop import strategies
from labelloop.adapters.estimators import EstimatorKinds
from labelloop.domain.errors import InvalidProject, LabelloopError
from labelloop.projects import ModelSpec, Project
from labelloop.simulation.arms import arm
from labelloop.simulation.variants import Arm, with_model
from labelloop.strategies import Need

_ROWS, _WIDTH = 24, 4


def playable(project: Project, arms: Sequence[Arm], models: Mapping[str, ModelSpec]) -> list[Arm]:
    """The arms that can be played. Where models are compared, the others are left out.

    Raises:
        InvalidProject: without models to compare, a strategy that needs a committee and has none; or nothing is left.
    """
    left = []
    for one in arms:
        played = with_model(project, models.get(one.model or ""))
        strategy = strategies.bind(arm(played, one.strategy, first=2, batch=1).strategy)
        if Need.COMMITTEE not in strategy.needs or _voices(played.model):
            left.append(one)
        elif not models:
            raise InvalidProject(
                f"The strategy {one.strategy!r} needs a committee; the model of {project.name!r} has one voice. Leave"
                " the strategy out, or compare it by a model that has a committee: `--models FILE`.",
                project=project.name,
            )
    if not left:
        raise InvalidProject("None of these models has the committee that the strategies need.", project=project.name)
    return left


def _voices(model: ModelSpec) -> bool:
    """Whether a model has a committee; yes where it cannot be told from made-up rows."""
    rng = np.random.default_rng(0)
    rows = rng.random((_ROWS, _WIDTH)).astype(np.float32)
    quick = model.model_copy(update={"epochs": 1}) if hasattr(model, "epochs") else model
    try:
        classifier = EstimatorKinds().fit(quick, rows, np.arange(_ROWS) % 2, shape=None, seed=0)
        return classifier.committee(rows) is not None
    except LabelloopError:
        return True
