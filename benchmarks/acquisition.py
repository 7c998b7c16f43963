"""What choosing costs: 100 rows of a million by margin, entropy and vote entropy, beside one pass over the same array.

modAL and scikit-activeml get the same arrays in the same run, at their own functions for exactly this: probabilities
in, scores or indices out; no model is asked anything. CPU seconds are the least of three runs.

    python benchmarks/acquisition.py [--rows N] [--classes C] [--members M]
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import report
from threadpoolctl import threadpool_limits

from labelloop.maths import acquisition, selection

BATCH = 100
Work = Callable[[], Any]


class Said:
    """Stands for a fitted classifier or committee whose answers are known already."""

    def __init__(self, probabilities: np.ndarray | None, votes: np.ndarray | None = None) -> None:
        self._probabilities, self._votes = probabilities, votes
        self.classes_ = np.arange(0 if probabilities is None else probabilities.shape[1])

    def __len__(self) -> int:
        """Members, as modAL asks."""
        return 0 if self._votes is None else self._votes.shape[1]

    def predict_proba(self, _rows: Any, **_options: Any) -> np.ndarray:
        """As a classifier of scikit-learn."""
        assert self._probabilities is not None
        return self._probabilities

    def vote(self, _rows: Any, **_options: Any) -> np.ndarray:
        """As a committee of modAL."""
        assert self._votes is not None
        return self._votes


def main() -> None:
    """Measure and report."""
    options = _options()
    with threadpool_limits(1):
        rng = np.random.default_rng(0)
        committee = np.stack([_probabilities(rng, options.rows, options.classes) for _ in range(options.members)])
        probabilities = committee[0]
        rows = []
        for what, works, one_pass in (
            ("margin", _by_probability(probabilities, "margin"), probabilities),
            ("entropy", _by_probability(probabilities, "entropy"), probabilities),
            ("vote entropy", _by_vote(committee), committee),
            ("top", _top(acquisition.margin(probabilities)), acquisition.margin(probabilities)),
        ):
            rows += _measure(what, works, one_pass)
    report.finish(
        "acquisition",
        rows,
        packages=("modAL-python", "scikit-activeml"),
        rows_scored=options.rows,
        classes=options.classes,
        members=options.members,
        batch=BATCH,
    )


def _by_probability(probabilities: np.ndarray, rule: str) -> dict[str, Work]:
    from modAL import uncertainty as modal
    from skactiveml.pool import uncertainty_scores

    ours = {"margin": acquisition.margin, "entropy": acquisition.entropy}[rule]
    theirs = {"margin": modal.margin_sampling, "entropy": modal.entropy_sampling}[rule]
    method = {"margin": "margin_sampling", "entropy": "entropy"}[rule]
    said, rng = Said(probabilities), np.random.default_rng(0)
    return {
        "labelloop": lambda: selection.top(ours(probabilities), BATCH, rng),
        "modAL": lambda: theirs(said, probabilities, n_instances=BATCH),
        "scikit-activeml": lambda: _activeml_batch(uncertainty_scores(probabilities, method=method)),
    }


def _by_vote(committee: np.ndarray) -> dict[str, Work]:
    """Votes are made from probabilities inside the measured part, for all: that is what a strategy is given."""
    from modAL import disagreement as modal
    from skactiveml.pool import vote_entropy

    classes, rng = np.arange(committee.shape[2]), np.random.default_rng(0)

    def votes() -> np.ndarray:
        return committee.argmax(axis=2).T

    def by_modal() -> Any:
        said = Said(committee[0], votes())
        return modal.vote_entropy_sampling(said, committee[0], n_instances=BATCH)

    return {
        "labelloop": lambda: selection.top(acquisition.vote_entropy(committee), BATCH, rng),
        "modAL": by_modal,
        "scikit-activeml": lambda: _activeml_batch(vote_entropy(votes(), classes)),
    }


def _top(scores: np.ndarray) -> dict[str, Work]:
    from modAL.utils.selection import multi_argmax

    rng = np.random.default_rng(0)
    return {
        "labelloop": lambda: selection.top(scores, BATCH, rng),
        "modAL": lambda: multi_argmax(scores, BATCH),
        "scikit-activeml": lambda: _activeml_batch(scores),
    }


def _activeml_batch(scores: np.ndarray) -> Any:
    from skactiveml.utils import simple_batch

    return simple_batch(scores, np.random.RandomState(0), batch_size=BATCH)


def _measure(what: str, works: dict[str, Work], array: np.ndarray) -> list[dict[str, Any]]:
    """A row for each library: CPU, memory, and both as ratios: to one pass over the array, and to labelloop."""
    one_pass = report.cpu(array.sum, repeats=5)
    seconds = {name: report.cpu(work) for name, work in works.items()}
    return [
        {
            "what": what,
            "library": name,
            "cpu_s": round(took, 4),
            "extra_mb": round(report.extra_memory(works[name]) / 2**20, 1),
            "passes": round(took / one_pass, 1),
            "times_labelloop": round(took / seconds["labelloop"], 1),
        }
        for name, took in seconds.items()
    ]


def _probabilities(rng: np.random.Generator, rows: int, classes: int) -> np.ndarray:
    """Softmax of normal logits, float32: some rows are sure, some are not."""
    logits = rng.normal(scale=2.0, size=(rows, classes)).astype(np.float32)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--members", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
