"""Embeddings computed elsewhere, checked and taken as they are; what they mean is not known here."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from labelloop.adapters.features.numbers import field
from labelloop.domain.errors import InvalidFeatures
from labelloop.domain.types import Item
from labelloop.maths.arrays import Floats
from labelloop.projects import EmbeddingFeatures


class Embedding:
    """Implements transforms.Transform for `kind = "embedding"`."""

    shape: tuple[int, ...] | None = None

    def __init__(self, section: EmbeddingFeatures, width: int) -> None:
        self._section = section
        self._width = width

    @classmethod
    def fit(cls, section: EmbeddingFeatures, items: Sequence[Item]) -> Self:
        return cls(section, len(_vector(items[0], section.field)))

    @classmethod
    def restore(cls, section: EmbeddingFeatures, notes: Mapping[str, Any]) -> Self:
        return cls(section, int(notes["width"]))

    def apply(self, items: Sequence[Item]) -> Floats:
        name = self._section.field
        rows = _numbers([item.data.get(name) for item in items])
        if rows.shape != (len(items), self._width) or not np.isfinite(rows).all():
            rows = np.stack([self._checked(item) for item in items])
        if self._section.normalize:
            length = np.linalg.norm(rows, axis=1, keepdims=True)
            rows = rows / np.where(length > 0, length, 1)
        return rows.astype(np.float32)

    def _checked(self, item: Item) -> Floats:
        vector = _vector(item, self._section.field)
        if len(vector) != self._width:
            raise InvalidFeatures(
                f"Item {item.key!r}: the embedding in {self._section.field!r} has {len(vector)} numbers where the "
                f"first one had {self._width}. Compute all embeddings by the same model.",
                item=item.key,
                field=self._section.field,
            )
        return vector

    def arrays(self) -> Mapping[str, Any]:
        return {}

    def notes(self) -> Mapping[str, Any]:
        return {"width": self._width}


def _vector(item: Item, name: str) -> Floats:
    value = field(item, name)
    vector = _numbers(value)
    if not isinstance(value, list) or vector.ndim != 1 or not vector.size:
        raise InvalidFeatures(
            f"Item {item.key!r}: {name!r} is not a list of numbers. Give the embedding as a JSON array.",
            item=item.key,
            field=name,
        )
    if not np.isfinite(vector).all():
        place = int(np.argmin(np.isfinite(vector)))
        raise InvalidFeatures(
            f"Item {item.key!r}: number {place} of {name!r} is {value[place]!r}, not a finite number of 32 bits. "
            "Compute the embedding again.",
            item=item.key,
            field=name,
        )
    return vector


def _numbers(value: Any) -> Floats:
    """A list as float32, with infinity for what is too large; nothing when it is no array of numbers."""
    try:
        with np.errstate(over="ignore"):
            return np.array(value, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        return np.zeros(0, dtype=np.float32)
