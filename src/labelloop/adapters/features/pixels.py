"""Pictures as rows of pixels in [0, 1]: grey values in the item, or a file below an allowed root."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from labelloop.adapters.features import pictures
from labelloop.adapters.features.numbers import field
from labelloop.domain.errors import InvalidFeatures
from labelloop.domain.types import Item
from labelloop.maths.arrays import Floats
from labelloop.projects import PixelFeatures

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in grey (ITU-R BT.601, section 2.5.1), the same that Pillow uses."""


class Pixels:
    """Implements transforms.Transform for `kind = "pixels"`: rows (n, height * width * channels), channels last."""

    def __init__(self, section: PixelFeatures, shape: tuple[int, int, int], roots: tuple[Path, ...]) -> None:
        self._section = section
        self._roots = roots
        self.shape: tuple[int, ...] | None = shape
        self._size = shape[:2]
        self._channels = shape[2]

    @classmethod
    def fit(cls, section: PixelFeatures, items: Sequence[Item], roots: tuple[Path, ...]) -> Self:
        height, width = section.size or _size(items[0], section.field)
        return cls(section, (height, width, 3 if section.colour else 1), roots)

    @classmethod
    def restore(cls, section: PixelFeatures, notes: Mapping[str, Any], roots: tuple[Path, ...]) -> Self:
        height, width, channels = notes["shape"]
        return cls(section, (height, width, channels), roots)

    def apply(self, items: Sequence[Item]) -> Floats:
        rows = self._bulk(items)
        if rows is None:
            rows = np.stack([self._one(item) for item in items])
        return np.ascontiguousarray(rows.reshape(len(items), -1), dtype=np.float32)

    def arrays(self) -> Mapping[str, Any]:
        return {}

    def notes(self) -> Mapping[str, Any]:
        return {"shape": list(self.shape or ())}

    def _bulk(self, items: Sequence[Item]) -> Floats | None:
        """All pictures at once, when all are grey values of the shape that is wanted: a hundred times as fast."""
        values = [item.data.get(self._section.field) for item in items]
        if self._channels != 1 or not all(isinstance(value, list) for value in values):
            return None
        try:
            rows = np.array(values, dtype=np.float32)
        except (ValueError, TypeError, OverflowError):
            return None
        good = rows.shape == (len(items), *self._size) and bool(((rows >= 0) & (rows <= self._section.maximum)).all())
        return rows / np.float32(self._section.maximum) if good else None

    def _one(self, item: Item) -> Floats:
        """One picture (height, width, channels), with the reason if it is none."""
        value = field(item, self._section.field)
        if isinstance(value, str):
            return pictures.read(item.key, value, size=self._size, colour=self._channels == 3, roots=self._roots)
        picture = _grey_values(item, self._section.field)
        if picture.min() < 0 or picture.max() > self._section.maximum:
            raise InvalidFeatures(
                f"Item {item.key!r}: grey values of {self._section.field!r} run from {picture.min():g} to "
                f"{picture.max():g}, but features.maximum, the value of white, is {self._section.maximum:g}. "
                "Correct one of them.",
                item=item.key,
                field=self._section.field,
            )
        picture = self._channelled(picture / np.float32(self._section.maximum))
        if picture.shape[:2] == self._size:
            return picture
        if self._section.size is None:
            raise InvalidFeatures(
                f"Item {item.key!r}: the picture in {self._section.field!r} is {picture.shape[0]}×{picture.shape[1]} "
                f"where the first one was {self._size[0]}×{self._size[1]}. Set features.size to resize them all.",
                item=item.key,
                field=self._section.field,
            )
        return pictures.resize(picture, self._size)

    def _channelled(self, picture: Floats) -> Floats:
        """A picture (height, width) or (height, width, 3) with as many channels as the project wants."""
        if picture.ndim == 2:
            return np.repeat(picture[:, :, None], self._channels, axis=2)
        return picture if self._channels == 3 else (picture @ _LUMA)[:, :, None]


def _size(item: Item, name: str) -> tuple[int, int]:
    if isinstance(field(item, name), str):
        raise InvalidFeatures(
            f"Item {item.key!r}: {name!r} names a picture file, so features.size (height and width) must be set.",
            item=item.key,
            field=name,
        )
    height, width = _grey_values(item, name).shape[:2]
    return height, width


def _grey_values(item: Item, name: str) -> Floats:
    value = field(item, name)
    try:
        picture = np.array(value, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        picture = np.zeros(0, dtype=np.float32)
    layout = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)
    if not isinstance(value, list) or not layout or not picture.size:
        raise InvalidFeatures(
            f"Item {item.key!r}: {name!r} is not a picture. Give rows of grey values (all rows equally long), rows of "
            "[red, green, blue], or the path of a file.",
            item=item.key,
            field=name,
        )
    if not np.isfinite(picture).all():
        raise InvalidFeatures(
            f"Item {item.key!r}: {name!r} holds a value that is not a finite number. Correct the picture.",
            item=item.key,
            field=name,
        )
    return picture
