"""The minority lane's share grows by itself while the model never names a class that the labels are short of."""

from dataclasses import replace

import numpy as np
import pytest
from conftest_loop import create, run_jobs, who
from test_minority import Crowd

from labelloop import projects, wiring
from labelloop.domain.states import Lane
from labelloop.domain.types import NewItem, Round
from labelloop.loop import shares
from labelloop.loop.annotate import annotate
from labelloop.loop.classes import classes_of
from labelloop.loop.compose import compose
from labelloop.loop.credit import Credit, Kept
from labelloop.loop.ingest import ingest
from labelloop.loop.lease import lease
from labelloop.loop.minority import Minority, grows
from labelloop.loop.plan import prefer
from labelloop.loop.pool import PoolView
from labelloop.loop.replay import replay
from labelloop.loop.report import status
from labelloop.loop.tend import tend
from labelloop.strategies import Evidence, Need

ALONE = {"informative": 0.8, "minority": 0.0, "audit": 0.2, "window": 100}
RARE = 300
"""Rows from here on are of the rare class."""


class Quiet(Crowd):
    """Two common classes and a rare one, of which the model says at most 0.2."""

    def __init__(self, counts=(40, 40, 2)):
        super().__init__()
        codes = np.repeat([0, 1, 2], counts)
        labeled = np.concatenate([np.arange(len(codes) - counts[2]), np.arange(419, 419 - counts[2], -1)])
        self.rare = 0.01
        self.view = PoolView(
            waiting=np.setdiff1d(np.arange(420), labeled),
            reserve=labeled[:0],
            class_counts=np.array(counts),
            labeled=labeled,
            codes=codes,
        )

    def evidence(self, numbers, needs):
        rare = np.where(numbers >= RARE, 20 * self.rare, self.rare)
        first = np.linspace(0.2, 0.8, 420)[numbers] * (1 - rare)
        return Evidence(
            rows=len(numbers),
            probabilities=np.stack([first, 1 - rare - first, rare], axis=1) if Need.PROBABILITIES in needs else None,
            features=self.points[numbers] if Need.FEATURES in needs else None,
        )


def project(*, lanes=ALONE, strategy="margin", **minority):
    return projects.parse(
        {
            "name": "quiet",
            "labels": {"kind": "classes", "classes": ["a", "b", "rare"]},
            "items": {"kind": "table"},
            "features": {"kind": "columns"},
            "lanes": lanes,
            "strategy": {"kind": strategy},
            "minority": minority,
        }
    )


def composed(wanted, crowd):
    return compose(wanted, crowd.view, crowd, np.random.default_rng(0), cold=False)


def test_a_lane_without_a_share_gets_one_while_a_short_class_is_never_named():
    """All but a tenth of what the strategy had goes to it, the audit keeps its own, and rare items come first."""
    made = composed(project(few=0), Quiet())
    assert made.mute == {"rare": 1.0}
    assert made.shares == pytest.approx({Lane.INFORMATIVE: 0.08, Lane.MINORITY: 0.72, Lane.AUDIT: 0.2})
    assert (made.lanes[Lane.MINORITY].numbers[:20] >= RARE).all()
    assert not set(made.lanes[Lane.MINORITY].numbers) & set(made.lanes[Lane.INFORMATIVE].numbers)


def test_it_does_not_grow_where_it_need_not():
    """Labels in balance, two classes, random sampling, or a project that says no: the shares are the file's."""
    assert composed(project(few=0), Quiet((30, 30, 30))).shares == project().lanes.shares()
    for wanted in (project(grow_to=0), project(strategy="random")):
        made = composed(wanted, Quiet())
        assert made.shares == wanted.lanes.shares()
        assert Lane.MINORITY not in made.lanes
    two = PoolView(waiting=np.arange(9), reserve=np.arange(0), class_counts=np.array([90, 1]), labeled=np.arange(0))
    assert not grows(project(), two)


