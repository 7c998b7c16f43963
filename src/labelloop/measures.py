"""measures: what `source.score` of a project file names, as a function of predictions; `maths.metrics` computes it."""

from collections.abc import Callable

from labelloop import schema
from labelloop.domain.errors import InvalidProject
from labelloop.maths import metrics
from labelloop.maths.arrays import Floats, Ints
from labelloop.projects import Project

Score = Callable[[Floats, Ints], float]
"""Probabilities (n, classes) and true codes (n,) → score; higher is better."""
OF_ALL = ("accuracy", "macro_f1")
OF_ONE = ("f1", "average_precision")


def scorer(project: Project) -> Score:
    """What `source.score` of the project names: accuracy, macro_f1, f1:CLASS or average_precision:CLASS.

    Raises:
        InvalidProject: no such score, or no such class; lists what is known.
    """
    name, _, label = score_name(project).partition(":")
    classes = schema.of(project).classes
    if name in OF_ALL and not label:
        return _accuracy if name == "accuracy" else _macro_f1
    if name not in OF_ONE:
        known = ", ".join((*OF_ALL, *(f"{one}:CLASS" for one in OF_ONE)))
        raise InvalidProject(f"source.score: unknown {score_name(project)!r}; known: {known}")
    if label not in classes:
        raise InvalidProject(f"source.score: {label!r} is no class; the classes are {', '.join(classes)}")
    code = classes.index(label)
    return _f1_of(code) if name == "f1" else _average_precision_of(code)


def score_name(project: Project) -> str:
    """The score's name as the project file has it."""
    return project.source.score if project.source else "accuracy"


def in_words(project: Project) -> str:
    """For the axis of a figure: `macro F1`, `F1 of spam`."""
    name, _, label = score_name(project).partition(":")
    spoken = {"macro_f1": "macro F1", "f1": "F1", "average_precision": "average precision"}.get(name, name)
    return f"{spoken} of {label}" if label else spoken


def _accuracy(probabilities: Floats, codes: Ints) -> float:
    return float(metrics.accuracy(codes, probabilities.argmax(axis=1)))


def _macro_f1(probabilities: Floats, codes: Ints) -> float:
    return float(metrics.macro_f1(codes, probabilities.argmax(axis=1)))


def _f1_of(code: int) -> Score:
    return lambda probabilities, codes: metrics.f1(codes, probabilities.argmax(axis=1), code=code)


def _average_precision_of(code: int) -> Score:
    return lambda probabilities, codes: metrics.average_precision(codes == code, probabilities[:, code])
