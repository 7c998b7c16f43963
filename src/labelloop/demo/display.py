"""A snapshot on a terminal: a live panel for people, or lines where nothing can be redrawn."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from labelloop.demo.watch import Snapshot

RECENT = 6
STYLES = {"champion": "bold green", "retired": "green", "refused": "yellow", "degenerate": "red", "candidate": "cyan"}
WORDS = {"champion": "promoted, serves", "retired": "promoted, followed", "candidate": "at the gate"}


class Display(Protocol):
    """Shows snapshots."""

    def show(self, snapshot: Snapshot, doing: str) -> None:
        """Show how things stand, and in words what is being done."""
        ...


class Lines:
    """One line when something was decided, or a tenth of the budget was spent."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._decided: set[int] = set()
        self._tenth = -1
        self._doing = ""

    def show(self, snapshot: Snapshot, doing: str) -> None:
        """Print what is new."""
        tenth = 10 * snapshot.spent // max(snapshot.budget, 1)
        if tenth != self._tenth or doing != self._doing:
            self._tenth, self._doing = tenth, doing
            self._console.print(f"{doing}: {snapshot.spent} of {snapshot.budget} votes spent", markup=False)
        for model in snapshot.models:
            if model["state"] != "candidate" and model["number"] not in self._decided:
                self._decided.add(model["number"])
                fate = WORDS.get(model["state"], model["state"])
                self._console.print(
                    f"  model {model['number']} from {model['labels']} labels: {fate}"
                    f" (accuracy {estimate(model['metrics'].get('accuracy'))}; {model['reason']})",
                    markup=False,
                )


class Panels:
    """Everything at once, redrawn in place."""

    def __init__(self, live: Live, url: str) -> None:
        self._live, self._url = live, url

    def show(self, snapshot: Snapshot, doing: str) -> None:
        """Draw."""
        self._live.update(panel(snapshot, doing=doing, url=self._url))


@contextmanager
def display(console: Console, *, url: str, plain: bool) -> Iterator[Display]:
    """The display that suits the terminal."""
    if plain or not console.is_terminal:
        yield Lines(console)
        return
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        yield Panels(live, url)


def panel(snapshot: Snapshot, *, doing: str, url: str) -> RenderableType:
    """The whole picture of a running demo."""
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        "votes",
        ProgressBar(total=max(snapshot.budget, 1), completed=snapshot.spent, width=40),
        f"{snapshot.spent} of {snapshot.budget}",
    )
    champion = snapshot.status.get("champion") or {}
    accuracy = (champion.get("metrics") or {}).get("accuracy")
    said = f"model {champion['number']}, audit accuracy {estimate(accuracy)}" if champion else "none yet: cold start"
    lanes = "   ".join(f"{lane} {depth}" for lane, depth in snapshot.status.get("lanes", {}).items())
    facts = Table.grid(padding=(0, 1))
    facts.add_row("champion", Text(said, style="bold"))
    facts.add_row("queue", Text(lanes or "being planned"))
    facts.add_row("page", Text(f"{url}/", style="cyan"))
    body = Group(bar, facts, Text(), _annotators(snapshot), Text(), _trainings(snapshot))
    return Panel(body, title=f"labelloop demo: {doing}", title_align="left", width=110)


def _trainings(snapshot: Snapshot) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in ("model", "labels", "audit accuracy", "outcome", "why"):
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    for model in list(snapshot.models)[-RECENT:]:
        state = str(model["state"])
        table.add_row(
            str(model["number"]),
            str(model["labels"]),
            estimate(model["metrics"].get("accuracy")),
            Text(WORDS.get(state, state), style=STYLES.get(state, "")),
            Text(str(model["reason"])),
        )
    for job in snapshot.trainings:
        if job["state"] in ("due", "running"):
            table.add_row("…", "", "", Text(f"{job['state']} {job['progress']:.0%}", style="cyan"), Text(job["reason"]))
    return table


def _annotators(snapshot: Snapshot) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in ("annotator", "answers", "late", "skipped", "open", "agreed"):
        table.add_column(column, justify="left" if column == "annotator" else "right")
    for row in snapshot.annotators:
        table.add_row(
            *[str(row.get(name, "")) for name in ("annotator", "accepted", "late", "skipped", "open", "agreed")]
        )
    return table


def estimate(value: Mapping[str, Any] | None) -> str:
    """`0.931 (0.900 to 0.955)`."""
    if not value or value.get("mean") is None:
        return "not measured yet"
    if value.get("low") is None or value.get("high") is None:
        return f"{value['mean']:.3f}"
    return f"{value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
