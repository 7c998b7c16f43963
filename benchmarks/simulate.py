"""What active learning saves: labels to 95 % of the full-data score by each strategy, and as a part of random's.

The digits ship with scikit-learn; SMS spam is read from $LABELLOOP_DATA and left out where that is not set.

    python benchmarks/simulate.py [--seeds N] [--jobs N]
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import report

from labelloop.projects import load
from labelloop.simulation.results import Simulation
from labelloop.simulation.run import run

CONFIGS = Path(__file__).parents[1] / "configs" / "projects"
PART = 0.95
CASES: dict[str, dict[str, int]] = {
    "digits.toml": {"budget": 500, "first": 20, "batch": 20},
    "sms.toml": {"budget": 600, "first": 20, "batch": 20},
}
STRATEGIES = ("margin", "entropy", "random")


def main() -> None:
    """Simulate and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=None)
    options = parser.parse_args()
    data = os.environ.get("LABELLOOP_DATA")
    rows: list[dict[str, Any]] = []
    left_out = []
    for file, terms in CASES.items():
        project = load(CONFIGS / file)
        if "$LABELLOOP_DATA" in project.model_dump_json() and not data:
            left_out.append(project.name)
            print(f"{project.name}: left out, because LABELLOOP_DATA is not set", file=sys.stderr)
            continue
        start = time.perf_counter()
        simulation = run(
            project,
            strategies=STRATEGIES,
            seeds=options.seeds,
            jobs=options.jobs,
            data_dir=Path(data) if data else None,
            **terms,
        )
        rows += _rows(simulation, seconds=time.perf_counter() - start)
    report.finish("simulate", rows, seeds=options.seeds, part=PART, left_out=left_out)


def _rows(simulation: Simulation, *, seconds: float) -> list[dict[str, Any]]:
    """A row for each strategy. Where random never got there, the ratio is a bound: at most labels over the budget."""
    random = simulation.labels_to("random", PART)
    rows = []
    for name in simulation.curves:
        price = simulation.labels_to(name, PART)
        row: dict[str, Any] = {"project": simulation.project, "strategy": name}
        row["full_data_score"] = round(simulation.full_data_score, 4)
        row["score_at_budget"] = round(simulation.points(name)[-1][1].mean, 4)
        row["area"] = round(simulation.area(name).mean, 4)
        row["labels_to_95"] = round(price.labels.mean) if price.labels else None
        row["interval"] = f"{price.labels.low:.0f} to {price.labels.high:.0f}" if price.labels else None
        row["seeds_there"] = price.reached
        row["of_random"] = _ratio(
            price.labels.mean if price.labels else None,
            random.labels.mean if random.labels and random.reached == 1 else None,
            simulation.budget,
        )
        row["seconds"] = round(seconds, 1)
        rows.append(row)
    return rows


def _ratio(labels: float | None, random: float | None, budget: int) -> str | None:
    if labels is None:
        return None
    return f"{labels / random:.2f}" if random is not None else f"< {labels / budget:.2f}"


if __name__ == "__main__":
    main()
