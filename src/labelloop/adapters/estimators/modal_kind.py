"""The model kinds `modal_learner` and `modal_committee`: live modAL objects that any modAL query function may ask.

modAL only holds the estimators and answers queries. We fit them: its own `fit` and `teach` fail with scikit-learn 1.8
and later, and take no seed. Saved are the estimators; the modAL objects are built around them again.
"""

from importlib.metadata import version
from typing import Any

import numpy as np

from labelloop.adapters.estimators import sklearn_specs, skops_files
from labelloop.adapters.estimators.container import Packed
from labelloop.adapters.estimators.notes import noted
from labelloop.adapters.estimators.rows import trainable
from labelloop.adapters.estimators.sklearn_kind import SklearnClassifier, fitted, predict
from labelloop.maths.arrays import Floats, Ints, Matrix
from labelloop.projects import ModalCommittee, ModalLearner

with noted("modAL"):
    from modAL.models import ActiveLearner, Committee


class ModalLearnerClassifier(SklearnClassifier):
    """An ActiveLearner around one fitted estimator. Implements ports.Classifier."""

    def __init__(self, estimator: Any) -> None:
        super().__init__(estimator)
        self.learner = ActiveLearner(estimator=estimator)

    def packed(self) -> Packed:
        return _packed("modal_learner", self.classes, [self.estimator])


class ModalCommitteeClassifier:
    """A Committee of ActiveLearners; its probabilities are the members' mean. Implements ports.Classifier."""

    def __init__(self, estimators: list[Any]) -> None:
        self.learner = Committee(learner_list=[ActiveLearner(estimator=each) for each in estimators])
        self.classes: Ints = np.asarray(self.learner.classes_, dtype=np.int64)

    def probabilities(self, features: Matrix) -> Floats:
        voices = [self._aligned(each, features) for each in self._estimators]
        return np.asarray(np.mean(voices, axis=0))

    def committee(self, features: Matrix) -> Floats:
        return np.stack([self._aligned(each, features) for each in self._estimators]).astype(np.float32)

    def packed(self) -> Packed:
        """Taken apart, to be saved."""
        return _packed("modal_committee", self.classes, self._estimators)

    @property
    def _estimators(self) -> list[Any]:
        return [learner.estimator for learner in self.learner]

    def _aligned(self, estimator: Any, features: Matrix) -> Floats:
        out = np.zeros((features.shape[0], self.classes.size))
        out[:, np.searchsorted(self.classes, estimator.classes_)] = predict(estimator, features)
        return out


def check(spec: ModalLearner | ModalCommittee) -> None:
    """Raises InvalidProject when no such estimators can be built."""
    for member in spec.members if isinstance(spec, ModalCommittee) else (spec,):
        sklearn_specs.build(member.estimator, member.parameters)


def fit(
    spec: ModalLearner | ModalCommittee, features: Matrix, codes: Ints, *, shape: tuple[int, ...] | None, seed: int
) -> ModalLearnerClassifier | ModalCommitteeClassifier:
    """See ports.Estimators.fit; `shape` plays no part."""
    del shape
    if isinstance(spec, ModalLearner):
        return ModalLearnerClassifier(fitted(spec.estimator, spec.parameters, features, codes, seed=seed))
    trainable(features, codes)
    estimators = []
    for member, inner in enumerate(spec.members):
        sequence = np.random.SeedSequence((seed, member))
        rows = bootstrap(codes, np.random.default_rng(sequence))
        own = int(sequence.generate_state(1)[0])
        estimators.append(fitted(inner.estimator, inner.parameters, features[rows], codes[rows], seed=own))
    return ModalCommitteeClassifier(estimators)


def restore(packed: Packed) -> ModalLearnerClassifier | ModalCommitteeClassifier:
    """The classifier that `packed()` took apart."""
    estimators = [skops_files.load(payload) for payload in packed.payloads.values()]
    if packed.kind == "modal_learner":
        return ModalLearnerClassifier(estimators[0])
    return ModalCommitteeClassifier(estimators)


def bootstrap(codes: Ints, rng: np.random.Generator) -> Ints:
    """Row numbers drawn with replacement within each class, so that every member knows every class."""
    drawn = [rng.choice(np.flatnonzero(codes == code), size=int(np.sum(codes == code))) for code in np.unique(codes)]
    return np.sort(np.concatenate(drawn))


def _packed(kind: str, classes: Ints, estimators: list[Any]) -> Packed:
    return Packed(
        kind=kind,
        classes=tuple(classes.tolist()),
        versions={**skops_files.versions(), "modAL-python": version("modAL-python")},
        payloads={f"member {number}": skops_files.dump(each) for number, each in enumerate(estimators)},
    )
