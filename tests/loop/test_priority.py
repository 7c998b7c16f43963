"""An engineer's word about single items goes before the plan, and stays."""

import pytest
from conftest_loop import run_jobs, start, who

from labelloop.domain.errors import UnknownItem
from labelloop.domain.states import JobKind, Priority, Role
from labelloop.loop.lease import lease, release
from labelloop.loop.prioritize import prioritize
from labelloop.loop.report import history
from labelloop.loop.tend import tend

EVA = who("eva", Role.ENGINEER)
ONE_LANE = {"informative": 1, "audit": 0, "window": 50}


def pull(ports, name, count):
    return [one.item for one in lease(ports, "plane", who(name), count).leases]


def test_an_item_put_first_is_served_next_and_one_put_last_is_served_last(ports):
    """The rest keeps its order; normal takes the word back."""
    start(ports, count=20, lanes=ONE_LANE)
    order = [query.item for query in ports.rounds.queries("plane", 1)]
    assert prioritize(ports, "plane", EVA, [order[9]], Priority.FIRST) == 1
    prioritize(ports, "plane", EVA, [order[0]], Priority.LAST)
    wanted = [order[9], *order[1:9], *order[10:], order[0]]
    assert pull(ports, "anna", 20) == wanted
    release(ports, "plane", who("anna"), [str(one.id) for one in ports.ledger.held("plane", "anna", ports.clock.now())])
    prioritize(ports, "plane", EVA, order, Priority.NORMAL)
    assert pull(ports, "bert", 20) == order


def test_a_priority_outlives_a_lost_redis_and_another_round(ports):
    """It is kept in SQL; the history says who gave it and when."""
    start(ports, count=40, lanes=ONE_LANE)
    order = [query.item for query in ports.rounds.queries("plane", 1)]
    prioritize(ports, "plane", EVA, [order[30]], Priority.FIRST)
    ports.queue_health.forget("plane")
    tend(ports, "plane")
    (first,) = lease(ports, "plane", who("anna"), 1).leases
    assert first.item == order[30]
    release(ports, "plane", who("anna"), [str(first.id)])
    ports.jobs.ask("plane", JobKind.PLAN, "again", reason="test", now=ports.clock.now())
    run_jobs(ports)
    assert ports.rounds.serving("plane").number == 2
    assert pull(ports, "bert", 1) == [order[30]]
    (said,) = history(ports, "plane", order[30])["priorities"]
    assert (said["priority"], said["by"]) == ("first", "eva")
    assert said["created_at"]


def test_an_item_outside_the_window_is_planned_at_once(ports):
    """A round is asked for, and the item stands first in it."""
    start(ports, count=200, lanes=ONE_LANE)
    planned = {query.item for query in ports.rounds.queries("plane", 1)}
    outside = next(item for item in range(200) if item not in planned)
    assert prioritize(ports, "plane", EVA, [outside], Priority.FIRST) == 0
    run_jobs(ports)
    assert pull(ports, "anna", 1) == [outside]


def test_a_started_item_can_be_put_first(ports):
    """One with a vote still to get goes before other started ones."""
    start(ports, count=20, lanes=ONE_LANE, votes={"needed": 2})
    first = pull(ports, "anna", 5)
    prioritize(ports, "plane", EVA, [first[4]], Priority.FIRST)
    assert pull(ports, "bert", 1) == [first[4]]


def test_an_unknown_item_is_a_problem(ports):
    """And changes nothing."""
    start(ports, count=20)
    with pytest.raises(UnknownItem):
        prioritize(ports, "plane", EVA, [999], Priority.FIRST)
