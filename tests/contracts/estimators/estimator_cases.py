"""Model sections and data of the tests of the estimators, as plain values."""

from dataclasses import dataclass

from labelloop.maths.arrays import Ints, Matrix
from labelloop.projects import ModalCommittee, ModalLearner, ModelSpec, SklearnModel, TorchCnn, TorchMlp

LOGISTIC = SklearnModel(parameters={"max_iter": 1000})
BAYES = SklearnModel(estimator="sklearn.naive_bayes.GaussianNB", parameters={"var_smoothing": 1e-2})
FOREST = SklearnModel(estimator="sklearn.ensemble.RandomForestClassifier", parameters={"n_estimators": 15})
SPECS: dict[str, ModelSpec] = {
    "logistic": LOGISTIC,
    "forest": FOREST,
    "bayes": BAYES,
    "boosting": SklearnModel(
        estimator="sklearn.ensemble.HistGradientBoostingClassifier", parameters={"max_iter": 15, "min_samples_leaf": 5}
    ),
    "mlp": TorchMlp(hidden=(32,), epochs=30),
    "mlp ensemble": TorchMlp(hidden=(32,), epochs=30, members=3),
    "mlp dropout": TorchMlp(hidden=(32,), epochs=30, passes=4),
    "cnn": TorchCnn(channels=(8,), hidden=32, epochs=30),
    "modal learner": ModalLearner(parameters={"max_iter": 1000}),
    "modal committee": ModalCommittee(members=(LOGISTIC, BAYES, FOREST)),
}
"""One section of every kind, and of every way to be a committee."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Rows to train on and rows to be judged by, of classes 2, 5 and 7."""

    features: Matrix
    codes: Ints
    unseen: Matrix
    truth: Ints
