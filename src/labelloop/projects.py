"""A project file as one frozen object: what to label, with which features, model, strategy, lanes and gates.

The same object comes from TOML (`configs/projects/*.toml`) and from JSON over HTTP. Choices are unions told apart by
`kind`. An unknown key or kind is answered with the known ones, because a typo that is silently ignored costs labels.
What a choice *does* is not decided here: see `strategies`, `loop` and the adapters.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from labelloop.domain.errors import InvalidProject
from labelloop.domain.states import Lane

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """What all parts of a project file share: frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


# --- labels ------------------------------------------------------------------------------------------------


class ClassLabels(Section):
    """One class per item, from a plain list."""

    kind: Literal["classes"] = "classes"
    classes: tuple[str, ...] = Field(min_length=2)
    """Names of the classes, in the order people see them; keys 1…9 pick the first nine."""
    instructions: str = ""
    """What annotators read before they start."""

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in classes if classes.count(name) > 1})
        if twice:
            msg = f"classes must differ; twice: {', '.join(twice)}"
            raise ValueError(msg)
        if any(not name.strip() for name in classes):
            msg = "a class needs a name"
            raise ValueError(msg)
        return classes


class LabelStudioLabels(Section):
    """A Label Studio labeling configuration. Its first `<Choices>` gives the classes a model learns."""

    kind: Literal["label_studio"] = "label_studio"
    config: str
    """The XML itself, or (in a project file) the path of a file beside it that holds it."""
    instructions: str = ""
    """What annotators read before they start."""


Labels = Annotated[ClassLabels | LabelStudioLabels, Field(discriminator="kind")]


# --- items and where labeled examples of them come from -----------------------------------------------------


class Items(Section):
    """What an item looks like, for people and for checks."""

    kind: Literal["text", "image", "table"] = "text"
    """How the page shows an item."""
    field: str | None = None
    """The field of `data` that is shown: the text, or the picture (a path below an allowed root, or rows of grey
    values). Not used by tables, which show all fields."""
    shard_size: int = Field(default=16_384, ge=64, le=1_048_576)
    """Items per feature shard."""


class BundledSource(Section):
    """A labeled data set that ships with scikit-learn: no download."""

    kind: Literal["bundled"] = "bundled"
    name: Literal["digits", "breast_cancer", "iris", "wine"]


class TableSource(Section):
    """A labeled table: CSV, TSV, JSONL or Parquet by the file's ending."""

    kind: Literal["table"] = "table"
    path: str
    """May begin with $LABELLOOP_DATA."""
    test_path: str | None = None
    """A second file of the same shape, kept out of the pool as the test set."""
    columns: tuple[str, ...] | None = None
    """Names of the columns when the file has no header."""
    label: str = "label"
    """The column of the label."""
    key: str | None = None
    """The column of the item's key; the row number when not given."""
    quoting: bool = True
    """Whether quotes group a field (CSV and TSV)."""
    classes: dict[str, str] | None = None
    """Rename labels: value in the file → class."""


class ArraySource(Section):
    """A labeled NumPy archive (.npz)."""

    kind: Literal["arrays"] = "arrays"
    path: str
    """May begin with $LABELLOOP_DATA."""
    features: str = "X"
    """Name of the array of items: (n, d) columns or (n, height, width) pictures."""
    label: str = "y"
    """Name of the array of labels."""
    test_features: str | None = None
    test_label: str | None = None
    field: str = "x"
    """The field of `data` that gets the row; with `columns = true`, columns become fields x0, x1, …"""
    columns: bool = False
    classes: dict[str, str] | None = None
    """Rename labels: value in the file → class."""


class Source(Section):
    """Where labeled examples come from, for `labelloop ingest PROJECT`, `simulate` and the demo. Optional."""

    data: Annotated[BundledSource | TableSource | ArraySource, Field(discriminator="kind")]
    holdout: Share = 0.0
    """Part of the rows kept out of the pool as the test set (0 when the data bring a test set)."""
    keep: dict[str, Share] = {}
    """Thin out classes: class → the part of its rows that is kept (makes a balanced set imbalanced)."""
    limit: int | None = Field(default=None, ge=1)
    """Use at most so many rows of the pool."""
    score: str = "accuracy"
    """What `simulate` measures on the test set: accuracy, macro_f1, f1:CLASS or average_precision:CLASS."""


# --- features ----------------------------------------------------------------------------------------------


