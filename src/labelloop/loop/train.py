"""train: labels become a candidate model, calibrated, measured on the audit and kept with its provenance.

`fit` is the pure heart, shared with the simulation. A job that is run twice gives one model: the registry knows a
model by its job.
"""

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np

from labelloop import schema
from labelloop.domain.errors import CannotTrain
from labelloop.domain.states import ModelState
from labelloop.domain.types import ItemNumber, JobId, Model, ModelNumber, TrainingSet
from labelloop.loop.featurize import Beat, featurize
from labelloop.loop.pool import audit_labels, synthetic_labels, training_labels
from labelloop.maths import balance, calibration, degeneracy, estimation
from labelloop.maths.arrays import Floats, Ints, Matrix
from labelloop.maths.geometry import stack
from labelloop.ports import Classifier, Estimators, Ports
from labelloop.projects import Project

FOLDS = 3
PACKAGES = ("numpy", "scikit-learn", "imbalanced-learn")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """How a model is fitted: on rows and, beside them, on what is made up.

    given: features (m, d) and class codes (m,) of items that were ingested as synthetic. What the project's `synthetic`
    makes comes on top. Neither is ever predicted to see how good the model is. shape: that of one item's pixels.
    """

    estimators: Estimators
    project: Project
    seed: int
    given: tuple[Matrix, Ints] | None = None
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

    def fit(self, features: Matrix, codes: Ints) -> Classifier:
        """A classifier fitted on all of them."""
        rows, theirs = self.rows(features, codes)
        return self.estimators.fit(self.project.model, rows, theirs, shape=self.shape, seed=self.seed)


def fit(
    estimators: Estimators,
    project: Project,
    features: Matrix,
    codes: Ints,
    *,
    seed: int,
    given: tuple[Matrix, Ints] | None = None,
    shape: tuple[int, ...] | None = None,
) -> Calibrated:
    """Fit the project's model on rows (n, d) with class codes (n,), and its temperature on out-of-fold predictions.

    `given` are synthetic rows and codes to fit on besides, `shape` is that of one item's pixels; see `Fitting`.

    Raises:
        CannotTrain: fewer than two classes, or the estimator failed.
    """
    fitting = Fitting(estimators=estimators, project=project, seed=seed, given=given, shape=shape)
    classifier = fitting.fit(features, codes)
    temperature, reliability, width = 1.0, None, len(schema.of(project).classes)
    held_out = _held_out(fitting, features, codes, width=width) if project.model.calibrate else None
    if held_out is not None:
        temperature = calibration.fit_temperature(*held_out)
        found = balance.reliability(calibration.apply_temperature(held_out[0], temperature), held_out[1])
        reliability = tuple(found.round(4).tolist())
    return Calibrated(classifier=classifier, temperature=temperature, width=width, reliability=reliability)


def _held_out(fitting: Fitting, features: Matrix, codes: Ints, *, width: int) -> tuple[Floats, Ints] | None:
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
            part = fitting.fit(features[inside], codes[inside])
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


# --- the verb --------------------------------------------------------------------------------------------------


def train(ports: Ports, name: str, job: JobId, beat: Beat) -> Model:
    """Take the training set, fit, measure on the audit, and register the model of this job.

    The model is a CANDIDATE, or DEGENERATE with the reason.

    Raises:
        CannotTrain: fewer than two classes among the labels.
    """
    done = ports.models.of_job(name, job)
    if done is not None:
        return done
    project, row = ports.projects.get(name), ports.projects.row(name)
    threshold = row.audit_threshold or 0
    numbers, codes = training_labels(ports, project, threshold, items=row.items)
    made_up = synthetic_labels(ports, project, items=row.items)
    chosen = _training_set(project, (numbers, codes), made_up)
    ports.models.keep_training_set(name, chosen, ports.clock.now())
    beat(0.1, f"training on {len(numbers)} labels")
    featurize(ports, project, row.items, lambda part, what: beat(0.1 + 0.2 * part, what))
    features = ports.features.take(project, numbers)
    given = (ports.features.take(project, made_up[0]), made_up[1])
    shape = ports.features.shape(project)
    model = fit(ports.estimators, project, features, codes, seed=project.seed, given=given, shape=shape)
    beat(0.8, "measuring on the audit")
    shown, known = (features, codes) if len(codes) else given  # before the first label there may be made-up rows
    complaint = degeneracy.diagnose(model.classifier.probabilities(shown), model.classifier.classes, np.unique(known))
    metrics = {} if complaint else measure(ports, project, model, threshold)
    candidate = Model(
        number=ModelNumber(0),
        state=ModelState.DEGENERATE if complaint else ModelState.CANDIDATE,
        training_set=chosen.digest,
        artifact=ports.artifacts.put(ports.estimators.dump(model.classifier)),
        labels=len(numbers),
        spent=row.spent,
        metrics=metrics,
        reason=complaint or "waits for the gate",
        created_at=ports.clock.now(),
        provenance=_provenance(project, model, codes, made_up[1]),
    )
    number = ports.models.add(name, candidate, job)
    return ports.models.get(name, number)