def test_a_larger_share_in_the_file_stands():
    """What the file gives the lane is the least it gets."""
    wide = {"informative": 0.1, "minority": 0.9, "audit": 0.0}
    assert composed(project(lanes=wide, grow_to=0.5), Quiet()).shares == project(lanes=wide).lanes.shares()


def test_a_class_that_never_came_is_hoped_for_less_and_less():
    """It may be that there is none: with more labels that brought none of it the lane's share goes down again."""
    some, many = (
        composed(project(few=0), Quiet(counts)).shares[Lane.MINORITY] for counts in ((20, 20, 0), (90, 90, 0))
    )
    assert 0.72 > some > many > 0


def test_it_grows_as_far_as_the_lane_finds_more_than_all_others():
    """All eight labels of the rare class by the lane's half of the answers, or four of them as by chance."""
    crowd = Quiet((40, 40, 8))

    def share(came):
        lane = Kept(answers=44, came=came, promised=3.5, brought=0.8 * came)
        past = Credit(lane=lane, labels={0: 44 - came, 2: came})
        made = compose(project(few=0), crowd.view, crowd, np.random.default_rng(0), cold=False, past=past)
        return made.shares[Lane.MINORITY]

    assert share(8) == pytest.approx(0.72)
    assert 0.07 < share(4) < 0.25


def test_somebody_begins_where_the_strategy_has_no_share():
    """A project of the minority lane alone starts by the strategy's order: there is nothing to hunt by before."""
    wanted = project(lanes={"informative": 0.0, "minority": 0.9, "audit": 0.1})
    crowd = Quiet((0, 0, 0))
    made = compose(wanted, crowd.view, crowd, np.random.default_rng(0), cold=True)
    assert made.shares == pytest.approx({Lane.INFORMATIVE: 0.9, Lane.AUDIT: 0.1})
    assert len(made.lanes[Lane.INFORMATIVE].numbers) == len(crowd.view.waiting)
    later = composed(wanted, Quiet())
    assert later.shares == wanted.lanes.shares()
    assert Lane.INFORMATIVE not in later.lanes


def test_what_ways_brought_is_not_forgotten_while_the_lane_rests():
    """A round without the lane hands on what the rounds before it had learned."""
    past = Credit(ways={"doubt": Kept(answers=9, came=4, promised=0.5, brought=3.0)})
    crowd = Quiet((30, 30, 30))
    made = compose(project(few=0), crowd.view, crowd, np.random.default_rng(0), cold=False, past=past)
    assert Lane.MINORITY not in made.lanes
    assert made.credit == past


def test_a_round_is_handed_out_by_the_shares_it_noted():
    """Also when it is loaded later; a round from before such notes by the project's."""
    assert shares.of_round(project(), None) == project().lanes.shares()
    old = Round(number=1, strategy="margin", seed=0, model=None, pool_version=0, created_at=None, queries=0)
    assert shares.of_round(project(), old) == project().lanes.shares()
    noted = replace(old, stats={"shares": {"informative": 0.1, "minority": 0.9}})
    assert shares.of_round(project(), noted) == {Lane.INFORMATIVE: 0.1, Lane.MINORITY: 0.9}


def test_answers_move_the_ways():
    """A way that brought what it did not promise is served before one that promised and brought nothing."""
    crowd = Quiet()
    kept = {"doubt": Kept(answers=20, came=9, promised=0.4, brought=7.0)}
    broken = {"doubt": Kept(answers=20, promised=4.0)}

    def head(ways):
        lane = Minority(project(few=0), crowd.view, crowd, np.random.default_rng(0), cold=False, past=Credit(ways=ways))
        numbers = crowd.view.waiting
        lane.add(numbers, crowd.evidence(numbers, {Need.PROBABILITIES}).probabilities)
        made = lane.order()
        return [made.ways[at].name for at in made.origin[:20].tolist()].count("doubt")

    assert head(kept) > 10 > head(broken)


