"""From the strategy in a project file to what it needs to see and how it scores.

`bind` is the registry; `checked_score` and `checked_pick` are how the loop asks, so that a broken strategy is found
before its answer is believed. Adding one: a formula in `maths.acquisition` and a line in `own`, or a plugin; see
CONTRIBUTING.
"""

from dataclasses import fields, replace
from typing import Any

import numpy as np

from labelloop.domain.errors import LabelloopError, StrategyFailed
from labelloop.maths.arrays import Floats, Ints
from labelloop.projects import AutoStrategy, ModalStrategy, PluginStrategy, ScoreStrategy, StrategySpec
from labelloop.strategies import modal, own, plugins
from labelloop.strategies.contract import Evidence, Need, Picker, Strategy
from labelloop.strategies.own import OfCommittee, OfProbabilities

__all__ = [
    "Evidence",
    "Need",
    "OfCommittee",
    "OfProbabilities",
    "Picker",
    "Strategy",
    "StrategyFailed",
    "bind",
    "checked_pick",
    "checked_score",
    "names",
]


_MOST = np.finfo(np.float32).max
"""Scores are kept as float32."""


def names() -> dict[str, str]:
    """Kind of strategy → what it asks first, in a line; the kinds of the project file."""
    return {
        "random": "any row: the yardstick, and the safe choice before there is a model",
        **{name: line for name, (_, line) in own.OF_PROBABILITIES.items()},
        **{name: line for name, (_, line) in own.OF_COMMITTEE.items()},
        **own.OTHERS,
        "auto": "what the strategy asks for that its own rounds speak for, drawn anew for each model",
        "modal": "what a query function of modAL asks for, by its import path",
        "plugin": "what a strategy of another package asks for, by its entry point",
    }


def bind(spec: StrategySpec) -> Strategy:
    """The strategy a project file asks for, ready to score.

    Raises:
        InvalidProject: an unknown plugin or modAL function, or one that cannot be loaded; lists the known ones.
    """
    if isinstance(spec, ModalStrategy):
        return modal.load(spec.function)
    if isinstance(spec, PluginStrategy):
        return plugins.load(spec.name)
    if isinstance(spec, AutoStrategy):  # what it chose binds for itself; see loop.auto
        return own.bind(ScoreStrategy())
    return own.bind(spec)


def checked_score(strategy: Strategy, evidence: Evidence, rng: np.random.Generator) -> Floats:
    """Scores (n,) that can be believed: floats that stay finite in float32, one per row. The evidence is locked.

    Raises:
        StrategyFailed: the strategy raised, or answered with another shape, NaN or infinity; names the first row.
        InvalidProject: the strategy cannot work with the project's model.
    """
    try:
        answer = np.asarray(strategy.score(_locked(evidence), rng))
    except LabelloopError:
        raise
    except Exception as error:
        raise _failed(strategy, f"raised {type(error).__name__}: {error}") from error
    if answer.shape != (evidence.rows,):
        raise _failed(strategy, f"answered shape {answer.shape} for {evidence.rows} rows")
    if not (np.issubdtype(answer.dtype, np.number) or answer.dtype == bool) or np.iscomplexobj(answer):
        raise _failed(strategy, f"answered {answer.dtype}, not numbers")
    scores: Floats = answer if np.issubdtype(answer.dtype, np.floating) else answer.astype(np.float64)
    bad = np.flatnonzero(~(np.abs(scores) <= _MOST))
    if len(bad):
        raise _failed(strategy, f"answered {scores[bad[0]]} for row {bad[0]} ({len(bad)} such rows)")
    return scores


def checked_pick(picker: Picker, evidence: Evidence, count: int, rng: np.random.Generator) -> Ints:
    """Positions (min(count, rows),) that can be believed: in range, no repeats, none missing. The evidence is locked.

    Raises:
        StrategyFailed: the strategy raised, or answered something else.
        InvalidProject: the strategy cannot work with the project's model.
    """
    try:
        answer = np.asarray(picker.pick(_locked(evidence), count, rng))
    except LabelloopError:
        raise
    except Exception as error:
        raise _failed(picker, f"raised {type(error).__name__}: {error}") from error
    if answer.ndim != 1 or (len(answer) and not np.issubdtype(answer.dtype, np.integer)):
        raise _failed(picker, f"picked shape {answer.shape} of {answer.dtype}, not positions")
    positions: Ints = answer.astype(np.intp)
    wanted = min(count, evidence.rows)
    if len(positions) != wanted:
        raise _failed(picker, f"picked {len(positions)} rows where {wanted} were asked for")
    outside = positions[(positions < 0) | (positions >= evidence.rows)]
    if len(outside):
        raise _failed(picker, f"picked position {outside[0]} of {evidence.rows} rows")
    values, times = np.unique(positions, return_counts=True)
    if len(values) < wanted:
        raise _failed(picker, f"picked row {values[times.argmax()]} twice")
    return positions


def _locked(evidence: Evidence) -> Evidence:
    """The same evidence, not to be written to: what a strategy changes would be kept as what the model said."""
    changes: dict[str, Any] = {}
    for one in fields(evidence):
        value = getattr(evidence, one.name)
        if isinstance(value, np.ndarray):
            changes[one.name] = _read_only(value)
    return replace(evidence, **changes)


def _read_only(array: Floats) -> Floats:
    view = array.view()
    view.flags.writeable = False
    return view


def _failed(strategy: Strategy | Picker, what: str) -> StrategyFailed:
    name = getattr(strategy, "name", type(strategy).__name__)
    return StrategyFailed(f"The strategy {name!r} {what}.", strategy=name)
