"""The field's libraries at what `acquisition.py` measures: their own functions on the same arrays, no model asked.

Those that are not installed are left out. modAL and scikit-activeml come with `make setup`; the others do where
somebody installs them: `pip install small-text cleanlab alipy lightly-mundig`.
"""

import collections
import collections.abc
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

Work = Callable[[Any], Any]
"""A case in, whatever the library answers out."""
LABELED = 1
"""Rows at the head of a case that count as labeled, where a library cannot do without."""


class Said:
    """Stands for a fitted classifier or committee whose answers are known already."""

    def __init__(self, probabilities: np.ndarray, committee: np.ndarray | None = None) -> None:
        self._probabilities, self._committee = probabilities, committee
        self.classes_ = np.arange(probabilities.shape[1])
        self.n_classes_ = len(self.classes_)
        self.learner_list = [] if committee is None else [Said(member) for member in committee]

    def __iter__(self) -> Any:
        """Over members, as modAL does."""
        return iter(self.learner_list)

    def __len__(self) -> int:
        """Members, as modAL asks."""
        return len(self.learner_list)

    def predict_proba(self, _rows: Any, **options: Any) -> np.ndarray:
        """As scikit-learn; with dropout as small-text: (n, members, classes)."""
        if "dropout_sampling" in options:
            return self._committee.swapaxes(0, 1)
        return self._probabilities

    def vote(self, _rows: Any, **_options: Any) -> np.ndarray:
        """As a committee of modAL."""
        return self._committee.argmax(axis=2).T

    def vote_proba(self, _rows: Any, **_options: Any) -> np.ndarray:
        """As a committee of modAL."""
        return self._committee.swapaxes(0, 1)


LIBRARIES = {
    "modAL": "modAL",
    "scikit-activeml": "skactiveml",
    "small-text": "small_text",
    "ALiPy": "alipy",
    "cleanlab": "cleanlab",
    "lightly-mundig": "lightly_mundig",
}
"""Library → the module it is imported by."""


def peers() -> dict[str, Mapping[str, Work]]:
    """Library → strategy of ours → how the library does the same."""
    makers = dict(zip(LIBRARIES, (_modal, _activeml, _small_text, _alipy, _cleanlab, _mundig), strict=True))
    found = {}
    for library, module in LIBRARIES.items():
        try:
            if module == "alipy":  # it was written for Python below 3.10
                collections.Iterable = collections.abc.Iterable  # type: ignore[attr-defined]
            import_module(module)
        except ImportError:
            continue
        found[library] = makers[library]()
    return found


def _modal() -> dict[str, Work]:
    from modAL import disagreement, uncertainty

    def one(function: Callable[..., Any]) -> Work:
        return lambda case: function(Said(case.probabilities), case.probabilities, n_instances=case.batch)

    def many(function: Callable[..., Any]) -> Work:
        return lambda case: function(
            Said(case.probabilities, case.committee), case.probabilities, n_instances=case.batch
        )

    return {
        "least_confidence": one(uncertainty.uncertainty_sampling),
        "margin": one(uncertainty.margin_sampling),
        "entropy": one(uncertainty.entropy_sampling),
        "vote_entropy": many(disagreement.vote_entropy_sampling),
        "consensus_entropy": many(disagreement.consensus_entropy_sampling),
        "max_disagreement": many(disagreement.max_disagreement_sampling),
    }


def _activeml() -> dict[str, Work]:
    from skactiveml import pool
    from skactiveml.utils import simple_batch

    def best(scores: np.ndarray, case: Any) -> Any:
        return simple_batch(scores, np.random.RandomState(0), batch_size=case.batch)

    def uncertainty(method: str) -> Work:
        return lambda case: best(pool.uncertainty_scores(case.probabilities, method=method), case)

    def votes(case: Any) -> np.ndarray:
        return case.committee.argmax(axis=2).T

    def cost(case: Any) -> Any:
        return best(pool.uncertainty_scores(case.probabilities, cost_matrix=case.costs), case)

    def k_center(case: Any) -> Any:
        return pool.k_greedy_center(case.features, _truth(case), batch_size=case.batch, random_state=0)

    def rule(kind: str) -> Work:
        return lambda case: getattr(pool, kind)(random_state=0).query(
            case.features, _truth(case), batch_size=case.batch
        )

    return {
        "least_confidence": uncertainty("least_confident"),
        "margin": uncertainty("margin_sampling"),
        "entropy": uncertainty("entropy"),
        "expected_cost": cost,
        "vote_entropy": lambda case: best(pool.vote_entropy(votes(case), np.arange(case.committee.shape[2])), case),
        "variation_ratio": lambda case: best(pool.variation_ratios(votes(case)), case),
        "bald": lambda case: best(pool.average_kl_divergence(case.committee.copy()), case),
        "k_center": k_center,
        "badge": _activeml_badge(),
        "typiclust": rule("TypiClust"),
        "herding": rule("MaxHerding"),
    }


