"""Annotators, crashes and planners act on a real queue at random, beside a model of what SQL holds as the truth."""

import random
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from orders import AUDIT, INFORMATIVE, NAME, NOW, done, propose

from labelloop.adapters.redis import RedisQueue
from labelloop.domain.states import Lane
from labelloop.domain.types import Query, SlotState

ITEMS = range(10)
COVERS = {"ada": (), "ben": (1,), "cy": (2,), "di": (1, 2), "zoe": (1, 2), "rev": (2, 1), "rex": ()}
"""Annotators, and the requirements that each covers; zoe covers all there are."""
PEOPLE = ["ada", "ben", "cy", "di"]
people = st.sampled_from(PEOPLE)
LEASE = timedelta(seconds=30)


@dataclass
class Row:
    """One item as SQL has it."""

    needed: int
    done: list = field(default_factory=list)
    live: dict = field(default_factory=dict)
    skipped: set = field(default_factory=set)
    disputed: bool = False
    resolved: bool = False
    touched: bool = False
    requires: int = 0

    @property
    def over(self):
        return self.resolved or self.disputed or len(self.done) >= self.needed

    @property
    def excluded(self):
        return {*self.done, *self.skipped}

    @property
    def fresh(self):
        return not self.done and not self.live and not self.skipped

    def may(self, who):
        return self.covered(who) and not self.over and self.free and who not in self.live and who not in self.excluded

    def covered(self, who):
        return not self.requires or self.requires in COVERS[who]

    @property
    def free(self):
        return len(self.done) + len(self.live) < self.needed


