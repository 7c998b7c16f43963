"""Items that require skills, through the whole loop: who gets them, what others are told, and that nobody starves."""

import random
from dataclasses import replace

import pytest
from conftest_loop import blobs, create, run_jobs

from labelloop.domain.skills import MOST_REQUIREMENTS
from labelloop.domain.states import JobKind, Lane, Role
from labelloop.domain.types import Identity
from labelloop.loop.annotate import annotate
from labelloop.loop.ingest import ingest, read
from labelloop.loop.lease import lease, release, skip
from labelloop.loop.report import history, status
from labelloop.loop.tend import tend

GERMAN, FRENCH = "lang:de", "lang:fr"
ONE_LANE = {"informative": 1, "audit": 0, "window": 50}


def who(name, *skills, role=Role.ANNOTATOR):
    return Identity(subject=name, role=role, skills=frozenset(skills))


ANNA, DORA, FLO = who("anna"), who("dora", GERMAN), who("flo", GERMAN, FRENCH)


def start(ports, count, requires, **changes):
    """A project whose item at place i requires `requires(i)`, and its first round. Returns the truth by key."""
    create(ports, **changes)
    items, truth = blobs(count)
    asked = [replace(item, requires=requires(at)) for at, item in enumerate(items)]
    ingest(ports, "plane", asked)
    tend(ports, "plane")
    run_jobs(ports)
    return truth


def pull(ports, one, count=10):
    return [lease.item for lease in lease(ports, "plane", one, count).leases]


def answer(ports, one, truth, count=10):
    """Pull a batch and answer it. Returns the items."""
    batch = lease(ports, "plane", one, count)
    answers = [{"lease": str(each.id), "label": truth[each.key]} for each in batch.leases]
    if answers:
        outcomes, _ = annotate(ports, "plane", one, answers)
        assert {outcome.outcome for outcome in outcomes} == {"accepted"}
    return [each.item for each in batch.leases]


def every_item(ports, one, truth):
    """All that this annotator gets who keeps pulling, while steward and sampler do their work."""
    seen = []
    while True:
        got = answer(ports, one, truth, 25)
        seen += got
        tend(ports, "plane")
        if not run_jobs(ports) and not got:
            return seen


def thirds(at):
    """What requires nothing, German, or both languages, in turn."""
    return ((), (GERMAN,), (GERMAN, FRENCH))[at % 3]


@pytest.mark.parametrize(
    "lanes", [{**ONE_LANE, "window": 30}, {"informative": 0.6, "minority": 0.2, "audit": 0.2, "window": 30}]
)
def test_everybody_who_keeps_pulling_gets_all_he_covers_and_nothing_else(ports, lanes):
    """With a window far smaller than the pool, and the others' items never answered."""
    truth = start(ports, 150, thirds, lanes=lanes, retrain={"first": 40, "labels": 100})
    assert sorted(every_item(ports, ANNA, truth)) == [at for at in range(150) if at % 3 == 0]
    assert sorted(every_item(ports, DORA, truth)) == [at for at in range(150) if at % 3 == 1]
    assert sorted(every_item(ports, FLO, truth)) == [at for at in range(150) if at % 3 == 2]


def test_items_that_nobody_can_answer_do_not_fill_the_window(ports):
    """The window holds a part of each requirement, although the strategy would rather ask for something else."""
    truth = start(ports, 400, lambda at: (GERMAN,) if at < 380 else (), lanes=ONE_LANE)
    queries = ports.rounds.queries("plane", 1)
    assert sum(query.item >= 380 for query in queries) == 20
    assert [query.rank for query in queries] == list(range(len(queries)))
    assert sorted(every_item(ports, ANNA, truth)) == list(range(380, 400))


def test_a_requirement_that_is_used_up_asks_for_no_more_rounds(ports):
    """Items that wait for a skill do not make the steward plan again and again."""
    truth = start(ports, 200, thirds, lanes=ONE_LANE, retrain={"first": 1000, "labels": None})
    every_item(ports, ANNA, truth)
    rounds = len(ports.rounds.recent("plane", 100))
    for _ in range(3):
        tend(ports, "plane")
        assert run_jobs(ports) == []
    assert len(ports.rounds.recent("plane", 100)) == rounds


