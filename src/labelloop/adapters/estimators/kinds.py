"""All model kinds behind the port Estimators: looks up the kind, imports it when it is first used, and turns what goes
wrong into errors that say what to do. How a kind works is left to its module.
"""

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol, cast

import numpy as np

from labelloop.adapters.estimators.container import Packed, pack, unpack
from labelloop.domain.errors import BadArtifact, CannotTrain, InvalidProject
from labelloop.maths.arrays import Ints, Matrix
from labelloop.ports import Classifier
from labelloop.projects import ModelSpec, Synthetic

_HOME = "labelloop.adapters.estimators"
_KINDS = {
    "sklearn": ("sklearn_kind", None),
    "torch_mlp": ("torch_kind", "torch"),
    "torch_cnn": ("torch_kind", "torch"),
    "modal_learner": ("modal_kind", "modal"),
    "modal_committee": ("modal_kind", "modal"),
}
"""Kind → its module here, and the extra of labelloop that it needs."""


class _Kind(Protocol):
    """What the module of a kind offers."""

    def check(self, spec: Any) -> None: ...

    def fit(
        self, spec: Any, features: Matrix, codes: Ints, *, shape: tuple[int, ...] | None, seed: int
    ) -> Classifier: ...

    def restore(self, packed: Packed) -> Classifier: ...


class EstimatorKinds:
    """Fits, saves and loads classifiers of every model kind. Implements ports.Estimators."""

    def check(self, spec: ModelSpec) -> None:
        """Look at a model section without data, when a project is created.

        Raises:
            InvalidProject: an estimator that is not allowed, unknown parameters, or an extra that is not installed.
        """
        try:
            _kind(spec.kind).check(spec)
        except _ExtraMissing as error:
            raise InvalidProject(f"model.kind: {error}") from None

    def check_synthetic(self, spec: Synthetic) -> None:
        """Look whether rows can be made up, when a project is created.

        Raises:
            InvalidProject: the extra is not installed.
        """
        try:
            _maker(spec)
        except _ExtraMissing as error:
            raise InvalidProject(f"synthetic: {error}") from None

    def synthesize(self, spec: Synthetic, features: Matrix, codes: Ints, *, seed: int) -> tuple[Matrix, Ints]:
        try:
            made: tuple[Matrix, Ints] = _maker(spec).rows(spec, features, np.asarray(codes, dtype=np.int64), seed=seed)
        except _ExtraMissing as error:
            raise CannotTrain(str(error)) from None
        return made

    def fit(
        self, spec: ModelSpec, features: Matrix, codes: Ints, *, shape: tuple[int, ...] | None, seed: int
    ) -> Classifier:
        try:
            return _kind(spec.kind).fit(spec, features, np.asarray(codes, dtype=np.int64), shape=shape, seed=seed)
        except (InvalidProject, _ExtraMissing) as error:
            raise CannotTrain(str(error)) from None

    def dump(self, classifier: Classifier) -> bytes:
        packed = getattr(classifier, "packed", None)
        if packed is None:
            msg = f"{type(classifier).__name__} does not come from EstimatorKinds; dump the classifier that `fit` gave."
            raise TypeError(msg)
        return pack(packed())

    def restore(self, blob: bytes) -> Classifier:
        packed = unpack(blob)
        if packed.kind not in _KINDS:
            raise BadArtifact(
                f"The model is of kind {packed.kind!r}, which this labelloop does not know; it knows "
                f"{', '.join(_KINDS)}. Use the labelloop that wrote it, or train again."
            )
        _same_major(packed)
        try:
            classifier = _kind(packed.kind).restore(packed)
        except BadArtifact:
            raise
        except _ExtraMissing as error:
            raise BadArtifact(str(error)) from None
        except Exception as error:
            raise BadArtifact(
                f"The model file cannot be read ({type(error).__name__}: {error}). It was made with "
                f"{_listed(packed)}. Install these versions, or train the model again."
            ) from error
        if tuple(classifier.classes.tolist()) != packed.classes:
            raise BadArtifact("The model's classes are not those its header names. Train the model again.")
        return classifier


class _ExtraMissing(Exception):
    """An optional library is not installed."""


def _maker(spec: Synthetic) -> Any:
    try:
        return importlib.import_module(f"{_HOME}.synthetic")
    except ImportError as error:
        raise _ExtraMissing(
            f"{spec.kind} needs the extra `labelloop[imbalance]` ({error}). Install it with "
            '`pip install "labelloop[imbalance]"`, or leave `synthetic` out.'
        ) from None


def _kind(name: str) -> _Kind:
    module, extra = _KINDS[name]
    try:
        return cast("_Kind", importlib.import_module(f"{_HOME}.{module}"))
    except ImportError as error:
        if extra is None:
            raise
        raise _ExtraMissing(
            f"{name} needs the extra `labelloop[{extra}]` ({error}). Install it with "
            f'`pip install "labelloop[{extra}]"`, or choose another kind.'
        ) from None


def _same_major(packed: Packed) -> None:
    """An estimator's inner state is only valid for its own major version of scikit-learn; torch weights always are."""
    made = packed.versions.get("scikit-learn")
    if made is None:
        return
    here = version("scikit-learn")
    if made.split(".")[0] != here.split(".")[0]:
        raise BadArtifact(
            f"The model was made with scikit-learn {made}; here is {here}. Install that version, or train again."
        )


def _listed(packed: Packed) -> str:
    parts = []
    for name, made in packed.versions.items():
        try:
            parts.append(f"{name} {made} (here {version(name)})")
        except PackageNotFoundError:
            parts.append(f"{name} {made} (not installed here)")
    return ", ".join(parts)
