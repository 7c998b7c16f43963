"""The `model` of a project file: what is trained."""

from typing import Annotated, Any, Literal

from pydantic import Field

from labelloop.projects.section import Section


class SklearnModel(Section):
    """A scikit-learn classifier with `predict_proba`, by its import path, from an allow-list of modules."""

    kind: Literal["sklearn"] = "sklearn"
    estimator: str = "sklearn.linear_model.LogisticRegression"
    """Import path of the classifier."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Arguments of its constructor."""
    calibrate: bool = True
    """Temperature scaling on out-of-fold predictions of the training set."""


class TorchOptions(Section):
    """What both torch classifiers share."""

    members: int = Field(default=1, ge=1, le=20)
    """More than one makes a deep ensemble: a committee."""
    passes: int = Field(default=0, ge=0, le=200)
    """Stochastic forward passes with dropout on: a committee by MC-dropout."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Part of the units left out at random."""
    epochs: int = Field(default=100, ge=1)
    """Most passes over the training set."""
    patience: int = Field(default=10, ge=1)
    """Epochs without a better validation loss before training stops."""
    batch: int = Field(default=64, ge=1)
    """Rows per step."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Step size of AdamW."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Decay of AdamW."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes a GPU where there is one."""
    calibrate: bool = True
    """Temperature scaling on out-of-fold predictions of the training set."""


class TorchMlp(TorchOptions):
    """A multi-layer perceptron over features."""

    kind: Literal["torch_mlp"] = "torch_mlp"
    hidden: tuple[int, ...] = (128,)
    """Units of each hidden layer."""


class TorchCnn(TorchOptions):
    """A small convolutional network over pixel features."""

    kind: Literal["torch_cnn"] = "torch_cnn"
    channels: tuple[int, ...] = (16, 32)
    """Channels of each convolution; each halves the picture."""
    hidden: int = 64
    """Units of the layer before the classes."""


class ModalLearner(Section):
    """A modAL ActiveLearner around a scikit-learn classifier, so that any modAL query function can ask it."""

    kind: Literal["modal_learner"] = "modal_learner"
    estimator: str = "sklearn.linear_model.LogisticRegression"
    """Import path of the classifier."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Arguments of its constructor."""
    calibrate: bool = True
    """Temperature scaling on out-of-fold predictions of the training set."""


class ModalCommittee(Section):
    """A modAL Committee of scikit-learn classifiers, each fitted on a bootstrap of the training set."""

    kind: Literal["modal_committee"] = "modal_committee"
    members: tuple[SklearnModel, ...] = Field(min_length=2)
    """The classifiers of the committee."""
    calibrate: bool = True
    """Temperature scaling on out-of-fold predictions of the training set."""


ModelSpec = Annotated[SklearnModel | TorchMlp | TorchCnn | ModalLearner | ModalCommittee, Field(discriminator="kind")]
