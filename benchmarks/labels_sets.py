"""The sets of the benchmark of labels, as project files, and how far each is played."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelloop.projects import Project, load, parse

CONFIGS = Path(__file__).parents[1] / "configs" / "projects"
Section = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One set: its project, the labels of each replay, and the labels that random gets to set the score to beat.

    `first`, `batch` and `growth` are the labels of the first batch and of the later ones, the same for every strategy.
    """

    project: Project
    budget: int
    random: int
    first: int
    batch: int
    growth: float = 0.1


def case(name: str) -> Case:
    """The set of this name."""
    return CASES[name]()


def _changed(file: str, name: str, **sections: Section) -> Project:
    """An example project with other sections; the audit lane is left out by every replay."""
    raw = load(CONFIGS / file).model_dump(mode="json")
    return parse({**raw, **sections, "name": name}, origin=name)


def _logistic(penalty: float, *, calibrate: bool = True, iterations: int = 1000) -> Section:
    """Fitted on labels alone, so that ways of asking are compared; arms that train themselves say so."""
    return {
        "kind": "sklearn",
        "estimator": "sklearn.linear_model.LogisticRegression",
        "parameters": {"C": penalty, "max_iter": iterations},
        "calibrate": calibrate,
        "self_training": {"per_label": 0},
    }


def _forest() -> Section:
    """The forest of the tables. Temperature moves no binary margin, so none is fitted: a third of the time."""
    return {
        "kind": "sklearn",
        "estimator": "sklearn.ensemble.RandomForestClassifier",
        "parameters": {"n_estimators": 100},
        "calibrate": False,
    }


def _table(name: str, file: str, *, keep: dict[str, float] | None = None) -> Project:
    """A table with a rare class, a third of it held out."""
    return _changed(
        "mammography.toml",
        name,
        model=_forest(),
        features={"kind": "columns", "scale": True},
        source={
            "holdout": 0.3,
            "keep": keep or {},
            "score": "average_precision:rare",
            "data": {
                "kind": "arrays",
                "path": f"$LABELLOOP_DATA/imbalanced/{file}",
                "columns": True,
                "classes": {"0": "common", "1": "rare"},
            },
        },
    )


def _sms() -> Case:
    """Plain words and a penalty that is not tuned to the set: random with 600 labels is far from all labels."""
    raw = load(CONFIGS / "sms.toml").model_dump(mode="json")
    source = {**raw["source"], "holdout": 0.3}
    features = {"kind": "text", "sublinear": False}
    model = _logistic(5.0, calibrate=False, iterations=2000)
    project = _changed("sms.toml", "sms", model=model, features=features, source=source)
    return Case(project=project, budget=400, random=600, first=20, batch=5)


def _ag_news() -> Case:
    source = {
        "score": "accuracy",
        "data": {
            "kind": "table",
            "path": "$LABELLOOP_DATA/ag_news/dev.tsv",
            "test_path": "$LABELLOOP_DATA/ag_news/test.tsv",
            "columns": ["text", "label"],
            "quoting": False,
        },
    }
    project = _changed("ag_news.toml", "ag_news", source=source, model=_logistic(10.0, calibrate=False))
    return Case(project=project, budget=1_700, random=3_050, first=40, batch=20)


def _banking77() -> Case:
    project = _changed("banking77.toml", "banking77")
    raw = project.model_dump(mode="json")
    raw["source"]["score"] = "accuracy"
    raw["model"] = _logistic(10.0, calibrate=False, iterations=200)
    return Case(project=parse(raw), budget=2_900, random=4_100, first=150, batch=100)


def _mnist() -> Case:
    model = _logistic(1.0, calibrate=False, iterations=200)
    project = _changed("mnist.toml", "mnist", model=model)
    return Case(project=project, budget=1_100, random=4_050, first=50, batch=20)


def _mammography() -> Case:
    return Case(project=_table("mammography", "23_mammography.npz"), budget=400, random=1_013, first=20, batch=5)


def _pendigits() -> Case:
    return Case(project=_table("pendigits", "28_pendigits.npz"), budget=300, random=700, first=20, batch=5)


def _thyroid() -> Case:
    return Case(project=_table("thyroid", "38_thyroid.npz"), budget=200, random=1_000, first=20, batch=5)


def _cover() -> Case:
    """A twenty-fifth of both classes: 1 % of 11,442 rows."""
    project = _table("cover", "10_cover.npz", keep={"common": 0.04, "rare": 0.04})
    return Case(project=project, budget=300, random=1_000, first=20, batch=5)


def _smtp() -> Case:
    """30 positives in 95,156: a third of the common rows is kept, so that a replay takes seconds."""
    project = _table("smtp", "34_smtp.npz", keep={"common": 0.2})
    return Case(project=project, budget=200, random=1_000, first=20, batch=5)


def _ag_news_rare() -> Case:
    """Two of the four topics are rare: 150 of sports and 75 of science and technology among 5,000."""
    keep = {"Sports": 0.06, "Sci/Tech": 0.03}
    return _thinned(_ag_news(), "ag_news_rare", keep=keep, budget=400, random=1_000)


def _mnist_rare() -> Case:
    """Half of the digits are rare: 5 % of 5 to 9."""
    keep = {str(digit): 0.05 for digit in range(5, 10)}
    return _thinned(_mnist(), "mnist_rare", keep=keep, budget=400, random=1_000)


def _thinned(case: Case, name: str, *, keep: dict[str, float], budget: int, random: int) -> Case:
    """A set of which some classes are thinned out, with a calibrated model, measured by macro F1."""
    raw = case.project.model_dump(mode="json")
    raw["source"] |= {"keep": keep, "score": "macro_f1"}
    raw["model"]["calibrate"] = True
    return Case(project=parse({**raw, "name": name}), budget=budget, random=random, first=case.first, batch=case.batch)


CASES = {
    "sms": _sms,
    "ag_news": _ag_news,
    "banking77": _banking77,
    "mnist": _mnist,
    "mammography": _mammography,
    "pendigits": _pendigits,
    "thyroid": _thyroid,
    "cover": _cover,
    "smtp": _smtp,
    "ag_news_rare": _ag_news_rare,
    "mnist_rare": _mnist_rare,
}
