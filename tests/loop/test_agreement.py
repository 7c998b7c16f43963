"""How far people agree is told of the items that several of them answered, and of nothing else."""

import json

import pytest
from conftest_loop import create, ingest, run_jobs, start, who

from labelloop.domain.states import Role
from labelloop.domain.types import NewItem
from labelloop.loop.agreement import agreement
from labelloop.loop.annotate import annotate
from labelloop.loop.lease import lease
from labelloop.loop.resolve import resolve
from labelloop.loop.tend import tend


def answered(ports, by, count, answer, role=Role.ANNOTATOR):
    """One person leases so many and answers each by its item's number."""
    given = lease(ports, "plane", who(by, role), count).leases
    annotate(ports, "plane", who(by, role), [{"lease": str(one.id), **answer(one.item)} for one in given])
    return [one.item for one in given]


def test_what_two_people_answered_is_compared(ports):
    """Ten items, two votes each; on one they differ, and both classes of it are named."""
    start(ports, count=10, votes={"needed": 2, "cap": 2}, lanes={"informative": 1.0})
    first, *_ = answered(ports, "anna", 10, lambda item: {"label": f"c{item % 2}"})
    answered(ports, "bert", 10, lambda item: {"label": "c2" if item == first else f"c{item % 2}"})
    told = agreement(ports, "plane")
    assert (told["items"], told["votes"], told["observed"]) == (10, 20, 0.9)
    assert 0.8 < told["alpha"] < 0.9
    assert 0.8 < told["ac1"] < 0.9
    assert told["confused"] == [{"classes": [f"c{first % 2}", "c2"], "pairs": 1}]


def test_nothing_is_claimed_where_nobody_was_asked_twice(ports):
    """One vote each: no items, nulls instead of numbers, and JSON that any reader takes."""
    start(ports, count=10, lanes={"informative": 1.0})
    answered(ports, "anna", 10, lambda _: {"label": "c0"})
    nothing = {"items": 0, "votes": 0, "observed": None, "alpha": None, "ac1": None, "confused": []}
    assert agreement(ports, "plane") == nothing
    assert json.loads(json.dumps(nothing, allow_nan=False)) == nothing


def test_one_class_alone_says_nothing_of_alpha(ports):
    """All votes for one class: alpha, which needs variety, is null; AC1 and the observed part are 1."""
    start(ports, count=6, votes={"needed": 2}, lanes={"informative": 1.0})
    for name in ("anna", "bert"):
        answered(ports, name, 6, lambda _: {"label": "c0"})
    told = agreement(ports, "plane")
    assert (told["observed"], told["alpha"], told["ac1"]) == (1.0, None, 1.0)


def test_skips_and_reviews_are_no_votes(ports):
    """A dispute that a reviewer decided counts as the two votes it was, and a skip as none."""
    start(ports, count=4, votes={"needed": 2, "cap": 2}, lanes={"informative": 1.0})
    answered(ports, "anna", 4, lambda _: {"label": "c0"})
    answered(ports, "bert", 2, lambda _: {"label": "c1"})
    [skipped, *_] = lease(ports, "plane", who("carl"), 1).leases
    ports.ledger.close("plane", who("carl").subject, [skipped.id], now=ports.clock.now(), skip=True)
    before = agreement(ports, "plane")
    assert (before["items"], before["votes"], before["confused"][0]["pairs"]) == (2, 4, 2)
    resolve(ports, "plane")
    assert len(answered(ports, "rosa", 2, lambda _: {"label": "c1"}, role=Role.REVIEWER)) == 2
    assert agreement(ports, "plane") == before


@pytest.mark.parametrize("choices", [["good", "bad"], []])
def test_answers_of_several_classes_are_not_compared(ports, choices):
    """A choice of many, or of nothing, is no class: null instead of a number about the rest."""
    config = (
        '<View><Choices name="c" toName="x" choice="multiple"><Choice value="good"/><Choice value="bad"/></Choices>'
    )
    create(
        ports,
        labels={"kind": "label_studio", "config": f'{config}<Text name="x" value="$x"/></View>'},
        votes={"needed": 2, "cap": 2},
        lanes={"informative": 1.0},
    )
    ingest(ports, "plane", [NewItem(key=f"i{at}", data={"x": float(at), "y": 0.0}) for at in range(4)])
    tend(ports, "plane")
    run_jobs(ports)

    def chosen(*names):
        return {"result": [{"from_name": "c", "to_name": "x", "type": "choices", "value": {"choices": list(names)}}]}

    for name in ("anna", "bert"):
        answered(ports, name, 3, lambda _: chosen("good"))
    assert agreement(ports, "plane")["observed"] == 1.0
    answered(ports, "anna", 1, lambda _: chosen("good"))
    answered(ports, "bert", 1, lambda _: chosen(*choices))
    assert agreement(ports, "plane") is None