class ColumnFeatures(Section):
    """Numbers from the fields of `data`."""

    kind: Literal["columns"] = "columns"
    columns: tuple[str, ...] | None = None
    """Fields to use; all numeric fields of the first item when not given."""
    scale: bool = True
    """Standardise each column by the mean and deviation of the first fit."""


class PixelFeatures(Section):
    """Grey or colour pictures as rows of pixels in [0, 1]."""

    kind: Literal["pixels"] = "pixels"
    field: str = "image"
    """Rows of grey values, or a path below an allowed root."""
    size: tuple[int, int] | None = None
    """Height and width to resize to; required for pictures by path."""
    colour: bool = False
    maximum: float = Field(default=255.0, gt=0)
    """The value of white."""


class TextFeatures(Section):
    """Text as weighted terms, optionally reduced by a truncated SVD."""

    kind: Literal["text"] = "text"
    field: str = "text"
    vectorizer: Literal["tfidf", "hashing"] = "tfidf"
    words: tuple[int, int] = (1, 1)
    """Shortest and longest run of words that is a term."""
    min_count: int = Field(default=1, ge=1)
    """Terms in fewer items are dropped (tfidf)."""
    max_terms: int | None = Field(default=None, ge=1)
    """Most terms kept (tfidf), or the number of hash buckets (hashing)."""
    sublinear: bool = True
    """1 + log(count) instead of the count."""
    svd: int | None = Field(default=None, ge=2)
    """Reduce to so many dimensions."""


class EmbeddingFeatures(Section):
    """Embeddings computed elsewhere."""

    kind: Literal["embedding"] = "embedding"
    field: str = "embedding"
    """A list of numbers, of equal length for all items."""
    normalize: bool = False
    """Scale each row to unit length."""


Features = Annotated[ColumnFeatures | PixelFeatures | TextFeatures | EmbeddingFeatures, Field(discriminator="kind")]


# --- models ------------------------------------------------------------------------------------------------


class SklearnModel(Section):
    """A scikit-learn classifier with `predict_proba`, by its import path, from an allow-list of modules."""

    kind: Literal["sklearn"] = "sklearn"
    estimator: str = "sklearn.linear_model.LogisticRegression"
    parameters: dict[str, Any] = {}
    calibrate: bool = True
    """Temperature scaling on out-of-fold predictions of the training set."""


class TorchOptions(Section):
    """What both torch classifiers share."""

    members: int = Field(default=1, ge=1, le=20)
    """More than one makes a deep ensemble: a committee."""
    passes: int = Field(default=0, ge=0, le=200)
    """Stochastic forward passes with dropout on: a committee by MC-dropout."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    epochs: int = Field(default=100, ge=1)
    patience: int = Field(default=10, ge=1)
    """Epochs without a better validation loss before training stops."""
    batch: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    calibrate: bool = True


class TorchMlp(TorchOptions):
    """A multi-layer perceptron over features."""

    kind: Literal["torch_mlp"] = "torch_mlp"
    hidden: tuple[int, ...] = (128,)


class TorchCnn(TorchOptions):
    """A small convolutional network over pixel features."""

    kind: Literal["torch_cnn"] = "torch_cnn"
    channels: tuple[int, ...] = (16, 32)
    hidden: int = 64


class ModalLearner(Section):
    """A modAL ActiveLearner around a scikit-learn classifier, so that any modAL query function can ask it."""

    kind: Literal["modal_learner"] = "modal_learner"
    estimator: str = "sklearn.linear_model.LogisticRegression"
    parameters: dict[str, Any] = {}
    calibrate: bool = True


class ModalCommittee(Section):
    """A modAL Committee of scikit-learn classifiers, each fitted on a bootstrap of the training set."""

    kind: Literal["modal_committee"] = "modal_committee"
    members: tuple[SklearnModel, ...] = Field(min_length=2)
    calibrate: bool = True


ModelSpec = Annotated[SklearnModel | TorchMlp | TorchCnn | ModalLearner | ModalCommittee, Field(discriminator="kind")]


# --- strategy ----------------------------------------------------------------------------------------------


class ColdStart(Section):
    """What is asked before a model exists."""

    kind: Literal["random", "diversity"] = "diversity"


class BaseStrategy(Section):
    """What all strategies share."""

    cold_start: ColdStart = ColdStart()
    diversity: Literal["none", "k_center", "cluster_margin"] = "none"
    """Spread the batch over the shortlist by features."""
    shortlist: int = Field(default=10, ge=1)
    """Candidates per query that diversity chooses among."""
    batch: int | None = Field(default=None, ge=1)
    """Queries chosen together by diversity; the retrain threshold when not given."""


class ScoreStrategy(BaseStrategy):
    """A query strategy of labelloop's own, by its name in the reference."""

    kind: Literal["random", "least_confidence", "margin", "entropy", "vote_entropy", "consensus_entropy", "bald"] = (
        "margin"
    )


