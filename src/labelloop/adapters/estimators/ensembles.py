"""The single voices inside scikit-learn's ensembles: what each tree, bag or voter says, in the ensemble's columns."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from labelloop.maths.arrays import Floats, Ints, Matrix


def is_committee(estimator: Any) -> bool:
    """Whether its members each stand for themselves: forests, bagging, voting. Those of boosting correct each other."""
    from sklearn.ensemble import BaggingClassifier, VotingClassifier

    return _is_forest(estimator) or isinstance(estimator, BaggingClassifier | VotingClassifier)


def votes(ensemble: Any, rows: Matrix) -> Floats:
    """Probabilities (members, n, classes), float32, of a fitted committee.

    A member that has no probabilities votes with 1 for its class.
    """
    found = _members(ensemble)
    # Trees work in float32; converting here saves a conversion per tree.
    rows = rows.astype(np.float32) if _is_forest(ensemble) else rows
    out = np.zeros((len(found), rows.shape[0], len(ensemble.classes_)), dtype=np.float32)
    if rows.shape[0] == 0:
        return out
    for voice, (member, columns) in zip(out, found, strict=True):
        seen = rows if columns is None else rows[:, columns]
        for position, column in zip(member.classes_.astype(np.int64), _columns(member, seen), strict=True):
            voice[:, position] = column
    return out


def _members(ensemble: Any) -> list[tuple[Any, Ints | None]]:
    """Fitted members and the feature columns each sees; their classes are positions in the ensemble's classes."""
    subsets = getattr(ensemble, "estimators_features_", None)
    if subsets is None:
        return [(member, None) for member in ensemble.estimators_]
    every = np.arange(ensemble.n_features_in_)
    pairs = zip(ensemble.estimators_, subsets, strict=True)
    return [(member, None if np.array_equal(columns, every) else columns) for member, columns in pairs]


def _is_forest(ensemble: Any) -> bool:
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

    return isinstance(ensemble, RandomForestClassifier | ExtraTreesClassifier)


def _columns(member: Any, rows: Matrix) -> Iterator[Floats]:
    if hasattr(member, "predict_proba"):
        yield from member.predict_proba(rows).T
        return
    chosen = member.predict(rows)
    for name in member.classes_:
        yield (chosen == name).astype(np.float32)