class Machine(RuleBasedStateMachine):
    """`deaf` items are those Redis may be wrong about, because a message to it was lost or came from an old reading."""

    queue: RedisQueue

    @initialize(
        seed=st.integers(0, 99), needed=st.integers(1, 3), scan=st.sampled_from([3, 400]), kinds=st.sampled_from([1, 3])
    )
    def start(self, seed, needed, scan, kinds):
        self.connection.flushall()
        self.queue = RedisQueue(self.connection, scan=scan, page=2)
        self.roomy = scan > len(ITEMS)
        self.rows = {item: Row(needed=needed, requires=(item * 7 + seed) % kinds) for item in ITEMS}
        self.now, self.version = NOW, 0
        self.ranks, self.phantoms, self.deaf, self.read = {}, {}, set(), None
        self.load(seed=seed, stale=False)

    # --- SQL ---------------------------------------------------------------------------------------------------

    def state(self, item):
        row = self.rows[item]
        return SlotState(
            item=item,
            # An item that is over has no open slot, whatever ended it.
            needed=len(row.done) if row.resolved or row.disputed else row.needed,
            done=len(row.done),
            live=tuple(row.live.items()),
            excluded=tuple(sorted(row.excluded)),
            requires=row.requires,
        )

    def states(self):
        return [
            self.state(item) for item, row in self.rows.items() if row.touched and not row.resolved and not row.disputed
        ]

    def disputed(self):
        return {item: row.requires for item, row in self.rows.items() if row.disputed}

    def held(self):
        return sorted((item, who) for item, row in self.rows.items() for who in row.live)

    def in_flight(self, item):
        return {who for one, who in self.phantoms if one == item}

    # --- annotators --------------------------------------------------------------------------------------------

    @rule(who=people, count=st.integers(1, 5), dies=st.sampled_from([False, False, False, True]))
    def propose(self, who, count, dies):
        """A batch is proposed and granted, unless the process dies in between."""
        before = {item: row.fresh and not self.in_flight(item) for item, row in self.rows.items()}
        taken = self.pull(who, count)
        items = [one.item for one in taken]
        assert len(set(items)) == len(items) <= count
        self.check_order(who, taken, before)
        refused = []
        for item in items:
            row = self.rows[item]
            if item not in self.deaf:
                assert row.may(who), f"{who} was offered {item}: {row}"
                assert who not in self.in_flight(item), f"{who} was offered {item} twice"
                assert len(row.done) + len(row.live) + len(self.in_flight(item)) < row.needed
            if dies:
                self.phantoms[item, who] = self.now + LEASE
            elif row.may(who):
                row.live[who] = self.now + LEASE
                row.touched = True
            else:
                refused.append(item)
        if refused:
            self.queue.drop(NAME, who, [self.state(item) for item in refused])

    def pull(self, who, count, *, review=False):
        taken = propose(self.queue, NAME, who, count, expires_at=self.now + LEASE, review=review, covers=COVERS[who])
        assert all(self.rows[one.item].covered(who) for one in taken), f"{who} was offered what he does not cover"
        return taken

    def check_order(self, who, taken, before):
        """Within its lane an untouched item is passed over by none of a later rank, nor by it any started one."""
        if self.deaf or not self.roomy:
            return
        given = {one.item for one in taken}
        for one in taken:
            if not before[one.item] or one.item not in self.ranks:  # started, or of no order: left from an older one
                continue
            lane, rank = self.ranks[one.item]
            assert one.lane == lane
            for item, (other, at) in self.ranks.items():
                row = self.rows[item]
                if other == lane and item not in given and not row.over and row.covered(who):
                    assert not (before[item] and at < rank), f"{item} was passed over by {one.item}"
                    free = len(row.done) + len(row.live) + len(self.in_flight(item)) < row.needed
                    waits = row.may(who) and free and who not in self.in_flight(item)
                    assert before[item] or not waits, f"started {item} was passed over by {one.item}"

    @precondition(lambda self: self.held())
    @rule(data=st.data(), told=st.sampled_from([True, True, True, False]))
    def done(self, data, told):
        """An answer is committed; sometimes the process dies before Redis hears of it."""
        item, who = data.draw(st.sampled_from(self.held()))
        row = self.rows[item]
        del row.live[who]
        row.done.append(who)
        if len(row.done) >= row.needed:
            row.live.clear()
        self.tell(item, told, lambda: done(self.queue, NAME, who, [item]))

    @rule(data=st.data(), who=people)
    def late(self, data, who):
        """An answer comes for a lease that is over, while a slot is free."""
        free = [item for item, row in self.rows.items() if row.may(who) and row.touched and not self.in_flight(item)]
        if free:
            item = data.draw(st.sampled_from(free))
            self.rows[item].done.append(who)
            if item in self.deaf or item in self.ranks or not self.rows[item].fresh:
                self.tell(item, self.known(item), lambda: done(self.queue, NAME, who, [item]))

    def known(self, item):
        """Whether Redis can know which item this is: of the serving order, or with a history."""
        return item in self.ranks

    @precondition(lambda self: self.held())
    @rule(data=st.data(), skip=st.booleans(), told=st.sampled_from([True, True, True, False]))
    def put_back(self, data, skip, told):
        """A lease is released or skipped."""
        item, who = data.draw(st.sampled_from(self.held()))
        del self.rows[item].live[who]
        if skip:
            self.rows[item].skipped.add(who)
        self.tell(item, told, lambda: self.queue.put_back(NAME, who, [item], skip=skip))

    @precondition(lambda self: self.held())
    @rule(data=st.data())
    def renew(self, data):
        """A lease gets its full time again."""
        item, who = data.draw(st.sampled_from(self.held()))
        self.rows[item].live[who] = self.now + LEASE
        self.queue.renew(NAME, who, [item], self.now + LEASE)

    def tell(self, item, told, message):
        if told:
            message()
        else:
            self.deaf.add(item)

    # --- the steward -------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([10, 31]))
    def expire(self, seconds):
        """Time goes by; leases that ran out are over, in SQL and in Redis, granted or not."""
        self.now += timedelta(seconds=seconds)
        for row in self.rows.values():
            row.live = {who: until for who, until in row.live.items() if until > self.now}
        self.phantoms = {lease: until for lease, until in self.phantoms.items() if until > self.now}
        self.queue.reap(NAME, self.now)

    @precondition(lambda self: any(len(row.done) >= row.needed and not row.resolved for row in self.rows.values()))
    @rule(data=st.data(), verdict=st.sampled_from(["resolved", "disputed", "one more"]))
    def settle(self, data, verdict):
        """A ballot is resolved, disputed, or asks for one more vote; Redis hears of it by sync."""
        full = [item for item, row in self.rows.items() if len(row.done) >= row.needed and not row.resolved]
        row = self.rows[data.draw(st.sampled_from(full))]
        if verdict == "one more" and not row.disputed and row.needed < 4:
            row.needed += 1
        else:
            row.resolved, row.disputed = verdict != "disputed", verdict == "disputed"
        self.sync()

    @rule()
    def sync(self):
        """Redis is made true to SQL; a second look finds nothing."""
        self.queue.sync(NAME, self.states(), self.disputed())
        self.phantoms = {lease: until for lease, until in self.phantoms.items() if not self.rows[lease[0]].touched}
        # What SQL no longer lists as open it says nothing about: a proposal of it is refused and dropped.
        self.deaf = {item for item in self.deaf if self.rows[item].resolved}
        assert self.queue.sync(NAME, self.states(), self.disputed()) == 0

    @rule()
    def reconcile(self):
        """The steward's pass: Redis is read first, and what it knows beyond what SQL lists is asked for by item."""
        seen = self.queue.touched(NAME)
        states = [one for one in self.states() if not self.rows[one.item].fresh]
        states += [self.state(item) for item in seen.keys() - {one.item for one in states}]
        self.queue.sync(NAME, states, self.disputed(), seen=seen, young=self.now + 2 * LEASE)
        self.phantoms = {}
        self.deaf = {item for item in self.deaf if self.rows[item].resolved}

    # --- planners ----------------------------------------------------------------------------------------------

    @rule()
    def look(self):
        """A planner reads SQL, and will load what it read much later."""
        self.read = (self.states(), {item: repr(row) for item, row in self.rows.items()})

    @rule(seed=st.integers(0, 99), stale=st.booleans())
    def load(self, seed, stale):
        """A new order comes, of any items in any lanes, also such as are over by now."""
        states = None
        if stale and self.read:
            states, looked = self.read
            self.deaf |= {item for item, row in self.rows.items() if repr(row) != looked[item]}
        self.serve(self.order(seed, ITEMS), states)

    def serve(self, lanes, states=None):
        self.version += 1
        states = self.states() if states is None else states
        self.queue.load(NAME, self.version, lanes, states, {INFORMATIVE: 0.6, AUDIT: 0.4})
        kept = {item: place for item, place in self.ranks.items() if not self.rows[item].fresh or self.in_flight(item)}
        self.ranks = kept | {query.item: (lane, query.rank) for lane, part in lanes.items() for query in part}
        assert self.queue.serving(NAME) == self.version

    def order(self, seed, known):
        rng = random.Random(seed)
        items = rng.sample(list(known), rng.randint(len(known) // 2, len(known)))
        cut = rng.randint(0, len(items))
        return {
            lane: [
                Query(
                    item=item,
                    lane=lane,
                    rank=rank,
                    score=0,
                    probability=1,
                    needed=self.rows[item].needed,
                    requires=self.rows[item].requires,
                )
                for rank, item in enumerate(part)
            ]
            for lane, part in ((INFORMATIVE, items[:cut]), (AUDIT, items[cut:]))
        }

    @rule(seed=st.integers(0, 99))
    def load_an_older_one(self, seed):
        """A planner that was overtaken changes nothing."""
        self.queue.load(NAME, self.version - 1, self.order(seed, ITEMS), [], {Lane.MINORITY: 1.0})
        assert self.queue.serving(NAME) == self.version

    @rule(seed=st.integers(0, 99))
    def forget_and_rebuild(self, seed):
        """Redis loses everything and is rebuilt from SQL."""
        self.queue.forget(NAME)
        assert self.pull("di", 5) == []
        self.phantoms, self.ranks = {}, {}
        # An old order may name what was settled before; only SQL still knows that.
        self.deaf = {item for item, row in self.rows.items() if row.resolved}
        self.serve(self.order(seed, [item for item, row in self.rows.items() if not row.resolved and not row.disputed]))
        self.sync()

    # --- reviewers ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self.disputed())
    @rule(answer=st.booleans(), who=st.sampled_from(["rev", "rex"]))
    def review(self, answer, who):
        """A reviewer gets disputed items that he covers and nothing else, and settles them or gives them back."""
        taken = [one.item for one in self.pull(who, 20, review=True)]
        assert {item for item in taken if item not in self.deaf} <= self.disputed().keys()
        if answer:
            for item in taken:
                self.rows[item].resolved, self.rows[item].disputed = True, False
            done(self.queue, NAME, who, taken)
        else:
            self.queue.put_back(NAME, who, taken, skip=False)

    # --- what always holds -------------------------------------------------------------------------------------

    @rule()
    def nothing_is_lost_and_nothing_is_over(self):
        """Somebody new who covers all gets every item that waits, and no other, then gives all of them back."""
        reached = self.drain()
        for item, row in self.rows.items():
            if item in self.deaf:
                continue
            waits = len(row.done) + len(row.live) + len(self.in_flight(item)) < row.needed
            listed = item in self.ranks or not row.fresh
            if row.over or not waits:
                assert item not in reached, f"{item} was offered: {row}"
            elif listed:
                assert item in reached, f"{item} is lost: {row}"
            elif item in reached:
                assert row.touched, f"{item} of no order was offered"

    def drain(self):
        reached = set()
        for _ in range(1 if self.roomy else 8):
            batch = self.pull("zoe", len(ITEMS))
            reached |= {one.item for one in batch}
        self.queue.put_back(NAME, "zoe", sorted(reached), skip=False)
        return reached


def test_the_queue_is_true_to_sql(redis_connection):
    """Whatever happens, in any order: nothing is offered that may not be, nothing is lost, nothing old comes back."""

    class Here(Machine):
        connection = redis_connection

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
