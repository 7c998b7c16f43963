"""What the loop relies on in ports.Verdicts, review included."""

import pytest
from store_desk import MINUTE, NAME, submit

from labelloop.domain.states import ItemState, LabelSource, Lane, Role
from labelloop.domain.types import Answer, NewItem, Verdict, Vote


@pytest.fixture
def disputed(desk):
    """Item 0, with two votes that differ, before a reviewer."""
    desk.fill(2, needed=2, cap=2)
    desk.vote("ann", 0, "a")
    desk.vote("bob", 0, "b")
    assert desk.settle(0, ItemState.DISPUTED, needed=2, votes=2) == 1
    return desk


def test_a_ballot_waits_when_all_votes_are_in(desk):
    """One of two votes is no ballot; the second makes one, with both, oldest first."""
    desk.fill(2, needed=2)
    desk.vote("ann", 0, "b")
    assert desk.store.verdicts.pending(NAME, 10) == []
    desk.vote("bob", 0)
    [ballot] = desk.store.verdicts.pending(NAME, 10)
    assert (ballot.item, ballot.needed) == (0, 2)
    assert ballot.votes == (Vote(annotator="ann", value="b", label="b"), Vote(annotator="bob", value="a", label="a"))


def test_pending_is_bounded(desk):
    """At most `limit` ballots, by number."""
    desk.fill(3)
    for item in (2, 0, 1):
        desk.vote("ann", item)
    assert [ballot.item for ballot in desk.store.verdicts.pending(NAME, 2)] == [0, 1]


def test_a_verdict_takes_effect_once(desk):
    """The label is set, the ballot is gone, and the same verdict again changes nothing."""
    desk.fill(1)
    desk.vote("ann", 0)
    verdict = Verdict(item=0, state=ItemState.RESOLVED, needed=1, value="a", label="a", confidence=0.75, votes=1)
    assert desk.store.verdicts.settle(NAME, [verdict, verdict], desk.now) == 1
    assert desk.store.verdicts.settle(NAME, [verdict], desk.now) == 0
    assert desk.store.verdicts.pending(NAME, 10) == []
    [item] = desk.store.pool.items(NAME, [0])
    assert (item.state, item.label) == ("resolved", "a")
    assert len(desk.store.ledger.history(NAME, 0)["consensus"]) == 1


def test_an_overtaken_verdict_is_left_out(desk):
    """A verdict that did not see all votes changes nothing, and the ballot goes on waiting."""
    desk.fill(1)
    desk.vote("ann", 0)
    assert desk.settle(0, ItemState.RESOLVED, votes=0) == 0
    assert desk.store.pool.items(NAME, [0])[0].state is ItemState.POOLED
    assert len(desk.store.verdicts.pending(NAME, 10)) == 1


def test_one_more_vote_opens_the_item_again(desk):
    """A tie asks for another annotator; then the ballot comes back with all votes."""
    desk.fill(1, needed=2, cap=3)
    desk.vote("ann", 0, "a")
    desk.vote("bob", 0, "b")
    assert desk.settle(0, ItemState.POOLED, needed=3, votes=2) == 1
    assert desk.store.verdicts.pending(NAME, 10) == []
    assert (desk.slot(0).needed, desk.slot(0).done) == (3, 2)
    assert desk.grant("ann", 0) == []
    desk.vote("cid", 0, "b")
    assert len(desk.store.verdicts.pending(NAME, 10)[0].votes) == 3


def test_a_dispute_waits_for_one_reviewer(disputed):
    """It leaves the vote lanes; one reviewer at a time holds it, and those who voted may not."""
    assert disputed.store.verdicts.disputed(NAME) == {0: 0}
    assert disputed.grant("cid", 0) == []
    assert disputed.grant("ann", 0, lane=Lane.REVIEW) == []
    assert len(disputed.grant("rex", 0, lane=Lane.REVIEW)) == 1
    assert disputed.grant("ria", 0, lane=Lane.REVIEW) == []
    disputed.pass_time(MINUTE)
    assert len(disputed.grant("ria", 0, lane=Lane.REVIEW)) == 1


