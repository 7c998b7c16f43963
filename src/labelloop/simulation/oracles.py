"""The simulated annotators of a replay: how often they err, for what they take an item, how long they look at it.

What an item would be answered is drawn once per seed, before anything is asked: two arms of a seed that ask the same
item get the same answer, and are compared without that noise.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, ValidationError

from labelloop.domain.errors import Invalid
from labelloop.maths.arrays import Floats, Ints
from labelloop.projects import Section

EVERY = "*"
"""Stands for every class that is not named."""

Chance = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]
ByClass = float | Mapping[str, float]
"""One number for all classes, or class → number, with `*` for the others."""


class Oracles(Section):
    """Simulated annotators. Classes are the true ones, as the data set has them."""

    noise: Chance | dict[str, Chance] = 0.0
    """Probability of a wrong answer, for all or by class; wrong answers are spread evenly over the other classes."""
    confusion: dict[str, dict[str, Chance]] = Field(default_factory=dict)
    """Class → what it is taken for → how often. A class that stands here errs so, and not by `noise`."""
    seconds: Seconds | dict[str, Seconds] | None = None
    """Mean time per label, for all or by class; without it no time is told."""
    spread: float = Field(default=0.0, ge=0, le=3)
    """How much times vary: standard deviation of the logarithm of the seconds; 0.5 is usual for people."""
    hourly: float | None = Field(default=None, gt=0)
    """What an hour of annotation costs, in any currency; prices are told beside times then."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What each item of a pool would be answered, and after how many seconds: codes (n,), seconds (n,) or None."""

    codes: Ints
    seconds: Floats | None


def answers(oracles: Oracles, classes: Sequence[str], truth: Ints, rng: np.random.Generator) -> Answers:
    """Draw the answer to every item with these true codes.

    Raises:
        Invalid: a class that the project does not have, or rows of a confusion above 1.
    """
    chances = np.cumsum(confusion(oracles, classes), axis=1)
    drawn = rng.random(len(truth))
    codes = np.empty(len(truth), dtype=np.int64)
    for code in np.unique(truth).tolist():
        rows = np.flatnonzero(truth == code)
        codes[rows] = np.minimum(np.searchsorted(chances[code], drawn[rows], side="right"), len(classes) - 1)
    if oracles.seconds is None:
        return Answers(codes, None)
    mean = _by_class(oracles.seconds, classes, "seconds", default=math.nan)
    if np.isnan(mean).any():
        missing = ", ".join(name for name, value in zip(classes, mean, strict=True) if math.isnan(value))
        raise Invalid(f"seconds: say how long a label of {missing} takes, or give `{EVERY}` for the others.")
    vary = oracles.spread * rng.standard_normal(len(truth)) - oracles.spread**2 / 2
    return Answers(codes, mean[truth] * np.exp(vary))


def confusion(oracles: Oracles, classes: Sequence[str]) -> Floats:
    """(classes, classes) probability of each answer, by true class; rows sum to 1.

    Raises:
        Invalid: names the class that is unknown, or whose row is above 1.
    """
    count = len(classes)
    wrong = _by_class(oracles.noise, classes, "noise")
    matrix = np.repeat(wrong[:, None] / max(count - 1, 1), count, axis=1)
    np.fill_diagonal(matrix, 1 - wrong)
    for name, taken_for in oracles.confusion.items():
        row = _code(name, classes, "confusion")
        matrix[row] = 0.0
        for other, chance in taken_for.items():
            matrix[row, _code(other, classes, f"confusion.{name}")] = chance
        matrix[row, row] = 0.0
        total = float(matrix[row].sum())
        if total > 1 + 1e-9:
            raise Invalid(f"confusion.{name}: the chances sum to {total:.3g}; they may reach 1 at most.")
        matrix[row, row] = max(0.0, 1 - total)
    return matrix


def check(oracles: Oracles, classes: Sequence[str]) -> None:
    """Refuse what does not fit the classes of a project, before anything long begins.

    Raises:
        Invalid: as `answers`.
    """
    answers(oracles, classes, np.zeros(0, dtype=np.int64), np.random.default_rng(0))


def read(path: Path) -> Oracles:
    """Simulated annotators from a TOML file.

    Raises:
        Invalid: it cannot be read, or says what is not known.
    """
    try:
        return Oracles.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise Invalid(f"{path}: cannot be read ({error.strerror}). Give a TOML file of simulated annotators.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path}: is not valid TOML: {error}.") from None
    except ValidationError as error:
        raise _explained(error, str(path)) from None


def made(*, noise: float | dict[str, float], seconds: float | dict[str, float] | None) -> Oracles:
    """Simulated annotators from options.

    Raises:
        Invalid: a number that cannot be; says which.
    """
    try:
        return Oracles(noise=noise, seconds=seconds)
    except ValidationError as error:
        raise _explained(error, "simulated annotators") from None


def _explained(error: ValidationError, origin: str) -> Invalid:
    first = error.errors(include_url=False)[0]
    known = ", ".join(Oracles.model_fields)
    where = str(first["loc"][0])
    return Invalid(f"{origin}: {where} is {first['input']!r}: {first['msg']}. Known keys: {known}.")


def by_class(text: str, option: str) -> float | dict[str, float]:
    """An option as people type it: `0.1`, or `spam=0.3,*=0.05`.

    Raises:
        Invalid: it is neither.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = part.rpartition("=")
        try:
            found[name.strip() if equals else EVERY] = float(number)
        except ValueError:
            raise Invalid(f"{option} {text!r}: give a number, or CLASS=NUMBER with commas between them.") from None
    return found[EVERY] if list(found) == [EVERY] else found


def _by_class(value: ByClass, classes: Sequence[str], what: str, *, default: float = 0.0) -> Floats:
    if not isinstance(value, Mapping):
        return np.full(len(classes), float(value))
    numbers = np.full(len(classes), value.get(EVERY, default))
    for name, number in value.items():
        if name != EVERY:
            numbers[_code(name, classes, what)] = number
    return numbers


def _code(name: str, classes: Sequence[str], what: str) -> int:
    if name not in classes:
        raise Invalid(f"{what}: there is no class {name!r}; classes: {', '.join(classes)}.")
    return list(classes).index(name)
