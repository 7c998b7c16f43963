"""The single voices inside scikit-learn's ensembles: what each tree, bag or voter says, in the ensemble's columns."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from labelloop.maths.arrays import Floats, Ints, Matrix


def votes(ensemble: Any, rows: Matrix) -> Floats | None:
    """Probabilities (members, n, classes) of a fitted forest, bagging or voting classifier; None for all others.

    Boosting is no committee: its members correct each other, none stands for itself. A member that has no
    probabilities votes with 1 for its class.
    """
    found = _members(ensemble)
    if found is None:
        return None
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


def _members(ensemble: Any) -> list[tuple[Any, Ints | None]] | None:
    """Fitted members and the feature columns each sees; their classes are positions in the ensemble's classes."""
    from sklearn.ensemble import BaggingClassifier, VotingClassifier

    if _is_forest(ensemble) or isinstance(ensemble, VotingClassifier):
        return [(member, None) for member in ensemble.estimators_]
    if isinstance(ensemble, BaggingClassifier):
        every = np.arange(ensemble.n_features_in_)
        pairs = zip(ensemble.estimators_, ensemble.estimators_features_, strict=True)
        return [(member, None if np.array_equal(columns, every) else columns) for member, columns in pairs]
    return None


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
