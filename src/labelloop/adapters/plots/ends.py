"""Names beside the ends of lines, instead of a legend: pushed apart where lines end close together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labelloop.adapters.plots import style

GAP = 1.25
"""Least distance of two names, in heights of their letters."""
AWAY = 7.0
"""Points from a line's end to its name."""
FURTHER = 13.0
"""The same where names were pushed apart, with room for the thin lines."""


def name_ends(axes: Axes, ends: Mapping[str, tuple[float, float]], colours: Mapping[str, str], *, size: float) -> Any:
    """Write each name where its line ends (x, y), in its colour. `push_apart` has the last word on where.

    Returns:
        What `push_apart` wants.
    """
    right = max((x for x, _ in ends.values()), default=0.0)
    return [
        axes.annotate(
            name,
            (x, y),
            xytext=(FURTHER, 0),
            textcoords="offset points",
            va="center",
            ha="left",
            fontsize=size,
            color=style.dark(colours[name]),
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colours[name], "lw": 0.0, "shrinkA": 0.5, "shrinkB": 0.5},
        )
        for name, (x, y) in ends.items()
        if x > right * 0.5
    ]


def push_apart(figure: Figure, named: Sequence[Any]) -> None:
    """Move the names of one panel up and down until none covers another, with a thin line back to the end of each.

    The layout of the figure must be final: call it last.
    """
    if not named:
        return
    figure.draw_without_rendering()
    points = 72 / figure.dpi
    at = np.array([label.axes.transData.transform(label.xy)[1] for label in named]) * points
    moves = spread(at, GAP * named[0].get_fontsize()) - at
    if (abs(moves) <= 1.0).all():
        for label in named:
            label.xyann = (AWAY, 0)
        return
    for label, move in zip(named, moves.tolist(), strict=True):
        label.xyann = (FURTHER, move)
        label.arrow_patch.set_linewidth(0.7)


def spread(at: Any, gap: float) -> Any:
    """Places (n,) as near to `at` as they go with at least `gap` between any two: groups that touch share their centre.

    Example:
        >>> spread(np.array([0.0, 1.0, 10.0]), 2.0).tolist()
        [-0.5, 1.5, 10.0]
    """
    order = np.argsort(at, kind="stable")
    groups: list[tuple[float, int]] = []  # the mean place wanted, and how many stand there
    for value in np.asarray(at, dtype=float)[order]:
        groups.append((float(value), 1))
        while len(groups) > 1 and _overlap(groups[-2], groups[-1], gap):
            (low, few), (high, more) = groups.pop(-2), groups.pop()
            groups.append(((low * few + high * more) / (few + more), few + more))
    places = np.concatenate([centre + gap * (np.arange(count) - (count - 1) / 2) for centre, count in groups])
    found = np.empty(len(places))
    found[order] = places
    return found


def _overlap(low: tuple[float, int], high: tuple[float, int], gap: float) -> bool:
    return high[0] - low[0] < gap * (low[1] + high[1]) / 2
