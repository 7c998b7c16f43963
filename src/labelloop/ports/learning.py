"""What the loop asks of features, models and their files; a part of the page of ports."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from labelloop.domain.types import Item, Json
from labelloop.maths.arrays import Floats, Ints, Matrix
from labelloop.projects import ModelSpec, Project, Synthetic


class FeatureStore(Protocol):
    """Features in files, one per shard, computed once."""

    def ensure(self, project: Project, shard: int, items: Sequence[Item]) -> None:
        """Compute the features of a shard whose rows are `items`, unless they are there. The first call fits.

        Raises:
            InvalidFeatures: names the item's key and field, and what to do.
        """

    def adopt(self, project: Project, items: Sequence[Item]) -> bool:
        """Whether the rows of these items were made of them; where one was not, all rows of the project are forgotten.

        Files outlive a database: another one beside them, or a backup that was put back, has other items.
        """

    def rows(self, project: Project, shard: int) -> int:
        """Rows of this shard that are computed; 0 when none."""

    def shape(self, project: Project) -> tuple[int, ...] | None:
        """Height, width and channels of one item's pixels; None for other features and before the first fit."""

    def shard(self, project: Project, shard: int) -> Matrix:
        """The rows of one shard, memory-mapped."""

    def take(self, project: Project, numbers: Ints) -> Matrix:
        """The rows of these items, in the order asked, from any shard."""


class ScoreFiles(Protocol):
    """Columns of numbers beside the features: what a model said of a shard."""

    def write(self, project: Project, name: str, shard: int, columns: Mapping[str, Any]) -> None:
        """Keep arrays (n, …) of a shard under a name such as `model-3`; atomic."""

    def read(self, project: Project, name: str, shard: int) -> Mapping[str, Any] | None:
        """Memory-mapped, or None."""

    def discard(self, project: Project, keep: Iterable[str]) -> None:
        """Delete all columns but those of these names."""


class Classifier(Protocol):
    """A fitted model. Columns of what it returns follow `classes`: codes into the project's classes, ascending."""

    classes: Ints

    def probabilities(self, features: Matrix) -> Floats:
        """(n, len(classes)), rows sum to 1."""

    def committee(self, features: Matrix) -> Floats | None:
        """(members, n, len(classes)), or None for a model of one voice."""


class Estimators(Protocol):
    """Fits, saves and loads classifiers of every model kind."""

    def check(self, spec: ModelSpec) -> None:
        """Look at a model section without data.

        Raises:
            InvalidProject: an estimator that is not allowed, unknown parameters, or an extra that is not installed.
        """

    def fit(
        self, spec: ModelSpec, features: Matrix, codes: Ints, *, shape: tuple[int, ...] | None, seed: int
    ) -> Classifier:
        """Fit on rows with class codes. `shape` is that of one item's pixels, for convolutions.

        Raises:
            CannotTrain: fewer than two classes, or the estimator failed; says why.
        """

    def check_synthetic(self, spec: Synthetic) -> None:
        """Look at a `synthetic` section without data.

        Raises:
            InvalidProject: an extra that is not installed.
        """

    def synthesize(self, spec: Synthetic, features: Matrix, codes: Ints, *, seed: int) -> tuple[Matrix, Ints]:
        """Made-up rows (m, d) of classes with few rows, and their codes (m,)."""

    def dump(self, classifier: Classifier) -> bytes:
        """Without pickle."""

    def restore(self, blob: bytes) -> Classifier:
        """Raises:
        BadArtifact: not one of ours, damaged, or of another version.
        """


class Artifacts(Protocol):
    """Immutable bytes by their SHA-256."""

    def put(self, blob: bytes) -> str: ...

    def get(self, digest: str) -> bytes:
        """Raises:
        BadArtifact: missing, or its bytes do not match.
        """

    def drop(self, digests: Collection[str], needed: Callable[[Collection[str]], Collection[str]]) -> None:
        """Delete these but those that are `needed`, which is asked while nobody can put any.

        Who puts bytes that were there already, and refers to them afterwards, may lose them in between: so he puts them
        once more when his reference is in the store.
        """


LayoutKind = Literal["pca", "tsne"]
LAYOUTS: tuple[LayoutKind, ...] = ("pca", "tsne")
"""Ways from features to a plane: principal axes keep distances, t-SNE keeps neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Points on a plane: base (n, 2), more (m, 2), and the part of the variance along each axis, where it is known."""

    base: Floats
    more: Floats
    explained: tuple[float, float] | None


class Layouts(Protocol):
    """Features on a plane."""

    def place(self, project: Project, kind: LayoutKind, base: Matrix, more: Matrix) -> Layout:
        """Lay out the base rows (n, d), and put the others (m, d) among them. The same rows give the same plane."""


class Maps(Protocol):
    """The last map of each project's pool."""

    def keep(self, name: str, drawn: Mapping[str, Json]) -> None: ...

    def read(self, name: str) -> Mapping[str, Json] | None: ...


class Folders(Protocol):
    """What is kept of a project in files under its name: features, scores, layouts, maps."""

    def remove(self, name: str) -> None:
        """Delete all of it; nothing there is no error."""
