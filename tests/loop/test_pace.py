"""How often work may be pulled, and how far the order served is from the order planned."""

from conftest_loop import start, who

from labelloop.domain.states import Role
from labelloop.loop.lease import lease, release
from labelloop.loop.report import status


def test_who_pulls_too_often_is_told_when_to_ask_again(ports):
    """Two pulls a minute: the third gets nothing, a reason and a time; others are not held up; the minute ends."""
    start(ports, lease={"pulls_per_minute": 2})
    assert [len(lease(ports, "plane", who("anna"), 3).leases) for _ in range(2)] == [3, 3]
    refused = lease(ports, "plane", who("anna"), 3)
    assert refused.leases == []
    assert "2 times" in refused.reason
    assert 0 < refused.retry_after <= 60
    assert len(lease(ports, "plane", who("bert"), 3).leases) == 3
    ports.queue._connection.delete("labelloop:{plane}:pulls:anna")
    assert len(lease(ports, "plane", who("anna"), 3).leases) == 3


def test_one_pull_of_a_reviewer_counts_once(ports):
    """Although it looks into two queues."""
    start(ports, lease={"pulls_per_minute": 1})
    rita = who("rita", Role.REVIEWER)
    assert len(lease(ports, "plane", rita, 3).leases) == 3
    assert lease(ports, "plane", rita, 3).leases == []


def test_the_gap_between_planned_and_served_rank_is_reported(ports):
    """Served as planned it is 0; an item that comes back later is counted at the place it was first served."""
    start(ports, lanes={"informative": 1, "audit": 0, "window": 100})
    held = lease(ports, "plane", who("anna"), 10).leases
    release(ports, "plane", who("anna"), [str(held[0].id)])
    lease(ports, "plane", who("bert"), 10)
    assert status(ports, "plane")["rank_gap"] == {"informative": {"served": 19, "mean": 0.0, "most": 0}}
    ranked = [query.item for query in ports.rounds.queries("plane", 1)]
    ports.queue._connection.zadd(_lane(ports), {str(ranked[60]): -1})
    lease(ports, "plane", who("carl"), 1)
    assert status(ports, "plane")["rank_gap"]["informative"]["most"] == 60 - 19


def _lane(ports):
    """The key of the served order."""
    return next(iter(ports.queue._connection.scan_iter("labelloop:{plane}:lane:informative:*")))