class ModalStrategy(BaseStrategy):
    """Any function with modAL's signature `(learner, pool, n_instances) -> indices`, by import path below `modAL`."""

    kind: Literal["modal"] = "modal"
    function: str = "modAL.uncertainty.margin_sampling"
    candidates: int = Field(default=20_000, ge=1)
    """The function sees at most so many items: those of smallest margin."""


class PluginStrategy(BaseStrategy):
    """A strategy from the entry-point group `labelloop.strategies`."""

    kind: Literal["plugin"] = "plugin"
    name: str


StrategySpec = Annotated[ScoreStrategy | ModalStrategy | PluginStrategy, Field(discriminator="kind")]


# --- dispatch ----------------------------------------------------------------------------------------------


class Lanes(Section):
    """Shares of what is handed out; they need not sum to one, only their ratio counts."""

    informative: float = Field(default=0.9, ge=0)
    minority: float = Field(default=0.0, ge=0)
    audit: float = Field(default=0.1, ge=0)
    audit_items: int | None = Field(default=None, ge=1)
    """Items reserved for the audit, drawn uniformly. Default: the audit's share of the budget, or 1,000."""
    window: int = Field(default=5_000, ge=10, le=50_000)
    """Queries per lane that a round plans and Redis holds."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.informative + self.minority <= 0:
            msg = "give the lane informative or minority a share above 0"
            raise ValueError(msg)
        return self

    def shares(self) -> dict[Lane, float]:
        """Lane → share, scaled to sum to one; lanes without a share are left out."""
        raw = {Lane.INFORMATIVE: self.informative, Lane.MINORITY: self.minority, Lane.AUDIT: self.audit}
        total = sum(raw.values())
        return {lane: share / total for lane, share in raw.items() if share > 0}


class Votes(Section):
    """How many answers an item gets."""

    needed: int = Field(default=1, ge=1, le=15)
    """Votes asked at first, each from another annotator."""
    cap: int | None = Field(default=None, ge=1, le=15)
    """Most votes counted; a tie asks for one more up to here. Default: needed + 2, or 1 where needed is 1."""
    agreement: float = Field(default=0.5, ge=0, lt=1)
    """The winning class needs more than this part of the votes."""

    @model_validator(mode="after")
    def _cap_holds(self) -> Self:
        if self.cap is not None and self.cap < self.needed:
            msg = f"votes.cap ({self.cap}) is below votes.needed ({self.needed})"
            raise ValueError(msg)
        return self

    @property
    def most(self) -> int:
        """The cap in force."""
        if self.cap is not None:
            return self.cap
        return 1 if self.needed == 1 else min(self.needed + 2, 15)


class LeaseRules(Section):
    """How long work is reserved."""

    seconds: float = Field(default=300.0, ge=1, le=86_400)
    maximum: int = Field(default=200, ge=1, le=10_000)
    """Open leases one annotator may hold."""


# --- training ----------------------------------------------------------------------------------------------


class Retrain(Section):
    """When a training is due. Conditions that are not given never hold."""

    first: int = Field(default=20, ge=2)
    """Labels before the first training."""
    labels: int | None = Field(default=50, ge=1)
    """Labels since the last training was asked for."""
    every: float | None = Field(default=None, ge=1)
    """Seconds since the last training was asked for, if labels came in between."""
    schedule: str | None = None
    """A cron expression in UTC, such as `0 2 * * *`; fires once per date, if labels came in between."""
    class_minimum: int | None = Field(default=None, ge=1)
    """Fires once per class, when it first has so many labels."""

    @field_validator("schedule")
    @classmethod
    def _five_fields(cls, schedule: str | None) -> str | None:
        if schedule is not None and len(schedule.split()) != 5:
            msg = "a schedule has five fields: minute hour day month weekday, such as `0 2 * * *`"
            raise ValueError(msg)
        return schedule


class Promote(Section):
    """The gate between a candidate and the champion, measured on the audit lane."""

    kind: Literal["not_worse", "better", "always"] = "not_worse"
    """not_worse: refused when the candidate is worse by more than `tolerance` with `confidence`. better: promoted
    only when it is better with `confidence`."""
    metric: Literal["accuracy", "macro_f1"] = "accuracy"
    confidence: float = Field(default=0.9, gt=0.5, lt=1)
    tolerance: float = Field(default=0.0, ge=0, le=1)
    minimum_audit: int = Field(default=20, ge=1)
    """With fewer audit labels nothing can be said, and a healthy candidate is promoted."""


class Stop(Section):
    """When work ends."""

    budget: int | None = Field(default=None, ge=1)
    """Counted votes to spend; then no more leases are given."""


class Project(Section):
    """One labeling problem, whole."""

    name: str
    """Lower-case letters, digits, `_` and `-`; it is part of addresses and job ids."""
    title: str = ""
    seed: int = Field(default=0, ge=0, lt=2**32)
    labels: Labels
    items: Items = Items()
    source: Source | None = None
    features: Features
    model: ModelSpec = SklearnModel()
    strategy: StrategySpec = ScoreStrategy()
    lanes: Lanes = Lanes()
    votes: Votes = Votes()
    lease: LeaseRules = LeaseRules()
    retrain: Retrain = Retrain()
    promote: Promote = Promote()
    stop: Stop = Stop()

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
            msg = "use 1 to 64 lower-case letters, digits, `_` and `-`, beginning with a letter or digit"
            raise ValueError(msg)
        return name


# --- reading -----------------------------------------------------------------------------------------------


def parse(raw: Any, origin: str = "project") -> Project:
    """Check a project given as plain JSON values.

    Raises:
        InvalidProject: names each wrong key, where it is, and what is known there.
    """
    try:
        return Project.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(entry) for entry in error.errors(include_url=False)]
        raise InvalidProject(f"{origin}: " + "; ".join(lines)) from None


def load(path: Path) -> Project:
    """Read a project file. A Label Studio configuration named by file is read from beside it.

    Raises:
        InvalidProject: the file is missing, is not TOML, or is not a project.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidProject(f"{path}: cannot be read ({error.strerror}). Give the path of a project file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidProject(f"{path}: is not valid TOML: {error}.") from None
    labels = raw.get("labels")
    if isinstance(labels, dict) and labels.get("kind") == "label_studio" and "<" not in str(labels.get("config", "")):
        beside = path.parent / str(labels.get("config", ""))
        if not beside.is_file():
            raise InvalidProject(f"{path}: labels.config names {beside}, which is not a file.")
        labels["config"] = beside.read_text(encoding="utf-8")
    return parse(raw, origin=str(path))


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a project file, for editors and for the reference."""
    return Project.model_json_schema()


def _explain(entry: Any) -> str:
    where = ".".join(str(part) for part in entry["loc"]) or "project"
    kind = entry["type"]
    if kind == "extra_forbidden":
        return f"unknown key {where!r}; known keys here: {', '.join(_known(entry['loc'][:-1]))}"
    if kind == "union_tag_invalid":
        return f"unknown kind {entry['ctx']['tag']!r} in {where!r}; known kinds: {entry['ctx']['expected_tags']}"
    if kind == "union_tag_not_found":
        return f"{where!r} needs a `kind`"
    if kind == "missing":
        return f"{where!r} is missing"
    return f"{where!r}: {entry['msg'].removeprefix('Value error, ')}"


def _known(loc: tuple[int | str, ...]) -> list[str]:
    """Keys of the section at `loc`; pydantic puts the kind of a union into the path."""
    sections: list[type[BaseModel]] = [Project]
    for part in loc:
        if isinstance(part, int):
            continue
        by_kind = [s for s in sections if "kind" in s.model_fields and part in _literals(s.model_fields["kind"])]
        if by_kind:
            sections = by_kind
            continue
        sections = [inner for s in sections if part in s.model_fields for inner in _models(s.model_fields[part])]
    return sorted({key for section in sections for key in section.model_fields})


def _literals(info: Any) -> tuple[Any, ...]:
    return getattr(info.annotation, "__args__", ())


def _models(info: Any) -> list[type[BaseModel]]:
    found: list[type[BaseModel]] = []
    waiting = [info.annotation]
    while waiting:
        annotation = waiting.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found.append(annotation)
        else:
            waiting.extend(getattr(annotation, "__args__", ()))
    return found
