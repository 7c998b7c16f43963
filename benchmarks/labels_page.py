"""The tables and the picture of docs/explanation/labels.md, from the result of the benchmark of labels."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labels_score import TAUGHT

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "explanation" / "labels.md"
PICTURE = DOCS / "pictures" / "labels.png"
SETS = ("default", f"default{TAUGHT}")
TEXTS = ("sms", "ag_news", "banking77", "ag_news_rare")
"""Where a project trains itself if its file says nothing else."""
COLOURS = {"random": "#888888", "margin": "#e0803a", "auto": "#3a9a5b", "default": "#2a5db0", SETS[1]: "#a02d8c"}
"""Of the arms that are drawn, from the back to the front; a model that trains itself where it does so unasked."""

Row = Mapping[str, Any]


def write(result: Mapping[str, Any]) -> None:
    """Exchange what stands between the page's marks, and draw the curves."""
    rows: Sequence[Row] = result["details"]
    text = PAGE.read_text(encoding="utf-8")
    text = _between(text, "sets", _sets(rows))
    text = _between(text, "arms", _areas(rows, lambda arm: not _special(arm)))
    text = _between(text, "starts", _areas(rows, lambda arm: arm.startswith("start") or arm == "default"))
    text = _between(text, "taught", _taught(rows))
    text = _between(text, "rare", _rare(rows))
    text = _between(text, "large", _areas(rows, lambda arm: arm.endswith("of 100")))
    text = _between(text, "noise", _noise(rows))
    PAGE.write_text(text, encoding="utf-8")
    _draw(rows)


def _between(text: str, mark: str, lines: Sequence[str]) -> str:
    whole = (
        f"<!-- {mark}: written by benchmarks/labels.py --docs -->\n" + "\n".join(lines) + f"\n<!-- end of {mark} -->"
    )
    pattern = rf"<!-- {mark}: .*?<!-- end of {mark} -->"
    return re.sub(pattern, lambda _: whole, text, flags=re.DOTALL)


