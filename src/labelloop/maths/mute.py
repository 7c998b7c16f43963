"""Classes that the labels are short of, and classes that a model hardly ever names.

A model trained on few labels of a class may name it for no row at all. Its doubt between the two likeliest classes then
never leads to that class, however many labels are bought; see `docs/explanation/labels.md` for what that costs.
"""

import numpy as np

from labelloop.maths import balance
from labelloop.maths.arrays import Floats, Ints, Mask
from labelloop.maths.estimation import wilson

_HEARD = 0.1
"""A class that is named for this part of the rows that are expected to be of it is not mute any more."""


def short(class_counts: Ints, targets: Floats | None = None) -> Mask:
    """Which classes the labels are clearly short of.

    A rule of thumb: what a strategy chose is no random sample, so the interval says how few labels are too few to tell.

    Args:
        class_counts: (classes,) labels so far, audit left out.
        targets: (classes,) shares to aim at, of any scale; equal shares when not given.

    Returns:
        (classes,) whether the upper end of the share's 95 % interval (Wilson) lies below its target.

    Raises:
        ValueError: the targets do not fit the classes, are negative, or are all 0.

    Example:
        >>> short(np.array([20, 20, 1])).tolist(), short(np.array([2, 2, 0])).tolist()
        ([False, False, True], [False, False, False])
    """
    counts = np.asarray(class_counts)
    wanted, labels = balance.shares(len(counts), targets), int(counts.sum())
    highest = np.array([wilson(count, labels).high for count in counts.tolist()])
    fewer: Mask = highest < wanted
    return fewer


class Said:
    """What a model says of rows that come in blocks: of each class, how many it is named for, and how many it expects.

    Example:
        >>> said = Said(2)
        >>> said.add(np.array([[0.6, 0.4]] * 10))
        >>> said.mute().tolist()
        [0.0, 1.0]
    """

    def __init__(self, classes: int) -> None:
        self._named: Ints = np.zeros(classes, dtype=np.int64)
        self._expected: Floats = np.zeros(classes)

    def add(self, probabilities: Floats) -> None:
        """Take a block (n, classes)."""
        self._named += np.bincount(probabilities.argmax(axis=1), minlength=len(self._named))
        self._expected += probabilities.sum(axis=0, dtype=np.float64)

    def mute(self) -> Floats:
        """How mute the model is about each class (classes,): 1 where it names it for no row, 0 where often enough.

        Often enough is a tenth of the rows that its probabilities sum up to: whoever names half as many as there are is
        cautious, not mute. Where they sum up to less than one row there is nothing to name, and that much is its due.
        """
        silence = 1 - np.minimum(self._named / (_HEARD * np.maximum(self._expected, 1)), 1)
        quiet: Floats = silence * np.minimum(self._expected, 1)
        return quiet
