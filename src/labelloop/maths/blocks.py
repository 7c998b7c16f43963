"""An array of probabilities, cut into blocks of rows that fit the cache, and each block seen as columns.

A reduction along a short row costs numpy tens of nanoseconds a row; the same over columns is one pass in SIMD. What is
done with a block is the business of `acquisition`, `disagreement` and their like.
"""

from collections.abc import Iterator

import numpy as np

from labelloop.maths.arrays import Floats

BYTES = 1 << 20
"""Of a block: about a second-level cache. Smaller ones pay more for numpy's calls than they gain."""
WIDE = 48
"""From so many classes on, a reduction along the row beats a sweep over the columns."""


def blocks(probabilities: Floats) -> Iterator[tuple[slice, Floats]]:
    """Cut along the rows, which are the axis before the last.

    Args:
        probabilities: (n, classes), or (members, n, classes).

    Yields:
        The rows of a block, and a view of them.

    Example:
        >>> [(rows.start, block.shape) for rows, block in blocks(np.zeros((20_000, 10)))]
        [(0, (13056, 10)), (13056, (6944, 10))]
    """
    n, step = probabilities.shape[-2], _step(probabilities)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        yield rows, probabilities[..., rows, :]


def columns(block: Floats, scratch: Floats | None = None) -> Floats:
    """The block with a contiguous row for each class: (classes, rows), not to be written to.

    A block that is stored by columns is only looked at; any other is copied.

    Args:
        block: (rows, classes).
        scratch: (at least classes × rows,) of the same dtype, for the copy; made when not given.

    Example:
        >>> columns(np.array([[0.25, 0.75], [0.5, 0.5]])).tolist()
        [[0.25, 0.5], [0.75, 0.5]]
    """
    if block.strides[0] == block.itemsize:
        return block.T
    turned = np.empty(block.shape[::-1], block.dtype) if scratch is None else room(scratch, block.shape[::-1])
    np.copyto(turned, block.T)
    return turned


def room(scratch: Floats, shape: tuple[int, ...]) -> Floats:
    """The head of a piece of scratch, in this shape.

    Example:
        >>> room(np.zeros(10), (2, 3)).shape
        (2, 3)
    """
    return scratch[: int(np.prod(shape))].reshape(shape)


def scratch_for(probabilities: Floats, width: int) -> Floats:
    """Scratch for `width` numbers a row of one block, flat, so that no block pays for fresh memory.

    Example:
        >>> scratch_for(np.zeros((20_000, 10), dtype=np.float32), 3).shape
        (60000,)
    """
    return np.empty(min(_step(probabilities), probabilities.shape[-2]) * width, probabilities.dtype)


def _step(probabilities: Floats) -> int:
    """Rows of a block: a multiple of 64 where it can be, so that the columns of the copy begin at cache lines."""
    step = BYTES * probabilities.shape[-2] // max(probabilities.nbytes, 1)
    return int(max(step - step % 64 if step > 64 else step, 1))
