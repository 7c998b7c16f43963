"""What the loop relies on in ports.Ledger: who gets what, and what each answer comes to."""

from dataclasses import replace

import pytest
from store_desk import MINUTE, NAME, answer, submit

from labelloop.domain.errors import IdempotencyMismatch, UnknownItem
from labelloop.domain.states import ItemState, Lane, Outcome, Role
from labelloop.domain.types import Answer, LeaseId, LeaseOutcome, NewItem


def test_a_lease_says_what_to_label_and_until_when(desk):
    """Key, data, lane and end of the lease come with it, in the order proposed."""
    desk.fill(3)
    second, first = desk.grant("ann", 2, 0)
    assert (second.item, second.key, second.data) == (2, "k2", {"text": "text 2"})
    assert (second.lane, second.expires_at) == (Lane.INFORMATIVE, desk.now + MINUTE)
    assert first.item == 0
    assert first.id != second.id


def test_a_single_vote_item_has_one_holder(desk):
    """A second annotator gets it only when the lease is over, and then with a higher fence."""
    desk.fill(1)
    [old] = desk.grant("ann", 0)
    assert desk.grant("bob", 0) == []
    desk.pass_time(MINUTE)
    [new] = desk.grant("bob", 0)
    assert new.id > old.id
    assert desk.grant("ann", 0) == []


def test_an_item_has_as_many_holders_as_it_needs_votes(desk):
    """Three votes, three different annotators, and not one more."""
    desk.fill(1, needed=3)
    assert [len(desk.grant(who, 0)) for who in ("ann", "ann", "bob", "cid", "dee")] == [1, 0, 1, 1, 0]


@pytest.mark.parametrize("end", ["held", "answered", "skipped"])
def test_nobody_gets_an_item_twice(desk, end):
    """An annotator who holds, answered or skipped an item is refused it, although slots are free."""
    desk.fill(1, needed=3)
    leases = desk.grant("ann", 0)
    if end == "answered":
        desk.submit("ann", *leases)
    if end == "skipped":
        desk.store.ledger.close(NAME, "ann", [leases[0].id], now=desk.now, skip=True)
    assert desk.grant("ann", 0) == []
    assert len(desk.grant("bob", 0)) == 1


def test_a_released_item_comes_back_to_anyone(desk):
    """Release frees the slot, also for the one who released."""
    desk.fill(1)
    [lease] = desk.grant("ann", 0)
    [outcome] = desk.store.ledger.close(NAME, "ann", [lease.id], now=desk.now, skip=False)
    assert (outcome.outcome, outcome.item) == (Outcome.ACCEPTED, 0)
    assert len(desk.grant("ann", 0)) == 1


def test_open_leases_are_bounded(desk):
    """`most` counts live leases only: expired ones do not block."""
    desk.fill(6)
    assert len(desk.grant("ann", 0, 1, most=3)) == 2
    assert [lease.item for lease in desk.grant("ann", 2, 3, most=3)] == [2]
    desk.pass_time(MINUTE)
    assert len(desk.grant("ann", 3, 4, 5, most=3)) == 3


def test_the_budget_covers_votes_and_live_leases(desk):
    """Of a budget of 4, two are spent and one is out: one is left."""
    desk.fill(6)
    desk.vote("ann", 0)
    desk.vote("ann", 1)
    desk.grant("bob", 2)
    assert [lease.item for lease in desk.grant("ann", 3, 4, budget=4)] == [3]
    assert desk.store.projects.row(NAME).spent == 2


def test_unknown_and_closed_items_are_refused_silently(desk):
    """What is not there, resolved, or proposed for review without a dispute is not leased."""
    desk.fill(2)
    desk.vote("ann", 0)
    desk.settle(0, ItemState.RESOLVED)
    assert desk.grant("bob", 0, 77) == []
    assert desk.grant("bob", 1, lane=Lane.REVIEW) == []
    assert desk.grant("bob") == []
    assert len(desk.grant("bob", 1, 1)) == 1


def test_every_dispatch_says_why(desk):
    """Round, model, strategy, score, probability, and planned and served place are written with the lease."""
    desk.fill(4)
    desk.plan(3, 2, 1)
    desk.grant("ann", 2)
    desk.grant("ann", 3, 0)
    seen = {item: desk.store.ledger.history(NAME, item)["dispatches"][0] for item in (0, 2, 3)}
    why = ("lane", "round", "model", "strategy", "score", "probability", "planned_rank", "served_rank")
    assert [seen[2][key] for key in why] == ["informative", 1, None, "margin", 0.99, 0.5, 1, 0]
    assert [seen[3][key] for key in why] == ["informative", 1, None, "margin", 1.0, 0.5, 0, 1]
    assert [seen[0][key] for key in why] == ["informative", *[None] * 7]


