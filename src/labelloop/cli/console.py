"""What commands say and how they end: tables or JSON on standard output, errors and progress on standard error."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from labelloop.domain.errors import CannotTrain, LabelloopError, Unavailable

WIDE = 160
"""Columns of a table that goes into a file or a pipe."""
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


class Exit(IntEnum):
    """Exit codes of all commands."""

    OK = 0
    FAILED = 1
    """A check of `doctor` failed, or the demo did not hold."""
    ERROR = 2
    """Wrong use, or any error not listed here."""
    REFUSED = 3
    """`retrain --wait`: the gate refused the new model."""
    CANNOT_TRAIN = 4
    """`retrain --wait`: no model could come of the labels."""
    TIMEOUT = 5
    """`retrain --wait`: it did not end in time; it goes on."""
    UNAVAILABLE = 6
    """The store or the queue does not answer; try again."""


CODES: Mapping[type[LabelloopError], Exit] = {CannotTrain: Exit.CANNOT_TRAIN, Unavailable: Exit.UNAVAILABLE}


def exit_code(error: LabelloopError) -> Exit:
    """The exit code of an error, by its class."""
    return next((code for kind, code in CODES.items() if isinstance(error, kind)), Exit.ERROR)


def say(text: str = "") -> None:
    """A line for people, with rich's markup."""
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(text)


def note(text: str) -> None:
    """A line beside the output, on standard error."""
    from rich.console import Console

    Console(stderr=True, highlight=False, soft_wrap=True).print(text)


def fail(sentence: str) -> None:
    """One red sentence on standard error; item data and file names in it are not markup."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, soft_wrap=True).print(Text(f"Error: {sentence}", style="red"))


def emit(value: Any) -> None:
    """JSON on standard output, whole values in one document."""
    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def line(value: Any) -> None:
    """One JSON value on one line."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False) + "\n")


def line_of(text: str) -> None:
    """A line that a script takes as it is."""
    sys.stdout.write(f"{text}\n")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table for people; cells are shown as they are, not as markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        grid.add_column(column)
    for row in rows:
        grid.add_row(*[Text(shown(cell)) for cell in row])
    Console(highlight=False, width=None if sys.stdout.isatty() else WIDE).print(grid)


def shown(cell: Any) -> str:
    """A cell in words: intervals as `0.93 (0.90 to 0.95)`, nothing as a dash."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:.3f}"
    if isinstance(cell, datetime):
        return cell.isoformat(timespec="seconds")
    if isinstance(cell, Mapping) and {"mean", "low", "high"} <= set(cell) and cell["mean"] is not None:
        return interval(cell)
    return str(cell)


def interval(estimate: Mapping[str, Any]) -> str:
    """`0.931 (0.900 to 0.955)`; without bounds only the number."""
    if estimate.get("low") is None or estimate.get("high") is None:
        return f"{estimate['mean']:.3f}"
    return f"{estimate['mean']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def plain(value: Any) -> Any:
    """Values of ours as JSON has them."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    if isinstance(value, Iterable):
        return [plain(entry) for entry in value]
    return str(value)
