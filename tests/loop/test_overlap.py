"""More votes for some items: by lane, by lot, and by the item's own wish."""

import numpy as np
import pytest
from conftest_loop import blobs, create, run_jobs, start, who

from labelloop import projects
from labelloop.domain.errors import InvalidProject
from labelloop.domain.states import Lane
from labelloop.domain.types import InvalidLine
from labelloop.loop import pool
from labelloop.loop.ingest import check, ingest, read
from labelloop.loop.lease import lease
from labelloop.loop.tend import tend


def needed(ports):
    """Lane → votes needed of the queries that are served."""
    found = {}
    for query in ports.rounds.queries("plane", ports.rounds.serving("plane").number):
        found.setdefault(query.lane, {})[query.item] = query.needed
    return found


def test_a_lane_asks_for_its_own_number_of_votes(ports):
    """Audit items get three votes, the others one."""
    start(ports, votes={"needed": 1, "lanes": {"audit": 3}})
    served = needed(ports)
    assert set(served[Lane.AUDIT].values()) == {3}
    assert set(served[Lane.INFORMATIVE].values()) == {1}
    audit = next(iter(served[Lane.AUDIT]))
    state = ports.ledger.slots("plane", [audit])[0]
    assert state.needed == 3


def test_a_part_of_the_pool_gets_more_votes_and_so_many_people_get_it(ports):
    """The overlap is drawn by lot at its share; its items go to that many annotators, the rest to one."""
    start(ports, count=400, votes={"overlap": {"share": 0.25, "needed": 3}}, lanes={"window": 1000})
    served = {item: votes for lane in needed(ports).values() for item, votes in lane.items()}
    assert set(served.values()) == {1, 3}
    assert 0.15 < np.mean([votes == 3 for votes in served.values()]) < 0.35
    given = [one.item for name in ("a", "b", "c", "d") for one in lease(ports, "plane", who(name), 200).leases]
    assert all(given.count(item) <= served[item] for item in set(given))
    assert any(given.count(item) == 3 for item in set(given))


def test_the_lots_of_overlap_and_audit_are_independent():
    """Whoever is in the audit is as likely in the overlap as anybody."""
    project = projects.parse(
        {
            "name": "p",
            "labels": {"kind": "classes", "classes": ["a", "b"]},
            "features": {"kind": "text"},
            "votes": {"overlap": {"share": 0.1, "needed": 3}},
        }
    )
    numbers = np.arange(100_000)
    audit = pool.draw(project, numbers) < 2**63 // 10
    chosen = pool.votes_wanted(project, Lane.AUDIT, numbers) == 3
    assert abs(chosen.mean() - 0.1) < 0.01
    assert abs(chosen[audit].mean() - 0.1) < 0.02


def test_an_item_brings_its_own_number_of_votes(ports):
    """`needed` on the wire holds for that item alone, also through the next rounds."""
    create(ports, votes={"needed": 1, "cap": 5})
    rows = [{"key": one.key, "data": dict(one.data)} for one in blobs(30)[0]]
    rows[7]["needed"] = 4
    ingest(ports, "plane", [read(row, line) for line, row in enumerate(rows, 1)])
    tend(ports, "plane")
    run_jobs(ports)
    served = {item: votes for lane in needed(ports).values() for item, votes in lane.items()}
    assert {item for item, votes in served.items() if votes == 4} == {7}
    holders = [name for name in "abcdef" if 7 in {one.item for one in lease(ports, "plane", who(name), 30).leases}]
    assert len(holders) == 4


@pytest.mark.parametrize("votes", [0, -1, "2", 1.5, True])
def test_a_wish_that_is_no_number_of_votes_is_an_invalid_line(votes):
    """The line is named, and what it must be."""
    found = read({"key": "k", "data": {"x": 1}, "needed": votes}, 3)
    assert isinstance(found, InvalidLine)
    assert found.line == 3
    assert "needed" in found.error


def test_a_wish_above_the_cap_is_an_invalid_line(ports):
    """It says the cap and the setting that lifts it."""
    project = create(ports, votes={"needed": 2})
    found = check(project, read({"key": "k", "data": {"x": 1, "y": 1}, "needed": 9}, 1))
    assert isinstance(found, InvalidLine)
    assert "votes.cap" in found.error


@pytest.mark.parametrize(
    "votes, said",
    [
        ({"needed": 3, "lanes": {"audit": 2}}, "votes.lanes.audit"),
        ({"needed": 1, "cap": 2, "overlap": {"share": 0.1, "needed": 3}}, "votes.overlap.needed"),
        ({"lanes": {"review": 2}}, "lanes"),
    ],
)
def test_votes_that_contradict_each_other_are_refused(ports, votes, said):
    """The message names the key of the project file."""
    with pytest.raises(InvalidProject, match=said):
        create(ports, votes=votes)
