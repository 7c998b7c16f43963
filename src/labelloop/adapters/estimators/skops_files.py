"""scikit-learn estimators as skops files: no pickle, a fixed list of trusted types, and a bound on what unpacks.

skops checks the types in a file, not their content. Trees are walked without bounds checks by scikit-learn, so their
nodes are checked in `tree_nodes` before the estimator is handed out.
"""

import io
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from labelloop.adapters.estimators.notes import noted
from labelloop.adapters.estimators.sklearn_specs import resolve
from labelloop.adapters.estimators.tree_nodes import check_nodes
from labelloop.domain.errors import BadArtifact, InvalidProject

TRUSTED = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)
"""Types beyond skops' own list that the allowed classifiers are made of."""


LOADS_TORCH = "sklearn.externals.array_api_compat.torch"


@contextmanager
def _without_torch() -> Iterator[None]:
    """Importing skops looks through every module of scikit-learn; the one that loads torch is left out."""
    if LOADS_TORCH in sys.modules:
        yield
        return
    modules: dict[str, Any] = sys.modules
    modules[LOADS_TORCH] = None  # what Python takes for "there is no such module"
    try:
        yield
    finally:
        del modules[LOADS_TORCH]


with _without_torch():  # a second instead of five, and 200 MB less
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

_ALWAYS = 16 << 20
_RATIO = 50
_MOST = 2 << 30


def versions() -> dict[str, str]:
    """Versions that a skops file depends on."""
    return {name: version(name) for name in ("scikit-learn", "skops", "numpy")}


def dump(estimator: Any) -> bytes:
    """The estimator as a compressed skops file."""
    return bytes(skops.io.dumps(estimator, compression=zipfile.ZIP_DEFLATED, compresslevel=1))


def load(blob: bytes) -> Any:
    """The fitted classifier of a skops file.

    Raises:
        BadArtifact: not a skops file, too large when unpacked, types that are not trusted, or no classifier inside.
    """
    _bounded(blob)
    try:
        with noted("skops"):
            estimator = skops.io.loads(blob, trusted=list(TRUSTED))
    except UntrustedTypesFoundException as error:
        raise BadArtifact(
            f"The model file holds types that labelloop does not load: {str(error).partition(chr(10))[0]} It was not "
            "made by labelloop, or was changed. Do not use it; train the model again."
        ) from None
    _a_classifier(estimator)
    check_nodes(estimator)
    return estimator


def _bounded(blob: bytes) -> None:
    """Refuse archives that would unpack to far more than they are; reading never exceeds the declared sizes."""
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile as error:
        raise BadArtifact(f"The model file holds no skops file ({error}). Train the model again.") from None
    if unpacked > min(_MOST, _ALWAYS + _RATIO * len(blob)):
        raise BadArtifact(
            f"The model file would unpack from {len(blob):,} to {unpacked:,} bytes, which no model of labelloop does. "
            "Do not use it; train the model again."
        )


def _a_classifier(estimator: Any) -> None:
    kind = type(estimator)
    path = f"{kind.__module__.partition('._')[0]}.{kind.__name__}"
    try:
        expected = resolve(path)
    except InvalidProject:
        expected = None
    if kind is not expected or not hasattr(estimator, "classes_"):
        raise BadArtifact(f"The model file holds a {kind.__name__}, not a fitted classifier. Train the model again.")
