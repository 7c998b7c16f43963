"""annotate: answers come in. Each is acknowledged after its commit and kept for ever, also when it came too late.

One wrong answer of a batch does not hold up the others: it gets an outcome that says why. Redis and the steward are
told after the commit; if that fails, the steward finds it in SQL.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from labelloop import schema
from labelloop.domain.errors import Invalid, TooLarge, Unavailable
from labelloop.domain.states import Outcome
from labelloop.domain.types import Answer, Identity, LeaseOutcome
from labelloop.loop.lease import MAX_COUNT, UNKNOWN, number, rejected
from labelloop.ports import Ports

COUNTED = frozenset({Outcome.ACCEPTED, Outcome.LATE})


def annotate(
    ports: Ports, name: str, who: Identity, answers: Sequence[Mapping[str, Any]], *, key: str | None = None
) -> tuple[list[LeaseOutcome], bool]:
    """Record answers; one outcome each, in order. With an Idempotency-Key a repeat is answered from the first time.

    Returns:
        The outcomes, and whether they are a replay.

    Raises:
        TooLarge: more answers than one call may carry.
        IdempotencyMismatch: the key was used with other answers.
    """
    if len(answers) > MAX_COUNT:
        raise TooLarge(f"submit at most {MAX_COUNT} answers at once, not {len(answers)}", project=name)
    rules = schema.of(ports.projects.get(name))
    read = [_read(rules, raw) for raw in answers]
    outcomes, replayed = ports.ledger.submit(
        name,
        who.subject,
        read,
        now=ports.clock.now(),
        role=who.role,
        idempotency=(key, _digest(answers)) if key is not None else None,
    )
    counted = [one.item for one in outcomes if one.outcome in COUNTED and one.item is not None]
    if counted and not replayed:
        with suppress(Unavailable):
            ports.queue.done(name, who.subject, counted)
        ports.bus.nudge(name)
    return outcomes, replayed


def _read(rules: schema.Schema, raw: Any) -> Answer | LeaseOutcome:
    if not isinstance(raw, Mapping):
        return rejected("", "an annotation must be an object with `lease` and `label` or `result`")
    lease = number(raw.get("lease"))
    if lease is None:
        return rejected(raw.get("lease"), UNKNOWN)
    try:
        return rules.answer(raw, lease)
    except Invalid as error:
        return rejected(lease, error.detail)


def _digest(answers: Sequence[Mapping[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(list(answers), sort_keys=True, default=str).encode()).hexdigest()
