"""The `labels` of a project file: what annotators choose from."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from labelloop.projects.section import Section


class ClassLabels(Section):
    """One class per item, from a plain list."""

    kind: Literal["classes"] = "classes"
    classes: tuple[str, ...] = Field(min_length=2)
    """Names of the classes, in the order people see them. Keys 1…9, then letters, pick them; a class that is a
    single digit is its own key, and the others have letters then."""
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
