"""The `model` of a project file: what is trained."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from labelloop.projects.section import Section


class SelfTraining(Section):
    """What the model guesses of items without a label, taken for labels in the second fit of the same training.

    Guesses are made anew by each training and kept nowhere. An item that was guessed about is asked as if it had not
    been, and no guess enters the audit, the calibration or an export. They have the mix of classes of the labels.
    """

    per_label: float = Field(default=5.0, ge=0, le=100)
    """Guesses for each label at most, the surest of each class; fewer where a class is seldom guessed. 0 for none."""
    most: int = Field(default=10_000, ge=1, le=20_000)
    """Guesses in all at most; no more than 20,000 items are looked at."""


class ModelOptions(Section):
    """What every kind of model may be told about its training."""

    calibrate: bool = True
    """Temperature scaling on out-of-fold predictions of the training set."""
    self_training: SelfTraining | None = None
    """What a training learns from items without a label. Without it: as its defaults say for texts and a model of
    `sklearn.linear_model`, where it was measured to save labels; nothing for all others."""


class SklearnModel(ModelOptions):
    """A scikit-learn classifier with `predict_proba`, by its import path, from an allow-list of modules."""

    kind: Literal["sklearn"] = "sklearn"
    estimator: str = "sklearn.linear_model.LogisticRegression"
    """Import path of the classifier."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Arguments of its constructor. As the `model` of a project of texts, logistic regression without this key gets
    C = 10 and max_iter = 1000."""


class TorchOptions(ModelOptions):
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


class ModalLearner(ModelOptions):
    """A modAL ActiveLearner around a scikit-learn classifier, so that any modAL query function can ask it."""

    kind: Literal["modal_learner"] = "modal_learner"
    estimator: str = "sklearn.linear_model.LogisticRegression"
    """Import path of the classifier."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Arguments of its constructor."""


class ModalCommittee(ModelOptions):
    """A modAL Committee of scikit-learn classifiers, each fitted on a bootstrap of the training set."""

    kind: Literal["modal_committee"] = "modal_committee"
    members: tuple[SklearnModel, ...] = Field(min_length=2)
    """The classifiers of the committee."""

    @field_validator("members")
    @classmethod
    def _taught_together(cls, members: tuple[SklearnModel, ...]) -> tuple[SklearnModel, ...]:
        if any(member.self_training is not None for member in members):
            msg = "a committee learns from its guesses as a whole: put `self_training` beside `members`"
            raise ValueError(msg)
        return members


ModelSpec = Annotated[SklearnModel | TorchMlp | TorchCnn | ModalLearner | ModalCommittee, Field(discriminator="kind")]
