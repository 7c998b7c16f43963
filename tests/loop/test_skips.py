"""Items that nobody wants to answer go to a reviewer."""

from conftest_loop import start, who

from labelloop.domain.states import ItemState, Lane, Outcome, Role
from labelloop.loop.annotate import annotate
from labelloop.loop.lease import lease, skip
from labelloop.loop.report import history
from labelloop.loop.tend import tend

RITA = who("rita", Role.REVIEWER)


def skip_all(ports, name):
    held = lease(ports, "plane", who(name), 50).leases
    skip(ports, "plane", who(name), [str(one.id) for one in held])
    return {one.item for one in held}


def test_an_item_that_enough_annotators_skip_goes_to_a_reviewer(ports):
    """After three skips nobody but a reviewer gets it; the history says why, and the reviewer's word stands."""
    start(ports, count=20)
    for name in ("anna", "bert"):
        skip_all(ports, name)
    assert ports.pool.counts("plane").disputed == 0
    skipped = skip_all(ports, "carl")
    counts = ports.pool.counts("plane")
    assert (counts.disputed, counts.conserved) == (len(skipped), True)
    assert lease(ports, "plane", who("dora"), 50).leases == []
    mine = lease(ports, "plane", RITA, 50).leases
    assert {one.item for one in mine} == skipped
    assert {one.lane for one in mine} == {Lane.REVIEW}
    outcomes, _ = annotate(ports, "plane", RITA, [{"lease": str(one.id), "label": "c1"} for one in mine])
    assert {one.outcome for one in outcomes} == {Outcome.ACCEPTED}
    tend(ports, "plane")
    assert ports.pool.items("plane", [mine[0].item])[0].state is ItemState.RESOLVED
    said = history(ports, "plane", mine[0].item)["consensus"]
    assert [(one["state"], one["reason"]) for one in said] == [("disputed", "skipped by 3"), ("resolved", None)]


def test_how_many_skips_it_takes_is_in_the_project_file(ports):
    """With one, the first skip is enough."""
    start(ports, count=10, lease={"skips_to_review": 1})
    assert skip_all(ports, "anna")
    assert ports.pool.counts("plane").pooled + ports.pool.counts("plane").queued == 0


def test_a_skip_whose_process_died_is_counted_by_the_steward(ports, clock):
    """The skips are in SQL; the steward finds that they are enough."""
    start(ports, count=10, lease={"skips_to_review": 2})
    skip_all(ports, "anna")
    held = lease(ports, "plane", who("bert"), 50).leases
    ports.ledger.close("plane", "bert", [one.id for one in held], now=clock.now(), skip=True)
    assert ports.pool.counts("plane").disputed == 0
    tend(ports, "plane")
    assert ports.pool.counts("plane").disputed == len(held)
    assert {one.item for one in lease(ports, "plane", RITA, 50).leases} == {one.item for one in held}
