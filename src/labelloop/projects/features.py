"""The `features` of a project file: how items become numbers."""

from typing import Annotated, Literal

from pydantic import Field

from labelloop.projects.section import Section


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
    """Rows of grey values, or a path below an allowed root. Default: `items.field`, where that is given."""
    size: tuple[int, int] | None = None
    """Height and width to resize to; required for pictures by path."""
    colour: bool = False
    """Keep red, green and blue instead of grey."""
    maximum: float = Field(default=255.0, gt=0)
    """The value of white."""


class TextFeatures(Section):
    """Text as weighted terms, optionally reduced by a truncated SVD."""

    kind: Literal["text"] = "text"
    field: str = "text"
    """The field of `data` that holds the text. Default: `items.field`, where that is given."""
    vectorizer: Literal["tfidf", "hashing"] = "tfidf"
    """`tfidf` learns its terms from the first items; `hashing` needs no fit and no vocabulary."""
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
