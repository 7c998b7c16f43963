"""The `synthetic` of a project file: made-up rows of rare classes, for a training only."""

from typing import Literal

from pydantic import Field

from labelloop.projects.section import Section


class Synthetic(Section):
    """Rows that a training adds to classes with few labels; needs the extra `imbalance`.

    They are made of the training set's features, serve that one training, and are kept nowhere: never asked, never part
    of the audit, the calibration or an export.
    """

    kind: Literal["smote", "adasyn", "random_over"] = "smote"
    """smote: rows between a label and one of its nearest of the same class. adasyn: the same, more where other classes
    are near. random_over: labels repeated."""
    target: float = Field(default=0.5, gt=0, le=1)
    """A class gets rows until it has this part of the largest class's."""
    neighbours: int = Field(default=5, ge=1, le=100)
    """Nearest rows of the class that smote and adasyn look at; fewer where the class has fewer."""
