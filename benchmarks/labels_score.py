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
    """A row for each arm. An arm with wrong answers is compared with random under the same."""
    found = []
    for arm, some in played.items():
        if not some:
            continue
        _, _, noise = arm.partition(", 20")
        random = played.get("random, 20 % wrong" if noise else "random", ())
        areas = _areas(some, case.budget)
        mean = mean_interval(areas)
        row: dict[str, Any] = {"set": name, "arm": arm, "seeds": len(some)}
        row |= {"full": round(full, 4), "random_once": round(target, 4), "random_labels": case.random}
        row |= {"area": round(mean.mean, 4), "area_low": round(mean.low, 4), "area_high": round(mean.high, 4)}
        for part in PARTS:
            row |= _price(f"to_{100 * part:.0f}", some, part * full)
        row |= _price("to_random", some, target)
        there = row["to_random_seeds"] == len(some)
        row["saving"] = round(1 - row["to_random"] / case.random, 3) if there else None
        row |= _beside(areas, some, random, case)
        row["cpu_seconds"] = round(float(np.mean([one["cpu_seconds"] for one in some])), 1)
        row["curve"] = _mean_curve(some)
        found.append(row)
    best = max((row["area"] for row in found if "wrong" not in row["arm"]), default=0)
    for row in found:
        row["of_best"] = round(row["area"] / best, 3) if best else None
    return found


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


def _beside(areas: np.ndarray, some: Played, random: Played, case: sets.Case) -> dict[str, Any]:
    """Area beyond random's over the same seeds, and the deepest that the mean curve lies below random's."""
    shared = min(len(some), len(random))
    if not shared or some is random:
        return {}
    gain = mean_interval(areas[:shared] - _areas(random[:shared], case.budget))
    grid = np.linspace(case.first, case.budget, 60)
    ours, theirs = (
        np.mean([np.interp(grid, *_arrays(one)) for one in many[:shared]], axis=0) for many in (some, random)
    )
    return {
        "gain": round(gain.mean, 4),
        "gain_low": round(gain.low, 4),
        "gain_high": round(gain.high, 4),
        "deepest_below_random": round(float(max(0, (theirs - ours).max())), 4),
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
