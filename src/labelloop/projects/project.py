"""A project file, whole."""

import re
from typing import Any

from pydantic import Field, field_validator, model_validator

from labelloop.projects.cycle import Promote, Retrain, Stop
from labelloop.projects.dispatch import Lanes, LeaseRules, Votes
from labelloop.projects.features import Features
from labelloop.projects.items import Items, Source
from labelloop.projects.labels import Labels
from labelloop.projects.minority import Minority
from labelloop.projects.models import ModelSpec, SelfTraining, SklearnModel
from labelloop.projects.section import Section
from labelloop.projects.strategy import RECOMMENDED, StrategySpec
from labelloop.projects.synthetic import Synthetic

_MEASURED = {"text": "text", "image": "pixels"}
"""Kind of items → the kind of features that are made of the field that is shown."""
_LOGISTIC = SklearnModel().estimator


class Project(Section):
    """One labeling problem, whole."""

    name: str
    """Lower-case letters, digits, `_` and `-`; it is part of addresses and job ids."""
    title: str = ""
    """What people see; the name when empty."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Everything random in this project follows from it."""
    labels: Labels
    """What annotators choose from."""
    items: Items = Items()
    source: Source | None = None
    features: Features
    """How items become numbers."""
    model: ModelSpec = SklearnModel()
    """What is trained. Default: logistic regression, for texts with `parameters = { C = 10.0, max_iter = 1000 }`."""
    synthetic: Synthetic | None = None
    """Made-up rows of rare classes, in training only."""
    strategy: StrategySpec = RECOMMENDED
    """What is asked first. Without this section: margin with `diversity = "herding"`, `shortlist = 50`, `within = 0.5`
    and `widen = 4`, after a `mixed` cold start, which saved most labels over all. A section that names a kind is that
    kind alone."""
    lanes: Lanes = Lanes()
    minority: Minority = Minority()
    """Classes that the labels are short of, and how they are looked for."""
    votes: Votes = Votes()
    lease: LeaseRules = LeaseRules()
    retrain: Retrain = Retrain()
    promote: Promote = Promote()
    stop: Stop = Stop()

    @model_validator(mode="before")
    @classmethod
    def _one_field(cls, raw: Any) -> Any:
        """What is shown is what is measured, unless the file names another field for the features."""
        if not isinstance(raw, dict):
            return raw
        items, features = raw.get("items"), raw.get("features")
        if not isinstance(items, dict) or not isinstance(features, dict):
            return raw
        shown, kind = items.get("field"), _MEASURED.get(items.get("kind", "text"))
        if shown is None or features.get("kind") != kind or "field" in features:
            return raw
        return {**raw, "features": {**features, "field": shown}}

    @model_validator(mode="before")
    @classmethod
    def _usual_penalty(cls, raw: Any) -> Any:
        """Terms of texts are rows of length one: the penalty that suits columns holds them back, so it is weaker."""
        if not isinstance(raw, dict) or not isinstance(raw.get("features"), dict):
            return raw
        model = raw.get("model", {"kind": "sklearn"})
        if raw["features"].get("kind") != "text" or not isinstance(model, dict) or "parameters" in model:
            return raw
        if model.get("kind") != "sklearn" or model.get("estimator", _LOGISTIC) != _LOGISTIC:
            return raw
        return {**raw, "model": {**model, "parameters": {"C": 10.0, "max_iter": 1000}}}

    @property
    def shown_field(self) -> str | None:
        """The field of `data` that people see, a text or a picture; None where they see all fields."""
        if self.items.field is not None or self.items.kind == "table":
            return self.items.field
        features = self.features
        if features.kind != "columns" and features.kind == _MEASURED[self.items.kind]:
            return features.field
        return self.items.kind  # a field of that name, as the features of the kind have it

    @property
    def guessing(self) -> SelfTraining | None:
        """How guesses are trained on: as the file says or, where it says nothing, as was measured; None for not."""
        spec = self.model.self_training
        if spec is None:
            linear = self.model.kind == "sklearn" and self.model.estimator.startswith("sklearn.linear_model.")
            spec = SelfTraining() if linear and self.features.kind == "text" else None
        return spec if spec is not None and spec.per_label else None

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
            msg = "use 1 to 64 lower-case letters, digits, `_` and `-`, beginning with a letter or digit"
            raise ValueError(msg)
        return name
