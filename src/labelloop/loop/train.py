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
from labelloop.loop.pool import audit_labels, training_labels
from labelloop.maths import calibration, degeneracy, estimation
from labelloop.maths.arrays import Floats, Ints, Matrix
from labelloop.ports import Classifier, Estimators, Ports
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


def fit(estimators: Estimators, project: Project, features: Matrix, codes: Ints, *, seed: int) -> Calibrated:
    """Fit the project's model on rows (n, d) with class codes (n,), and its temperature on out-of-fold predictions.

    Raises:
        CannotTrain: fewer than two classes, or the estimator failed.
    """
    shape = pixel_shape(project)
    classifier = estimators.fit(project.model, features, codes, shape=shape, seed=seed)
    temperature = 1.0
    if project.model.calibrate and len(codes) >= LEAST_TO_CALIBRATE:
        temperature = _temperature(estimators, project, features, codes, seed=seed)
    return Calibrated(classifier=classifier, temperature=temperature, width=len(schema.of(project).classes))


def pixel_shape(project: Project) -> tuple[int, ...] | None:
    """Height, width and channels of one item where the project file says them."""
    features = project.features
    if features.kind != "pixels" or features.size is None:
        return None
    return (*features.size, 3 if features.colour else 1)


def _temperature(estimators: Estimators, project: Project, features: Matrix, codes: Ints, *, seed: int) -> float:
    """Temperature by out-of-fold predictions; 1 where the folds lack a class."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(codes))[:MOST_TO_CALIBRATE]
    fold = _stratified(codes[rows], rng)
    predicted: list[Floats] = []
    truth: list[Ints] = []
    for held in range(FOLDS):
        inside, outside = rows[fold != held], rows[fold == held]
        try:
            part = estimators.fit(project.model, features[inside], codes[inside], shape=pixel_shape(project), seed=seed)
        except CannotTrain:
            return 1.0
        place = np.searchsorted(part.classes, codes[outside])
        known = (place < len(part.classes)) & (part.classes[np.minimum(place, len(part.classes) - 1)] == codes[outside])
        predicted.append(_spread(part.probabilities(features[outside[known]]), part.classes, codes))
        truth.append(codes[outside[known]])
    return calibration.fit_temperature(np.concatenate(predicted), np.concatenate(truth))


def _spread(narrow: Floats, classes: Ints, codes: Ints) -> Floats:
    wide = np.zeros((len(narrow), int(codes.max()) + 1), dtype=np.float64)
    wide[:, classes] = narrow
    return wide


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
    numbers, codes = training_labels(ports, project, threshold)
    chosen = _training_set(project, numbers, codes)
    ports.models.keep_training_set(name, chosen, ports.clock.now())
    beat(0.1, f"training on {len(numbers)} labels")
    featurize(ports, project, row.items, lambda part, what: beat(0.1 + 0.2 * part, what))
    features = ports.features.take(project, numbers)
    model = fit(ports.estimators, project, features, codes, seed=project.seed)
    beat(0.8, "measuring on the audit")
    complaint = degeneracy.diagnose(
        model.classifier.probabilities(features), model.classifier.classes, np.unique(codes)
    )
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
        provenance=_provenance(project, model, codes),
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
    temperature = float(model.provenance.get("temperature", 1.0))
    return _restore(ports, model.artifact, temperature, len(schema.of(project).classes))


@lru_cache(maxsize=4)
def _restore(ports: Ports, artifact: str, temperature: float, width: int) -> Calibrated:
    classifier = ports.estimators.restore(ports.artifacts.get(artifact))
    return Calibrated(classifier=classifier, temperature=temperature, width=width)


def _training_set(project: Project, numbers: Ints, codes: Ints) -> TrainingSet:
    """The immutable list, with a digest over what it says and nothing else."""
    content = hashlib.sha256(np.ascontiguousarray(numbers, dtype="<i8").tobytes())
    content.update(np.ascontiguousarray(codes, dtype="<i8").tobytes())
    content.update("\0".join(classes := schema.of(project).classes).encode())
    return TrainingSet(
        number=0,
        digest=content.hexdigest(),
        items=[ItemNumber(number) for number in numbers.tolist()],
        labels=[classes[code] for code in codes.tolist()],
    )


def _provenance(project: Project, model: Calibrated, codes: Ints) -> dict[str, Any]:
    """How the model came about: enough to make it again."""
    counts = np.bincount(codes, minlength=model.width)
    return {
        "model": project.model.model_dump(mode="json"),
        "features": project.features.model_dump(mode="json"),
        "temperature": model.temperature,
        "seed": project.seed,
        "class_counts": dict(zip(schema.of(project).classes, counts.tolist(), strict=True)),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "scikit-learn")},
        },
    }
