"""Fitting a model: labels, what is made up, what is guessed, and the temperature of what it says.

The pure heart of `train`, shared with the simulation: arrays in, a model out.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from labelloop import schema
from labelloop.domain.errors import CannotTrain
from labelloop.maths import balance, calibration, guesses
from labelloop.maths.arrays import Floats, Ints, Matrix
from labelloop.maths.geometry import stack
from labelloop.ports import Classifier, Estimators
from labelloop.projects import Project

FOLDS = 3
LEAST_TO_CALIBRATE = 30
MOST_TO_CALIBRATE = 4_000
"""Rows drawn for the out-of-fold predictions of temperature scaling: one number needs no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """A classifier with its temperature, its columns widened to all classes of the project."""

    classifier: Classifier
    temperature: float
    width: int
    reliability: tuple[float, ...] | None = None
    """Of each class, `balance.reliability` on rows held out; None where none were."""
    guesses: tuple[int, ...] = ()
    """Of each class, the guesses that were trained on; () in a model that was restored."""

    def probabilities(self, features: Matrix) -> Floats:
        """(n, width), rows sum to 1; a class the model does not know has 0."""
        return self._widen(self.classifier.probabilities(features))

    def committee(self, features: Matrix) -> Floats | None:
        """(members, n, width), or None for a model of one voice."""
        voices = self.classifier.committee(features)
        return None if voices is None else np.stack([self._widen(voice) for voice in voices])

    def _widen(self, narrow: Floats) -> Floats:
        wide = np.zeros((len(narrow), self.width), dtype=narrow.dtype)
        wide[:, self.classifier.classes] = calibration.apply_temperature(narrow, self.temperature)
        return wide


class Fitted(NamedTuple):
    """A classifier, and what it was fitted on besides labels and made-up rows."""

    classifier: Classifier
    guesses: Ints
    """(classes,): guesses of each class."""
    each: float
    """Guesses for each row of a class, of `guesses.per_row`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """How a model is fitted: on rows and, beside them, on what is made up and what is guessed.

    given: features (m, d) and class codes (m,) of items that were ingested as synthetic. What the project's `synthetic`
    makes comes on top. unlabeled: features (u, d) that guesses may be made of. None of it is ever predicted to see how
    good the model is. shape: that of one item's pixels.
    """

    estimators: Estimators
    project: Project
    seed: int
    given: tuple[Matrix, Ints] | None = None
    unlabeled: Matrix | None = None
    shape: tuple[int, ...] | None = None

    def rows(self, features: Matrix, codes: Ints) -> tuple[Matrix, Ints]:
        """The rows to fit on: these, first, and what is made up to go with them."""
        if self.given is not None and len(self.given[1]):
            features, codes = stack([features, self.given[0]]), np.concatenate([codes, self.given[1]])
        spec = self.project.synthetic
        if spec is None or not len(codes):
            return features, codes
        made, made_codes = self.estimators.synthesize(spec, features, codes, seed=self.seed)
        return stack([features, made]), np.concatenate([codes, made_codes])

    def fit(self, features: Matrix, codes: Ints, *, each: float | None = None) -> Fitted:
        """A classifier fitted on all of them; once more with its own guesses, where the project trains itself.

        `each` guesses for a row of a class are taken where it is given, so that a fold of the calibration is fitted as
        the model is whose temperature it finds.
        """
        rows, theirs = self.rows(features, codes)
        first, none = self._fit(rows, theirs), np.zeros(len(schema.of(self.project).classes), dtype=np.int64)
        spec, pool = self.project.guessing, self.unlabeled
        if spec is None or pool is None or not pool.shape[0]:
            return Fitted(first, none, 0.0)
        said, counts = first.probabilities(pool), np.bincount(theirs, minlength=len(none))[first.classes]
        if not np.isfinite(said).all():  # it will be found degenerate; taught by nonsense it would look healthy
            return Fitted(first, none, 0.0)
        if each is None:
            each = guesses.per_row(said, counts, most_per_row=spec.per_label, most=spec.most)
        lots = np.random.default_rng(self.seed).permutation(len(said))
        place, columns = guesses.surest(said, counts, each=each, lots=lots)
        if not len(place):
            return Fitted(first, none, 0.0)
        classes = first.classes[columns]
        second = self._fit(stack([rows, pool[place]]), np.concatenate([theirs, classes]))
        return Fitted(second, np.bincount(classes, minlength=len(none)), each)

    def _fit(self, rows: Matrix, codes: Ints) -> Classifier:
        return self.estimators.fit(self.project.model, rows, codes, shape=self.shape, seed=self.seed)


def fit(  # noqa: PLR0913 - all that a model is made of
    estimators: Estimators,
    project: Project,
    features: Matrix,
    codes: Ints,
    *,
    seed: int,
    given: tuple[Matrix, Ints] | None = None,
    unlabeled: Matrix | None = None,
    shape: tuple[int, ...] | None = None,
) -> Calibrated:
    """Fit the project's model on rows (n, d) with class codes (n,), and its temperature on out-of-fold predictions.

    `given` are synthetic rows and codes to fit on besides, `unlabeled` rows that guesses may be made of, `shape` is
    that of one item's pixels; see `Fitting`.

    Raises:
        CannotTrain: fewer than two classes, or the estimator failed.
    """
    fitting = Fitting(estimators=estimators, project=project, seed=seed, given=given, unlabeled=unlabeled, shape=shape)
    classifier, guessed, each = fitting.fit(features, codes)
    temperature, reliability, width = 1.0, None, len(guessed)
    held_out = _held_out(fitting, features, codes, width=width, each=each) if project.model.calibrate else None
    if held_out is not None:
        temperature = calibration.fit_temperature(*held_out)
        found = balance.reliability(calibration.apply_temperature(held_out[0], temperature), held_out[1])
        reliability = tuple(found.round(4).tolist())
    return Calibrated(
        classifier=classifier,
        temperature=temperature,
        width=width,
        reliability=reliability,
        guesses=tuple(guessed.tolist()),
    )


def _held_out(
    fitting: Fitting, features: Matrix, codes: Ints, *, width: int, each: float
) -> tuple[Floats, Ints] | None:
    """Out-of-fold probabilities (m, width) of real rows, and their codes; None where they are few or a fold fails."""
    if len(codes) < LEAST_TO_CALIBRATE:
        return None
    rng = np.random.default_rng(fitting.seed)
    rows = rng.permutation(len(codes))[:MOST_TO_CALIBRATE]
    fold = _stratified(codes[rows], rng)
    predicted: list[Floats] = []
    truth: list[Ints] = []
    for held in range(FOLDS):
        inside, outside = rows[fold != held], rows[fold == held]
        try:
            part = fitting.fit(features[inside], codes[inside], each=each).classifier
        except CannotTrain:
            return None
        place = np.searchsorted(part.classes, codes[outside])
        known = (place < len(part.classes)) & (part.classes[np.minimum(place, len(part.classes) - 1)] == codes[outside])
        narrow = part.probabilities(features[outside[known]])
        wide = np.zeros((len(narrow), width), dtype=np.float64)
        wide[:, part.classes] = narrow
        predicted.append(wide)
        truth.append(codes[outside[known]])
    return np.concatenate(predicted), np.concatenate(truth)


def _stratified(codes: Ints, rng: np.random.Generator) -> Ints:
    """A fold 0…FOLDS-1 for each row, so that every class is spread over the folds as evenly as it goes."""
    order = np.lexsort((rng.random(len(codes)), codes))
    fold = np.empty(len(codes), dtype=np.int64)
    fold[order] = np.arange(len(codes)) % FOLDS
    return fold
