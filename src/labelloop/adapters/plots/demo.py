"""The report of a demo run as one figure of four panels; every number in it comes from the caller."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from labelloop.adapters.plots import style
from labelloop.maths.arrays import Floats


class Series(TypedDict):
    """A curve over labels, with its interval where there is one."""

    labels: Sequence[float]
    mean: Sequence[float]
    low: NotRequired[Sequence[float | None]]
    high: NotRequired[Sequence[float | None]]


class Reached(TypedDict):
    """Labels that each arm needed to reach a score; None: not within the budget."""

    score: float
    live: float | None
    random: float | None


class Annotator(TypedDict):
    """What one annotator did: counted answers, and how many of them agreed with the consensus or the truth."""

    annotator: str
    accepted: int
    agreed: int | None
    skipped: NotRequired[int]
    seconds: NotRequired[float | None]


class DemoReport(TypedDict):
    """What `demo_report` draws.

    strategy: the live run's query strategy. score: the metric in words. live: the live run's models as the audit
    measured them. test: the same models on the held-out test set. random: random sampling on that test set.
    asked, pool: class → items, among the answers asked by strategy and in the whole pool.
    """

    project: str
    strategy: str
    score: str
    budget: int
    live: Series
    test: NotRequired[Series | None]
    random: Series
    full_data_score: NotRequired[float | None]
    reached: Sequence[Reached]
    asked: Mapping[str, int]
    pool: Mapping[str, int]
    annotators: Sequence[Annotator]


LIVE, RANDOM = style.PALETTE[0], style.REFERENCE
BAND = 0.18


def demo_report(report: DemoReport, path: Path) -> None:
    """Draw a demo run into a PNG: curves, labels to the same score, class balance, annotators."""
    with style.figure(10.4, 7.6) as figure:
        grid = figure.subplots(2, 2)
        _curves(grid[0, 0], report)
        _reached(grid[0, 1], report)
        _balance(grid[1, 0], report)
        _annotators(grid[1, 1], report["annotators"])
        figure.suptitle(f"{report['project']}: {report['strategy']}, {report['budget']} labels", fontsize=12)
        style.save(figure, path)


def _curves(axes: Axes, report: DemoReport) -> None:
    random, live, test = report["random"], report["live"], report.get("test")
    axes.plot(random["labels"], random["mean"], color=RANDOM, linestyle=(0, (4, 2)), label="random, test set")
    _band(axes, random)
    if test:
        axes.plot(test["labels"], test["mean"], color=LIVE, label=f"{report['strategy']}, test set")
    _whiskers(axes, live, f"{report['strategy']}, audit (interval)")
    full = report.get("full_data_score")
    if full is not None:
        axes.axhline(full, color=style.INK, linewidth=0.9, linestyle=(0, (1, 2)), label="all labels")
    axes.set_title("Learning curve")
    axes.set_xlabel("labels")
    axes.set_ylabel(report["score"])
    axes.set_xlim(left=0)
    axes.set_ylim(top=min(axes.get_ylim()[1], 1.03))
    style.quiet_grid(axes)
    axes.legend(loc="lower right")


def _band(axes: Axes, series: Series) -> None:
    rows = [
        (labels, low, high)
        for labels, low, high in zip(series["labels"], series.get("low", ()), series.get("high", ()), strict=False)
        if low is not None and high is not None
    ]
    if rows:
        labels, low, high = zip(*rows, strict=True)
        axes.fill_between(labels, low, high, color=RANDOM, alpha=BAND, linewidth=0)


def _whiskers(axes: Axes, series: Series, label: str) -> None:
    mean = np.asarray(series["mean"], dtype=float)
    low = np.asarray(series.get("low", mean), dtype=float)  # None becomes NaN: a point without a whisker
    high = np.asarray(series.get("high", mean), dtype=float)
    ends = np.nan_to_num(np.vstack([mean - low, high - mean]).clip(0))
    axes.errorbar(
        series["labels"], mean, yerr=ends, fmt="o", color=LIVE, markersize=4.5, linewidth=1.1, capsize=2.5, label=label
    )


def _reached(axes: Axes, report: DemoReport) -> None:
    """Two bars for each score; an arm that never got there shows an open bar as long as the budget."""
    rows, budget = report["reached"], report["budget"]
    axes.set_title("Labels to reach the same score")
    if not rows:
        _nothing(axes, "no score was reached by both")
        return
    for place, row in enumerate(rows):
        for offset, arm, value, colour in (
            (-0.19, report["strategy"], row["live"], LIVE),
            (0.19, "random", row["random"], RANDOM),
        ):
            at = place + offset
            if value is None:
                axes.barh(at, budget, height=0.34, facecolor="none", edgecolor=colour, linestyle=(0, (3, 2)))
            else:
                axes.barh(at, value, height=0.34, color=colour)
            said = f"not at {budget}" if value is None else f"{value:.0f}"
            style.say(axes, f"{arm}: {said}", (budget if value is None else value, at))
    axes.set_yticks(range(len(rows)), [f"{row['score']:.3f}" for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    longest = max([budget, *(value for row in rows for value in (row["live"], row["random"]) if value is not None)])
    axes.set_xlim(0, longest * 1.36)  # room for the words
    axes.set_xlabel("labels")
    axes.set_ylabel(report["score"])
    style.quiet_grid(axes, "x")


def _balance(axes: Axes, report: DemoReport) -> None:
    classes = list(report["pool"])
    axes.set_title("Classes asked, against the pool")
    pool = np.array([report["pool"][name] for name in classes], dtype=float)
    asked = np.array([report["asked"].get(name, 0) for name in classes], dtype=float)
    places = np.arange(len(classes))
    axes.bar(places - 0.2, _shares(pool), 0.38, color=RANDOM, label="pool")
    axes.bar(places + 0.2, _shares(asked), 0.38, color=LIVE, label=f"asked by {report['strategy']}")
    slanted = max(map(len, classes), default=0) * len(classes) > 56
    axes.set_xticks(places, classes, rotation=40 if slanted else 0, ha="right" if slanted else "center")
    axes.set_ylabel("share (%)")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set_ylim(top=axes.get_ylim()[1] * 1.18)
    style.quiet_grid(axes)
    axes.legend(loc="upper right", ncols=2)


def _shares(counts: Floats) -> Floats:
    return counts * (100 / max(float(counts.sum()), 1.0))


def _annotators(axes: Axes, annotators: Sequence[Annotator]) -> None:
    axes.set_title("What each annotator did")
    if not annotators:
        _nothing(axes, "nobody answered")
        return
    places = np.arange(len(annotators))
    agreed = np.array([row["agreed"] or 0 for row in annotators])
    accepted = np.array([row["accepted"] for row in annotators])
    known = np.array([row["agreed"] is not None for row in annotators])
    axes.barh(places, np.where(known, agreed, accepted), 0.55, color=style.PALETTE[2], label="agrees with the outcome")
    axes.barh(places, np.where(known, accepted - agreed, 0), 0.55, agreed, color=style.PALETTE[1], label="differs")
    for place, row in enumerate(annotators):
        style.say(axes, _said(row), (row["accepted"], place))
    axes.set_yticks(places, [row["annotator"] for row in annotators])
    axes.set_ylim(len(annotators) - 0.4, -1.1)  # room for the legend
    axes.set_xlim(0, max(accepted.max(), 1) * 1.55)
    axes.set_xlabel("answers")
    style.quiet_grid(axes, "x")
    axes.legend(loc="upper right", ncols=2)


def _said(row: Annotator) -> str:
    words = [f"{row['accepted']}"]
    if row["agreed"] is not None and row["accepted"]:
        words.append(f"{row['agreed'] / row['accepted']:.0%} agree")
    if row.get("skipped"):
        words.append(f"{row.get('skipped')} skipped")
    return ", ".join(words)


def _nothing(axes: Axes, why: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes, color=style.REFERENCE)
