"""Strategies that other packages bring along, by the entry-point group `labelloop.strategies`.

An entry point names a class with `score` (and perhaps `pick`), an object with them, or a function
`(evidence, rng) → scores`. `needs` may be set on any of them; a plain function gets probabilities when it says nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

import numpy as np

from labelloop.domain.errors import InvalidProject
from labelloop.maths.arrays import Floats
from labelloop.strategies.contract import Evidence, Need, Strategy

GROUP = "labelloop.strategies"


@dataclass(frozen=True, slots=True)
class OfFunction:
    """A function of somebody's. Implements strategies.Strategy."""

    name: str
    function: Callable[[Evidence, np.random.Generator], Floats]
    needs: frozenset[Need]

    def score(self, evidence: Evidence, rng: np.random.Generator) -> Floats:
        """What the function says."""
        return self.function(evidence, rng)


def installed() -> dict[str, EntryPoint]:
    """Name → entry point of every plugin strategy there is."""
    return {point.name: point for point in entry_points(group=GROUP)}


def load(name: str) -> Strategy:
    """The plugin strategy of this name.

    Raises:
        InvalidProject: no such plugin (lists those there are), it cannot be imported, or is no strategy.
    """
    known = installed()
    if name not in known:
        listed = f"known: {', '.join(sorted(known))}" if known else "none are installed"
        raise InvalidProject(f"strategy.name: there is no plugin strategy {name!r}; {listed}.", strategy=name)
    try:
        found = known[name].load()
        made = found() if isinstance(found, type) else found
    except Exception as error:
        raise InvalidProject(
            f"strategy.name: the plugin {name!r} ({known[name].value}) cannot be loaded:"
            f" {type(error).__name__}: {error}",
            strategy=name,
        ) from error
    return _strategy(name, made)


def _strategy(name: str, made: Any) -> Strategy:
    try:
        needs = frozenset(Need(need) for need in getattr(made, "needs", (Need.PROBABILITIES,)))
    except (ValueError, TypeError):
        raise InvalidProject(
            f"strategy.name: `needs` of the plugin {name!r} must list some of {', '.join(Need)}.", strategy=name
        ) from None
    if isinstance(made, Strategy):
        return made
    if hasattr(made, "score"):
        raise InvalidProject(
            f"strategy.name: the plugin {name!r} needs the attributes `name` and `needs` beside `score`.", strategy=name
        )
    if callable(made):
        return OfFunction(name, cast("Callable[[Evidence, np.random.Generator], Floats]", made), needs)
    raise InvalidProject(
        f"strategy.name: the plugin {name!r} is neither a function (evidence, rng) nor a class with `score`.",
        strategy=name,
    )
