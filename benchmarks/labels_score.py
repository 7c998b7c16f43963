"""What curves come to: area, labels to parts of the full-data score and to random's, paired over seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import labels_sets as sets
import numpy as np

from labelloop.maths import curves
from labelloop.maths.estimation import mean_interval

PARTS = (0.9, 0.95, 0.98, 1.0)
Played = Sequence[Mapping[str, Any]]


def rows(
    name: str, case: sets.Case, played: Mapping[str, Played], *, full: float, target: float
) -> list[dict[str, Any]]:
    """A row for each arm, by itself; `compared` puts them beside each other."""
    found, rare = [], any(one["rare"][-1] for some in played.values() for one in some)
    for arm, some in played.items():
        if not some:
            continue
        areas = _areas(some, case.budget)
        mean = mean_interval(areas)
        row: dict[str, Any] = {"set": name, "arm": arm, "seeds": len(some)}
        row |= {"full": round(full, 4), "random_once": round(target, 4), "random_labels": case.random}
        row |= {"area": round(mean.mean, 4), "area_low": round(mean.low, 4), "area_high": round(mean.high, 4)}
        row["areas"] = [round(area, 5) for area in areas.tolist()]
        for part in PARTS:
            row |= _price(f"to_{100 * part:.0f}", some, part * full)
        row |= _price("to_random", some, target)
        there = row["to_random_seeds"] == len(some)
        row["saving"] = round(1 - row["to_random"] / case.random, 3) if there else None
        if rare:
            row["rare"] = round(float(np.mean([one["rare"][-1] for one in some])), 1)
        row["cpu_seconds"] = round(float(np.mean([one["cpu_seconds"] for one in some])), 1)
        row["curve"] = _mean_curve(some)
        found.append(row)
    return found


def compared(found: Sequence[dict[str, Any]], *, default: str) -> list[dict[str, Any]]:
    """The rows of all sets, each with what it has beyond random's area and beyond the default's, over the same seeds.

    An arm with wrong answers is compared with those that got as many, and one that trains itself, too, with the same on
    labels alone. A row that was kept without its areas keeps the comparison that it has.
    """
    at = {(row["set"], row["arm"]): row for row in found}
    best: dict[str, float] = {}
    for row in found:
        if WRONG not in row["arm"] and TAUGHT not in row["arm"]:
            best[row["set"]] = max(best.get(row["set"], 0), row["area"])
    for row in found:
        wrong = WRONG if row["arm"].endswith(WRONG) else ""
        row["of_best"] = round(row["area"] / best[row["set"]], 3) if best.get(row["set"]) else None
        random, ours = (at.get((row["set"], f"{arm}{wrong}")) for arm in ("random", default))
        if random is not None and random is not row:
            row.update(_beyond("gain", row, random))
            row["deepest_below_random"] = _deepest(random["curve"], row["curve"])
        if ours is not None and ours is not row:
            row.update(_beyond("beyond_default", row, ours))
        alone = at.get((row["set"], row["arm"].replace(TAUGHT, "")))
        if TAUGHT in row["arm"] and alone is not None:
            row.update(_beyond("beyond_alone", row, alone))
    return list(found)


WRONG = ", 20 % wrong"
TAUGHT = ", self-trained"
"""Ends of the names of arms."""


def _beyond(key: str, row: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    mine, theirs = row.get("areas"), other.get("areas")
    shared = min(len(mine or ()), len(theirs or ()))
    if shared < 2:  # of one difference nobody knows how much is luck
        return {}
    gain = mean_interval(np.array(mine[:shared]) - np.array(theirs[:shared]))
    return {key: round(gain.mean, 4), f"{key}_low": round(gain.low, 4), f"{key}_high": round(gain.high, 4)}


def _deepest(random: list[list[float]], ours: list[list[float]]) -> float:
    """The deepest that a mean curve lies below random's, where both are known."""
    low, high = max(random[0][0], ours[0][0]), min(random[-1][0], ours[-1][0])
    grid = np.linspace(low, high, 60)
    theirs, mine = (np.interp(grid, *np.array(curve).T[:2]) for curve in (random, ours))
    return round(float(max(0, (theirs - mine).max())), 4)


def _areas(some: Played, budget: int) -> np.ndarray:
    return np.array([curves.area(*_arrays(one), budget=budget) for one in some])


def _price(key: str, some: Played, score: float) -> dict[str, Any]:
    """Mean labels to a score over the seeds that got there, their interval, and how many did."""
    paid = [labels for one in some if (labels := curves.labels_to(*_arrays(one), score)) is not None]
    if not paid:
        return {key: None, f"{key}_seeds": 0}
    interval = mean_interval(np.array(paid))
    return {
        key: round(interval.mean),
        f"{key}_low": round(interval.low),
        f"{key}_high": round(interval.high),
        f"{key}_seeds": len(paid),
    }


def _mean_curve(some: Played) -> list[list[float]]:
    """Labels, mean, and the standard error over seeds, at the counts that all seeds have."""
    at = [dict(zip(one["labels"], one["scores"], strict=True)) for one in some]
    shared = sorted(set.intersection(*(set(one) for one in at)))
    values = np.array([[one[labels] for one in at] for labels in shared])
    error = values.std(axis=1, ddof=1) / np.sqrt(len(some)) if len(some) > 1 else np.zeros(len(values))
    return [
        [labels, round(float(value), 4), round(float(wide), 4)]
        for labels, value, wide in zip(shared, values.mean(axis=1), error, strict=True)
    ]


def _arrays(one: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(one["labels"], dtype=float), np.asarray(one["scores"], dtype=float)
