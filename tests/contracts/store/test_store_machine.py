"""Random operations in random order: the rules of dispatch and the counters hold after each of them."""

import shutil
import tempfile
from collections import Counter
from datetime import timedelta
from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from store_desk import MINUTE, NAME, Desk, new_item, rows, true_to_the_rows

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.store import open_store
from labelloop.domain.states import ItemState, LabelSource, Lane, Outcome, Role
from labelloop.domain.types import Lease, Verdict

CARRIED = {"ann": ("law",), "bob": (), "rex": ("law", "lang:de")}
PEOPLE = st.sampled_from(list(CARRIED))
ITEMS = st.lists(st.integers(0, 2), min_size=1, max_size=3)
WAITS = st.sampled_from([0, 0, 20, 61])
CAP = 3


@cache
def _migrated() -> Path:
    """A database with our tables, made once: opening a copy is quicker than making another."""
    path = Path(tempfile.mkdtemp()) / "x.db"
    open_store(f"sqlite:///{path}").close()
    return path


class Dispatch(RuleBasedStateMachine):
    """Annotators who do everything at the wrong time, labels from elsewhere, and a steward who keeps up."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(_migrated(), self.folder / "x.db")
        self.desk = Desk(open_store(f"sqlite:///{self.folder / 'x.db'}"), "")
        self.leases: list[tuple[str, Lease]] = []
        self.counted = 0

    @initialize(needed=st.integers(1, 2))
    def begin(self, needed: int) -> None:
        """A small pool."""
        self.desk.fill(2, needed=needed, cap=CAP)
        self.desk.store.pool.add(NAME, [new_item(2, requires=("law",))], self.desk.now)

    @rule(who=PEOPLE, items=ITEMS, stale=st.booleans(), wait=WAITS, budget=st.sampled_from([None, None, 5]))
    def take(self, who: str, items: list[int], stale: bool, wait: int, budget: int | None) -> None:
        """After a while somebody wants work; Redis may propose what is no longer true."""
        self.desk.pass_time(timedelta(seconds=wait))
        disputed = self.desk.store.verdicts.disputed(NAME)
        lane = Lane.REVIEW if bool(set(items) & set(disputed)) != stale else Lane.INFORMATIVE
        granted = self.desk.grant(who, *items, lane=lane, most=4, budget=budget, carries=CARRIED[who])
        assert "law" in CARRIED[who] or all(lease.item != 2 for lease in granted)
        self.leases += [(who, lease) for lease in granted]
        assert len(self.desk.store.ledger.held(NAME, who, self.desk.now)) <= 4

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), label=st.sampled_from("ab"), wait=WAITS, thief=st.none() | PEOPLE)
    def answer(self, data: st.DataObject, label: str, wait: int, thief: str | None) -> None:
        """Answers to any leases ever given, some of them somebody else's."""
        self.desk.pass_time(timedelta(seconds=wait))
        chosen = data.draw(st.lists(st.sampled_from(self.leases), min_size=1, max_size=3))
        who = thief or chosen[0][0]
        role = Role.REVIEWER if who == "rex" else Role.ANNOTATOR
        outcomes = self.desk.submit(who, *[lease for _, lease in chosen], label=label, role=role)
        for (owner, _), outcome in zip(chosen, outcomes, strict=True):
            assert (outcome.outcome is Outcome.REJECTED) == (owner != who)
        self.counted += sum(outcome.outcome in {Outcome.ACCEPTED, Outcome.LATE} for outcome in outcomes)

    @rule(
        data=st.data(),
        what=st.sampled_from(["resolve", "resolve", "skip", "release", "renew", "expire", "plan", "ingest"]),
    )
    def tend(self, data: st.DataObject, what: str) -> None:
        """Everything else that may happen between a lease and its answer."""
        ledger, now = self.desk.store.ledger, self.desk.now
        if what == "resolve":
            self.resolve(limit=data.draw(st.integers(1, 4)))
        elif what == "expire":
            ledger.expire(NAME, now)
        elif what == "plan":
            self.desk.plan(*data.draw(st.sets(st.integers(0, 2))), needed=data.draw(st.integers(1, 2)))
        elif what == "ingest":
            start, more = data.draw(st.integers(0, 9)), data.draw(st.sampled_from([{}, {"label": "a"}]))
            self.desk.store.pool.add(NAME, [new_item(n, **more) for n in range(start, start + 2)], now)
        elif self.leases:
            who, lease = data.draw(st.sampled_from(self.leases))
            if what == "renew":
                ledger.renew(NAME, who, [lease.id], now=now, expires_at=now + MINUTE)
            else:
                ledger.close(NAME, who, [lease.id], now=now, skip=what == "skip")

    def resolve(self, limit: int) -> None:
        """Majority; one more vote on a tie; a dispute at the cap; a reviewer decides."""
        verdicts = []
        for ballot in self.desk.store.verdicts.pending(NAME, limit):
            [(value, lead), *others] = Counter(vote.value for vote in ballot.votes).most_common()
            votes, reviews = len(ballot.votes), [vote for vote in ballot.votes if vote.role is not Role.ANNOTATOR]
            state, needed, source = ItemState.RESOLVED, ballot.needed, LabelSource.VOTES
            assert votes >= ballot.needed
            if reviews:
                value, source = reviews[-1].value, LabelSource.REVIEW
            elif others and others[0][1] == lead:
                state, needed = (ItemState.POOLED, votes + 1) if votes < CAP - 1 else (ItemState.DISPUTED, needed)
            verdicts.append(
                Verdict(
                    item=ballot.item, state=state, needed=needed, value=value, label=value, votes=votes, source=source
                )
            )
        assert self.desk.store.verdicts.settle(NAME, verdicts, self.desk.now) == len(verdicts)

    @invariant()
    def rules_hold(self) -> None:
        """Caps, one turn each, no lost answer, and counters that equal the rows."""
        store = self.desk.store
        if not store.projects.names():
            return
        true_to_the_rows(store)
        answers = rows(store, tables.annotation)
        assert len({(one.item, one.annotator) for one in answers}) == len(answers)
        assert sum(one.counted for one in answers) == self.counted
        votes = Counter(one.item for one in answers if one.counted and one.role == "annotator")
        assert max(votes.values(), default=0) <= CAP
        needed = {item.number: item.needed for item in rows(store, tables.item)}
        held = Counter(
            one.item
            for one in rows(store, tables.assignment)
            if one.state in {"leased", "done"} and one.slot < tables.REVIEW_SLOT
        )
        assert all(count <= needed[item] for item, count in held.items())
        live = {(one.item, one.annotator) for one in rows(store, tables.assignment) if one.state == "leased"}
        assert not live & {(one.item, one.annotator) for one in answers}
        for state in store.ledger.slots(NAME):
            assert state.done + len(state.live) <= state.needed

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.desk.store.close()
        shutil.rmtree(self.folder)


Dispatch.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestDispatch = Dispatch.TestCase
