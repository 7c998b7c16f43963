"""Picture files through Pillow (extra `images`); which files may be read is decided by `disk.roots`."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.disk.roots import resolve_below
from labelloop.domain.errors import Invalid, InvalidFeatures
from labelloop.maths.arrays import Floats


def read(key: str, path: str, *, size: tuple[int, int], colour: bool, roots: tuple[Path, ...]) -> Floats:
    """A picture file as float32 (height, width, 1 or 3) in [0, 1], turned as its EXIF says and resized.

    Raises:
        InvalidFeatures: outside the roots, missing, not a picture, or so large that it may be an attack; names `key`.
    """
    try:
        return _read(resolve_below(roots, path), size, "RGB" if colour else "L")
    except Invalid as error:
        raise InvalidFeatures(f"Item {key!r}: {error.detail}", item=key) from None
    except (OSError, ValueError, SyntaxError, Warning) as error:
        raise InvalidFeatures(
            f"Item {key!r}: the picture {path!r} cannot be read ({error}). Replace the file.", item=key
        ) from None


def resize(picture: Floats, size: tuple[int, int]) -> Floats:
    """A picture (height, width, channels) of float32 at another height and width, bilinear."""
    image = _pillow().Image
    planes = [image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(picture.astype(np.float32), 2, 0)]
    return np.stack([np.asarray(plane.resize(size[::-1], image.Resampling.BILINEAR)) for plane in planes], axis=2)


def _read(path: Path, size: tuple[int, int], mode: str) -> Floats:
    pillow = _pillow()
    with warnings.catch_warnings():
        # Pillow only warns of a small file that unpacks into gigabytes, and goes on.
        warnings.simplefilter("error", pillow.Image.DecompressionBombWarning)
        with pillow.Image.open(path) as image:
            image.draft(mode, size[::-1])
            turned = pillow.ImageOps.exif_transpose(image)
            if turned.mode.startswith("I"):  # 16 bits a pixel: `convert` would cut, not scale
                deep = np.asarray(turned, dtype=np.float32)[:, :, None] / np.float32(65_535)
                return resize(np.repeat(deep, len(mode), axis=2), size)
            small = turned.convert(mode).resize(size[::-1], pillow.Image.Resampling.BILINEAR)
    return np.asarray(small, dtype=np.float32).reshape(*size, len(mode)) / np.float32(255)


def _pillow() -> Any:
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError:
        raise InvalidFeatures("Reading or resizing pictures needs Pillow: pip install 'labelloop[images]'.") from None
    return PIL
