"""A project file as one frozen object: what to label, with which features, model, strategy, lanes and gates.

The same object comes from TOML (`configs/projects/*.toml`) and from JSON over HTTP. Choices are unions told apart by
`kind`. An unknown key or kind is answered with the known ones, because a typo that is silently ignored costs labels.
What a choice *does* is not decided here: see `strategies`, `loop` and the adapters.
"""

from labelloop.projects.cycle import Promote, Retrain, Stop
from labelloop.projects.difference import Difference, differences
from labelloop.projects.dispatch import Lanes, LeaseRules, Votes
from labelloop.projects.examples import example
from labelloop.projects.features import ColumnFeatures, EmbeddingFeatures, Features, PixelFeatures, TextFeatures
from labelloop.projects.items import ArraySource, BundledSource, Items, Source, TableSource
from labelloop.projects.labels import ClassLabels, Labels, LabelStudioLabels
from labelloop.projects.minority import Minority
from labelloop.projects.models import (
    ModalCommittee,
    ModalLearner,
    ModelSpec,
    SelfTraining,
    SklearnModel,
    TorchCnn,
    TorchMlp,
    TorchOptions,
)
from labelloop.projects.project import Project
from labelloop.projects.reading import json_schema, load, parse
from labelloop.projects.section import Section, Share
from labelloop.projects.strategy import (
    RECOMMENDED,
    AutoStrategy,
    BaseStrategy,
    ColdStart,
    CostStrategy,
    ModalStrategy,
    PluginStrategy,
    ScoreStrategy,
    StrategySpec,
)
from labelloop.projects.synthetic import Synthetic

__all__ = [
    "RECOMMENDED",
    "ArraySource",
    "AutoStrategy",
    "BaseStrategy",
    "BundledSource",
    "ClassLabels",
    "ColdStart",
    "ColumnFeatures",
    "CostStrategy",
    "Difference",
    "EmbeddingFeatures",
    "Features",
    "Items",
    "LabelStudioLabels",
    "Labels",
    "Lanes",
    "LeaseRules",
    "Minority",
    "ModalCommittee",
    "ModalLearner",
    "ModalStrategy",
    "ModelSpec",
    "PixelFeatures",
    "PluginStrategy",
    "Project",
    "Promote",
    "Retrain",
    "ScoreStrategy",
    "Section",
    "SelfTraining",
    "Share",
    "SklearnModel",
    "Source",
    "Stop",
    "StrategySpec",
    "Synthetic",
    "TableSource",
    "TextFeatures",
    "TorchCnn",
    "TorchMlp",
    "TorchOptions",
    "Votes",
    "differences",
    "example",
    "json_schema",
    "load",
    "parse",
]
