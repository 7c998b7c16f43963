"""Small orders, states and times to test the queue with."""

from datetime import UTC, datetime, timedelta

from labelloop.domain.errors import TooOften
from labelloop.domain.states import Lane
from labelloop.domain.types import Pull, Query, SlotState

NAME = "birds"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOON = NOW + timedelta(minutes=10)
EVEN = {Lane.INFORMATIVE: 1.0}
INFORMATIVE, MINORITY, AUDIT = Lane.INFORMATIVE, Lane.MINORITY, Lane.AUDIT


def order(items, lane=INFORMATIVE, needed=1, requires=None):
    """Queries of these items, ranked as they stand; `requires` maps items to requirements."""
    asked = requires or {}
    return [
        Query(item=item, lane=lane, rank=rank, score=1.0, probability=1.0, needed=needed, requires=asked.get(item, 0))
        for rank, item in enumerate(items)
    ]


def state(item, *, needed=1, done=0, live=(), out=(), until=SOON, requires=0):
    """What SQL says of an item; `live` are names."""
    holders = tuple((who, until) for who in live)
    return SlotState(item=item, needed=needed, done=done, live=holders, excluded=tuple(out), requires=requires)


def propose(queue, name, who, count, *, expires_at, review=False, pulls=None, covers=()):
    """What one annotator is proposed."""
    one = Pull(annotator=who, count=count, review=review, pulls=pulls, covers=tuple(covers))
    proposed = queue.propose_all(name, [one], expires_at=expires_at)[0]
    if isinstance(proposed, TooOften):
        raise proposed
    return proposed


def done(queue, name, who, items):
    """One annotator's answers to these items count."""
    queue.done_all(name, [(who, items)])


def take(queue, who, count, *, review=False, until=SOON, covers=()):
    """Numbers of the items proposed."""
    return [one.item for one in propose(queue, NAME, who, count, expires_at=until, review=review, covers=covers)]
