"""Strategies of scikit-activeml and small-text, by their own code, as plugins of labelloop in the same harness.

They look at the whole pool, and get the model's probabilities as they are. Sparse features come to them as dense rows
of 128 dimensions, by the random projection that labelloop's own rules of diversity use: none of them takes sparse rows.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import issparse, vstack

from labelloop.maths.geometry import projector
from labelloop.strategies import Evidence, Need

Pick = Callable[[Evidence, np.ndarray, int, int], np.ndarray]
"""Evidence, dense rows (open first, then labeled), how many, a seed → positions."""


class Said:
    """Stands for a fitted classifier that has answered already; rows are known by their number."""

    def __init__(self, probabilities: np.ndarray, labeled: int) -> None:
        self._said = np.vstack([probabilities, np.full((labeled, probabilities.shape[1]), 1 / probabilities.shape[1])])

    def predict_proba(self, numbers: Any) -> np.ndarray:
        """As small-text asks, which cuts its data set itself."""
        return self._said[np.asarray(numbers.x).astype(int).ravel()]


class Peer:
    """A strategy of another library. Implements strategies.Strategy and strategies.Picker."""

    needs = frozenset({Need.PROBABILITIES, Need.FEATURES})

    def __init__(self, name: str, pick: Pick) -> None:
        self.name, self._pick = name, pick

    def score(self, evidence: Evidence, _rng: np.random.Generator) -> np.ndarray:
        """All rows are shown."""
        return np.zeros(evidence.rows)

    def pick(self, evidence: Evidence, count: int, rng: np.random.Generator) -> np.ndarray:
        """What the library asks for; where it names a row twice, others at random fill up."""
        whole: Any = evidence.features
        if evidence.labeled is not None:
            both = [whole, evidence.labeled]
            whole = vstack(both).tocsr() if issparse(whole) else np.vstack(both)
        rows = np.asarray(projector(whole, np.random.default_rng(0))(whole), dtype=np.float64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = self._pick(evidence, rows, count, int(rng.integers(2**31)))
        chosen = np.array(list(dict.fromkeys(np.asarray(found).tolist())), dtype=np.intp)[:count]
        rest = np.setdiff1d(np.arange(evidence.rows), chosen)
        missing = min(count, evidence.rows) - len(chosen)
        return np.concatenate([chosen, rng.choice(rest, size=missing, replace=False)])


def _activeml(kind: str, **options: Any) -> Pick:
    def pick(evidence: Evidence, rows: np.ndarray, count: int, seed: int) -> np.ndarray:
        from skactiveml import pool
        from skactiveml.base import SkactivemlClassifier

        class Known(SkactivemlClassifier):
            """Answers what is known, by the number in the first column."""

            def fit(self, *_data: Any, **_options: Any) -> "Known":
                return self

            def predict_proba(self, asked: np.ndarray) -> np.ndarray:
                place = {row.tobytes(): at for at, row in enumerate(np.ascontiguousarray(rows))}
                found = [place[row.tobytes()] for row in np.ascontiguousarray(asked)]
                return said[found]

        classes = evidence.probabilities.shape[1]
        known = len(rows) - evidence.rows
        said = np.vstack([evidence.probabilities, np.full((known, classes), 1 / classes)])
        truth = np.full(len(rows), np.nan)
        truth[evidence.rows :] = 0  # who is labeled is looked at, not as what
        model = Known(classes=list(range(classes)))
        model.classes_ = np.arange(classes)
        query = getattr(pool, kind)(random_state=seed, **options)
        asked = {"X": rows, "y": truth, "batch_size": count}
        if kind == "Clue":
            return query.query(**asked, estimator=model, fit_estimator=False)
        if kind in {"UncertaintySampling", "Badge", "Falcun"}:
            return query.query(**asked, clf=model, fit_clf=False)
        return query.query(**asked)

    return pick


def _small_text(kind: str) -> Pick:
    def pick(evidence: Evidence, rows: np.ndarray, count: int, seed: int) -> np.ndarray:
        from small_text.data.datasets import SklearnDataset
        from small_text.query_strategies import strategies

        np.random.seed(seed)  # noqa: NPY002 - the library's own generator
        known = len(rows) - evidence.rows
        numbers = SklearnDataset(np.arange(len(rows))[:, None].astype(float), np.zeros(len(rows), dtype=int))
        model = Said(evidence.probabilities, known)
        waiting, labeled = np.arange(evidence.rows), np.arange(evidence.rows, len(rows))
        query = getattr(strategies, kind)()
        more = {"embeddings": rows} if kind == "EmbeddingKMeans" else {}
        return query.query(model, numbers, waiting, labeled, np.zeros(known, dtype=int), n=count, **more)

    return pick


PEERS: dict[str, Pick] = {
    "activeml_margin": _activeml("UncertaintySampling", method="margin_sampling"),
    "activeml_badge": _activeml("Badge"),
    "activeml_falcun": _activeml("Falcun"),
    "activeml_clue": _activeml("Clue"),
    "activeml_typiclust": _activeml("TypiClust"),
    "smalltext_breaking_ties": _small_text("BreakingTies"),
    "smalltext_kmeans": _small_text("EmbeddingKMeans"),
}


def __getattr__(name: str) -> Peer:
    """What an entry point loads."""
    if name in PEERS:
        return Peer(name, PEERS[name])
    raise AttributeError(name)


def announce(folder: Path) -> list[str]:
    """Make the peers known as installed plugins to this process, by a distribution of entry points below the cache."""
    place = folder / "peers" / "labelloop_benchmark_peers-0.dist-info"
    place.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} = labels_peers:{name}" for name in PEERS]
    (place / "entry_points.txt").write_text("[labelloop.strategies]\n" + "\n".join(lines) + "\n", encoding="utf-8")
    (place / "METADATA").write_text("Name: labelloop-benchmark-peers\nVersion: 0\n", encoding="utf-8")
    for path in (str(place.parent), str(Path(__file__).parent)):
        if path not in sys.path:
            sys.path.insert(0, path)
    return list(PEERS)
