"""What choosing costs: every rule of labelloop beside those of the field's libraries, on the same arrays in one run.

Probabilities, a committee of five and embeddings are given, float32; no model is asked anything. Each cell is a process
of its own with one thread: CPU seconds (the least of three runs, or one run where it takes more than a second), wall
seconds, and the most memory beyond what was there before. `passes` is the CPU time over that of the physical pass: one
`sum` by numpy over the arrays that the rule reads. A library that would need more than `--limit` seconds, by what the
pool of a tenth took, is not run, and one that needs more is stopped.

    python benchmarks/acquisition.py [--full] [--limit 20] [--rows N ...] [--only margin badge ... --keep]

`--full` is the whole grid: 10k, 100k and 1M rows, 64 and 256 dimensions, batches of 100 and 1,000.

Bars, at 1M × 10 float32: margin and entropy at most 3 passes, 1.2 times modAL, memory beyond the scores at most a tenth
of the array; BADGE and k-center over 1M × 64 at least 10 and 4 times faster than scikit-activeml.
"""

import argparse
import ctypes
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import report
from acquisition_peers import LABELED, LIBRARIES, peers
from threadpoolctl import threadpool_limits

from labelloop.maths import acquisition, chance, clusters, disagreement, diversity, selection
from labelloop.maths.arrays import Floats

NAME = "acquisition"
CLASSES, MEMBERS = 10, 5
ROWS = (10_000, 100_000, 1_000_000)
SAMPLE = 20_000
"""Rows that the rules of a first batch are shown, as the service shows them (spread.COLD_SAMPLE)."""
PACKAGES = ("modAL-python", "scikit-activeml", "small-text", "alipy", "cleanlab", "lightly-mundig")
OURS = "labelloop"


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a rule is given."""

    probabilities: np.ndarray
    committee: np.ndarray
    features: np.ndarray
    costs: np.ndarray
    batch: int


Rule = Callable[[Case, np.random.Generator], Any]


def scored(score: Callable[[Case], Floats]) -> Rule:
    """The batch of the highest scores."""
    return lambda case, rng: selection.top(score(case), case.batch, rng)


def _power(case: Case, rng: np.random.Generator) -> Any:
    return selection.top(chance.power(disagreement.bald(case.committee), rng), case.batch, rng)


def _epig(case: Case, rng: np.random.Generator) -> Any:
    drawn = rng.choice(case.committee.shape[1], size=50, replace=False)
    return selection.top(disagreement.epig(case.committee, case.committee[:, drawn]), case.batch, rng)


def _badge(case: Case, rng: np.random.Generator) -> Any:
    held = case.probabilities[:LABELED], case.features[:LABELED]
    return diversity.badge(case.probabilities, case.features, case.batch, rng, taken=held)


def _cluster_margin(case: Case, rng: np.random.Generator) -> Any:
    return clusters.cluster_margin(case.features, acquisition.margin(case.probabilities), case.batch, rng)


P, C, F = "probabilities", "committee", "features"
RULES: dict[str, tuple[Rule, tuple[str, ...]]] = {
    "least_confidence": (scored(lambda case: acquisition.least_confidence(case.probabilities)), (P,)),
    "margin": (scored(lambda case: acquisition.margin(case.probabilities)), (P,)),
    "entropy": (scored(lambda case: acquisition.entropy(case.probabilities)), (P,)),
    "expected_cost": (scored(lambda case: acquisition.expected_cost(case.probabilities, case.costs)), (P,)),
    "check": (lambda case, _rng: acquisition.check_probabilities(case.probabilities), (P,)),
    "vote_entropy": (scored(lambda case: disagreement.vote_entropy(case.committee)), (C,)),
    "variation_ratio": (scored(lambda case: disagreement.variation_ratio(case.committee)), (C,)),
    "consensus_entropy": (scored(lambda case: disagreement.consensus_entropy(case.committee)), (C,)),
    "bald": (scored(lambda case: disagreement.bald(case.committee)), (C,)),
    "max_disagreement": (scored(lambda case: disagreement.max_disagreement(case.committee)), (C,)),
    "bald, power": (_power, (C,)),
    "epig": (_epig, (C,)),
    "k_center": (lambda case, rng: diversity.k_center(case.features, case.batch, rng), (F,)),
    "badge": (_badge, (F, P)),
    "cluster_margin": (_cluster_margin, (F, P)),
    "k_means": (lambda case, rng: clusters.k_means_start(case.features, case.batch, rng), (F,)),
    "typiclust": (lambda case, rng: clusters.typiclust(case.features, case.batch, rng), (F,)),
    "herding": (lambda case, rng: diversity.herding(case.features, case.batch, rng), (F,)),
}
WHICH = ("rule", "rows", "dims", "batch", "library")
"""What a row of the result is about."""
SAMPLED = {"k_means", "typiclust", "herding"}
ON_FEATURES = {name for name, (_, reads) in RULES.items() if F in reads}


def main() -> None:
    """Measure and report."""
    options = _options()
    os.environ["RAYON_NUM_THREADS"] = "1"
    others = peers()
    with threadpool_limits(1):  # CPU seconds of several threads cannot be compared
        results = _grid(options, others)
    if options.keep:
        results = report.merged(NAME, results, WHICH, folder=options.results)
    report.finish(
        NAME,
        results,
        packages=PACKAGES,
        folder=options.results,
        classes=CLASSES,
        members=MEMBERS,
        limit_s=options.limit,
        missing=sorted(set(LIBRARIES) - set(others) - {row["library"] for row in results}),
    )


def _grid(options: argparse.Namespace, others: dict[str, Any]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    whole = {dims: _case(max(options.rows), dims) for dims in options.dims}
    for rows in options.rows:
        for dims in options.dims:
            for batch in options.batches:
                case = _head(whole[dims], rows, batch)
                for rule in options.only:
                    # A score reads no embeddings, and a first batch sees a sample whatever the pool.
                    once = dims != options.dims[0] and rule not in ON_FEATURES
                    if not once and not (rule in SAMPLED and rows > SAMPLE):
                        results += _cells(rule, case, others, results, options.limit)
    return results


def _cells(
    rule: str, case: Case, others: dict[str, Any], before: list[dict[str, Any]], limit: float
) -> list[dict[str, Any]]:
    """A row for each library that knows the rule; labelloop's first."""
    ours, reads = RULES[rule]
    works = {OURS: lambda one: ours(one, np.random.default_rng(0))}
    works |= {library: known[rule] for library, known in others.items() if rule in known}
    one_pass = sum(report.cpu(getattr(case, name).sum, repeats=5) for name in reads)
    idle = _measured(lambda _case: None, case, limit)["extra_mb"]  # pages that any child copies
    size = {"rule": rule, "rows": len(case.probabilities), "dims": case.features.shape[1], "batch": case.batch}
    rows: list[dict[str, Any]] = []
    for library, work in works.items():
        row = {**size, "library": library}
        expected = _expected(row, before)
        if library != OURS and expected > limit:
            row["note"] = f"not run: about {expected:,.0f} s"
        else:
            row |= _measured(work, case, limit if library != OURS else 600, idle=idle)
        if "cpu_s" in row:
            row["passes"] = round(row["cpu_s"] / one_pass, 1)
            if rows and "cpu_s" in rows[0]:
                row["times_labelloop"] = round(row["cpu_s"] / max(rows[0]["cpu_s"], 1e-6), 1)
        rows.append(row)
        print(" ".join(str(value) for value in row.values()), file=sys.stderr, flush=True)
    return rows


