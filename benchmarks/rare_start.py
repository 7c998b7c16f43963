"""A class with one known example among many thousands: how many of its rows are found within so many labels.

The loop is replayed by the code that serves people (`loop.compose`), from one positive of each choice, with the
minority lane hunting. Beside the project's own way: its parts alone, and random. What could be known at best is
measured, too: with all other labels of the set, how many common rows come before each positive that most runs miss?

    python benchmarks/rare_start.py [--choices N] [--budget N] [--set 34_smtp] [--ways hunt,margin]
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import report
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from labelloop import projects
from labelloop.adapters.estimators import EstimatorKinds
from labelloop.simulation.data import Data
from labelloop.simulation.replay import Terms, replay

FOREST = {"n_estimators": 50, "min_samples_leaf": 2, "class_weight": "balanced_subsample"}
WAYS: dict[str, dict[str, Any]] = {
    "hunt": {"lanes": {"informative": 0.1, "minority": 0.9, "audit": 0.0}, "minority": {"floors": {"rare": 100_000}}},
    "balanced": {"lanes": {"informative": 0.1, "minority": 0.9, "audit": 0.0}, "minority": {"few": 0}},
    "margin": {"lanes": {"informative": 1.0, "minority": 0.0, "audit": 0.0}},
    "random": {"lanes": {"informative": 1.0, "minority": 0.0, "audit": 0.0}, "strategy": {"kind": "random"}},
}

TREES: dict[str, Any] = {"forest": RandomForestClassifier, "extra_trees": ExtraTreesClassifier}
NEIGHBOURS = 20
"""A row is as lonely as the distance to its neighbour of this number, itself being the first."""


def main() -> None:
    """Replay and report."""
    options = _options()
    folder = os.environ.get("LABELLOOP_DATA")
    if not folder:
        print("rare_start: left out, because LABELLOOP_DATA is not set", file=sys.stderr)
        return
    with threadpool_limits(1):
        data = _data(Path(folder) / "imbalanced" / f"{options.set}.npz")
        rare = np.flatnonzero(data.codes == 1)
        starts = rare[np.linspace(0, len(rare) - 1, min(options.choices, len(rare))).astype(int)]
        rows, missed = [], np.zeros(len(data.codes), dtype=int)
        for way in options.ways.split(","):
            found = []
            for at, start in enumerate(starts.tolist()):
                began = time.perf_counter()
                asked = _play(way, data, start, seed=at, options=options)
                found.append(np.cumsum(data.codes[asked]))
                if way == "hunt":
                    missed[np.setdiff1d(rare, asked)] += 1
                print(f"{way}, from {start}: {found[-1][-1]} of {len(rare)}, {time.perf_counter() - began:.0f} s",
                      file=sys.stderr, flush=True)  # fmt: skip
            rows.append(_row(way, found, rare=len(rare), budget=options.budget))
        mostly = np.flatnonzero(missed > len(starts) / 2)
        known = [{**ranked, "missed": int(missed[ranked["row"]])} for ranked in _ranks(data, mostly)]
    report.finish(
        "rare_start",
        rows,
        set=options.set,
        pool=len(data.codes),
        positives=len(rare),
        choices=len(starts),
        budget=options.budget,
        batch=options.batch,
        mostly_missed=known,
    )


def _play(way: str, data: Data, start: int, *, seed: int, options: argparse.Namespace) -> np.ndarray:
    project = projects.parse(
        {
            "name": "rare",
            "labels": {"kind": "classes", "classes": ["common", "rare"]},
            "items": {"kind": "table", "shard_size": 131_072},
            "features": {"kind": "columns"},
            "model": {"kind": "sklearn", "estimator": "sklearn.ensemble.RandomForestClassifier", "parameters": FOREST},
            **WAYS[way],
        }
    )
    terms = Terms(budget=options.budget + 1, batch=options.batch, first=options.batch)
    strategy = project.strategy.kind
    curve = replay(project, data, strategy, seed=seed, terms=terms, estimators=EstimatorKinds(), known=[start])
    return np.array(curve.asked)


def _row(way: str, found: list[np.ndarray], *, rare: int, budget: int) -> dict[str, Any]:
    """Positives beside the one that was known, as a part of all of them with it."""
    last = np.array([curve[-1] for curve in found])
    row: dict[str, Any] = {"way": way}
    for labels in (30, 100, 200, budget):
        row[f"found_at_{labels}"] = round(float(np.mean([curve[min(labels, len(curve) - 1)] for curve in found])), 1)
    row["least"], row["share"] = int(last.min()), round(float(last.mean() / rare), 3)
    row["labels_to_90"] = _labels_to(found, 0.9 * rare)
    row["labels_to_95"] = _labels_to(found, 0.95 * rare)
    return row


def _labels_to(found: list[np.ndarray], wanted: float) -> str:
    prices = [int(np.argmax(curve >= wanted)) for curve in found if curve[-1] >= wanted]
    return f"{np.mean(prices):.0f} ({len(prices)} of {len(found)})" if prices else f"none of {len(found)}"


def _ranks(data: Data, rows: np.ndarray) -> list[dict[str, Any]]:
    """How many common rows are asked before each of these, by whoever knows the labels of all the others.

    Rows that are level come before it by half. Trees rank it among common rows that they have not seen: half of them
    at a time.
    """
    features, codes = data.features, data.codes
    common = np.random.default_rng(0).permutation(np.flatnonzero(codes == 0))
    sparse = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(features).kneighbors(features)[0][:, -1]
    found = []
    for row in rows.tolist():
        known = np.setdiff1d(np.flatnonzero(codes == 1), [row])
        near = -NearestNeighbors(n_neighbors=1).fit(features[known]).kneighbors(features)[0][:, 0]
        ranks = {"near": _rank(near[row], near[common]), "sparse": _rank(sparse[row], sparse[common])}
        for way, kind in TREES.items():
            ranks[way] = 0.0
            for half in (0, 1):
                seen, held = np.concatenate([common[half::2], known]), common[1 - half :: 2]
                model = kind(100, min_samples_leaf=2, class_weight="balanced_subsample", random_state=0)
                model.fit(features[seen], codes[seen])
                said = model.predict_proba(features[[row, *held]])[:, 1]
                ranks[way] += _rank(said[0], said[1:])
        found.append({"row": row, **{way: round(rank) for way, rank in ranks.items()}})
    return found


def _rank(mine: float, rivals: np.ndarray) -> float:
    return float((rivals > mine).sum() + (rivals == mine).sum() / 2)


def _data(path: Path) -> Data:
    with np.load(path) as arrays:
        raw, codes = arrays["X"], arrays["y"].astype(np.int64)
    spread = raw.std(axis=0)
    features = ((raw - raw.mean(axis=0)) / np.where(spread > 0, spread, 1)).astype(np.float32)
    return Data(features=features, codes=codes, test_features=features[:100], test_codes=codes[:100])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--choices", type=int, default=10)
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--set", default="34_smtp")
    parser.add_argument("--ways", default="hunt,margin,random")
    return parser.parse_args()


if __name__ == "__main__":
    main()
