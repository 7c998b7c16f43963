"""The report of classes: what was asked for each, what came, and what chance would have brought."""

from conftest_loop import label, run_jobs, start

from labelloop.domain.states import Lane
from labelloop.loop.classes import classes_of
from labelloop.loop.tend import tend


def _rows(ports):
    return {one["class"]: one for one in classes_of(ports, "plane")["classes"]}


def test_before_any_label_nothing_is_claimed(ports):
    """No share, no estimate of chance, and what a floor asks for is missing whole."""
    start(ports, minority={"floors": {"c2": 7}, "targets": {"c2": 3.0}})
    row = _rows(ports)["c2"]
    assert (row["labels"], row["share"], row["missing"], row["target"]) == (0, None, 7, 0.6)
    assert row["lanes"]["minority"] == {"asked": 0, "came": 0, "share": None, "by_chance": None}


def test_what_came_is_counted_by_the_lane_that_asked(ports):
    """The lanes' answers add up to the labels; chance is what the audit's share of the class gives for as many."""
    truth = start(ports, minority={"floors": {"c0": 60}})
    for _ in range(3):
        label(ports, truth, count=20)
        tend(ports, "plane")
        run_jobs(ports)
    found = classes_of(ports, "plane")
    numbers, labels, _ = ports.pool.labeled("plane")
    lanes = ports.rounds.asked("plane", numbers.tolist())
    assert found["labels"] == len(labels) == 60
    asked = sum(found["classes"][0]["lanes"][lane]["asked"] for lane in ("informative", "minority"))
    assert asked + found["audit"] == len(labels)
    for one in found["classes"]:
        mine = [lanes[number] for number, name in zip(numbers.tolist(), labels, strict=True) if name == one["class"]]
        assert one["lanes"]["minority"]["came"] == mine.count(Lane.MINORITY)
        chance, minority = one["lanes"]["minority"]["by_chance"], one["lanes"]["minority"]
        assert chance["low"] <= minority["asked"] * mine.count(Lane.AUDIT) / found["audit"] <= chance["high"]
    assert found["classes"][0]["missing"] == 60 - labels.count("c0")