def _expected(row: dict[str, Any], before: list[dict[str, Any]]) -> float:
    """CPU seconds by what the largest smaller pool took, linearly; 0 where nothing is known."""
    same = [
        old
        for old in before
        if all(old[key] == row[key] for key in ("rule", "library", "dims", "batch")) and old["rows"] < row["rows"]
    ]
    if not same:
        return 0.0
    last = same[-1]
    return float(last["cpu_s"] * row["rows"] / last["rows"]) if "cpu_s" in last else float("inf")


def _measured(work: Callable[[Case], Any], case: Case, limit: float, *, idle: float = 0) -> dict[str, Any]:
    """Measure in a child, so that memory is the work's own and a library that does not end can be stopped."""
    context = multiprocessing.get_context("fork")
    near, far = context.Pipe(duplex=False)
    child = context.Process(target=_measure, args=(work, case, far))
    child.start()
    far.close()
    try:
        watched = psutil.Process(child.pid)
        while not near.poll(0.5):
            if sum(watched.cpu_times()[:2]) > limit + 3:  # two more runs of short work
                return {"note": f"stopped after {limit:.0f} s"}
        answer: dict[str, Any] = near.recv()
    except EOFError:
        return {"note": "died, perhaps for want of memory"}
    finally:
        child.terminate()
        child.join()
    if "extra_mb" in answer:
        answer["extra_mb"] = round(max(answer["extra_mb"] - idle, 0), 1)
    return answer


def _measure(work: Callable[[Case], Any], case: Case, answer: Any) -> None:
    import warnings

    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # progress bars of others
    with suppress(OSError, AttributeError):  # heap that the parent has freed would be used again, unseen
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins here
    try:
        before, start = _resident(), time.perf_counter()
        first = time.process_time()
        work(case)
        first, wall = time.process_time() - first, time.perf_counter() - start
        extra = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        best = first if first > 1 else min(first, report.cpu(lambda: work(case), repeats=2))
    except Exception as error:  # noqa: BLE001 - what others raise is a result, too
        answer.send({"note": f"{type(error).__name__}: {error}"[:80]})
        return
    answer.send({"cpu_s": round(best, 5), "wall_s": round(wall, 4), "extra_mb": round(max(extra, 0) / 2**20, 1)})


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def _case(rows: int, dims: int) -> Case:
    rng = np.random.default_rng(0)
    centres = rng.normal(scale=2, size=(50, dims)).astype(np.float32)
    features = rng.standard_normal((rows, dims), dtype=np.float32)
    for start in range(0, rows, 100_000):
        part = features[start : start + 100_000]
        part += centres[rng.integers(len(centres), size=len(part))]
    committee = np.stack([_probabilities(rng, rows) for _ in range(MEMBERS)])
    costs = rng.random((CLASSES, CLASSES)) * (1 - np.eye(CLASSES))
    return Case(probabilities=committee[0], committee=committee, features=features, costs=costs, batch=0)


def _head(case: Case, rows: int, batch: int) -> Case:
    return replace(
        case,
        probabilities=case.probabilities[:rows],
        committee=np.ascontiguousarray(case.committee[:, :rows]),
        features=case.features[:rows],
        batch=batch,
    )


def _probabilities(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Softmax of normal logits: some rows are sure, some are not."""
    logits = rng.standard_normal((rows, CLASSES), dtype=np.float32) * 2
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="256 dimensions and batches of 1,000, too")
    parser.add_argument("--limit", type=float, default=20, help="CPU seconds that another library may take")
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="folder of the JSON")
    parser.add_argument("--only", nargs="+", choices=list(RULES), default=list(RULES), metavar="RULE")
    parser.add_argument("--keep", action="store_true", help="keep the other rows of the result there is")
    options = parser.parse_args()
    options.rows = sorted(options.rows)
    options.dims, options.batches = ([64, 256], [100, 1_000]) if options.full else ([64], [100])
    return options


if __name__ == "__main__":
    main()