def test_a_lane_that_finds_nothing_gives_its_share_back():
    """A hundred answers without a hit: the share that grew is a third of what it was."""
    crowd = Quiet()
    past = Credit(lane=Kept(answers=100, promised=3.2))
    made = compose(project(few=0), crowd.view, crowd, np.random.default_rng(0), cold=False, past=past)
    assert 0 < made.shares[Lane.MINORITY] < 0.3


def test_a_class_that_is_used_up_does_not_hold_the_lane():
    """All its items are labeled and the model knows it: that nothing that waits is named so is no muteness."""
    crowd = Quiet((50, 50, 20))
    crowd.rare = 0.00005
    assert composed(project(few=0), crowd).shares.get(Lane.MINORITY, 0) < 0.15


def test_what_an_engineer_puts_first_goes_to_the_lane_that_is_served_most():
    """Also what stands in the other lane already, once, and with the score that it has."""
    crowd = Quiet()
    made = composed(project(few=0), crowd)
    inside = int(made.lanes[Lane.INFORMATIVE].numbers[3])
    score = float(made.lanes[Lane.INFORMATIVE].scores[3])
    lanes = prefer(made, crowd.view, {inside: 1})
    assert inside not in lanes[Lane.INFORMATIVE].numbers
    at = lanes[Lane.MINORITY].numbers.tolist().index(inside)
    assert lanes[Lane.MINORITY].scores[at] == score
    assert sum(len(one.numbers) for one in lanes.values()) == sum(len(one.numbers) for one in made.lanes.values())


def _between(count, rare):
    """Two clouds, and on the line between them a few rows of a third class that no line can part from both."""
    rng = np.random.default_rng(3)
    codes = np.where(np.arange(count) < rare, 2, rng.integers(0, 2, count))
    x = np.where(codes == 2, 0.0, 3.0 * codes - 1.5) + rng.normal(0, 0.7, count)
    items = [NewItem(key=f"i{at}", data={"x": float(x[at]), "y": float(rng.normal())}) for at in range(count)]
    return items, [f"c{code}" for code in codes]


def test_the_service_shifts_its_shares_learns_which_way_hits_and_replays_it(ports, tmp_path):
    """People are asked by the grown lane, the report says why, answers correct its ways, and a replay is equal."""
    create(ports, lanes=ALONE, retrain={"first": 30, "labels": 10}, seed=4)
    items, truth = _between(600, 40)
    ingest(ports, "plane", items)
    asked = []
    for _ in range(9):
        tend(ports, "plane")
        run_jobs(ports)
        tend(ports, "plane")
        batch = lease(ports, "plane", who("anna"), 15).leases
        asked += [one.lane for one in batch if ports.rounds.serving("plane").stats["shares"].get("minority", 0) > 0.5]
        answers = [{"lease": str(one.id), "label": truth[int(one.key[1:])]} for one in batch]
        annotate(ports, "plane", who("anna"), answers)
    noted = [one.stats for one in ports.rounds.recent("plane", 50) if one.model]
    grown = [stats for stats in noted if stats["shares"].get("minority", 0) > 0.5]
    assert grown, [stats["minority"]["mute"] for stats in noted]
    assert asked.count(Lane.MINORITY) > len(asked) / 2
    assert sum(kept.answers for kept in Credit.from_json(grown[0]["minority"]).ways.values()) > 0
    found = classes_of(ports, "plane")
    assert {one["way"] for one in found["minority"]["ways"]} >= {"doubt"}
    assert sum(one["answers"] for one in found["minority"]["ways"]) > 0
    assert all(one["mute"] is None for one in found["classes"] if one["class"] != "c2")
    for shown in status(ports, "plane")["rounds"]:  # annotators see it, and would be told what an item is hunted as
        assert "minority" not in shown["stats"]
    for planned in ports.rounds.recent("plane", 50):
        scratch = wiring.scratch_scores(tmp_path / "again")
        assert replay(ports, "plane", planned.number, scratch=scratch, beat=lambda *_: None).difference is None
