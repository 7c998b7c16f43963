"""A stored round comes out the same again, whatever happened since; what was tampered with is found."""

import numpy as np
import pytest
from conftest_loop import blobs, create, label, run_jobs, start, who
from sqlalchemy import text

from labelloop import wiring
from labelloop.adapters.sql import rounds as stored_rounds
from labelloop.domain.errors import Conflict, UnknownRound
from labelloop.domain.states import ItemState, ModelState, Priority, Role
from labelloop.domain.types import ItemNumber
from labelloop.loop import facts
from labelloop.loop.credit import Asked, Credit, Kept
from labelloop.loop.ingest import ingest
from labelloop.loop.lease import lease
from labelloop.loop.prioritize import prioritize
from labelloop.loop.replay import replay
from labelloop.loop.request import request_round
from labelloop.loop.tend import tend


def again(ports, tmp_path, number=None, name="plane"):
    return replay(ports, name, number, scratch=wiring.scratch_scores(tmp_path / "again"), beat=lambda *_: None)


def work(ports, truth, rounds=3, count=20):
    for _ in range(rounds):
        label(ports, truth, count=count)
        tend(ports, "plane")
        run_jobs(ports)
        tend(ports, "plane")


def change(ports, sql, **values):
    """What no command does: a hand in the database."""
    with ports.rounds._database.write() as connection:
        connection.execute(text(sql), values)


def test_rounds_come_out_the_same_after_all_that_happened_since(ports, tmp_path):
    """Cold and warm rounds are equal after labels, leases, retirements, new items, priorities and new champions."""
    truth = start(ports, count=300)
    prioritize(ports, "plane", who("erin", Role.ENGINEER), [ItemNumber(250), ItemNumber(3)], Priority.FIRST)
    work(ports, truth)
    lease(ports, "plane", who("bert"), 3)
    items, more = blobs(90, seed=8)
    ingest(ports, "plane", [item.__class__(key=f"n{item.key}", data=item.data) for item in items])
    request_round(ports, "plane")
    run_jobs(ports)
    ports.pool.retire("plane", {ItemNumber(number): "gone" for number in (7, 70, 170, 270)})
    prioritize(ports, "plane", who("erin", Role.ENGINEER), [ItemNumber(20)], Priority.FIRST)
    work(ports, {**truth, **{f"n{key}": label for key, label in more.items()}}, rounds=2)
    champions = {planned.model for planned in ports.rounds.recent("plane", 100)}
    assert len(champions) >= 3
    assert None in champions
    for planned in ports.rounds.recent("plane", 100):
        done = again(ports, tmp_path, planned.number)
        assert done.difference is None, planned
        assert done.queries == planned.queries
    assert again(ports, tmp_path).round == ports.rounds.serving("plane").number
    assert ports.pool.find("plane", "i7").state is ItemState.RETIRED
    assert [model.state for model in ports.models.all("plane")].count(ModelState.CHAMPION) == 1


def test_another_seed_is_another_round(ports, tmp_path):
    """A seed that is not the one of the plan gives another order, and the first difference is named."""
    truth = start(ports, count=300, strategy={"kind": "random"})
    work(ports, truth)
    planned = ports.rounds.serving("plane")
    assert again(ports, tmp_path).equal
    change(ports, "UPDATE round SET seed = seed + 1 WHERE number = :number", number=planned.number)
    done = again(ports, tmp_path)
    assert not done.equal
    assert "made again it is" in done.difference


def test_one_bit_of_one_score_is_found(ports, tmp_path):
    """A stored score that is off by its last digit is a difference, and says of which item."""
    truth = start(ports, count=300)
    work(ports, truth)
    planned = ports.rounds.serving("plane")
    query = ports.rounds.planned("plane", planned.number)[17]
    change(
        ports,
        "UPDATE query SET score = :score WHERE round = :number AND item = :item",
        score=float(np.nextafter(query.score, 1)),
        number=planned.number,
        item=query.item,
    )
    assert f"item {query.item}," in again(ports, tmp_path).difference


def test_rounds_whose_queries_are_gone_are_known_by_their_digest(ports, tmp_path):
    """Of older rounds only a digest is left: it holds, and it finds another seed."""
    truth = start(ports, count=400, strategy={"kind": "random"})
    work(ports, truth, rounds=stored_rounds.KEPT + 3, count=20)
    first = ports.rounds.recent("plane", 100)[-1].number
    assert ports.rounds.planned("plane", first) == []
    done = again(ports, tmp_path, first)
    assert (done.equal, done.by) == (True, "digest")
    change(ports, "UPDATE round SET seed = seed + 1 WHERE number = :number", number=first)
    assert "digest" in again(ports, tmp_path, first).difference


def test_a_broken_strategy_is_replayed_as_it_was_stood_in_for(ports, tmp_path):
    """A round that fell back to margin comes out the same, also when the strategy would work by now."""
    truth = start(ports, count=200, strategy={"kind": "bald"})  # the model has one voice
    work(ports, truth, rounds=2)
    planned = ports.rounds.serving("plane")
    assert "fallback" in planned.stats
    assert again(ports, tmp_path).equal


def test_what_cannot_be_replayed_says_why(ports, tmp_path):
    """No round yet, an unknown one, and one from before this was kept."""
    create(ports)
    with pytest.raises(UnknownRound, match="no round yet"):
        again(ports, tmp_path)
    ingest(ports, "plane", blobs(50)[0])
    tend(ports, "plane")
    run_jobs(ports)
    with pytest.raises(UnknownRound, match="no round 9"):
        again(ports, tmp_path, 9)
    change(ports, "UPDATE round SET stats = '{}'")
    with pytest.raises(Conflict, match="kept too little"):
        again(ports, tmp_path)


def test_facts_survive_their_file(ports):
    """Packing and unpacking gives the same facts, dtypes included, and the same facts give the same bytes."""
    from labelloop.loop.pool import look

    start(ports)
    view = look(ports, ports.projects.get("plane"), items=200)
    asked = Asked(item=4, way="outliers", codes=(0, 2), promise=0.05)
    made_of = facts.Facts(
        items=200,
        view=view,
        preferred={ItemNumber(3): -1},
        strategy={"kind": "margin"},
        past=Credit(ways={"model": Kept(answers=3, came=1, promised=0.2, brought=0.9)}, asked=[asked]).to_json(),
        numerics=facts.numerics(),
    )
    blob = facts.packed(made_of)
    back = facts.unpacked(blob)
    for name in ("waiting", "reserve", "class_counts", "labeled", "in_flight"):
        np.testing.assert_array_equal(getattr(back.view, name), getattr(view, name))
        assert getattr(back.view, name).dtype == getattr(view, name).dtype
    assert back.view.reserve_share == view.reserve_share
    assert (back.preferred, back.strategy, back.numerics) == (made_of.preferred, made_of.strategy, made_of.numerics)
    assert back.past == made_of.past
    assert facts.packed(back) == blob
