"""train: labels become a candidate model, calibrated, measured on the audit and kept with its provenance.

A job that is run twice gives one model: the registry knows a model by its job. How it is fitted stands in `fitting`.
"""

import hashlib
import platform
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np

from labelloop import schema
from labelloop.domain.states import ModelState
from labelloop.domain.types import ItemNumber, JobId, Model, ModelNumber, TrainingSet
from labelloop.loop.featurize import Beat, featurize
from labelloop.loop.fitting import Calibrated, fit
from labelloop.loop.keeping import keeping
from labelloop.loop.pool import audit_labels, synthetic_labels, training_labels, unlabeled
from labelloop.maths import degeneracy, estimation
from labelloop.maths.arrays import Ints
from labelloop.ports import Ports
from labelloop.projects import Project

PACKAGES = ("numpy", "scikit-learn", "imbalanced-learn")


def train(ports: Ports, name: str, job: JobId, beat: Beat) -> Model:
    """Take the training set, fit, measure on the audit, and register the model of this job.

    The model is a CANDIDATE, or DEGENERATE with the reason.

    Raises:
        CannotTrain: fewer than two classes among the labels.
    """
    done = ports.models.of_job(name, job)
    if done is not None:
        return done
    row = ports.projects.row(name)
    project = ports.projects.get(name, row.edition)
    threshold = row.audit_threshold or 0
    numbers, codes = training_labels(ports, project, threshold, items=row.items)
    made_up = synthetic_labels(ports, project, items=row.items)
    chosen = _training_set(project, (numbers, codes), made_up)
    ports.models.keep_training_set(name, chosen, ports.clock.now())
    beat(0.1, f"training on {len(numbers)} labels")
    featurize(ports, project, row.items, lambda part, what: beat(0.1 + 0.2 * part, what))
    features = ports.features.take(project, numbers)
    guessed = unlabeled(ports, project, row)  # after those without features were retired
    given = (ports.features.take(project, made_up[0]), made_up[1])
    shape = ports.features.shape(project)
    model = fit(
        ports.estimators,
        project,
        features,
        codes,
        seed=project.seed,
        given=given,
        unlabeled=ports.features.take(project, guessed) if len(guessed) else None,
        shape=shape,
    )
    beat(0.8, "measuring on the audit")
    shown, known = (features, codes) if len(codes) else given  # before the first label there may be made-up rows
    complaint = degeneracy.diagnose(model.classifier.probabilities(shown), model.classifier.classes, np.unique(known))
    metrics = {} if complaint else measure(ports, project, model, threshold)
    with keeping(ports, ports.estimators.dump(model.classifier)) as artifact:
        candidate = Model(
            number=ModelNumber(0),
            state=ModelState.DEGENERATE if complaint else ModelState.CANDIDATE,
            training_set=chosen.digest,
            artifact=artifact,
            labels=len(numbers),
            spent=row.spent,
            metrics=metrics,
            reason=complaint or "waits for the gate",
            created_at=ports.clock.now(),
            provenance={"edition": row.edition, **_provenance(project, model, codes, made_up[1], guessed)},
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
    if project.guessing is not None:
        content.update(f"\0self training: {project.guessing.model_dump_json()}".encode())
    return TrainingSet(
        number=0,
        digest=content.hexdigest(),
        items=[ItemNumber(number) for number in numbers.tolist()],
        labels=[classes[code] for code in codes.tolist()],
    )


def _provenance(project: Project, model: Calibrated, codes: Ints, made_up: Ints, guessed: Ints) -> dict[str, Any]:
    """How the model came about: enough to make it again. `class_counts` are of labels; all else stands apart."""
    classes = schema.of(project).classes
    counts = np.bincount(codes, minlength=model.width)
    given = np.bincount(made_up, minlength=model.width)
    return {
        "model": project.model.model_dump(mode="json"),
        "features": project.features.model_dump(mode="json"),
        "temperature": model.temperature,
        "reliability": None if model.reliability is None else dict(zip(classes, model.reliability, strict=True)),
        "seed": project.seed,
        "class_counts": dict(zip(classes, counts.tolist(), strict=True)),
        "synthetic": {
            "items": {name: count for name, count in zip(classes, given.tolist(), strict=True) if count},
            "rows": None if project.synthetic is None else project.synthetic.model_dump(mode="json"),
        },
        "self_training": None
        if project.guessing is None
        else {
            **project.guessing.model_dump(mode="json"),
            "looked_at": len(guessed),
            "items": hashlib.sha256(np.ascontiguousarray(guessed, dtype="<i8").tobytes()).hexdigest(),
            "guesses": dict(zip(classes, model.guesses, strict=True)),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES if name != "imbalanced-learn" or project.synthetic is not None},
        },
    }
