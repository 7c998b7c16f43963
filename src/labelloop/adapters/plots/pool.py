"""The map of a pool as one figure: what the items are, where the model is unsure, and where we asked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from labelloop.adapters.plots import style

MOST_CLASSES = 10
"""So many classes get a colour of their own; the rest is grey."""
CLASSES = (*style.PALETTE, "#8C6BB1", "#7F4F24", "#A3B18A", "#264653")
LANES = {
    "informative": "#0072B2",
    "minority": "#D55E00",
    "audit": "#009E73",
    "gold": "#E69F00",
    "relabel": "#CC79A7",
    "review": "#8C6BB1",
}
GROUND = "#D4D7DC"
"""Items that are only there."""
DOUBT = LinearSegmentedColormap.from_list("doubt", ["#E6EAEE", "#F2C14E", "#D1495B", "#5F0F40"])
NAMES = {"pca": "principal axes", "tsne": "t-SNE: neighbours stay neighbours, distances do not"}


def pool_map(drawn: Mapping[str, Any], path: Path, *, layout: str = "tsne") -> None:
    """Draw a map into a PNG, SVG or PDF, as the path ends: three panels over one plane.

    Args:
        drawn: what `loop.map.draw` gives.
        path: where the picture goes; its folder is made.
        layout: pca or tsne.

    Raises:
        Invalid: a path without a picture's ending.
    """
    style.form(path)
    points, plane = drawn["points"], drawn["layouts"][layout]
    x, y = np.array(plane["x"], dtype=float), np.array(plane["y"], dtype=float)
    with style.figure(11.4, 4.7) as figure:
        what, doubt, asked = figure.subplots(1, 3)
        _classes(what, x, y, drawn)
        _doubt(doubt, x, y, points)
        _asked(asked, x, y, drawn)
        for axes in (what, doubt, asked):
            _bare(axes)
        figure.supxlabel(
            _caption(drawn, layout, plane["explained"]), fontsize=8.5, color=style.REFERENCE, x=0.01, ha="left"
        )
        style.save(figure, path)


def _classes(axes: Axes, x: Any, y: Any, drawn: Mapping[str, Any]) -> None:
    """Labels as rings filled in their colour; guesses of the model in the same colour, pale."""
    labels, guesses = np.array(drawn["points"]["label"]), np.array(drawn["points"]["guess"])
    codes = np.where(labels >= 0, labels, guesses)
    known = [code for code, _ in _largest(codes)][:MOST_CLASSES]
    colours = {code: CLASSES[place] for place, code in enumerate(sorted(known))}
    shade = np.array([colours.get(code, GROUND) for code in codes.tolist()])
    axes.scatter(x, y, c=shade, s=_size(len(x)), linewidths=0, alpha=0.45, rasterized=True)
    labeled = labels >= 0
    axes.scatter(x[labeled], y[labeled], c=shade[labeled], s=15, linewidths=0.5, edgecolors="white", rasterized=True)
    axes.set_title("What it is (pale: the model's guess)")
    if 2 < len(known) <= MOST_CLASSES:
        for code in known:
            _name(axes, x[codes == code], y[codes == code], _short(drawn["classes"][code]), colours[code])
    entries = [(drawn["classes"][code], colour) for code, colour in colours.items()]
    if len({code for code in codes.tolist() if code >= 0}) > len(known):
        entries.append(("others", GROUND))
    _legend(axes, entries)


def _doubt(axes: Axes, x: Any, y: Any, points: Mapping[str, Sequence[float | None]]) -> None:
    """How unsure the model is of each item; the most unsure on top."""
    doubt = np.array([np.nan if value is None else value for value in points["doubt"]], dtype=float)
    axes.set_title("Where the model is unsure")
    if np.isnan(doubt).all():
        axes.scatter(x, y, c=GROUND, s=_size(len(x)), linewidths=0, rasterized=True)
        axes.text(0.5, 0.5, "no model yet", transform=axes.transAxes, ha="center", color=style.REFERENCE)
        return
    order = np.argsort(np.nan_to_num(doubt))
    drawn = axes.scatter(
        x[order], y[order], c=doubt[order], cmap=DOUBT, vmin=0, vmax=1, s=_size(len(x)), linewidths=0, rasterized=True
    )
    bar = axes.figure.colorbar(drawn, cax=axes.inset_axes((0.25, -0.075, 0.5, 0.028)), orientation="horizontal")
    bar.set_ticks([0, 1], labels=["sure", "a toss-up"])
    bar.ax.tick_params(labelsize=8.5, length=0)
    bar.outline.set_visible(False)


def _asked(axes: Axes, x: Any, y: Any, drawn: Mapping[str, Any]) -> None:
    """Asked items filled in the colour of their lane; what comes next as open rings."""
    points, lanes = drawn["points"], drawn["lanes"]
    asked, planned = np.array(points["asked"]), np.array(points["planned"])
    axes.scatter(x, y, c=GROUND, s=_size(len(x)), linewidths=0, rasterized=True)
    entries = []
    for code, lane in enumerate(lanes):
        next_up, done = (planned == code) & (asked < 0), asked == code
        colour = LANES.get(lane, style.INK)
        axes.scatter(x[next_up], y[next_up], s=9, facecolors="none", edgecolors=colour, linewidths=0.6, rasterized=True)
        axes.scatter(x[done], y[done], c=colour, s=15, linewidths=0.5, edgecolors="white", rasterized=True)
        if next_up.any() or done.any():
            entries.append((lane, colour))
    imported = (np.array(points["label"]) >= 0) & (asked < 0)
    if imported.any():
        axes.scatter(x[imported], y[imported], c=style.INK, s=11, marker="x", linewidths=0.8, rasterized=True)
        entries.append(("imported", style.INK))
    axes.set_title("Where we asked; rings come next")
    _legend(axes, entries)


def _name(axes: Axes, x: Any, y: Any, name: str, colour: str) -> None:
    """The class in the middle of its points, readable over them."""
    halo = [withStroke(linewidth=3, foreground="white", alpha=0.9)]
    at = (float(np.median(x)), float(np.median(y)))
    axes.annotate(
        name, at, ha="center", va="center", fontsize=9.5, weight="bold", color=style.dark(colour), path_effects=halo
    )


def _largest(codes: Any) -> list[tuple[int, int]]:
    """Codes by how often they come, most first; unknown ones left out."""
    found, counts = np.unique(codes[codes >= 0], return_counts=True)
    return sorted(zip(found.tolist(), counts.tolist(), strict=True), key=lambda pair: -pair[1])


def _legend(axes: Axes, entries: Sequence[tuple[str, str]]) -> None:
    handles = [
        Line2D([], [], marker="o", linestyle="", color=colour, markersize=5.5, markeredgewidth=0, label=_short(name))
        for name, colour in entries
    ]
    if handles:
        axes.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.01),
            ncols=min(5, len(handles)),
            fontsize=8.5,
            handletextpad=0.1,
            columnspacing=1.0,
        )


def _short(name: str) -> str:
    return name if len(name) <= 18 else f"{name[:17]}…"


def _bare(axes: Axes) -> None:
    axes.set_aspect("equal")
    axes.set_xlim(-1.06, 1.06)
    axes.set_ylim(-1.06, 1.06)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.title.set_fontsize(10)


def _size(count: int) -> float:
    """Area of a point: smaller where there are many."""
    return float(np.clip(9_000 / max(count, 1), 3.0, 22.0))


def _caption(drawn: Mapping[str, Any], layout: str, explained: Sequence[float] | None) -> str:
    words = NAMES[layout]
    if explained:
        words = f"{words} ({explained[0]:.0%} and {explained[1]:.0%} of the variance)"
    shown = len(drawn["points"]["item"])
    model = f"model {drawn['model']}" if drawn["model"] is not None else "no model"
    return (
        f"{drawn['title']}: {shown:,} of {drawn['items']:,} items, {drawn['shown']['labeled']:,} of"
        f" {drawn['labeled']:,} labels; {model}; {words}"
    )