def measure(ports: Ports, project: Project, model: Calibrated, threshold: int) -> Mapping[str, Any]:
    """The metrics of a model on the audit labels there are; {} without any."""
    numbers, codes = audit_labels(ports, project, threshold)
    if not len(numbers):
        return {}
    probabilities = model.probabilities(ports.features.take(project, numbers))
    metrics = dict(estimation.measure(probabilities, codes, np.random.default_rng(project.seed)))
    classes = schema.of(project).classes
    metrics["per_class"] = {classes[int(code)]: one for code, one in metrics["per_class"].items()}
    return metrics


def load_model(ports: Ports, project: Project, number: ModelNumber) -> Calibrated:
    """A registered model, ready to look. The newest few stay warm in this process.

    Raises:
        BadArtifact: its file is damaged or of another version.
    """
    model = ports.models.get(project.name, number)
    temperature, classes = float(model.provenance.get("temperature", 1.0)), schema.of(project).classes
    known = model.provenance.get("reliability")  # models of older versions have none
    reliability = None if known is None else tuple(float(known.get(name, 1.0)) for name in classes)
    return _restore(ports, model.artifact, temperature, reliability, len(classes))


@lru_cache(maxsize=4)
def _restore(
    ports: Ports, artifact: str, temperature: float, reliability: tuple[float, ...] | None, width: int
) -> Calibrated:
    classifier = ports.estimators.restore(ports.artifacts.get(artifact))
    return Calibrated(classifier=classifier, temperature=temperature, width=width, reliability=reliability)


def _training_set(project: Project, real: tuple[Ints, Ints], made_up: tuple[Ints, Ints]) -> TrainingSet:
    """The immutable list, synthetic items last, with a digest over what it says and how rows are made up."""
    numbers, codes = (np.concatenate(parts) for parts in zip(real, made_up, strict=True))
    content = hashlib.sha256(np.ascontiguousarray(numbers, dtype="<i8").tobytes())
    content.update(np.ascontiguousarray(codes, dtype="<i8").tobytes())
    content.update("\0".join(classes := schema.of(project).classes).encode())
    if len(made_up[0]):
        content.update(f"\0synthetic items: {len(made_up[0])}".encode())
    if project.synthetic is not None:
        content.update(f"\0synthetic rows: {project.synthetic.model_dump_json()}".encode())
    return TrainingSet(
        number=0,
        digest=content.hexdigest(),
        items=[ItemNumber(number) for number in numbers.tolist()],
        labels=[classes[code] for code in codes.tolist()],
    )


def _provenance(project: Project, model: Calibrated, codes: Ints, made_up: Ints) -> dict[str, Any]:
    """How the model came about: enough to make it again. `class_counts` are of labels; what is made up stands apart."""
    counts = np.bincount(codes, minlength=model.width)
    given = np.bincount(made_up, minlength=model.width)
    return {
        "model": project.model.model_dump(mode="json"),
        "features": project.features.model_dump(mode="json"),
        "temperature": model.temperature,
        "reliability": None
        if model.reliability is None
        else dict(zip(schema.of(project).classes, model.reliability, strict=True)),
        "seed": project.seed,
        "class_counts": dict(zip(schema.of(project).classes, counts.tolist(), strict=True)),
        "synthetic": {
            "items": {
                name: count for name, count in zip(schema.of(project).classes, given.tolist(), strict=True) if count
            },
            "rows": None if project.synthetic is None else project.synthetic.model_dump(mode="json"),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES if name != "imbalanced-learn" or project.synthetic is not None},
        },
    }
