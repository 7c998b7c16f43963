"""The decisions of the loop."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.domain import policy
from labelloop.domain.states import ItemState, ProjectState, Role
from labelloop.domain.types import Estimate

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def facts(**changes):
    """Facts in which nothing is due; each test changes what it is about."""
    quiet = {
        "now": NOW,
        "resolved": 100,
        "resolved_then": 100,
        "last": 3,
        "asked_at": NOW - timedelta(hours=1),
        "running": False,
    }
    return policy.TrainingFacts(**(quiet | changes))


def due(facts, **rules):
    return policy.retrain_due(facts, **({"first": 20, "labels": None, "every": None, "class_minimum": None} | rules))


def test_paused_projects_and_spent_budgets_hand_out_nothing():
    """Work is refused with the reason."""
    assert policy.may_lease(ProjectState.PAUSED, 0, None) == "the project is paused"
    assert policy.may_lease(ProjectState.ACTIVE, 10, 10) == "the budget is spent"
    assert policy.may_lease(ProjectState.ACTIVE, 9, 10) is None
    assert policy.may_lease(ProjectState.ACTIVE, 10**9, None) is None


def test_one_vote_resolves_a_single_vote_item():
    """With one vote needed, the first vote decides."""
    tally = policy.Tally(votes=1, share=1.0, tied=False)
    assert policy.weigh(tally, needed=1, cap=1, agreement=0.5) == (ItemState.RESOLVED, 1)


def test_a_tie_asks_for_one_more_vote_and_is_disputed_at_the_cap():
    """Two against two asks for a fifth vote; at the cap a reviewer decides."""
    tie = policy.Tally(votes=2, share=0.5, tied=True)
    assert policy.weigh(tie, needed=2, cap=3, agreement=0.5) == (ItemState.POOLED, 3)
    assert policy.weigh(tie, needed=2, cap=2, agreement=0.5) == (ItemState.DISPUTED, 2)


@given(
    votes=st.integers(1, 15),
    share=st.floats(0, 1),
    tied=st.booleans(),
    needed=st.integers(1, 15),
    extra=st.integers(0, 5),
)
def test_weighing_always_ends_at_the_cap(votes, share, tied, needed, extra):
    """An item never asks for more votes than its cap, and with the cap reached it never stays pooled."""
    cap = needed + extra
    state, then = policy.weigh(policy.Tally(votes=votes, share=share, tied=tied), needed=needed, cap=cap, agreement=0.5)
    assert then <= cap
    if votes >= cap:
        assert state is not ItemState.POOLED
    if state is ItemState.POOLED:
        assert then > votes or votes < needed


def test_the_first_training_waits_for_the_first_labels():
    """Nineteen labels are not twenty."""
    assert due(facts(resolved=19, resolved_then=0, last=0)) is None
    assert due(facts(resolved=20, resolved_then=0, last=0)).key == "first"


def test_n_new_labels_make_a_training_due_once():
    """The key names the training before, so that asking twice is the same wish."""
    assert due(facts(resolved=149), labels=50) is None
    first, second = due(facts(resolved=150), labels=50), due(facts(resolved=163), labels=50)
    assert first.key == second.key == "labels-after-3"


def test_nothing_is_due_while_a_training_runs():
    """Labels that arrive during a training are in the next one."""
    assert due(facts(resolved=10_000, running=True), labels=50) is None


def test_a_schedule_fires_once_per_date_and_only_with_new_labels():
    """A date that was served, or without news, makes no training."""
    fired = NOW - timedelta(minutes=5)
    assert due(facts(resolved=101, fired_at=fired)).key == f"schedule-{fired.isoformat()}"
    assert due(facts(resolved=100, fired_at=fired)) is None
    assert due(facts(resolved=101, fired_at=fired, asked_at=NOW)) is None


def test_an_interval_counts_from_the_last_wish():
    """An hour ago is at least 3,600 seconds ago."""
    assert due(facts(resolved=101), every=3600).key == "every-after-3"
    assert due(facts(resolved=101), every=3601) is None


def test_a_class_fires_when_it_first_has_its_minimum():
    """A class that fired before, or is still too small, is quiet."""
    news = facts(resolved=101, class_counts={"a": 90, "b": 5, "c": 4})
    assert due(news, class_minimum=5, done_classes=["a"]).key == "class-b"
    assert due(news, class_minimum=5, done_classes=["a", "b"]) is None


@given(pool=st.integers(1, 10**7), share=st.floats(0.01, 0.5), budget=st.none() | st.integers(1, 10**6))
def test_the_audit_reserve_never_takes_more_than_a_fifth(pool, share, budget):
    """Reserved items are never trained on, so they stay few; the threshold fits a signed 64-bit integer."""
    threshold = policy.audit_threshold(pool=pool, share=share, budget=budget, items=None)
    assert 0 <= threshold <= 0.2001 * policy.HASH_RANGE


def gate(**changes):
    rules = {"kind": "not_worse", "metric": "accuracy", "audit_items": 100, "minimum_audit": 20, "tolerance": 0.0}
    return policy.gate(**(rules | changes))


def test_the_gate_refuses_what_is_shown_to_be_worse():
    """The whole interval below zero refuses; one that holds zero passes."""
    passed, reason = gate(difference=Estimate(mean=-0.1, low=-0.2, high=-0.01))
    assert not passed
    assert "worse" in reason
    assert gate(difference=Estimate(mean=-0.1, low=-0.3, high=0.01))[0]
    assert gate(difference=Estimate(mean=-0.1, low=-0.2, high=-0.01), tolerance=0.05)[0]


def test_the_gate_can_demand_proof_of_better():
    """kind=better promotes only when zero lies below the interval."""
    assert gate(kind="better", difference=Estimate(mean=0.1, low=0.01, high=0.2))[0]
    assert not gate(kind="better", difference=Estimate(mean=0.1, low=-0.01, high=0.2))[0]


def test_the_first_model_and_a_thin_audit_pass():
    """Without a champion or with too few audit labels there is nothing to compare; the reason says so."""
    assert gate(difference=None) == (True, "the first healthy model")
    passed, reason = gate(difference=Estimate(mean=-1, low=-1, high=-1), audit_items=3)
    assert passed
    assert "3 of 20" in reason
    assert gate(kind="always", difference=Estimate(mean=-1, low=-1, high=-1))[0]


@pytest.mark.parametrize("role", list(Role))
def test_roles_cover_themselves_and_what_is_below(role):
    """Each role may do what the ones before it may, and no more."""
    below = list(Role)[: list(Role).index(role) + 1]
    assert [other for other in Role if role.covers(other)] == below