def test_a_started_item_goes_on_for_the_reason_it_was_started(desk):
    """The second vote of an item that left the window carries the first one's reason, and no served place."""
    desk.fill(3, needed=2)
    desk.plan(0, needed=2)
    desk.vote("ann", 0)
    desk.plan(1, 2)
    desk.grant("bob", 0, 1)
    second = desk.store.ledger.history(NAME, 0)["dispatches"][1]
    assert (second["round"], second["planned_rank"], second["served_rank"]) == (1, 0, None)
    assert desk.store.ledger.history(NAME, 1)["dispatches"][0]["served_rank"] == 0


def test_answers_in_time_are_accepted_and_counted_once(desk):
    """A repeat of the same answer is a duplicate; the first one stands."""
    desk.fill(2, needed=2)
    leases = desk.grant("ann", 0, 1)
    assert desk.said("ann", *leases) == ["accepted", "accepted"]
    assert desk.said("ann", leases[0], label="b") == ["duplicate"]
    assert desk.said("ann", leases[0], leases[0]) == ["duplicate", "duplicate"]
    annotations = desk.store.ledger.history(NAME, 0)["annotations"]
    assert [(one["label"], one["outcome"], one["counted"]) for one in annotations] == [("a", "accepted", True)]
    assert desk.store.projects.row(NAME).spent == 2


def test_one_body_may_name_a_lease_twice(desk):
    """The second time is a duplicate of the first."""
    desk.fill(1)
    [lease] = desk.grant("ann", 0)
    assert desk.said("ann", lease, lease) == ["accepted", "duplicate"]


def test_unknown_and_foreign_leases_are_rejected(desk):
    """Nobody can answer for somebody else, and what the caller rejected passes through in its place."""
    desk.fill(2)
    [lease] = desk.grant("ann", 0)
    own = desk.grant("bob", 1)[0]
    before = LeaseOutcome(lease="x", outcome=Outcome.REJECTED, reason="no such label")
    outcomes = desk.submit("bob", lease, before, own, replace(own, id=LeaseId(2**70)), replace(own, id=LeaseId(0)))
    assert [one.outcome for one in outcomes] == ["rejected", "rejected", "accepted", "rejected", "rejected"]
    assert outcomes[1] == before
    assert outcomes[0].item is None
    assert desk.said("ann", lease) == ["accepted"]


def test_a_late_answer_counts_while_a_slot_is_free(desk):
    """Nobody took the item meanwhile: the work is not thrown away."""
    desk.fill(1)
    [lease] = desk.grant("ann", 0)
    desk.pass_time(2 * MINUTE)
    assert desk.said("ann", lease) == ["late"]
    assert desk.store.projects.row(NAME).spent == 1
    assert desk.grant("bob", 0) == []


def test_a_late_answer_is_surplus_when_the_slot_is_taken(desk):
    """It is kept, marked, not counted, and its author does not get the item again."""
    desk.fill(1)
    [old] = desk.grant("ann", 0)
    desk.pass_time(MINUTE)
    [new] = desk.grant("bob", 0)
    assert desk.said("ann", old) == ["surplus"]
    assert desk.said("bob", new) == ["accepted"]
    assert desk.said("ann", old) == ["duplicate"]
    annotations = desk.store.ledger.history(NAME, 0)["annotations"]
    assert [(one["annotator"], one["counted"]) for one in annotations] == [("ann", False), ("bob", True)]
    assert desk.store.projects.row(NAME).spent == 1
    assert desk.slot(0).excluded == ("ann", "bob")


def test_an_old_lease_answers_for_the_newer_one_of_the_same_annotator(desk):
    """The newer lease is closed and its slot used, so the item gets one vote of this annotator."""
    desk.fill(1)
    [old] = desk.grant("ann", 0)
    desk.pass_time(MINUTE)
    [new] = desk.grant("ann", 0)
    assert desk.said("ann", old, new) == ["late", "duplicate"]
    assert [one["state"] for one in desk.store.ledger.history(NAME, 0)["dispatches"]] == ["done", "released"]
    assert desk.store.ledger.held(NAME, "ann", desk.now) == []


