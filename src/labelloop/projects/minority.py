"""The `minority` of a project file: which classes there are too few labels of, and how they are looked for."""

from typing import Annotated, Literal

from pydantic import Field

from labelloop.projects.section import Section


class Minority(Section):
    """What the minority lane does, and how far its share in `lanes` may grow by itself."""

    grow_to: float = Field(default=0.9, ge=0, le=1)
    """The part of the informative and minority lanes' shares together that the minority lane may grow to. It has so
    much while the labels are short of classes that the model names for hardly any item, less where that is true of
    some of them only, and its own share where of none. There must be three classes or more; 0 keeps the shares of
    `lanes`."""

    kind: Literal["margin", "cut"] = "margin"
    """How items are asked of a class that the model knows. margin: of each predicted class those of smallest margin,
    behind them, where they are few, those most likely to be of it. cut: those nearest to the cut that tells the class's
    labels from the others best, on both sides."""
    targets: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Class → weight of its share of the labels; 1 for a class that is not named. 0: nobody wants more of it."""
    floors: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """Class → labels it should have at least; it is hunted until it has them."""
    few: int = Field(default=5, ge=0)
    """A class with fewer labels is hunted: by its keywords, by likeness to its examples, by the model's word for it,
    and among small tight groups and outliers. 0 hunts only for floors."""
    classes_hunted: int = Field(default=8, ge=1)
    """So many classes are hunted at a time, those with the fewest labels first."""
    keywords: dict[str, tuple[Annotated[str, Field(min_length=2)], ...]] = Field(default_factory=dict)
    """Class → words or phrases that its texts are likely to hold; case does not matter."""

    def named(self) -> set[str]:
        """Every class that is named here."""
        return {*self.targets, *self.floors, *self.keywords}