def _sets(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| set | all labels | random | default: 90 % | 95 % | 98 % | random's score | saved | seeds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    longer = {row["set"]: row for row in rows if row["arm"] == "default, longer"}
    for default in rows:
        if default["arm"] in SETS and (default["arm"] == "default" or default["set"] in TEXTS):
            row = longer.get(default["set"], default) if default["arm"] == "default" else default
            cells = [
                row["set"] + default["arm"].removeprefix("default"),
                f"{row['full']:.3f}",
                f"{row['random_once']:.3f} at {row['random_labels']:,}",
                *(_price(row, key) for key in ("to_90", "to_95", "to_98", "to_random")),
                "–" if row["saving"] is None else f"{100 * row['saving']:.0f} %",
                str(row["seeds"]),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _areas(rows: Sequence[Row], wanted: Callable[[str], bool]) -> list[str]:
    """A line for each arm that is wanted, a column for each set where one of them was played."""
    some = [row for row in rows if wanted(row["arm"])]
    if not some:
        return ["Not played yet."]
    names, arms = (list(dict.fromkeys(row[key] for row in some)) for key in ("set", "arm"))
    area = {(row["set"], row["arm"]): _area(row) for row in some}
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    return [*lines, *(f"| {arm} | {' | '.join(area.get((name, arm), '') for name in names)} |" for arm in arms)]


def _special(arm: str) -> bool:
    """Whether an arm stands elsewhere: another start, lane or model, wrong answers, large batches or budgets."""
    return arm.startswith(("start", "lane")) or arm.endswith(("smote", "wrong", "of 100", "longer", TAUGHT))


def _area(row: Row) -> str:
    """The area, with a mark where few seeds were played and one where it is beyond the default's by more than luck."""
    return f"{row['area']:.3f}" + " †" * (row["seeds"] < 3) + " ▲" * (row.get("beyond_default_low", 0) > 0)


def _taught(rows: Sequence[Row]) -> list[str]:
    """What guesses about the rest of the pool bring, beside the same model on labels alone."""
    names = list(dict.fromkeys(row["set"] for row in rows if row["arm"].endswith(TAUGHT)))
    arms = ("random", f"random{TAUGHT}", "default", f"default{TAUGHT}")
    lines = ["| set | | area | beyond labels alone | last score | 95 % | random's score | seeds |", "|" + "---|" * 8]
    for row in rows:
        if row["set"] in names and row["arm"] in arms[0 if row["set"] in TEXTS else 2 :]:
            cells = [
                row["set"],
                row["arm"],
                f"{row['area']:.3f}",
                _gain(row, "beyond_alone"),
                f"{row['curve'][-1][1]:.3f} at {row['curve'][-1][0]:,}",
                _price(row, "to_95"),
                _price(row, "to_random"),
                str(row["seeds"]),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines if names else ["Not played yet."]


def _rare(rows: Sequence[Row]) -> list[str]:
    """What the minority lane and made-up rows bring, on the sets where they were played."""
    played = {row["set"] for row in rows if row["arm"].startswith("lane")}
    arms = ("random", "random, smote", "default", "default, smote", "lane: margin", "lane: cut")
    lines = ["| set | | area | beyond the default's | last score | labels of rare classes | seeds |", "|" + "---|" * 7]
    for row in rows:
        if row["set"] in played and row["arm"] in arms:
            cells = [
                row["set"],
                row["arm"],
                f"{row['area']:.3f}",
                _gain(row, "beyond_default"),
                f"{row['curve'][-1][1]:.3f}",
                f"{row['rare']:.0f}" if "rare" in row else "",
                str(row["seeds"]),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines if played else ["Not played yet."]


def _gain(row: Row, key: str) -> str:
    return f"{row[key]:+.3f} [{row[f'{key}_low']:+.3f}, {row[f'{key}_high']:+.3f}]" if key in row else ""


def _noise(rows: Sequence[Row]) -> list[str]:
    lines = [
        f"| {row['set']} | {row['arm']} | {row['area']:.3f} | {_gain(row, 'gain')} | {row['seeds']} |"
        for row in rows
        if "wrong" in row["arm"]
    ]
    head = ["| set | way of asking | area | beyond random's | seeds |", "|---|---|---|---|---|"]
    return [*head, *lines] if lines else ["Not played yet."]


def _price(row: Row, key: str) -> str:
    if row[key] is None:
        return "not reached"
    some = row[f"{key}_seeds"]
    spread = f" [{row[f'{key}_low']:,}, {row[f'{key}_high']:,}]" if some > 2 else ""  # of two it says nothing
    return f"{row[key]:,}{spread}" + (f" in {some}" if some < row["seeds"] else "")


def _draw(rows: Sequence[Row]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    # A set on which nobody got anywhere is no picture.
    names = list(dict.fromkeys(row["set"] for row in rows if row["to_90_seeds"]))
    across = min(3, len(names))
    down = -(-len(names) // across)
    size = (max(3.6 * across, 6), 3.2 * down)
    figure, axes = plt.subplots(down, across, figsize=size, layout="constrained", squeeze=False)
    for axis in axes.ravel()[len(names) :]:
        axis.axis("off")
    for axis, name in zip(axes.ravel(), names, strict=False):
        here = {row["arm"]: row for row in rows if row["set"] == name}
        for arm, colour in COLOURS.items():
            if arm in here and (name in TEXTS or not arm.endswith(TAUGHT)):
                points = here[arm]["curve"]
                labels, mean, error = ([point[at] for point in points] for at in range(3))
                low, high = ([m + sign * 2 * e for m, e in zip(mean, error, strict=True)] for sign in (-1, 1))
                axis.plot(labels, mean, color=colour, label=arm, linewidth=1.6)
                axis.fill_between(labels, low, high, color=colour, alpha=0.15, linewidth=0)
        one = next(iter(here.values()))
        axis.axhline(one["full"], color="black", linewidth=0.8, linestyle=":")
        axis.set_title(name, fontsize=10)
        axis.set_ylim(bottom=max(0, one["full"] - 0.5), top=min(1, one["full"] + 0.03))
        axis.tick_params(labelsize=8)
    for axis in axes.ravel()[len(names) :]:
        axis.set_axis_off()
    axes[0, 0].legend(fontsize=8, frameon=False)
    figure.supxlabel("labels", fontsize=10)
    figure.savefig(PICTURE, dpi=110)
    plt.close(figure)
