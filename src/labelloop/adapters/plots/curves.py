"""The learning curves of a simulation as one figure: a line with its band for each strategy, and the full-data line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from labelloop.adapters.plots import style


def learning_curves(simulation: Mapping[str, Any], path: Path, *, score: str = "score", title: str = "") -> None:
    """Draw the curves of a simulation into a PNG.

    Args:
        simulation: what `Simulation.to_json()` gives.
        path: where the PNG goes; its folder is made.
        score: what the vertical axis measures, in words.
        title: what stands above it; the project's name when not given.
    """
    strategies = simulation["strategies"]
    looks = style.colours(list(strategies))
    with style.figure(6.4, 4.2) as figure:
        axes = figure.subplots()
        for name, measured in strategies.items():
            _line(axes, name, measured["curve"], looks[name])
        full = simulation["full_data_score"]
        axes.axhline(full, color=style.INK, linewidth=0.9, linestyle=(0, (1, 2)))
        axes.annotate(
            f"all labels: {full:.3f}",
            xy=(1.0, full),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=8.5,
        )
        axes.set_title(title or simulation["project"])
        axes.set_xlabel("labels")
        axes.set_ylabel(score)
        axes.set_xlim(left=0)
        axes.margins(x=0.01)
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 0.0), min(max(high, full + 0.06 * (full - low)), 1.04))
        style.quiet_grid(axes)
        axes.legend(loc="lower right", handlelength=2.6)
        style.save(figure, path)


def _line(axes: Axes, name: str, points: Sequence[Sequence[float | None]], look: tuple[str, Any]) -> None:
    colour, dash = look
    labels = [float(point[0] or 0) for point in points]
    axes.plot(labels, [float(point[1] or 0) for point in points], color=colour, linestyle=dash, label=name)
    banded = [point for point in points if point[2] is not None and point[3] is not None]
    if banded:  # one seed has no interval
        labels, lows, highs = ([float(point[place] or 0) for point in banded] for place in (0, 2, 3))
        axes.fill_between(labels, lows, highs, color=colour, alpha=0.16, linewidth=0)