@pytest.mark.parametrize("skip", [True, False])
def test_who_gave_an_item_back_may_still_answer(desk, skip):
    """A released or skipped lease answers late while a slot is free."""
    desk.fill(1)
    [lease] = desk.grant("ann", 0)
    desk.store.ledger.close(NAME, "ann", [lease.id], now=desk.now, skip=skip)
    assert desk.said("ann", lease) == ["late"]
    assert desk.slot(0).done == 1


def test_an_answer_to_a_resolved_item_is_surplus(desk):
    """Also when its lease is alive: the label is decided."""
    desk.fill(1, needed=2)
    desk.vote("ann", 0)
    [old] = desk.grant("bob", 0)
    desk.pass_time(MINUTE)
    desk.vote("cid", 0)
    desk.settle(0, ItemState.RESOLVED, needed=2, votes=2)
    assert desk.said("bob", old) == ["surplus"]
    assert desk.store.projects.row(NAME).spent == 2


def test_the_same_key_has_one_effect(desk):
    """A repeat gets the stored reply, whole; the same key with another body is an error."""
    desk.fill(3)
    leases = desk.grant("ann", 0, 1)
    foreign = desk.grant("bob", 2)
    before = LeaseOutcome(lease="?", outcome=Outcome.REJECTED, reason="unknown label 'ü'")
    first = desk.submit("ann", *leases, before, *foreign, idempotency=("key-1", "digest"))
    again, replayed = submit(
        desk.store.ledger,
        NAME,
        "ann",
        [answer(leases[0], "b")],
        now=desk.now,
        role=Role.ANNOTATOR,
        idempotency=("key-1", "digest"),
    )
    assert (again, replayed) == (first, True)
    assert desk.store.projects.row(NAME).spent == 2
    with pytest.raises(IdempotencyMismatch, match="key-1"):
        desk.submit("ann", *leases, idempotency=("key-1", "other"))
    assert desk.said("bob", *foreign, idempotency=("key-1", "other")) == ["accepted"]


def test_results_comments_and_seconds_are_kept(desk):
    """A Label Studio result comes back as it was sent; a NUL in a comment does not break the database."""
    desk.fill(1)
    [lease] = desk.grant("ann", 0)
    result = [{"z": 1, "a": {"choices": ["x\x00"]}}]
    sent = Answer(lease=lease.id, value="digest", result=result, seconds=1.5, comment="hm\x00")
    submit(desk.store.ledger, NAME, "ann", [sent], now=desk.now, role=Role.ANNOTATOR)
    [kept] = desk.store.ledger.history(NAME, 0)["annotations"]
    assert (kept["result"], kept["seconds"], kept["comment"], kept["label"]) == (result, 1.5, "hm\ufffd", None)
    assert kept["created_at"] == desk.now.isoformat()


def test_renewing_gives_live_leases_a_new_end(desk):
    """A lease that is over stays over; unknown ones are rejected; the order is kept."""
    desk.fill(2)
    [old] = desk.grant("ann", 0)
    desk.pass_time(MINUTE)
    [new] = desk.grant("ann", 1)
    end = desk.now + 5 * MINUTE
    outcomes = desk.store.ledger.renew(NAME, "ann", [new.id, old.id, LeaseId(99)], now=desk.now, expires_at=end)
    assert [one.outcome for one in outcomes] == ["accepted", "rejected", "rejected"]
    assert [one.expires_at for one in outcomes] == [end, None, None]
    assert "expired" in outcomes[1].reason
    desk.pass_time(4 * MINUTE)
    assert [(one.id, one.expires_at) for one in desk.store.ledger.held(NAME, "ann", desk.now)] == [(new.id, end)]
    assert desk.said("ann", new) == ["accepted"]


def test_giving_back_twice_is_harmless(desk):
    """Each request has its outcome: given back, already back, answered, not yours, over."""
    desk.fill(4)
    leases = desk.grant("ann", 0, 1)
    over = desk.grant("ann", 2, span=MINUTE / 2)
    desk.pass_time(MINUTE / 2)
    desk.submit("ann", leases[1])
    ids = [leases[0].id, leases[0].id, leases[1].id, LeaseId(99), over[0].id]
    outcomes = desk.store.ledger.close(NAME, "ann", ids, now=desk.now, skip=False)
    assert [one.outcome for one in outcomes] == ["accepted", "duplicate", "rejected", "rejected", "late"]


