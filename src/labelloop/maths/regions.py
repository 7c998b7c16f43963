"""From scores of parts to scores of items: boxes or masks of a picture, tokens of a text, frames of a video.

Parts lie one item after the other in a flat array; offsets say where each item begins. What a part's score is comes
from `acquisition` and its like.
"""

from typing import Literal

import numpy as np

from labelloop.maths.arrays import Floats, Ints

Pooling = Literal["max", "mean", "sum", "root"]


def pooled(values: Floats, offsets: Ints, *, by: Pooling, empty: float = 0.0) -> Floats:
    """The values of each item's parts as one score of the item.

    `sum` asks for crowded items first, `mean` does not see how many parts there are, `max` needs one bad part (Brust,
    Käding & Denzler 2019 compare the three on detections). `root` lies between sum and mean: the sum over the square
    root of the count, as a mean divided by its standard error, so that four equal parts count twice as much as one.

    Args:
        values: (parts,) scores of parts, higher is more doubtful, and 0 is none.
        offsets: (n + 1,) from 0 to parts, never falling; item i owns values[offsets[i] : offsets[i + 1]].
        by: how parts count together.
        empty: the score of an item without parts: nothing found may be certain, or the very thing to ask.

    Returns:
        (n,).

    Raises:
        ValueError: offsets that do not cut the values.

    Example:
        >>> pooled(np.array([0.5, 0.25, 0.25]), np.array([0, 1, 3, 3]), by="sum").tolist()
        [0.5, 0.5, 0.0]
    """
    counts = part_counts(values, offsets)
    scores = np.full(len(counts), empty, values.dtype)
    some = counts > 0
    if not some.any():
        return scores
    # An empty item takes no values, so leaving its offset out moves no boundary between the others.
    starts, many = np.asarray(offsets[:-1])[some], counts[some]
    if by == "max":
        scores[some] = np.maximum.reduceat(values, starts)
    else:
        scores[some] = np.add.reduceat(values, starts) / _divisor(by, many).astype(values.dtype)
    return scores


def part_counts(values: Floats, offsets: Ints) -> Ints:
    """How many parts (n,) each item has.

    Raises:
        ValueError: offsets that do not cut the values.

    Example:
        >>> part_counts(np.zeros(3), np.array([0, 1, 3])).tolist()
        [1, 2]
    """
    edges = np.asarray(offsets)
    if edges.ndim != 1 or not len(edges) or not np.issubdtype(edges.dtype, np.integer):
        raise ValueError("offsets must be whole numbers (items + 1,), beginning with 0")
    counts = np.diff(edges)
    if edges[0] != 0 or edges[-1] != len(values) or (counts < 0).any():
        raise ValueError(f"offsets must rise from 0 to the {len(values)} values; they go {edges[0]} to {edges[-1]}")
    return counts


def _divisor(by: Pooling, counts: Ints) -> Floats:
    return {"mean": counts.astype(np.float64), "sum": np.ones(len(counts)), "root": np.sqrt(counts)}[by]
