"""annotate: answers come in. Each is acknowledged after its commit and kept for ever, also when it came too late.

One wrong answer of a batch does not hold up the others: it gets an outcome that says why. Redis and the steward are
told after the commit; if that fails, the steward finds it in SQL.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from labelloop import schema
from labelloop.domain.errors import IdempotencyMismatch, Invalid, LabelloopError, TooLarge, Unavailable
from labelloop.domain.states import Outcome
from labelloop.domain.types import UNKNOWN_LEASE, Answer, Identity, ItemNumber, LeaseOutcome, Submission
from labelloop.loop.lease import MAX_COUNT, number, rejected
from labelloop.ports import Ports

COUNTED = frozenset({Outcome.ACCEPTED, Outcome.LATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The answers of one call, as they came, with its Idempotency-Key."""

    who: Identity
    answers: Sequence[Mapping[str, Any]]
    key: str | None = None


Recorded = tuple[list[LeaseOutcome], bool]
"""One outcome for each answer, in order, and whether they are a replay."""


def annotate(
    ports: Ports, name: str, who: Identity, answers: Sequence[Mapping[str, Any]], *, key: str | None = None
) -> Recorded:
    """Record answers; one outcome each, in order. With an Idempotency-Key a repeat is answered from the first time.

    Raises:
        TooLarge: more answers than one call may carry.
        IdempotencyMismatch: the key was used with other answers.
    """
    recorded = annotate_all(ports, name, [Sheet(who=who, answers=answers, key=key)])[0]
    if isinstance(recorded, LabelloopError):
        raise recorded
    return recorded


def annotate_all(ports: Ports, name: str, sheets: Sequence[Sheet]) -> list[Recorded | TooLarge | IdempotencyMismatch]:
    """As `annotate`, for all who answer at the same time: one transaction, one round trip to Redis."""
    rules = schema.of(ports.projects.get(name))
    fair = [sheet for sheet in sheets if len(sheet.answers) <= MAX_COUNT]
    recorded = iter(
        ports.ledger.submit_all(name, [_submission(rules, sheet) for sheet in fair], now=ports.clock.now())
        if fair
        else ()
    )
    found = [next(recorded) if len(sheet.answers) <= MAX_COUNT else _too_many(name, sheet) for sheet in sheets]
    counted = [
        (sheet.who.subject, items)
        for sheet, one in zip(sheets, found, strict=True)
        if isinstance(one, tuple) and not one[1] and (items := _counted(one[0]))
    ]
    if counted:
        with suppress(Unavailable):
            ports.queue.done_all(name, counted)
            ports.bus.nudge(name)  # it goes the same way: when Redis is away, nobody waits for it twice
    return found


def _submission(rules: schema.Schema, sheet: Sheet) -> Submission:
    return Submission(
        annotator=sheet.who.subject,
        role=sheet.who.role,
        answers=[_read(rules, raw) for raw in sheet.answers],
        idempotency=None if sheet.key is None else (sheet.key, _digest(sheet.answers)),
    )


def _too_many(name: str, sheet: Sheet) -> TooLarge:
    return TooLarge(f"submit at most {MAX_COUNT} answers at once, not {len(sheet.answers)}", project=name)


def _counted(outcomes: Sequence[LeaseOutcome]) -> list[ItemNumber]:
    return [one.item for one in outcomes if one.outcome in COUNTED and one.item is not None]


def _read(rules: schema.Schema, raw: Any) -> Answer | LeaseOutcome:
    if not isinstance(raw, Mapping):
        return rejected("", "an annotation must be an object with `lease` and `label` or `result`")
    if raw.get("lease") is None:
        return rejected("", "no `lease`; an answer needs the one that its item came with")
    lease = number(raw["lease"])
    if lease is None:
        return rejected(raw["lease"], UNKNOWN_LEASE)
    try:
        return rules.answer(raw, lease)
    except Invalid as error:
        return rejected(lease, error.detail)


def _digest(answers: Sequence[Mapping[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(list(answers), sort_keys=True, default=str).encode()).hexdigest()
