"""Annotators, planners, engineers and crashes act at random through the verbs of the loop, over real servers.

The machine remembers what everybody was told and holds it against the rows of the database after every step. It plans
rounds of any order itself, so that nothing has to be trained; all else is the service's own code.
"""

import os
import random
import signal
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count

from conftest_loop import who
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from labelloop import projects
from labelloop.adapters.sql import tables
from labelloop.domain import skills
from labelloop.domain.errors import IdempotencyMismatch, Unavailable
from labelloop.domain.states import ItemState, JobKind, Lane, ModelState, Outcome, Priority, ProjectState, Role
from labelloop.domain.types import Lease, Model, NewItem, Proposal, Pull, Query, TrainingSet
from labelloop.loop.annotate import COUNTED, Sheet, _submission, annotate_all
from labelloop.loop.ingest import ingest
from labelloop.loop.lease import Ask, lease_all, open_leases, release, renew, skip
from labelloop.loop.plan import serve
from labelloop.loop.prioritize import prioritize
from labelloop.loop.tend import GRANTING, SILENCE, tend
from labelloop.schema import of as rules_of

PEOPLE = ["ada", "ben", "cy", "rex"]
REVIEWER = "rex"
CARRIED = {"ada": {"law"}, "ben": set(), "cy": {"law", "lang:de"}, "rex": {"lang:de"}}
REQUIRED = ((), (), ("law",), ("lang:de",), ("lang:de", "law"))
"""What items require, in turn. Everybody who is not named above carries all of it."""
people = st.sampled_from(PEOPLE)
labels = st.sampled_from(["c0", "c0", "c0", "c1", "c2"])
LEASE = 30
WINDOW = 10
NUMBERS = count(1)
KEPT = COUNTED | {Outcome.SURPLUS}
LANES = (Lane.INFORMATIVE, Lane.MINORITY, Lane.AUDIT)


def identity(name):
    known = who(name, Role.REVIEWER if name == REVIEWER else Role.ANNOTATOR)
    return replace(known, skills=frozenset(CARRIED.get(name, {"law", "lang:de"})))


def required(item):
    return REQUIRED[item % len(REQUIRED)]


def covers(name, item):
    return identity(name).skills.issuperset(required(item))


@dataclass
class Given:
    """A lease as its holder knows it, and until when it lasts."""

    who: str
    lease: Lease
    until: object


@dataclass
class Sent:
    """A call with an Idempotency-Key; `reply` is None when its sender never heard."""

    sheet: Sheet
    reply: list | None


@dataclass
class Rows:
    """What the database holds of the project now."""

    items: dict = field(default_factory=dict)
    leases: list = field(default_factory=list)
    answers: dict = field(default_factory=dict)
    row: object = None