def test_skipping_after_the_end_still_holds(desk):
    """Who skips an expired lease does not get the item again, also when a newer lease is open."""
    desk.fill(2)
    first, second = desk.grant("ann", 0, 1)
    desk.pass_time(MINUTE)
    desk.grant("ann", 1)
    outcomes = desk.store.ledger.close(NAME, "ann", [first.id, second.id], now=desk.now, skip=True)
    assert [one.outcome for one in outcomes] == ["late", "late"]
    assert desk.store.ledger.held(NAME, "ann", desk.now) == []
    assert desk.grant("ann", 0, 1) == []
    assert len(desk.grant("bob", 0, 1)) == 2


def test_expiry_frees_slots(desk):
    """The steward marks what is over, once."""
    desk.fill(3)
    desk.grant("ann", 0, 1)
    desk.grant("ann", 2, span=5 * MINUTE)
    assert desk.store.ledger.expire(NAME, desk.now) == 0
    desk.pass_time(MINUTE)
    assert desk.store.ledger.expire(NAME, desk.now) == 2
    assert desk.store.ledger.expire(NAME, desk.now) == 0
    assert desk.store.pool.counts(NAME).leased == 1


def test_slots_tell_redis_what_it_must_know(desk):
    """Votes, live leases and who may not get it; items that are closed ask for no votes."""
    desk.fill(6, needed=2)
    desk.vote("ann", 0)
    desk.grant("bob", 0)
    [skipped] = desk.grant("cid", 1)
    desk.store.ledger.close(NAME, "cid", [skipped.id], now=desk.now, skip=True)
    desk.vote("ann", 2)
    desk.vote("bob", 2)
    desk.settle(2, ItemState.RESOLVED, needed=2, votes=2)
    states = {state.item: state for state in desk.store.ledger.slots(NAME)}
    assert sorted(states) == [0, 1]
    assert (states[0].needed, states[0].done) == (2, 1)
    assert states[0].live == (("bob", desk.now + MINUTE),)
    assert states[0].excluded == ("ann",)
    assert (states[1].done, states[1].live, states[1].excluded) == (0, (), ("cid",))
    asked = desk.store.ledger.slots(NAME, [5, 2])
    assert [(state.item, state.needed, state.done) for state in asked] == [(2, 0, 2), (5, 2, 0)]


def test_history_tells_the_whole_story(desk):
    """Dispatches, annotations and consensus of one item, oldest first; an unknown item is an error."""
    desk.fill(2)
    desk.vote("ann", 0)
    desk.settle(0, ItemState.RESOLVED)
    history = desk.store.ledger.history(NAME, 0)
    assert [one["state"] for one in history["dispatches"]] == ["done"]
    assert history["annotations"][0]["lease"] == history["dispatches"][0]["id"]
    assert [(one["label"], one["votes"]) for one in history["consensus"]] == [("a", 1)]
    empty = {"requires": [], "dispatches": [], "annotations": [], "consensus": [], "priorities": []}
    assert desk.store.ledger.history(NAME, 1) == empty
    for unknown in (2, -1, 2**80):
        with pytest.raises(UnknownItem, match="numbered from 0"):
            desk.store.ledger.history(NAME, unknown)


def test_a_large_batch_is_one_call(desk):
    """Some thousand candidates and answers fit into one statement's parameters, and into one transaction."""
    desk.fill(0)
    desk.store.pool.add(NAME, [NewItem(key=str(n), data={"n": n}) for n in range(2500)], desk.now)
    leases = desk.grant("ann", *range(2500), most=10_000)
    assert len(leases) == 2500
    assert set(desk.said("ann", *leases)) == {"accepted"}
    assert len(desk.store.verdicts.pending(NAME, 10_000)) == 2500


def test_an_answer_by_an_old_lease_undoes_a_skip_of_a_newer_one(desk):
    """Who skipped an item by the lease that followed and answers it after all has one turn at it, and it counts."""
    desk.fill(1)
    (old,) = desk.grant("ann", 0)
    desk.pass_time(2 * MINUTE)
    (new,) = desk.grant("ann", 0)
    desk.store.ledger.close(NAME, "ann", [new.id], now=desk.now, skip=True)
    assert desk.said("ann", old) == ["late"]
    assert [one["state"] for one in desk.store.ledger.history(NAME, 0)["dispatches"]] == ["done", "released"]
    assert desk.said("ann", new) == ["duplicate"]
