"""The decisions of the loop, true on paper: plain values in, a decision with its reason out.

Nothing here reads a clock, a file or a store; the loop brings the facts and carries the decisions out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from labelloop.domain.states import ItemState, ProjectState
from labelloop.domain.types import Estimate

HASH_RANGE = 2**63
"""Items draw a number below this; the audit reserve is those below its threshold. Fits a signed SQL integer."""


# --- lease ---------------------------------------------------------------------------------------------------


def may_lease(state: ProjectState, spent: int, budget: int | None) -> str | None:
    """Why no work is handed out now, or None when it may be."""
    if state is ProjectState.PAUSED:
        return "the project is paused"
    if budget is not None and spent >= budget:
        return "the budget is spent"
    return None


# --- resolve -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The count of one ballot: the leading value, its part of the votes, and whether it shares the lead."""

    votes: int
    share: float
    tied: bool


def weigh(tally: Tally, *, needed: int, cap: int, agreement: float) -> tuple[ItemState, int]:
    """State of an item after a tally, and how many votes it needs from now on.

    The leader wins with more than `agreement` of the votes. Otherwise one more vote is asked for, up to `cap`; there
    the item is disputed, for a reviewer to decide.
    """
    if tally.votes < needed:
        return ItemState.POOLED, needed
    if not tally.tied and tally.share > agreement:
        return ItemState.RESOLVED, needed
    if tally.votes < cap:
        return ItemState.POOLED, tally.votes + 1
    return ItemState.DISPUTED, needed


# --- audit ---------------------------------------------------------------------------------------------------


def audit_threshold(*, pool: int, share: float, budget: int | None, items: int | None) -> int:
    """Below which drawn number an item belongs to the audit reserve, so that about the wanted number does.

    Wanted are `items`, else the audit's share of the budget, else 1,000; never more than a fifth of the pool, because
    reserved items are never trained on. Fixed once per project, so the reserve stays uniform while the pool grows.
    """
    if share <= 0 or pool <= 0:
        return 0
    wanted = items if items is not None else round(share * budget) if budget is not None else 1_000
    # A quarter more than the share of the budget: the reserve is drawn by lot, and must not run dry before the budget.
    part = min(0.2, 1.25 * wanted / pool)
    return int(part * HASH_RANGE)


# --- train ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFacts:
    """What the retrain conditions look at.

    `resolved` counts labels now, `resolved_then` those when the last training took its set; `last` is the number of
    the last training job (0: none yet), `asked_at` when it was asked for; `fired_at` is the last date of the schedule
    up to now; `class_counts` maps class → labels, and is empty where no condition asks for it.
    """

    now: datetime
    resolved: int
    resolved_then: int
    last: int
    asked_at: datetime | None
    running: bool
    fired_at: datetime | None = None
    class_counts: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A training that is due. The key names the condition and its occasion: asked twice it is the same training."""

    key: str
    reason: str


def retrain_due(
    facts: TrainingFacts,
    *,
    first: int,
    labels: int | None,
    every: float | None,
    class_minimum: int | None,
    done_classes: Iterable[str] = (),
) -> Due | None:
    """The training that is due now, if any. While one runs none is: what arrives meanwhile is in the next one."""
    new = facts.resolved - facts.resolved_then
    if facts.running or facts.resolved < first or new <= 0:
        return None
    if facts.last == 0:
        return Due(key="first", reason=f"the first {facts.resolved} labels are here")
    if labels is not None and new >= labels:
        return Due(key=f"labels-after-{facts.last}", reason=f"{new} labels since the last training")
    if facts.fired_at is not None and (facts.asked_at is None or facts.fired_at > facts.asked_at):
        return Due(key=f"schedule-{facts.fired_at.isoformat()}", reason="the schedule says so")
    if every is not None and facts.asked_at and (facts.now - facts.asked_at).total_seconds() >= every:
        return Due(key=f"every-after-{facts.last}", reason=f"{every:g} s since the last training was asked for")
    if class_minimum is not None:
        done = set(done_classes)
        for name, count in (facts.class_counts or {}).items():
            if count >= class_minimum and name not in done:
                return Due(key=f"class-{name}", reason=f"class {name!r} has its first {class_minimum} labels")
    return None


# --- promote -------------------------------------------------------------------------------------------------


def gate(
    *, kind: str, metric: str, difference: Estimate | None, audit_items: int, minimum_audit: int, tolerance: float
) -> tuple[bool, str]:
    """Whether a healthy candidate replaces the champion, and why.

    `difference` is candidate minus champion on the same audit items, as a one-sided bound at the gate's confidence on
    each side: `low` is the least, `high` the most it may be.
    """
    if difference is None:
        return True, "the first healthy model"
    if kind == "always":
        return True, "the gate is open"
    if audit_items < minimum_audit:
        return True, f"too few audit labels to object: {audit_items} of {minimum_audit}"
    shown = (
        f"{metric} {difference.mean:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}] on {audit_items} audit items"
    )
    if kind == "better":
        return (True, f"better: {shown}") if difference.low > 0 else (False, f"not shown to be better: {shown}")
    if difference.high < -tolerance:
        return False, f"worse: {shown}"
    return True, f"not worse: {shown}"