def test_who_covers_nothing_that_is_left_is_told_why(ports):
    """The reason names what the items require and what the key carries; it may change, so asking again is worth it."""
    start(ports, 6, lambda at: (GERMAN, "skill:law") if at % 2 else (GERMAN,), lanes=ONE_LANE)
    idle = lease(ports, "plane", ANNA, 5)
    assert idle.leases == []
    assert "require: lang:de, or lang:de + skill:law (skills of your key: none)" in idle.reason
    assert idle.retry_after
    assert sorted(pull(ports, DORA)) == [0, 2, 4]
    told = lease(ports, "plane", DORA, 5).reason
    assert "require: lang:de + skill:law (skills of your key: lang:de)" in told
    pull(ports, who("lea", GERMAN, "skill:law"))
    assert lease(ports, "plane", ANNA, 5).reason == "no item is free for you now"


def test_a_dispute_goes_to_a_reviewer_with_the_skill(ports):
    """Skipped by all, an item that requires German waits for a reviewer who knows it; others are told."""
    start(ports, 1, lambda _: (GERMAN,), lanes=ONE_LANE, lease={"skips_to_review": 2})
    for name in ("dora", "dirk"):
        (one,) = lease(ports, "plane", who(name, GERMAN), 1).leases
        skip(ports, "plane", who(name, GERMAN), [str(one.id)])
    rex, rita = who("rex", role=Role.REVIEWER), who("rita", GERMAN, role=Role.REVIEWER)
    assert "lang:de" in lease(ports, "plane", rex, 1).reason
    assert lease(ports, "plane", who("dina"), 1).reason == "no item is free for you now"
    ports.queue_health.forget("plane")
    tend(ports, "plane")
    tend(ports, "plane")
    assert pull(ports, rex) == []
    (one,) = lease(ports, "plane", rita, 1).leases
    assert one.lane is Lane.REVIEW


def test_a_lost_redis_forgets_nothing_of_it(ports):
    """Fresh and started items come back to those who cover them."""
    truth = start(ports, 30, thirds, lanes=ONE_LANE, votes={"needed": 2})
    started = answer(ports, FLO, truth, 9)
    assert {len(thirds(item)) for item in started} == {0, 1, 2}
    ports.queue_health.forget("plane")
    tend(ports, "plane")
    assert sorted(pull(ports, DORA, 30)) == [at for at in range(30) if at % 3 < 2]
    fresh = [at for at in range(30) if at % 3 == 0 and at not in started]
    assert sorted(pull(ports, ANNA, 30)) == fresh


def test_a_wrong_queue_grants_nothing_and_is_set_right(ports):
    """When Redis forgot what an item requires, SQL refuses it, and the next who covers it gets it."""
    start(ports, 4, lambda at: (GERMAN,) if at < 2 else (), lanes=ONE_LANE)
    plain = [query._replace(requires=0) for query in ports.rounds.queries("plane", 1)]
    ports.queue_health.forget("plane")
    ports.queue.load("plane", 1, {Lane.INFORMATIVE: plain}, [], {Lane.INFORMATIVE: 1.0})
    assert sorted(pull(ports, ANNA)) == [2, 3]
    assert sorted(pull(ports, DORA)) == [0, 1]


def test_the_report_counts_what_nobody_covers(ports):
    """Open items by requirement; those for which no active key is there, or no reviewer's key, would wait for ever."""
    start(ports, 9, thirds, lanes=ONE_LANE)
    wanted = [([GERMAN], 3, 0, 3), ([GERMAN, FRENCH], 3, 0, 3)]

    def told():
        rows = status(ports, "plane")["requirements"]
        return [(row["requires"], row["pooled"], row["disputed"], row["uncovered"]) for row in rows]

    assert told() == wanted
    ports.keys.create(DORA, "d", ports.clock.now())
    ports.keys.create(replace(FLO, project="other"), "f", ports.clock.now())
    assert [row[3] for row in told()] == [0, 3]
    ports.keys.revoke("d", ports.clock.now())
    assert told() == wanted


