"""The story of a demo in tables, in JSON and as one picture."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from labelloop.adapters.plots.demo import DemoReport, demo_report
from labelloop.demo.checks import Check
from labelloop.demo.comparison import RANDOM, Comparison, at_labels, plain
from labelloop.demo.display import WORDS, estimate
from labelloop.demo.evidence import Asked, Point
from labelloop.demo.watch import Snapshot
from labelloop.domain.types import Estimate
from labelloop.measures import in_words
from labelloop.projects import Project
from labelloop.simulation.results import Simulation


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All there is to tell about a run."""

    project: Project
    end: Snapshot
    checks: Sequence[Check]
    points: Sequence[Point]
    asked: Asked
    simulation: Simulation
    comparison: Comparison
    url: str
    seconds: float


def print_checks(console: Console, checks: Sequence[Check], seconds: float) -> None:
    """What had to hold, and whether it did."""
    table = _table(f"What had to hold ({seconds:.0f} s of labeling)", "", "check", "found")
    for one in checks:
        table.add_row(
            Text("ok" if one.held else "FAILED", style="green" if one.held else "bold red"), one.name, one.found
        )
    _print(console, table)


def print_story(console: Console, story: Story) -> None:
    """Curve, price of a score, balance, annotators, verdict."""
    for table in (_curve(story), _prices(story), _balance(story.asked), _annotators(story)):
        _print(console, table)
    console.print(Text(f"Does it beat random? {story.comparison.verdict}", style="bold"))


def print_places(console: Console, story: Story, folder: Path) -> None:
    """Where to look further."""
    console.print(f"picture  {folder / 'demo.png'}\nnumbers  {folder / 'demo.json'}", markup=False)
    console.print(f"page     {story.url}/ while the demo runs; with --keep it stays", markup=False)


def keep(story: Story, folder: Path) -> None:
    """Write demo.json and demo.png into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "demo.json").write_text(json.dumps(to_json(story), indent=2) + "\n", encoding="utf-8")
    demo_report(_picture(story), folder / "demo.png")


def to_json(story: Story) -> dict[str, Any]:
    """Plain values of everything the tables show."""
    compared = story.comparison
    return {
        "project": story.project.name,
        "strategy": compared.strategy,
        "score": in_words(story.project),
        "seconds": round(story.seconds, 2),
        "budget": story.end.budget,
        "spent": story.end.spent,
        "checks": [asdict(one) for one in story.checks],
        "items": dict(story.end.counts),
        "models": [asdict(point) for point in story.points],
        "outcomes": [
            {key: model[key] for key in ("number", "state", "labels", "reason")} for model in story.end.models
        ],
        "annotators": [dict(row) for row in story.end.annotators],
        "asked": asdict(story.asked) | {"noise": story.asked.noise},
        "simulation": story.simulation.to_json(),
        "comparison": {
            "verdict": compared.verdict,
            "beats_random": compared.beats,
            "live": {"labels": compared.live.labels, "score": compared.live.test},
            "random": plain(compared.random),
            "gap": plain(compared.gap),
            "labels_to": [
                {"score": one.score, "live": one.live, "strategy": plain(one.strategy), "random": plain(one.random)}
                for one in compared.targets
            ],
        },
    }


# --- tables ----------------------------------------------------------------------------------------------------


def _curve(story: Story) -> Table:
    score = in_words(story.project)
    table = _table(
        f"Learning curve ({score} on the test set; {story.comparison.strategy} live, random over "
        f"{len(story.simulation.curves[RANDOM])} seeds)",
        "model",
        "labels",
        "this run",
        "random",
        "audit accuracy",
        "outcome",
    )
    for point in story.points:
        live = {"mean": point.test, "low": point.test_low, "high": point.test_high}
        random = plain(at_labels(story.simulation, RANDOM, point.labels))
        fate = WORDS.get(point.state, point.state)
        table.add_row(
            str(point.model), str(point.labels), estimate(live), estimate(random), estimate(point.audit), fate
        )
    return table


def _prices(story: Story) -> Table:
    full = story.simulation.full_data_score
    table = _table(
        f"Labels to reach a score (all labels of the pool give {full:.3f})",
        "score",
        "this run",
        f"{story.comparison.strategy}, simulated",
        "random, simulated",
    )
    for one in story.comparison.targets:
        live = f"{one.live:.0f}" if one.live is not None else "not reached"
        table.add_row(f"{one.score:.3f} ({one.score / full:.0%})", live, _labels(one.strategy), _labels(one.random))
    return table


def _balance(asked: Asked) -> Table:
    table = _table("Classes of what was asked, by their truth", "", *asked.pool)
    rows: Mapping[str, Mapping[str, int]] = {"pool": asked.pool, "by strategy": asked.by_strategy, "audit": asked.audit}
    for name, counts in rows.items():
        total = sum(counts.values())
        table.add_row(f"{name} ({total})", *[f"{count / max(total, 1):.0%}" for count in counts.values()])
    return table


def _annotators(story: Story) -> Table:
    table = _table("Annotators", "name", "answers", "late", "surplus", "skipped", "seconds each", "right by the truth")
    for row in story.end.annotators:
        counted = row["accepted"] + row["late"]
        each = f"{row['seconds'] / counted:.2f}" if counted and row.get("seconds") is not None else "–"
        right = f"{story.asked.right.get(row['annotator'], 0) / counted:.0%}" if counted else "–"
        numbers = [str(row[name]) for name in ("accepted", "late", "surplus", "skipped")]
        table.add_row(str(row["annotator"]), *numbers, each, right)
    return table


def _labels(value: Estimate | None) -> str:
    if value is None:
        return "not reached"
    shown = plain(value) or {}
    if shown["low"] is None or shown["high"] is None:
        return f"{value.mean:.0f}"
    return f"{value.mean:.0f} ({max(value.low, 0):.0f} to {value.high:.0f})"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for column in columns:
        table.add_column(column)
    return table


def _print(console: Console, table: Table) -> None:
    console.print()
    console.print(table)


# --- picture ---------------------------------------------------------------------------------------------------


def _picture(story: Story) -> DemoReport:
    labels = [point.labels for point in story.points]
    audited = [point for point in story.points if point.audit and point.audit.get("mean") is not None]
    random = story.simulation.points(RANDOM)
    return {
        "project": story.project.title or story.project.name,
        "strategy": story.comparison.strategy,
        "score": in_words(story.project),
        "budget": max([count for count, _ in random] + labels),
        "live": {
            "labels": [point.labels for point in audited],
            "mean": [float(point.audit["mean"]) for point in audited if point.audit],
            "low": [point.audit.get("low") for point in audited if point.audit],
            "high": [point.audit.get("high") for point in audited if point.audit],
        },
        "test": {"labels": labels, "mean": [point.test for point in story.points]},
        "random": {
            "labels": [count for count, _ in random],
            "mean": [score.mean for _, score in random],
            "low": [_number(score.low) for _, score in random],
            "high": [_number(score.high) for _, score in random],
        },
        "full_data_score": story.simulation.full_data_score,
        "reached": [
            {"score": one.score, "live": one.live, "random": one.random.mean if one.random else None}
            for one in story.comparison.targets
        ],
        "asked": story.asked.by_strategy,
        "pool": story.asked.pool,
        "annotators": [
            {
                "annotator": str(row["annotator"]),
                "accepted": int(row["accepted"] + row["late"]),
                "agreed": story.asked.right.get(str(row["annotator"]), 0),
                "skipped": int(row["skipped"]),
            }
            for row in story.end.annotators
        ],
    }


def _number(value: float) -> float | None:
    return None if value != value else value  # noqa: PLR0124 - NaN
