"""Random operations in random order: the rules of dispatch and the counters hold after each of them."""

import shutil
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from store_desk import MINUTE, NAME, Desk, new_item, rows, true_to_the_rows

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.store import open_store
from labelloop.domain.states import ItemState, LabelSource, Lane, Outcome, Role
from labelloop.domain.types import Lease, Verdict

PEOPLE = st.sampled_from(["ann", "bob", "cid", "rex"])
ITEMS = st.lists(st.integers(0, 7), max_size=5)
CAP = 3


class Dispatch(RuleBasedStateMachine):
    """Annotators who do everything at the wrong time, and a steward who keeps up."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.desk = Desk(open_store(f"sqlite:///{self.folder / 'x.db'}"), "")
        self.leases: list[tuple[str, Lease]] = []
        self.counted = 0

    @initialize(needed=st.integers(1, 2))
    def begin(self, needed: int) -> None:
        """A small pool."""
        self.desk.fill(6, needed=needed, cap=CAP)

    @rule(start=st.integers(0, 12), labeled=st.booleans())
    def ingest(self, start: int, labeled: bool) -> None:
        """Items come, some known, some with a label."""
        more = {"label": "a"} if labeled else {}
        self.desk.store.pool.add(NAME, [new_item(n, **more) for n in range(start, start + 2)], self.desk.now)

    @rule(items=st.lists(st.integers(0, 5), unique=True, max_size=4), needed=st.integers(1, 2))
    def plan(self, items: list[int], needed: int) -> None:
        """A new round."""
        self.desk.plan(*items, needed=needed)

    @rule(who=PEOPLE, items=ITEMS, review=st.booleans(), budget=st.none() | st.integers(0, 12))
    def grant(self, who: str, items: list[int], review: bool, budget: int | None) -> None:
        """Whatever Redis proposes, stale or not."""
        lane = Lane.REVIEW if review else Lane.INFORMATIVE
        granted = self.desk.grant(who, *items, lane=lane, most=4, budget=budget)
        self.leases += [(who, lease) for lease in granted]
        assert len(self.desk.store.ledger.held(NAME, who, self.desk.now)) <= 4

    @rule(data=st.data(), label=st.sampled_from("ab"), who=PEOPLE)
    def submit(self, data: st.DataObject, label: str, who: str) -> None:
        """Answers to any leases ever given, some of somebody else's."""
        if not self.leases:
            return
        chosen = data.draw(st.lists(st.sampled_from(self.leases), max_size=3))
        role = Role.REVIEWER if who == "rex" else Role.ANNOTATOR
        outcomes = self.desk.submit(who, *[lease for _, lease in chosen], label=label, role=role)
        for (owner, _), outcome in zip(chosen, outcomes, strict=True):
            assert (outcome.outcome is Outcome.REJECTED) == (owner != who)
        self.counted += sum(outcome.outcome in {Outcome.ACCEPTED, Outcome.LATE} for outcome in outcomes)

    @rule(data=st.data(), skip=st.booleans())
    def give_back(self, data: st.DataObject, skip: bool) -> None:
        """Releases and skips, in time or not."""
        if self.leases:
            who, lease = data.draw(st.sampled_from(self.leases))
            self.desk.store.ledger.close(NAME, who, [lease.id], now=self.desk.now, skip=skip)

    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        """Heartbeats, also of the dead."""
        if self.leases:
            who, lease = data.draw(st.sampled_from(self.leases))
            self.desk.store.ledger.renew(NAME, who, [lease.id], now=self.desk.now, expires_at=self.desk.now + MINUTE)

    @rule(seconds=st.integers(1, 90), steward=st.booleans())
    def pass_time(self, seconds: int, steward: bool) -> None:
        """Time passes, with or without the steward looking."""
        self.desk.pass_time(timedelta(seconds=seconds))
        if steward:
            self.desk.store.ledger.expire(NAME, self.desk.now)

    @rule(limit=st.integers(1, 4))
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
        for state in store.ledger.slots(NAME):
            assert state.done + len(state.live) <= state.needed

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.desk.store.close()
        shutil.rmtree(self.folder)


Dispatch.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestDispatch = Dispatch.TestCase