class LoopMachine(RuleBasedStateMachine):
    """`deaf`: Redis may be wrong until the next thorough pass of the steward, because a message to it was lost."""

    ports: object
    redis: object

    @initialize(
        seed=st.integers(0, 999),
        needed=st.integers(1, 2),
        audit=st.integers(0, 1),
        budget=st.sampled_from([None, None, 4, 14]),
        size=st.integers(6, 14),
    )
    def begin(self, seed, needed, audit, budget, size):
        """A project with a few items and two models that could serve."""
        self.name, self.rng = f"m{next(NUMBERS)}", random.Random(seed)
        self.project = projects.parse(
            {
                "name": self.name,
                "labels": {"kind": "classes", "classes": ["c0", "c1", "c2"]},
                "items": {"kind": "table"},
                "features": {"kind": "columns"},
                "lanes": {"informative": 0.6, "minority": 0.2, "audit": 0.2, "window": WINDOW},
                "votes": {
                    "needed": needed,
                    "cap": 3,
                    "lanes": {"audit": needed + audit},
                    "overlap": {"share": 0.3, "needed": max(2, needed)},
                },
                "lease": {"seconds": LEASE, "maximum": 6, "skips_to_review": 2},
                "retrain": {"first": 3, "labels": 3},
                "stop": {"budget": budget},
            }
        )
        self.budget = budget
        self.ports.projects.create(self.project, self.now)
        self.given, self.sent, self.told = [], [], {}
        self.deaf, self.unreaped, self.phantoms = False, set(), []
        self.loaded, self.order, self.stale = None, {}, []
        self.zoes = count()
        self.size = 0
        for number in (1, 2):
            self.ports.models.keep_training_set(
                self.name, TrainingSet(number=number, digest=f"d{number}", items=[], labels=[]), self.now
            )
            self.ports.models.add(self.name, self._model(number), f"train-{self.name}-{100 + number}")
        self.more(size)
        self.settle_down()

    def _model(self, number):
        return Model(
            number=0,
            state=ModelState.CANDIDATE,
            training_set=f"d{number}",
            artifact="none",
            labels=0,
            spent=0,
            metrics={},
            reason="",
            created_at=self.now,
        )

    @property
    def now(self):
        return self.ports.clock.now()

    # --- what the database says ------------------------------------------------------------------------------------

    def rows(self):
        database = self.ports.pool._database
        own = database.id_of(self.name)
        with database.read() as connection:
            items = connection.execute(select(tables.item).where(tables.item.c.project == own)).all()
            leases = connection.execute(select(tables.assignment).where(tables.assignment.c.project == own)).all()
            answers = connection.execute(select(tables.annotation).where(tables.annotation.c.project == own)).all()
            row = connection.execute(select(tables.project).where(tables.project.c.id == own)).one()
        return Rows(
            items={one.number: one for one in items},
            leases=leases,
            answers={(one.item, one.annotator): one for one in answers},
            row=row,
        )

    def live(self, rows, *, review=False):
        """Item → annotators who hold it now."""
        found = defaultdict(list)
        for one in rows.leases:
            reviewing = one.slot >= tables.REVIEW_SLOT
            if one.state == "leased" and one.expires_at > self.now and reviewing == review:
                found[one.item].append(one.annotator)
        return found

    def done(self, rows):
        return Counter(one.item for one in rows.leases if one.state == "done" and one.slot < tables.REVIEW_SLOT)

    def turns(self, rows):
        """(item, annotator) of everybody who has it, had it or does not want it."""
        gone = {(one.item, one.annotator) for one in rows.leases if one.state in {"done", "skipped"}}
        held = {(one.item, one.annotator) for one in rows.leases if one.state == "leased" and one.expires_at > self.now}
        return gone | held | set(rows.answers)

    # --- lease -----------------------------------------------------------------------------------------------------

    @rule(asks=st.lists(st.tuples(people, st.integers(1, 4)), min_size=1, max_size=3))
    def lease(self, asks):
        """Some ask for work, at the same time."""
        before, started = self.rows(), set(self.unreaped)
        batches = lease_all(self.ports, self.name, [Ask(who=identity(name), count=many) for name, many in asks])
        taken, turns = set(), self.turns(before)
        for (name, many), batch in zip(asks, batches, strict=True):
            assert len(batch.leases) <= many
            for one in batch.leases:
                assert (one.item, name) not in turns, f"{name} got item {one.item} twice"
                turns.add((one.item, name))
                assert covers(name, one.item), f"{name} got item {one.item}, which requires {required(one.item)}"
                state = before.items[one.item].state
                assert state == (ItemState.DISPUTED if one.lane is Lane.REVIEW else ItemState.POOLED)
                assert one.lane is not Lane.REVIEW or name == REVIEWER
                taken.add(one.item)
            self.given += [Given(name, one, one.expires_at) for one in batch.leases]
        if before.row.state == ProjectState.PAUSED:
            assert not taken
        pairs = [(name, one) for (name, _), batch in zip(asks, batches, strict=True) for one in batch.leases]
        fresh = [(name, one) for name, one in pairs if one.lane is not Lane.REVIEW]
        if self.budget is not None and fresh:
            after = self.rows()
            assert after.row.spent + sum(map(len, self.live(after).values())) <= self.budget
        if not self.refused(before, asks):
            self.in_order(before, fresh, started)

    def refused(self, before, asks):
        """Whether SQL refuses somebody what Redis proposed: for that moment the others of the group pass it over."""
        held, wanted = Counter(name for names in self.live(before).values() for name in names), Counter()
        held += Counter(name for names in self.live(before, review=True).values() for name in names)
        for name, many in asks:
            wanted[name] += many
        over = any(held[name] + wanted[name] > self.project.lease.maximum for name in wanted)
        spent = before.row.spent + sum(held.values()) + sum(wanted.values())
        return over or (self.budget is not None and spent > self.budget)

    def in_order(self, before, given, unreaped):
        """No untouched item that an annotator covers is passed over by one of a later rank of its lane."""
        if self.deaf or before.row.state == ProjectState.PAUSED:
            return
        held, done = self.live(before), self.done(before)
        skipped = {one.item for one in before.leases if one.state == "skipped"}
        touched = held.keys() | done.keys() | skipped | unreaped | {item for item, _, _ in self.phantoms}
        got = {one.item for _, one in given}
        waiting = defaultdict(list)
        for item, (lane, _) in self.order.items():
            row = before.items[item]
            if row.state == ItemState.POOLED and item not in touched and item not in got:
                waiting[lane].append(item)
        for name, one in given:
            if one.item in touched:
                continue
            touched.add(one.item)  # whoever gets it after this one gets a started item, which comes first
            assert one.item in self.order, f"{one.item} is of no order that is served"
            lane, _ = self.order[one.item]
            sooner = [item for item in waiting[lane] if self.rank(before, item) < self.rank(before, one.item)]
            first = [item for item in sooner if covers(name, item)]
            assert not first, f"{first} were passed over by {one.item} in {lane}"

    def rank(self, rows, item):
        """Smaller is sooner: an engineer's word, then the planned rank."""
        return -rows.items[item].priority, self.order[item][1]

    @rule(name=people, many=st.integers(1, 3), where=st.sampled_from(["before the grant", "before the answer"]))
    def die_while_leasing(self, name, many, where):
        """The process is killed between the proposal and the grant, or before the annotator hears of it."""
        ends = self.now + timedelta(seconds=LEASE)
        has = identity(name).skills
        covered = skills.covered(self.ports.pool.requirements(self.name, len(REQUIRED)), has)
        pull = Pull(annotator=name, count=many, covers=covered)
        (candidates,) = self.ports.queue.propose_all(self.name, [pull], expires_at=ends)
        if where == "before the grant":
            self.phantoms += [(one.item, name, ends) for one in candidates]
            return
        if self.ports.projects.row(self.name).state is ProjectState.PAUSED:
            return  # what was proposed stays reserved until it expires
        self.ports.ledger.grant_all(
            self.name,
            [Proposal(annotator=name, candidates=candidates, skills=has)],
            now=self.now,
            expires_at=ends,
            most=self.project.lease.maximum,
            budget=self.budget,
        )
        self.deaf = True

    def reload_the_page(self):
        """Open leases are the ones that were given and are not over, also those whose answer was lost on the way."""
        name = self.rng.choice(PEOPLE)
        found = open_leases(self.ports, self.name, identity(name)).leases
        rows = self.rows()
        live = {one.id for one in rows.leases if one.annotator == name and one.state == "leased"}
        assert {one.id for one in found} == {
            one.id for one in rows.leases if one.id in live and one.expires_at > self.now
        }
        known = {one.lease.id for one in self.given}
        self.given += [Given(name, one, one.expires_at) for one in found if one.id not in known]

    # --- renew, release, skip ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.given)
    @rule(
        data=st.data(),
        how=st.sampled_from([renew, release, release, skip, skip]),
        thief=st.sampled_from([None, None, None, "ben"]),
        told=st.sampled_from([True, True, True, False]),
    )
    def change(self, data, how, thief, told):
        """Leases, own or somebody else's, alive or over, are renewed or given back."""
        chosen = data.draw(st.lists(st.sampled_from(self.given), min_size=1, max_size=3))
        name, before = thief or chosen[0].who, self.rows()
        texts = [str(one.lease.id) for one in chosen]
        alive = {one.id for one in before.leases if one.state == "leased" and one.expires_at > self.now}
        if how is not renew and not told:
            self.ports.ledger.close(self.name, name, [one.lease.id for one in chosen], now=self.now, skip=how is skip)
            self.deaf = True
            return
        outcomes = how(self.ports, self.name, identity(name), texts)
        assert [one.lease for one in outcomes] == texts
        for one, outcome in zip(chosen, outcomes, strict=True):
            if one.who != name:
                assert outcome.outcome is Outcome.REJECTED
            elif one.lease.id in alive:
                assert outcome.outcome is Outcome.ACCEPTED
            else:
                assert outcome.outcome is not Outcome.ACCEPTED
            if how is renew and outcome.outcome is Outcome.ACCEPTED:
                one.until = outcome.expires_at

    # --- annotate ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.given)
    @rule(
        data=st.data(),
        thief=st.sampled_from([None, None, None, None, "ada"]),
        sheets=st.integers(1, 3),
        keyed=st.booleans(),
        fate=st.sampled_from(["told", "told", "told", "told", "sender gone", "process dies"]),
    )
    def annotate(self, data, thief, sheets, keyed, fate):
        """Answers to any leases ever given, in one or several calls at once, fresh, late, foreign or said before."""
        calls = []
        for _ in range(sheets):
            chosen = data.draw(st.lists(st.sampled_from(self.given), min_size=1, max_size=3))
            key = f"k{next(NUMBERS)}" if keyed else None
            calls.append(self.sheet(thief or chosen[0].who, chosen, data.draw(labels), key))
        self.send(calls, fate)

    @precondition(lambda self: self.alive())
    @rule(data=st.data(), label=labels, fate=st.sampled_from(["told", "told", "told", "process dies"]))
    def annotate_in_time(self, data, label, fate):
        """A good answer."""
        chosen = data.draw(st.sampled_from(self.alive()))
        self.send([self.sheet(chosen.who, [chosen], label, None)], fate)

    @rule(
        visits=st.lists(st.tuples(people, st.integers(1, 4), labels), min_size=1, max_size=4),
        wait=st.sampled_from([0, 0, 5, LEASE + 1]),
    )
    def work(self, visits, wait):
        """Some come at the same time, take work, think for a while, and answer at the same time."""
        known = len(self.given)
        self.lease([(name, many) for name, many, _ in visits])
        new = self.given[known:]
        if wait:
            self.pass_time(wait)
        calls = [
            self.sheet(name, mine, label, f"k{next(NUMBERS)}")
            for name, label in {name: label for name, _, label in visits}.items()
            if (mine := [one for one in new if one.who == name])
        ]
        if calls:
            self.send(calls, "told")

    @rule(pair=st.permutations(PEOPLE), order=st.booleans(), tended=st.booleans())
    def overtake(self, pair, order, tended):
        """One is slow, another gets the same items meanwhile, and both answer at the same time."""
        slow, quick, *_ = pair
        known = len(self.given)
        self.lease([(slow, 2)])
        self.pass_time(LEASE + 1)
        self.tend(thorough=tended)
        self.lease([(quick, 4)])
        by = {name: [one for one in self.given[known:] if one.who == name] for name in (slow, quick)}
        calls = [self.sheet(name, mine, "c0", None) for name, mine in by.items() if mine]
        if calls:
            self.send(calls if order else calls[::-1], "told")

    def alive(self):
        return [one for one in self.given[-12:] if one.until > self.now]

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), other=st.sampled_from([False, False, False, True]))
    def repeat(self, data, other):
        """A call comes again under its key: the same reply; with another body it is refused."""
        before = data.draw(st.sampled_from(self.sent[-6:]))
        sheet = before.sheet
        if other:
            sheet = Sheet(who=sheet.who, answers=[*sheet.answers, {"lease": "1", "label": "c0"}], key=sheet.key)
        (reply,) = annotate_all(self.ports, self.name, [sheet])
        if other:
            assert isinstance(reply, IdempotencyMismatch)
            return
        assert reply[1]
        if before.reply is None:
            self.believe(sheet, reply[0])
            before.reply = reply[0]
        assert reply[0] == before.reply

    def sheet(self, name, chosen, label, key):
        answers = [{"lease": str(one.lease.id), "label": label} for one in chosen]
        return Sheet(who=identity(name), answers=answers, key=key)

    def send(self, sheets, fate):
        owner = {one.lease.id: one for one in self.given}
        if fate == "process dies":
            rules = rules_of(self.project)
            self.ports.ledger.submit_all(self.name, [_submission(rules, one) for one in sheets], now=self.now)
            self.deaf = True
            self.sent += [Sent(one, None) for one in sheets if one.key]
            return
        replies = annotate_all(self.ports, self.name, sheets)
        for sheet, (outcomes, replayed) in zip(sheets, replies, strict=True):
            assert not replayed
            assert len(outcomes) == len(sheet.answers)
            for raw, outcome in zip(sheet.answers, outcomes, strict=True):
                foreign = owner[int(raw["lease"])].who != sheet.who.subject
                assert (outcome.outcome is Outcome.REJECTED) == foreign
            heard = fate == "told"
            if heard:
                self.believe(sheet, outcomes)
            if sheet.key:
                self.sent.append(Sent(sheet, outcomes if heard else None))

    def believe(self, sheet, outcomes):
        """Note what was acknowledged: from here on it must be there."""
        for raw, outcome in zip(sheet.answers, outcomes, strict=True):
            if outcome.outcome in KEPT:
                at = (outcome.item, sheet.who.subject)
                assert at not in self.told, f"{at} was acknowledged twice"
                self.told[at] = (raw["label"], int(raw["lease"]), outcome.outcome)

    # --- time and the steward ----------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([3, 12, LEASE + 1, LEASE + 1]))
    def pass_time(self, seconds):
        """Leases run out, in SQL at once, in Redis with the steward's next pass."""
        before = {one.id for one in self.rows().leases if one.state == "leased" and one.expires_at > self.now}
        self.ports.clock.turn(seconds)
        self.unreaped |= {one.item for one in self.rows().leases if one.id in before and one.expires_at <= self.now}

    @rule(thorough=st.sampled_from([False, True, True]))
    def tend(self, thorough=True):
        """One pass; a training is asked for exactly when it is due, and never twice."""
        wanted = self.training_due()
        known = self.training_jobs()
        report = tend(self.ports, self.name, thorough=thorough)
        self.unreaped.clear()
        self.phantoms = [one for one in self.phantoms if one[2] > self.now]
        young = self.now + timedelta(seconds=LEASE) - GRANTING
        if thorough and not report.rebuilt:
            self.deaf = False
            self.phantoms = [one for one in self.phantoms if one[2] > young]
        elif thorough:
            self.deaf = True  # a new order was loaded; the next pass compares it
        if report.rebuilt:
            self.load_noted(self.ports.rounds.serving(self.name))
        # What the pass itself resolved may have made a training due.
        assert len(self.training_jobs()) - len(known) == (1 if wanted or self.training_asked(known) else 0)
        if wanted:
            assert self.training_jobs() != known

    def training_jobs(self):
        return self.ports.jobs.recent(self.name, JobKind.TRAIN, 1000)

    def training_asked(self, known):
        jobs = self.training_jobs()
        return len(jobs) == len(known) + 1 and self.training_due(known)

    def training_due(self, jobs=None):
        jobs = self.training_jobs() if jobs is None else jobs
        resolved = self.ports.pool.counts(self.name).resolved
        if jobs and jobs[0].finished_at is None:
            return False
        then = int((jobs[0].result or {}).get("resolved", 0)) if jobs else 0
        return resolved >= 3 and resolved > then and (not jobs or resolved - then >= 3)

    def train(self):
        """The training that was asked for ends; labels that came meanwhile are for the next one."""
        for job in self.ports.jobs.unfinished(self.name, self.now - SILENCE):
            if job.kind is JobKind.TRAIN and self.ports.jobs.claim(job.id, job.attempt, self.now):
                result = {"resolved": self.ports.pool.counts(self.name).resolved}
                self.ports.jobs.finish(job.id, job.attempt, now=self.now, result=result, problem=None)

    # --- planners --------------------------------------------------------------------------------------------------

    def plan(self):
        """A sampler does the plan jobs that are due."""
        for job in self.ports.jobs.unfinished(self.name, self.now - SILENCE):
            if job.kind is JobKind.PLAN and self.ports.jobs.claim(job.id, job.attempt, self.now):
                planned = self.save(self.ports.projects.row(self.name).champion)
                assert planned is not None
                self.serve(planned)
                self.ports.jobs.finish(job.id, job.attempt, now=self.now, result={}, problem=None)

    @rule(late=st.booleans())
    def rerank(self, late):
        """A new order of what waits; sometimes its planner dies, or is overtaken, before it is served."""
        planned = self.save(self.ports.projects.row(self.name).champion)
        if late:
            self.stale.append(planned)
        else:
            self.serve(planned)

    def serve_an_old_order(self):
        """A planner that was overtaken swaps in its order at last: nobody is served from it."""
        if not self.stale:
            return
        planned = self.stale.pop(0)
        serving = self.ports.queue_health.serving(self.name)
        serve(self.ports, self.project, planned)
        if serving is None or serving <= planned.number:
            self.load_noted(planned)
        else:
            assert self.ports.queue_health.serving(self.name) == serving

    def save(self, model):
        waiting = [int(item) for item in self.ports.pool.waiting(self.name)]
        self.rng.shuffle(waiting)
        cut = [self.rng.randint(0, len(waiting)) for _ in range(2)]
        parts = {Lane.INFORMATIVE: waiting[: min(cut)], Lane.MINORITY: waiting[min(cut) : max(cut)]}
        parts[Lane.AUDIT] = waiting[max(cut) :]
        queries = [
            Query(item=item, lane=lane, rank=rank, score=0.5, probability=1, needed=self.rng.randint(1, 2))
            for lane, part in parts.items()
            for rank, item in enumerate(part[:WINDOW])
        ]
        row = self.ports.projects.row(self.name)
        return self.ports.rounds.save(
            self.name,
            queries,
            strategy="margin",
            seed=1,
            model=model,
            pool_version=row.pool_version,
            stats={"lanes": {lane.value: len(part[:WINDOW]) for lane, part in parts.items()}},
            now=self.now,
        )

    def serve(self, planned):
        serve(self.ports, self.project, planned)
        self.load_noted(planned)

    def load_noted(self, planned):
        """Redis serves this round now; what SQL says of it is the order."""
        if planned is None:
            return
        assert self.ports.queue_health.serving(self.name) == planned.number
        queries = self.ports.rounds.queries(self.name, planned.number)
        # A touched item that the round left out keeps its place in the order it was started in.
        touched = {one.item for one in self.rows().leases} | {item for item, _, _ in self.phantoms}
        kept = {item: place for item, place in self.order.items() if item in touched}
        self.order = kept | {query.item: (query.lane, query.rank) for query in queries}
        self.loaded = planned.number
        if len(kept.keys() - {query.item for query in queries}):
            self.deaf = True

    def promote(self):
        """A champion is made, or an older one comes back; what was planned with another is not kept."""
        number = self.rng.choice([1, 2])
        before = self.ports.projects.row(self.name).champion
        self.ports.models.decide(self.name, number, ModelState.CHAMPION, reason="word", now=self.now, champion=before)
        now = self.ports.projects.row(self.name).champion
        if now != before:
            assert self.save(before) is None

    # --- whatever else happens -------------------------------------------------------------------------------------

    @rule(
        what=st.sampled_from(
            ["train", "plan", "old order", "reload", "promote", "more", "prioritize", "pause", "lose", "reach"]
        )
    )
    def meanwhile(self, what):
        """A worker, an engineer, an accident, or somebody who wants everything there is."""
        {
            "train": self.train,
            "plan": self.plan,
            "old order": self.serve_an_old_order,
            "reload": self.reload_the_page,
            "promote": self.promote,
            "more": lambda: self.more(self.rng.randint(1, 4)),
            "prioritize": self.prioritize,
            "pause": self.pause,
            "lose": self.lose_redis,
            "reach": self.everything_open_is_reached,
        }[what]()

    # --- engineers -------------------------------------------------------------------------------------------------

    def more(self, more):
        """Items come in, some with their own number of votes, some that require skills."""
        if self.size > 20:
            return
        fresh = [
            NewItem(key=f"i{at}", data={"x": at}, needed=3 if at % 7 == 3 else None, requires=required(at), line=1)
            for at in range(self.size, self.size + more)
        ]
        self.size += more
        assert ingest(self.ports, self.name, fresh).added == more

    def prioritize(self):
        """An engineer puts items first, last or back."""
        chosen, priority = self.rng.sample(range(self.size), 3), self.rng.choice(list(Priority))
        prioritize(self.ports, self.name, who("eva", Role.ENGINEER), chosen, priority)

    def pause(self):
        """Work stops or goes on."""
        state = self.rng.choice([ProjectState.PAUSED, ProjectState.ACTIVE, ProjectState.ACTIVE])
        self.ports.projects.set_state(self.name, state)

    # --- Redis dies ------------------------------------------------------------------------------------------------

    def lose_redis(self):
        """Redis forgets everything, or is killed with -9: answers are taken all the same, leases wait."""
        how, work = self.rng.choice(["flush", "forget", "flush", "kill"]), self.rng.random() < 0.5
        if how == "forget":
            self.ports.queue_health.forget(self.name)
        elif how == "flush":
            self.ports.queue._connection.flushall()
        else:
            os.kill(self.redis._process.pid, signal.SIGKILL)
            self.redis._process.wait()
            if work and self.alive():
                chosen = self.rng.choice(self.alive())
                self.send([self.sheet(chosen.who, [chosen], "c0", None)], "told")
            with suppress(Unavailable):
                lease_all(self.ports, self.name, [Ask(who=identity("ada"), count=1)])
            self.redis.start()
        self.deaf = True

    # --- nothing is stranded -----------------------------------------------------------------------------------------

    def settle_down(self):
        """Quiet: the steward passes until nothing is left to repair, and samplers plan what is asked for."""
        self.ports.clock.turn(GRANTING.total_seconds() + 1)
        self.unreaped |= {one.item for one in self.rows().leases if one.state == "leased"}
        for _ in range(6):
            self.tend(thorough=True)
            plans = [
                job for job in self.ports.jobs.unfinished(self.name, self.now - SILENCE) if job.kind is JobKind.PLAN
            ]
            self.plan()
            if not plans and not self.deaf:
                break
        assert tend(self.ports, self.name).repaired == 0

    def everything_open_is_reached(self):
        """Somebody new who keeps pulling gets every item with a free slot, and nothing else; then gives it back."""
        self.settle_down()
        rows = self.rows()
        paused = rows.row.state == ProjectState.PAUSED
        held, done = self.live(rows), self.done(rows)
        phantoms = Counter(item for item, _, _ in self.phantoms)
        wanted = {
            number
            for number, item in rows.items.items()
            if item.state == ItemState.POOLED and done[number] + len(held[number]) + phantoms[number] < item.needed
        }
        reached = set()
        for _ in range(12):
            zoe = f"zoe{next(self.zoes)}"
            got = [
                one
                for batch in lease_all(self.ports, self.name, [Ask(who=identity(zoe), count=6)])
                for one in batch.leases
            ]
            assert not paused or not got
            self.given += [Given(zoe, one, one.expires_at) for one in got]
            reached |= {one.item for one in got}
            if wanted <= reached or paused or (self.budget is not None and not got):
                break
            if not got:
                self.settle_down()
        assert reached <= wanted
        if not paused and self.budget is None:
            assert reached == wanted, f"{wanted - reached} cannot be reached"
        for one in [one for one in self.given if one.who.startswith("zoe")]:
            release(self.ports, self.name, who(one.who), [str(one.lease.id)])
        self.given = [one for one in self.given if not one.who.startswith("zoe")]

    # --- what always holds -------------------------------------------------------------------------------------------

    @invariant()
    def the_ten_hold(self):
        """Acknowledged answers are there, caps and turns hold, counters equal the rows, and the pool is conserved."""
        if not getattr(self, "size", 0):
            return
        rows = self.rows()
        for at, (label, lease, outcome) in self.told.items():
            kept = rows.answers[at]
            assert (kept.label, kept.assignment, kept.outcome) == (label, lease, outcome)
            assert bool(kept.counted) == (outcome in COUNTED)
        votes = Counter(one.item for one in rows.answers.values() if one.counted and one.role == Role.ANNOTATOR)
        assert max(votes.values(), default=0) <= self.project.votes.most
        assert rows.row.spent == sum(votes.values())
        slots, turns, held = Counter(), Counter(), self.live(rows)
        for one in rows.leases:
            assert covers(one.annotator, one.item)
            if one.state in {"leased", "done"}:
                slots[one.item, one.slot] += 1
            if one.state in {"leased", "done", "skipped"}:
                turns[one.item, one.annotator] += 1
        assert max([*slots.values(), *turns.values()], default=0) <= 1
        done = self.done(rows)
        for number, item in rows.items.items():
            assert done[number] + len(held[number]) <= item.needed <= self.project.votes.most
            assert item.votes == sum(bool(one.counted) for (at, _), one in rows.answers.items() if at == number)
        counts = self.ports.pool.counts(self.name)
        assert counts.conserved, counts
        assert counts.ingested == self.size
        parts = (counts.pooled, counts.queued, counts.leased, counts.resolved, counts.disputed, counts.retired)
        assert min(parts) >= 0, counts
        states = Counter(item.state for item in rows.items.values())
        assert (counts.resolved, counts.disputed) == (states[ItemState.RESOLVED], states[ItemState.DISPUTED])
        keys = [(job.kind, job.due_key) for job in self.training_jobs()]
        assert len(keys) == len(set(keys))

    def teardown(self):
        """At the end nothing is stranded."""
        if getattr(self, "size", 0):
            self.ports.projects.set_state(self.name, ProjectState.ACTIVE)
            self.everything_open_is_reached()
            self.the_ten_hold()
