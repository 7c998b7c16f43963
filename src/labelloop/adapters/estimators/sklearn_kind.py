"""The model kind `sklearn`: fits one classifier of scikit-learn and serves its probabilities."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.sparse import issparse

from labelloop.adapters.estimators import sklearn_specs, skops_files
from labelloop.adapters.estimators.container import Packed
from labelloop.adapters.estimators.ensembles import is_committee, votes
from labelloop.adapters.estimators.notes import noted
from labelloop.adapters.estimators.rows import acceptable, blocks, same_width, trainable
from labelloop.domain.errors import CannotTrain
from labelloop.maths.arrays import Floats, Ints, Matrix
from labelloop.projects import SklearnModel


class SklearnClassifier:
    """A fitted estimator of scikit-learn. Implements ports.Classifier."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self.classes: Ints = np.asarray(estimator.classes_, dtype=np.int64)

    def probabilities(self, features: Matrix) -> Floats:
        return predict(self.estimator, features)

    def committee(self, features: Matrix) -> Floats | None:
        if not is_committee(self.estimator):
            return None
        parts = [votes(self.estimator, rows) for rows in _pieces(self.estimator, features)]
        return np.concatenate(parts, axis=1)

    def packed(self) -> Packed:
        """Taken apart, to be saved."""
        return Packed(
            kind="sklearn",
            classes=tuple(self.classes.tolist()),
            versions=skops_files.versions(),
            payloads={"estimator": skops_files.dump(self.estimator)},
        )


def check(spec: SklearnModel) -> None:
    """Raises InvalidProject when no such estimator can be built."""
    sklearn_specs.build(spec.estimator, spec.parameters)


def fit(
    spec: SklearnModel, features: Matrix, codes: Ints, *, shape: tuple[int, ...] | None, seed: int
) -> SklearnClassifier:
    """See ports.Estimators.fit; `shape` plays no part."""
    del shape
    return SklearnClassifier(fitted(spec.estimator, spec.parameters, features, codes, seed=seed))


def restore(packed: Packed) -> SklearnClassifier:
    """The classifier that `packed()` took apart."""
    return SklearnClassifier(skops_files.load(packed.payloads["estimator"]))


def fitted(path: str, parameters: dict[str, Any], features: Matrix, codes: Ints, *, seed: int) -> Any:
    """An estimator fitted on these rows, which has also answered once: some fail only when they are asked.

    Raises:
        CannotTrain: too few classes, unfit features, or the estimator raised.
    """
    classes = trainable(features, codes)
    estimator = sklearn_specs.build(path, parameters, seed=seed, present=classes)
    rows = acceptable(features, sparse=sklearn_specs.takes_sparse(estimator))
    try:
        with noted(path):
            estimator.fit(rows, codes)
            estimator.predict_proba(rows[:2])
    except Exception as error:
        smallest = int(np.unique(codes, return_counts=True)[1].min())
        raise CannotTrain(
            f"{path} could not be fitted on {codes.shape[0]} rows of {classes.size} classes (the smallest has "
            f"{smallest}): {error}. Change model.parameters, choose another estimator, or label more."
        ) from error
    return estimator


def predict(estimator: Any, features: Matrix) -> Floats:
    """Probabilities (n, classes) of a fitted estimator.

    Raises:
        InvalidFeatures: another number of columns than it was fitted on.
    """
    parts = [np.zeros((0, len(estimator.classes_)))]
    parts += [estimator.predict_proba(rows) for rows in _pieces(estimator, features) if rows.shape[0]]
    return np.concatenate(parts)


def _pieces(estimator: Any, features: Matrix) -> Iterator[Matrix]:
    """The rows as the estimator takes them, in blocks of bounded size (one empty block where there are none)."""
    same_width(features, estimator.n_features_in_)
    sparse = sklearn_specs.takes_sparse(estimator)
    stored = features.shape[1]
    if sparse and issparse(features):
        stored = 2 * features.nnz // max(features.shape[0], 1)
    with noted(type(estimator).__name__):
        for start, stop in blocks(features, width=stored) if features.shape[0] else [(0, 0)]:
            yield acceptable(features[start:stop], sparse=sparse)
