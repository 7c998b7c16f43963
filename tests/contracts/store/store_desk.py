"""A small desk that leases and answers for the tests of the store, with a clock that is turned by hand."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.store import Store
from labelloop.domain.errors import IdempotencyMismatch
from labelloop.domain.states import ItemState, Lane, Role
from labelloop.domain.types import (
    Answer,
    Candidate,
    ItemNumber,
    Lease,
    LeaseOutcome,
    NewItem,
    Proposal,
    Query,
    Round,
    Subject,
    Submission,
    Verdict,
)
from labelloop.projects import Project, parse

START = datetime(2030, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NAME = "demo"


def project_file(name: str = NAME, **more: object) -> Project:
    """The smallest project."""
    return parse(
        {"name": name, "labels": {"kind": "classes", "classes": ["a", "b"]}, "features": {"kind": "text"}, **more}
    )


def grant(ledger, name, annotator, candidates, **terms) -> list[Lease]:
    """What one annotator is granted."""
    return ledger.grant_all(name, [Proposal(annotator=annotator, candidates=candidates)], **terms)[0].leases


def submit(ledger, name, annotator, answers, *, now, role, idempotency=None) -> tuple[list[LeaseOutcome], bool]:
    """What one call comes to."""
    one = Submission(annotator=annotator, role=role, answers=answers, idempotency=idempotency)
    recorded = ledger.submit_all(name, [one], now=now)[0]
    if isinstance(recorded, IdempotencyMismatch):
        raise recorded
    return recorded


@dataclass
class Desk:
    """A store with one project, and a clock that tests turn by hand."""

    store: Store
    url: str
    now: datetime = START

    def pass_time(self, span: timedelta) -> None:
        self.now += span

    def fill(self, count: int, *, needed: int = 1, cap: int | None = None) -> None:
        self.store.projects.create(project_file(votes={"needed": needed, "cap": cap or max(needed, 1)}), self.now)
        self.store.pool.add(NAME, [new_item(number) for number in range(count)], self.now)

    def plan(self, *items: int, lane: Lane = Lane.INFORMATIVE, needed: int = 1) -> Round:
        queries = [
            Query(item=ItemNumber(item), lane=lane, rank=rank, score=1.0 - rank / 100, probability=0.5, needed=needed)
            for rank, item in enumerate(items)
        ]
        champion = self.store.projects.row(NAME).champion
        planned = self.store.rounds.save(
            NAME, queries, strategy="margin", seed=7, model=champion, pool_version=1, stats={"n": 1}, now=self.now
        )
        assert planned is not None
        return planned

    def grant(
        self,
        annotator: str,
        *items: int,
        lane: Lane = Lane.INFORMATIVE,
        most: int = 100,
        budget: int | None = None,
        span: timedelta = MINUTE,
        carries: Iterable[str] = (),
    ) -> list[Lease]:
        proposal = Proposal(
            annotator=Subject(annotator),
            candidates=[Candidate(item=ItemNumber(item), lane=lane) for item in items],
            skills=frozenset(carries),
        )
        return self.store.ledger.grant_all(
            NAME, [proposal], now=self.now, expires_at=self.now + span, most=most, budget=budget
        )[0].leases

    def submit(
        self,
        annotator: str,
        *leases: Lease | LeaseOutcome,
        label: str = "a",
        role: Role = Role.ANNOTATOR,
        idempotency: tuple[str, str] | None = None,
    ) -> list[LeaseOutcome]:
        outcomes, _ = submit(
            self.store.ledger,
            NAME,
            Subject(annotator),
            [one if isinstance(one, LeaseOutcome) else answer(one, label) for one in leases],
            now=self.now,
            role=role,
            idempotency=idempotency,
        )
        return outcomes

    def said(self, annotator: str, *leases: Lease, **more: object) -> list[str]:
        """Only the words of the outcomes."""
        return [outcome.outcome.value for outcome in self.submit(annotator, *leases, **more)]

    def vote(self, annotator: str, item: int, label: str = "a") -> None:
        assert self.said(annotator, *self.grant(annotator, item), label=label) == ["accepted"]

    def settle(self, item: int, state: ItemState, *, needed: int = 1, votes: int = 1, label: str = "a") -> int:
        won = label if state is ItemState.RESOLVED else None
        verdict = Verdict(
            item=ItemNumber(item), state=state, needed=needed, value=won, label=won, confidence=1.0, votes=votes
        )
        return self.store.verdicts.settle(NAME, [verdict], self.now)

    def slot(self, item: int):
        return self.store.ledger.slots(NAME, [ItemNumber(item)])[0]


def new_item(number: int, **more: object) -> NewItem:
    """An item whose key and text are its number."""
    return NewItem(key=f"k{number}", data={"text": f"text {number}"}, line=number + 1, **more)


def answer(lease: Lease, label: str = "a") -> Answer:
    """An answer of one class."""
    return Answer(lease=lease.id, value=label, label=label, seconds=2.0)


def rows(store, *columns):
    """Rows of a table, unfiltered."""
    with store.engine.connect() as connection:
        return connection.execute(select(*columns)).all()


def true_to_the_rows(store) -> None:
    """What the counters say equals what the rows say."""
    row = rows(store, tables.project)[0]
    states = Counter(state for (state,) in rows(store, tables.item.c.state))
    assert [row.pooled, row.resolved, row.disputed, row.retired] == [
        states[state] for state in ("pooled", "resolved", "disputed", "retired")
    ]
    counted = rows(store, tables.annotation.c.item, tables.annotation.c.counted)
    assert row.spent == sum(one.counted for one in counted)
    votes = Counter(one.item for one in counted if one.counted)
    assert all(item.votes == votes[item.number] for item in rows(store, tables.item))
    counts = store.pool.counts(NAME)
    assert counts.conserved
    assert min(counts.pooled, counts.queued, counts.leased) >= 0
