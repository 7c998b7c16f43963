"""scikit-learn classifiers as a project file names them: which are allowed, what they are called with, and one built.

A parameter may itself be an estimator, `{estimator = "sklearn.tree.DecisionTreeClassifier", parameters = {…}}`, so
that bagging, voting and stacking can be written down. Keys of a `class_weight` table are positions of classes.
"""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from labelloop.adapters.estimators.notes import noted
from labelloop.domain.errors import InvalidProject
from labelloop.maths.arrays import Ints

MODULES = (
    "sklearn.discriminant_analysis",
    "sklearn.ensemble",
    "sklearn.gaussian_process",
    "sklearn.linear_model",
    "sklearn.naive_bayes",
    "sklearn.neighbors",
    "sklearn.neural_network",
    "sklearn.svm",
    "sklearn.tree",
)


def build(path: str, parameters: Mapping[str, Any], *, seed: int = 0, present: Ints | None = None) -> Any:
    """An unfitted classifier.

    Args:
        path: import path below one of `MODULES`.
        parameters: its keyword arguments, as plain values.
        seed: given to every `random_state`, nested ones too, that `parameters` leave open.
        present: class codes of the training set; a `class_weight` table is cut down to them.

    Raises:
        InvalidProject: an import path that is not allowed, an unknown parameter or value, no `predict_proba`.
    """
    with noted(path):
        estimator = _construct(path, parameters, present)
        if not hasattr(estimator, "predict_proba"):
            raise InvalidProject(
                f"model.estimator: {path} gives no probabilities with these parameters. Choose another "
                f"(LogisticRegression, say){_way_to_probabilities(path)}."
            )
        open_seeds = {
            name: seed % 2**32
            for name, value in estimator.get_params(deep=True).items()
            if name.rpartition("__")[2] == "random_state" and value is None
        }
        return estimator.set_params(**open_seeds)


def resolve(path: str) -> type:
    """The classifier class of an import path.

    Raises:
        InvalidProject: outside of the allow-list, or no classifier there has this name.
    """
    from sklearn.base import ClassifierMixin

    module_name, _, name = path.rpartition(".")
    if module_name not in MODULES:
        raise InvalidProject(f"model.estimator: {path!r} is not below an allowed module: {', '.join(MODULES)}.")
    module = importlib.import_module(module_name)
    found = getattr(module, name, None) if name in module.__all__ else None
    if not (inspect.isclass(found) and issubclass(found, ClassifierMixin)):
        known = [
            each
            for each in sorted(module.__all__)
            if inspect.isclass(getattr(module, each)) and issubclass(getattr(module, each), ClassifierMixin)
        ]
        raise InvalidProject(f"model.estimator: {module_name} has no classifier {name!r}; it has {', '.join(known)}.")
    return found


def takes_sparse(estimator: Any) -> bool:
    """Whether it can be given sparse rows, by its own tags."""
    from sklearn.utils import get_tags

    return bool(get_tags(estimator).input_tags.sparse)


def _construct(path: str, parameters: Mapping[str, Any], present: Ints | None) -> Any:
    kind = resolve(path)
    known = sorted(set(inspect.signature(kind).parameters))
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise InvalidProject(
            f"model.parameters: {path} has no parameter {', '.join(map(repr, unknown))}; it has {', '.join(known)}."
        )
    values = {name: _value(value, present) for name, value in parameters.items()}
    if isinstance(values.get("class_weight"), dict):
        values["class_weight"] = _class_weight(values["class_weight"], present)
    try:
        estimator = kind(**values)
        estimator._validate_params()  # noqa: SLF001 - what fit calls first; here before there is data
    except (TypeError, ValueError) as error:
        raise InvalidProject(f"model.parameters: {error}") from None
    return estimator


def _value(value: Any, present: Ints | None) -> Any:
    if isinstance(value, Mapping):
        if "estimator" in value and set(value) <= {"estimator", "parameters"}:
            return _construct(value["estimator"], value.get("parameters", {}), present)
        return dict(value)
    if isinstance(value, list | tuple):
        inner = [_value(each, present) for each in value]
        return tuple(inner) if _is_pair(value) else inner
    return value


def _is_pair(value: Any) -> bool:
    return len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], Mapping)


def _class_weight(table: Mapping[Any, Any], present: Ints | None) -> dict[int, float]:
    try:
        weights = {int(code): float(weight) for code, weight in table.items()}
    except (TypeError, ValueError):
        raise InvalidProject(
            "model.parameters.class_weight: give `balanced`, or a table from positions of classes (0 is the first) to "
            "weights."
        ) from None
    if present is None:
        return weights
    # scikit-learn refuses weights of classes that it does not see, and the first labels rarely show all of them.
    return {code: weight for code, weight in weights.items() if code in present}


def _way_to_probabilities(path: str) -> str:
    ways = {
        "sklearn.svm.SVC": ", or set parameters.probability = true",
        "sklearn.svm.NuSVC": ", or set parameters.probability = true",
        "sklearn.linear_model.SGDClassifier": ', or set parameters.loss = "log_loss"',
        "sklearn.ensemble.VotingClassifier": ', or set parameters.voting = "soft"',
    }
    return ways.get(path, "")
