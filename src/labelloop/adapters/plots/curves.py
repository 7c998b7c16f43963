"""The learning curves of a simulation as one figure: a panel for each data set and model, a line for each strategy.

Lines are means over seeds, bands their 95 % intervals; each line has its name at its end. The dotted line is what a
model of all labels scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labelloop.adapters.plots import style
from labelloop.adapters.plots.ends import name_ends, push_apart

Over = Literal["labels", "time", "cost"]
"""What the horizontal axis counts."""
_UNITS = ((1.0, "seconds", 180.0), (60.0, "minutes", 180.0 * 60), (3600.0, "hours", float("inf")))
ACROSS = 3
"""Most panels beside each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One pair of axes: strategies with their points (x, mean, low, high), and the score of all labels."""

    title: str
    score: str
    full: float
    lines: Mapping[str, Sequence[Sequence[float | None]]]


def learning_curves(
    simulations: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    path: Path,
    *,
    score: str | Sequence[str] = "score",
    title: str | Sequence[str] = "",
    over: Over = "labels",
) -> None:
    """Draw the curves of simulations into a PNG, SVG or PDF, as the path ends.

    Args:
        simulations: what `Simulation.to_json()` gives, or several of them.
        path: where the picture goes; its folder is made.
        score: what the vertical axis measures, in words; one for each simulation.
        title: what stands above; one for each simulation; the project's name when empty.
        over: labels, or the time or cost of them where the simulated annotators have a clock (and a price).

    Raises:
        Invalid: a path without a picture's ending.
    """
    style.form(path)
    several = [simulations] if isinstance(simulations, Mapping) else list(simulations)
    scores, titles = ([one] * len(several) if isinstance(one, str) else list(one) for one in (score, title))
    unit, axis = _unit(several, over)
    panels = [
        panel
        for simulation, words, above in zip(several, scores, titles, strict=True)
        for panel in _panels(simulation, above or str(simulation["project"]), words, unit)
    ]
    looks = style.colours(list(dict.fromkeys(name for panel in panels for name in panel.lines)))
    across = 2 if len(panels) in {2, 4} else min(ACROSS, len(panels))
    down = -(-len(panels) // across)
    width, height = (6.6, 4.2) if len(panels) == 1 else (3.9 * across, 3.0 * down)
    with style.figure(width, height) as figure:
        # Models of one set are compared with each other, sets are not: their scores differ in kind.
        grid = figure.subplots(down, across, squeeze=False, sharey=len(several) == 1).ravel()
        named = [_draw(axes, panel, looks, alone=len(panels) == 1) for axes, panel in zip(grid, panels, strict=False)]
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        for place, axes in enumerate(grid[: len(panels)]):
            if place + across >= len(panels):
                axes.set_xlabel(axis, fontsize=8.5 if len(panels) > 1 else 9.5)
        _finish(figure, named)
        style.save(figure, path)


def _finish(figure: Figure, named: Sequence[Any]) -> None:
    for labels in named:
        push_apart(figure, labels)


def _draw(axes: Axes, panel: Panel, looks: Mapping[str, tuple[str, Any]], *, alone: bool) -> Any:
    shade = 0.16 if len(panel.lines) < 4 else 0.11
    for name, points in panel.lines.items():
        _line(axes, points, looks[name], above=name != "random", shade=shade)
    small = 9.0 if alone else 8.0
    axes.axhline(panel.full, color=style.INK, linewidth=0.9, linestyle=(0, (1, 2)))
    axes.annotate(
        f"all labels {panel.full:.3f}",
        xy=(0.0, panel.full),
        xycoords=("axes fraction", "data"),
        xytext=(5, 3),
        textcoords="offset points",
        ha="left",
        va="bottom",
        fontsize=small - 0.5,
        color=style.INK,
        zorder=4,
        bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.5},
    )
    axes.set_title(panel.title)
    axes.set_ylabel(panel.score, fontsize=small + 0.5)
    axes.tick_params(labelsize=small)
    axes.set_xlim(left=0)
    axes.margins(x=0.0)
    low, high = axes.get_ylim()
    top = max(high, panel.full + 0.08 * (panel.full - low))
    axes.set_ylim(max(low, 0.0), min(top, 1.06))
    axes.yaxis.set_major_locator(style.few_ticks(5))
    axes.xaxis.set_major_locator(style.few_ticks(5))
    style.quiet_grid(axes)
    ends = {
        name: (float(points[-1][0] or 0), float(points[-1][1] or 0)) for name, points in panel.lines.items() if points
    }
    return name_ends(axes, ends, {name: colour for name, (colour, _) in looks.items()}, size=small)


def _line(
    axes: Axes, points: Sequence[Sequence[float | None]], look: tuple[str, Any], *, above: bool, shade: float
) -> None:
    colour, dash = look
    order = 3.0 if above else 2.5
    x = [float(point[0] or 0) for point in points]
    axes.plot(x, [float(point[1] or 0) for point in points], color=colour, linestyle=dash, zorder=order)
    banded = [point for point in points if point[2] is not None and point[3] is not None]
    if any(point[2] != point[3] for point in banded):  # one seed has no interval
        x, lows, highs = ([float(point[place] or 0) for point in banded] for place in (0, 2, 3))
        axes.fill_between(x, lows, highs, color=colour, alpha=shade, linewidth=0, zorder=order - 1)


def _panels(simulation: Mapping[str, Any], title: str, score: str, unit: float | None) -> list[Panel]:
    """One for each model; the strategies of MODEL/STRATEGY lose the model's name."""
    by_model: dict[str, dict[str, Any]] = {}
    for name, measured in simulation["strategies"].items():
        model, _, strategy = name.rpartition("/") if simulation.get("models") else ("", "", name)
        by_model.setdefault(model, {})[strategy] = _points(measured, unit)
    full = {"": simulation["full_data_score"], **simulation.get("models", {})}
    return [
        Panel(title=f"{title}, {model}" if model else title, score=score, full=full[model], lines=lines)
        for model, lines in by_model.items()
    ]


def _points(measured: Mapping[str, Any], unit: float | None) -> list[list[float | None]]:
    if unit is None:
        return [list(point) for point in measured["curve"]]
    return [[took / unit, *point[1:]] for took, point in zip(measured["seconds"], measured["curve"], strict=True)]


def _unit(simulations: Sequence[Mapping[str, Any]], over: Over) -> tuple[float | None, str]:
    """What seconds are divided by, None for labels; and the name of the axis."""
    timed = all("seconds" in measured for one in simulations for measured in one["strategies"].values())
    if over == "labels" or not timed:
        return None, "labels"
    hourly = simulations[0].get("hourly")
    if over == "cost" and hourly:
        return 3600 / float(hourly), "cost of annotation"
    longest = max(measured["seconds"][-1] for one in simulations for measured in one["strategies"].values())
    size, word = next((size, word) for size, word, most in _UNITS if longest <= most)
    return size, f"{word} of annotation"