def test_a_reviewer_decides_without_budget(disputed):
    """The reviewer's vote is marked, costs nothing, and makes a ballot at once."""
    spent = disputed.store.projects.row(NAME).spent
    leases = disputed.grant("rex", 0, lane=Lane.REVIEW, budget=spent)
    assert disputed.said("rex", *leases, label="b", role=Role.REVIEWER) == ["accepted"]
    assert disputed.store.projects.row(NAME).spent == spent
    assert disputed.store.verdicts.disputed(NAME) == {}
    [ballot] = disputed.store.verdicts.pending(NAME, 10)
    assert [vote.role for vote in ballot.votes] == [Role.ANNOTATOR, Role.ANNOTATOR, Role.REVIEWER]
    verdict = Verdict(
        item=0,
        state=ItemState.RESOLVED,
        needed=2,
        value="b",
        label="b",
        confidence=1.0,
        votes=3,
        source=LabelSource.REVIEW,
    )
    assert disputed.store.verdicts.settle(NAME, [verdict], disputed.now) == 1
    [row] = disputed.store.verdicts.export(NAME)
    assert (row["label"], row["source"]) == ("b", "review")


def test_a_late_review_counts_unless_another_reviewer_is_at_it(disputed):
    """The slot of the review is what decides, as with votes."""
    [old] = disputed.grant("rex", 0, lane=Lane.REVIEW)
    disputed.pass_time(MINUTE)
    [new] = disputed.grant("ria", 0, lane=Lane.REVIEW)
    assert disputed.said("rex", old, role=Role.REVIEWER) == ["surplus"]
    disputed.pass_time(MINUTE)
    assert disputed.said("ria", new, role=Role.ADMIN) == ["late"]
    assert len(disputed.store.verdicts.pending(NAME, 10)) == 1


def test_an_annotator_cannot_review(disputed):
    """A review lease answered without the role is kept and does not count."""
    leases = disputed.grant("cid", 0, lane=Lane.REVIEW)
    assert disputed.said("cid", *leases) == ["surplus"]
    assert disputed.store.verdicts.pending(NAME, 10) == []


def test_a_reviewer_on_another_lane_is_an_annotator(desk):
    """The role counts on the review lane only: elsewhere a reviewer's vote is one vote."""
    desk.fill(1, needed=2)
    assert desk.said("rex", *desk.grant("rex", 0), role=Role.REVIEWER) == ["accepted"]
    assert desk.store.verdicts.pending(NAME, 10) == []


def test_annotators_are_summed_up(desk):
    """Per annotator: outcomes, skips, open leases, seconds, and agreement with the consensus."""
    desk.fill(6)
    desk.vote("ann", 0)
    desk.vote("ann", 1)
    desk.settle(0, ItemState.RESOLVED)
    desk.settle(1, ItemState.RESOLVED, label="b")
    [skipped] = desk.grant("ann", 2)
    desk.store.ledger.close(NAME, "ann", [skipped.id], now=desk.now, skip=True)
    desk.grant("bob", 3)
    rows = {row["annotator"]: row for row in desk.store.verdicts.annotators(NAME)}
    assert rows["ann"] == {
        "annotator": "ann",
        "accepted": 2,
        "late": 0,
        "surplus": 0,
        "skipped": 1,
        "open": 0,
        "seconds": 4.0,
        "agreed": 1,
        "gold": 0,
        "right": 0,
    }
    assert (rows["bob"]["accepted"], rows["bob"]["open"]) == (0, 1)


def test_annotators_are_measured_by_known_answers(desk):
    """Each answer to an item that came with its answer counts, and so does each that is right; one can be asked for."""
    desk.fill(2, needed=2)
    known = [NewItem(key=f"g{at}", data={"t": at}, gold="ab"[at % 2]) for at in range(4)]
    desk.store.pool.add(NAME, known, desk.now)
    for number in range(6):
        desk.vote("ann", number)
    desk.vote("bob", 2)
    rows = {row["annotator"]: row for row in desk.store.verdicts.annotators(NAME)}
    assert (rows["ann"]["gold"], rows["ann"]["right"]) == (4, 2)
    assert [row["annotator"] for row in desk.store.verdicts.annotators(NAME, "ann")] == ["ann"]
    assert desk.store.verdicts.annotators(NAME, "ann") == [rows["ann"]]