def _activeml_badge() -> Work:
    from skactiveml.base import SkactivemlClassifier
    from skactiveml.pool import Badge

    class Known(SkactivemlClassifier):
        """Says what is known of the rows that are not labeled."""

        def __init__(self, said: np.ndarray | None = None, classes: Any = None) -> None:
            super().__init__(classes=classes)
            self.said = said

        def fit(self, *_data: Any, **_options: Any) -> "Known":
            """Nothing to learn."""
            return self

        def predict_proba(self, rows: np.ndarray) -> np.ndarray:
            """As many rows as asked, from the end."""
            return self.said[-len(rows) :]

    def badge(case: Any) -> Any:
        model = Known(case.probabilities, classes=list(range(case.probabilities.shape[1])))
        return Badge(random_state=0).query(case.features, _truth(case), clf=model, fit_clf=False, batch_size=case.batch)

    return badge


def _small_text() -> dict[str, Work]:
    from small_text.query_strategies import bayesian, coresets, strategies

    def query(make: Callable[[], Any]) -> Work:
        def work(case: Any) -> Any:
            waiting, labeled = _split(case)
            model = Said(case.probabilities, case.committee)
            return make().query(model, case.features, waiting, labeled, np.zeros(LABELED, dtype=int), n=case.batch)

        return work

    def k_center(case: Any) -> Any:
        waiting, labeled = _split(case)
        return coresets.greedy_coreset(case.features, waiting, labeled, case.batch, distance_metric="euclidean")

    return {
        "least_confidence": query(strategies.LeastConfidence),
        "margin": query(strategies.BreakingTies),
        "entropy": query(strategies.PredictionEntropy),
        "bald": query(bayesian.BALD),
        "k_center": k_center,
    }


def _alipy() -> dict[str, Work]:
    from alipy.query_strategy import query_labels

    def uncertainty(measure: str) -> Work:
        return lambda case: query_labels.QueryInstanceUncertainty(measure=measure).select_by_prediction_mat(
            np.arange(len(case.probabilities)), case.probabilities, batch_size=case.batch
        )

    def committee(case: Any) -> Any:
        members = [member.argmax(axis=1) for member in case.committee]
        rule = query_labels.QueryInstanceQBC(disagreement="vote_entropy")
        return rule.select_by_prediction_mat(np.arange(len(members[0])), members, batch_size=case.batch)

    def k_center(case: Any) -> Any:
        every = np.arange(len(case.features))
        rule = query_labels.QueryInstanceCoresetGreedy(case.features, np.zeros(len(every)), every)
        return rule.select(every[:LABELED], every[LABELED:], batch_size=case.batch)

    return {
        "least_confidence": uncertainty("least_confident"),
        "margin": uncertainty("margin"),
        "entropy": uncertainty("entropy"),
        "vote_entropy": committee,
        "k_center": k_center,
    }


def _cleanlab() -> dict[str, Work]:
    from cleanlab.multiannotator import get_active_learning_scores

    def active_lab(case: Any) -> Any:
        known, waiting = case.probabilities[:LABELED], case.probabilities[LABELED:]
        labels = known.argmax(axis=1)[:, None].repeat(2, axis=1)
        _, scores = get_active_learning_scores(labels, known, waiting)
        return np.argpartition(scores, case.batch)[: case.batch]

    return {"least_confidence": active_lab}


def _mundig() -> dict[str, Work]:
    from lightly_mundig import Selection

    def k_center(case: Any) -> Any:
        selection = Selection()
        selection.add_diversifying_strategy(case.features, 1.0)
        return selection.run_selection(list(range(LABELED)), len(case.features), case.batch + LABELED)

    return {"k_center": k_center}


def _truth(case: Any) -> np.ndarray:
    """For scikit-activeml: NaN is unlabeled."""
    truth = np.full(len(case.features), np.nan)
    truth[:LABELED] = 0
    return truth


def _split(case: Any) -> tuple[np.ndarray, np.ndarray]:
    every = np.arange(len(case.probabilities))
    return every[LABELED:], every[:LABELED]
