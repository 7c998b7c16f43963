"""auto: which strategy orders the next round, by what the answers to the rounds before it brought.

Nothing is remembered outside the store. A round writes into its stats which arm was drawn, on which beliefs, and what
the round before it came to; the plays are read from there, and the newest is counted from the training sets. So the
same store and seed give the same choice. How the arms are asked is `spread`'s and the strategies' own business.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelloop import schema
from labelloop.domain.states import Lane
from labelloop.domain.types import ItemNumber, ModelNumber, Round
from labelloop.loop.pool import encode
from labelloop.maths import bandit
from labelloop.maths.arrays import Ints
from labelloop.ports import Ports
from labelloop.projects import AutoStrategy, Project, ScoreStrategy

REMEMBERED = 200
"""Rounds that are looked back on; older ones have faded."""
_STREAM = 0x6175746F
"""Sets the draw of the arm apart from what else a round draws by its seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What an arm's answers came to: how many, and their mean reward."""

    arm: str
    answers: int
    reward: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The arm of a round, and the beliefs it was drawn on: arm → (successes, failures)."""

    arm: str
    beliefs: Mapping[str, tuple[float, float]]


def draw(spec: AutoStrategy, past: Sequence[Played], seed: int) -> Choice:
    """Draw an arm on the plays so far, oldest first; plays of arms that the file no longer lists are left out."""
    arms = list(spec.arms)
    plays = [bandit.Play(arms.index(one.arm), one.answers, one.reward) for one in past if one.arm in arms]
    table = bandit.beliefs(plays, len(arms))
    at = bandit.thompson(table, np.random.default_rng([_STREAM, seed]))
    shown = {arm: (round(float(won), 2), round(float(lost), 2)) for arm, (won, lost) in zip(arms, table, strict=True)}
    return Choice(arm=arms[at], beliefs=shown)


def settled(arm: str, codes: Ints, class_counts: Ints) -> Played:
    """What these answers brought, given the labels by class before them."""
    return Played(arm=arm, answers=len(codes), reward=float(bandit.rarity(codes, class_counts).mean()))


def as_arm(project: Project, arm: str) -> Project:
    """The project asked by one arm of its strategy."""
    return project.model_copy(update={"strategy": ScoreStrategy.model_validate(project.strategy.asked_by(arm))})


def resolve(
    ports: Ports, project: Project, *, champion: ModelNumber | None, seed: int
) -> tuple[Project, dict[str, Any]]:
    """The project as the next round asks it, and what the round's stats say about that.

    A new window of the same model goes on with the arm of the one before.
    """
    spec = project.strategy
    if champion is None or not isinstance(spec, AutoStrategy):
        return project, {}
    rounds = ports.rounds.recent(project.name, REMEMBERED)
    rounds = sorted(rounds, key=lambda one: one.number)
    noted = [facts["settled"] for one in rounds if (facts := one.stats.get("auto")) and facts.get("settled")]
    past = [Played(arm=one["arm"], answers=one["answers"], reward=one["reward"]) for one in noted]
    last = next((one for one in reversed(rounds) if one.stats.get("auto")), None)
    if last is not None and last.model == champion and last.stats["auto"]["arm"] in spec.arms:
        return as_arm(project, last.stats["auto"]["arm"]), {"auto": {**last.stats["auto"], "settled": None}}
    newest = _newest(ports, project, last, champion) if last is not None else None
    choice = draw(spec, [*past, newest] if newest else past, seed)
    facts = {"arm": choice.arm, "beliefs": choice.beliefs, "settled": _shown(newest)}
    return as_arm(project, choice.arm), {"auto": facts}


def _newest(ports: Ports, project: Project, last: Round, champion: ModelNumber) -> Played | None:
    """What the last round's arm came to: answers of its lane that this champion has learned and its own had not."""
    if last.model is None:
        return None
    before, known = (_labels(ports, project, number) for number in (last.model, champion))
    lane = ports.rounds.asked(project.name, [item for item in known if item not in before])
    new = [known[item] for item in sorted(lane) if lane[item] is Lane.INFORMATIVE]
    codes, counted = encode(project, new), encode(project, list(before.values()))
    codes, counted = codes[codes >= 0], counted[counted >= 0]
    if not len(codes):
        return None
    return settled(last.stats["auto"]["arm"], codes, np.bincount(counted, minlength=len(schema.of(project).classes)))


def _labels(ports: Ports, project: Project, number: ModelNumber) -> dict[ItemNumber, str]:
    """Item → label of the training set of a model."""
    held = ports.models.training_set(project.name, ports.models.get(project.name, number).training_set)
    return dict(zip(held.items, held.labels, strict=True))


def _shown(played: Played | None) -> dict[str, Any] | None:
    if played is None:
        return None
    return {"arm": played.arm, "answers": played.answers, "reward": round(played.reward, 6)}