def test_votes_are_shared_where_an_item_has_two(disputed):
    """Item and class of each vote, by item; not of items with one, and neither reviews nor surplus answers."""
    desk = disputed
    desk.vote("ann", 1, "b")
    [late] = desk.grant("cid", 1)
    desk.pass_time(MINUTE)
    desk.vote("bob", 1, "b")
    assert desk.said("cid", late, label="a") == ["surplus"]
    assert desk.said("rex", *desk.grant("rex", 0, lane=Lane.REVIEW), role=Role.REVIEWER) == ["accepted"]
    desk.store.pool.add(NAME, [NewItem(key="one", data={"t": 1}), NewItem(key="odd", data={"t": 2})], desk.now)
    desk.vote("ann", 2)
    for name in ("ann", "bob"):
        [lease] = desk.grant(name, 3)
        regions = Answer(lease=lease.id, value="sha256:x", label=None, result=[{"from_name": "c"}])
        submit(desk.store.ledger, NAME, name, [regions], now=desk.now, role=Role.ANNOTATOR)
    numbers, labels = desk.store.verdicts.shared(NAME)
    assert list(zip(numbers.tolist(), labels, strict=True)) == [
        (0, "a"), (0, "b"), (1, "b"), (1, "b"), (3, ""), (3, ""),
    ]  # fmt: skip


def test_no_votes_are_shared_where_there_are_none(desk):
    """An empty project has empty arrays, and so has one that asks each item once."""
    desk.fill(2)
    assert [len(part) for part in desk.store.verdicts.shared(NAME)] == [0, 0]
    desk.vote("ann", 0)
    assert [len(part) for part in desk.store.verdicts.shared(NAME)] == [0, 0]


def test_export_streams_labels_with_their_provenance(desk):
    """By number, across pages, with every vote and why it was asked."""
    desk.fill(1500)
    desk.plan(3)
    leases = desk.grant("ann", *range(1500), most=2000)
    desk.submit("ann", *leases)
    verdicts = [
        Verdict(item=n, state=ItemState.RESOLVED, needed=1, value="a", label="a", confidence=1.0, votes=1)
        for n in range(1, 1500)
    ]
    assert desk.store.verdicts.settle(NAME, verdicts, desk.now) == 1499
    rows = list(desk.store.verdicts.export(NAME))
    assert [row["item"] for row in rows] == list(range(1, 1500))
    [vote] = rows[2]["annotations"]
    assert (rows[2]["key"], rows[2]["data"], rows[2]["label"]) == ("k3", {"text": "text 3"}, "a")
    assert (vote["annotator"], vote["served"]["strategy"], vote["served"]["score"]) == ("ann", "margin", 1.0)


def test_copies_share_the_answer_in_an_export(desk):
    """Behind the item that was answered, under their own keys; one that brought a label keeps that."""
    desk.fill(0)
    text = {"text": "the same"}
    desk.store.pool.add(
        NAME,
        [
            NewItem(key="first", data=text, metadata={"day": 1}),
            NewItem(key="other", data={"text": "alone"}),
            NewItem(key="again", data=text, metadata={"day": 2}),
        ],
        desk.now,
    )
    assert list(desk.store.verdicts.export(NAME)) == []
    desk.plan(2)
    desk.submit("ann", *desk.grant("ann", 0, 1, most=2))
    verdict = Verdict(item=0, state=ItemState.RESOLVED, needed=1, value="a", label="a", confidence=0.9, votes=1)
    assert desk.store.verdicts.settle(NAME, [verdict], desk.now) == 1
    for _ in range(2):  # the same again changes nothing, and is no contradiction
        report = desk.store.pool.add(NAME, [NewItem(key="known", data=text, label="b")], desk.now)
        assert (report.duplicates, report.labeled, report.invalid) == (1, 0, ())
    first, again, known = desk.store.verdicts.export(NAME)
    assert [(row["key"], row["duplicate_of"]) for row in (first, again, known)] == [
        ("first", None),
        ("again", "first"),
        ("known", "first"),
    ]
    assert [(row["label"], row["source"], row["confidence"]) for row in (first, again, known)] == [
        ("a", "votes", 0.9),
        ("a", "votes", 0.9),
        ("b", "import", None),
    ]
    assert (again["metadata"], again["annotations"], len(first["annotations"])) == ({"day": 2}, [], 1)
