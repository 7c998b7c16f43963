"""How every figure looks: fonts, colours that colour-blind readers can tell apart, and saving in one piece.

Figures are made from `matplotlib.figure.Figure` directly, never through pyplot: no display, no global state, safe in
threads. What is drawn is decided by the neighbours.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from labelloop.domain.errors import Invalid

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito (2008), less yellow, which is too pale for lines, and black."""
REFERENCE = "#6E6E6E"
"""Random sampling and other yardsticks."""
INK = "#262626"
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
"""When the colours run out, the next lap of them is told apart by dashes."""

_RULES: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 9.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,
    "svg.hashsalt": "labelloop",
}
FORMATS = ("png", "svg", "pdf")
"""Endings of a picture's file: pixels for a page, lines for a paper."""


@contextmanager
def figure(width: float, height: float) -> Iterator[Figure]:
    """A figure of so many inches in the style of the house, laid out so that nothing overlaps."""
    with mpl.rc_context(_RULES):
        made = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(made)
        made.get_layout_engine().set(w_pad=0.1, h_pad=0.1, wspace=0.04, hspace=0.04)  # type: ignore[union-attr,call-arg]
        yield made


def form(path: Path) -> str:
    """Which picture a file is to be, by its ending.

    Raises:
        Invalid: it has none of the known ones.
    """
    ending = path.suffix.removeprefix(".").lower()
    if ending not in FORMATS:
        raise Invalid(f"{path}: a picture ends in {', '.join(f'.{one}' for one in FORMATS)}.")
    return ending


def save(figure: Figure, path: Path) -> None:
    """Write a picture beside its place and move it there, so that nobody ever sees half of it; the same each time.

    Raises:
        Invalid: the path has no ending that is a picture's.
    """
    ending = form(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=".", suffix=f".{ending}", delete=False) as file:
        part = Path(file.name)
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    try:
        figure.savefig(part, dpi=160, format=ending, metadata=dates.get(ending))
        part.chmod(0o644)
        os.replace(part, path)  # noqa: PTH105 - atomic, and the same call as elsewhere
    finally:
        part.unlink(missing_ok=True)


def colours(names: Sequence[str]) -> Mapping[str, tuple[str, Any]]:
    """Colour and dash of each named line; `random`, the yardstick, is grey and dashed."""
    others = [name for name in names if name != "random"]
    drawn: dict[str, tuple[str, Any]] = {
        name: (PALETTE[place % len(PALETTE)], DASHES[place // len(PALETTE) % len(DASHES)])
        for place, name in enumerate(others)
    }
    drawn["random"] = (REFERENCE, (0, (4, 2)))
    return drawn


def dark(colour: str) -> str:
    """A colour as words are written in: pale ones would not be readable on white."""
    red, green, blue = to_rgb(colour)
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    part = min(1.0, 0.47 / light) if light > 0 else 1.0
    return to_hex((red * part, green * part, blue * part))


def say(axes: Axes, words: str, at: tuple[float, float]) -> None:
    """Words to the right of a bar's end, readable across the grid."""
    plate = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    axes.annotate(words, at, (5, 0), textcoords="offset points", va="center", fontsize=8.5, bbox=plate)


def few_ticks(most: int) -> MaxNLocator:
    """Round numbers on an axis, so many at most."""
    return MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10])


def quiet_grid(axes: Axes, axis: str = "y") -> None:
    """Thin lines to read values by, along one axis only."""
    axes.grid(visible=True, axis=axis, color="#DDDDDD", linewidth=0.6)  # type: ignore[arg-type]