def test_history_says_what_an_item_required(ports):
    """In words."""
    start(ports, 3, thirds, lanes=ONE_LANE)
    assert [history(ports, "plane", item)["requires"] for item in range(3)] == [[], [GERMAN], [GERMAN, FRENCH]]


def test_a_new_requirement_is_known_at_once(ports):
    """Items that come in with another one are served to those who cover it as soon as they are planned."""
    start(ports, 3, lambda _: (), lanes=ONE_LANE)
    assert sorted(pull(ports, FLO)) == [0, 1, 2]
    more, _ = blobs(6, seed=5)
    ingest(ports, "plane", [replace(item, key=f"n{at}", requires=(FRENCH,)) for at, item in enumerate(more)])
    tend(ports, "plane")
    run_jobs(ports)
    assert "lang:fr" in lease(ports, "plane", DORA, 9).reason
    assert sorted(pull(ports, FLO)) == list(range(3, 9))


def test_too_many_requirements_are_invalid_lines(ports):
    """Each says what to do; the report stays in the order of the lines."""
    create(ports)
    items, _ = blobs(MOST_REQUIREMENTS + 4)
    rows = [replace(item, requires=(f"s{at}",)) for at, item in enumerate(items)]
    rows.insert(1, read({"key": "x", "data": {"x": 1, "y": 1}, "requires": ["No"]}, 2))
    report = ingest(ports, "plane", rows)
    assert report.added == MOST_REQUIREMENTS
    assert report.received == report.added + report.duplicates + len(report.invalid)
    assert len(report.invalid) == 5
    assert [one.line for one in report.invalid] == sorted(one.line for one in report.invalid)


def disturb(ports, rng):
    """Now and then time goes by, a round is planned, or Redis loses everything; the steward does its work."""
    event = rng.choice(["", "", "", "tend", "time", "round", "lost"])
    if event == "time":
        ports.clock.turn(400)
    elif event == "round":
        ports.jobs.ask("plane", JobKind.PLAN, f"again-{rng.random()}", reason="test", now=ports.clock.now())
    elif event == "lost":
        ports.queue_health.forget("plane")
    if event:
        tend(ports, "plane")
        run_jobs(ports)


@pytest.mark.parametrize("seed", range(4))
def test_any_crowd_gets_all_it_covers_and_nothing_else(ports, seed):
    """Pulls, answers, releases, skips, expiry, rounds, a lost Redis: what is covered ends, the rest waits."""
    rng, tags = random.Random(seed), [GERMAN, FRENCH, "skill:law"]
    requires = {at: tuple(sorted(rng.sample(tags, rng.choice([0, 0, 1, 1, 2])))) for at in range(60)}
    votes = {"needed": rng.choice([1, 2]), "cap": 2}
    truth = start(ports, 60, requires.get, votes=votes, lease={"skips_to_review": 99}, retrain={"first": 1000})
    crowd = [who(f"a{at}", *rng.sample(tags, rng.choice([0, 1, 2, 2]))) for at in range(5)]

    def covers(one, item):
        return set(requires[item]) <= one.skills

    for _ in range(40):
        one = rng.choice(crowd)
        batch = lease(ports, "plane", one, rng.randint(1, 8)).leases
        assert all(covers(one, each.item) for each in batch)
        what, named = rng.choice(["answer", "answer", "release", "skip", "vanish"]), [str(each.id) for each in batch]
        if what == "answer":
            annotate(ports, "plane", one, [{"lease": str(each.id), "label": truth[each.key]} for each in batch])
        elif what == "release":
            release(ports, "plane", one, named)
        elif what == "skip":
            skip(ports, "plane", one, named[:1])
        disturb(ports, rng)
    ports.clock.turn(400)
    for turn in range(2):  # enough new people for every vote
        for one in crowd:
            every_item(ports, replace(one, subject=f"{one.subject}-{turn}"), truth)
    left = {item.number for item in ports.pool.items("plane", range(60)) if item.state == "pooled"}
    assert left == {at for at in range(60) if not any(covers(one, at) for one in crowd)}
