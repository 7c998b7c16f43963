"""What many ask in one transaction is decided as if they had come one after another, on both databases."""

import pytest
from conftest_loop import blobs, create, who

from labelloop.domain.errors import IdempotencyMismatch, TooLarge
from labelloop.domain.states import Lane, Outcome, Role
from labelloop.domain.types import Candidate, Proposal
from labelloop.loop.annotate import Sheet, annotate, annotate_all
from labelloop.loop.ingest import ingest
from labelloop.loop.lease import Ask, lease, lease_all, skip
from labelloop.loop.plan import plan
from labelloop.loop.tend import tend


def start(ports, count=30, **changes):
    """A project that serves its first round."""
    create(ports, **{"lanes": {"informative": 1, "audit": 0, "window": 100}, **changes})
    ingest(ports, "plane", blobs(count)[0])
    plan(ports, "plane", lambda _part, _what: None)


def ask_all(ports, *asks):
    """The items of each, by (name, count)."""
    batches = lease_all(ports, "plane", [Ask(who=who(name), count=count) for name, count in asks])
    return [[one.item for one in batch.leases] for batch in batches]


def propose(ports, *proposals, most=100, budget=None):
    """What SQL grants of these proposals, by (name, items)."""
    now = ports.clock.now()
    wanted = [
        Proposal(annotator=name, candidates=[Candidate(item=item, lane=Lane.INFORMATIVE) for item in items])
        for name, items in proposals
    ]
    ends = now.replace(year=now.year + 1)
    granted = ports.ledger.grant_all("plane", wanted, now=now, expires_at=ends, most=most, budget=budget)
    return [[one.item for one in each.leases] for each in granted]


def sheet(name, *leases, label="c0", key=None, role=Role.ANNOTATOR):
    return Sheet(who=who(name, role), answers=[{"lease": str(one.id), "label": label} for one in leases], key=key)


def said(recorded):
    return [outcome.outcome.value for outcome in recorded[0]]


# --- leases ----------------------------------------------------------------------------------------------------


def test_one_annotator_twice_in_a_group_gets_each_item_once(ports):
    """Two tabs of one person that ask at the same moment share the queue like two people."""
    start(ports)
    one, two, other = ask_all(ports, ("anna", 8), ("anna", 8), ("bert", 8))
    assert len({*one, *two, *other}) == 24
    assert sorted(one.item for one in ports.ledger.held("plane", "anna", ports.clock.now())) == sorted([*one, *two])


def test_one_item_proposed_to_two_in_a_group_goes_to_the_first(ports):
    """As many hold it as it needs votes, whatever Redis proposed."""
    start(ports)
    assert propose(ports, ("anna", [0, 1]), ("bert", [1, 0, 2]), ("anna", [2, 0, 3])) == [[0, 1], [2], [3]]
    assert propose(ports, ("carl", [0, 1, 2, 3, 4, 4])) == [[4]]


def test_an_item_of_two_votes_goes_to_two_of_a_group(ports):
    """The third is refused, and so is who has it already."""
    start(ports, votes={"needed": 2})
    assert propose(ports, ("anna", [0]), ("anna", [0]), ("bert", [0]), ("carl", [0])) == [[0], [], [0], []]
    assert sorted(who for who, _ in ports.ledger.slots("plane", [0])[0].live) == ["anna", "bert"]


def test_the_most_open_leases_hold_inside_a_group(ports):
    """Counted over both calls of one annotator, and over what was held before."""
    start(ports, lease={"maximum": 5})
    assert [len(items) for items in ask_all(ports, ("anna", 3), ("anna", 4), ("bert", 9))] == [3, 2, 5]
    assert [len(items) for items in ask_all(ports, ("anna", 1), ("carl", 1))] == [0, 1]


def test_the_budget_holds_inside_a_group(ports):
    """Who comes first is served first; nobody gets what is not paid for."""
    start(ports, stop={"budget": 7})
    assert [len(items) for items in ask_all(ports, ("anna", 4), ("bert", 4), ("carl", 4))] == [4, 3, 0]
    held = [lease for name in ("anna", "bert") for lease in ports.ledger.held("plane", name, ports.clock.now())]
    assert len(held) == 7
    assert ask_all(ports, ("dora", 4)) == [[]]


@pytest.mark.parametrize(
    "changes, why",
    [({"lease": {"maximum": 5}}, "as many leases as one may"), ({"stop": {"budget": 5}}, "budget is out on leases")],
)
def test_who_can_get_no_more_is_told_why_and_proposed_to_once(ports, monkeypatch, changes, why):
    """Whatever else were proposed would be refused as well, and all of a group would wait for it."""
    start(ports, **changes)
    assert len(ask_all(ports, ("anna", 5))[0]) == 5
    calls, before = [], ports.queue.propose_all
    monkeypatch.setattr(ports.queue, "propose_all", lambda *all_, **more: calls.append(all_) or before(*all_, **more))
    (batch,) = lease_all(ports, "plane", [Ask(who=who("anna"), count=500)])
    assert (batch.leases, batch.retry_after) == ([], 1.0)
    assert why in batch.reason
    assert [pull.count <= 200 for _, pulls in calls for pull in pulls] == [True]


def test_what_was_refused_to_one_of_a_group_is_the_others(ports):
    """Nothing is stranded by a refusal: the rest of the group and whoever comes next gets it."""
    start(ports, count=12, lease={"maximum": 4})
    assert [len(items) for items in ask_all(ports, ("anna", 6), ("bert", 6))] == [4, 4]
    assert [len(items) for items in ask_all(ports, ("carl", 6), ("dora", 6))] == [4, 0]


def test_a_wrong_wish_in_a_group_is_its_own_problem(ports):
    """Who asks for too many is told, the others are served."""
    start(ports)
    one, two = lease_all(ports, "plane", [Ask(who=who("anna"), count=10_000), Ask(who=who("bert"), count=2)])
    assert isinstance(one, TooLarge)
    assert len(two.leases) == 2


def test_an_annotator_who_is_too_quick_holds_up_nobody_of_his_group(ports):
    """Each call of his counts; the others are served."""
    start(ports, lease={"pulls_per_minute": 1})
    asks = [Ask(who=who(name), count=2) for name in ("anna", "anna", "bert")]
    one, two, three = lease_all(ports, "plane", asks)
    assert [len(batch.leases) for batch in (one, two, three)] == [2, 0, 2]
    assert two.retry_after > 0


def test_served_ranks_of_a_group_follow_the_plan(ports):
    """No rank is given twice, and the order served is the order planned."""
    start(ports)
    ask_all(ports, *((name, 3) for name in ("anna", "bert", "carl", "anna")))
    gaps = ports.rounds.gaps("plane")[Lane.INFORMATIVE]
    assert (gaps.served, gaps.mean, gaps.most) == (12, 0, 0)


# --- answers ---------------------------------------------------------------------------------------------------


def test_the_same_key_twice_in_a_group_has_one_effect(ports):
    """The second is answered from the first; with another body it is told so; others' keys are their own."""
    start(ports)
    anna, bert = (lease(ports, "plane", who(name), 2).leases for name in ("anna", "bert"))
    first, again, other, berts = annotate_all(
        ports,
        "plane",
        [
            sheet("anna", *anna, key="k"),
            sheet("anna", *anna, key="k"),
            sheet("anna", *anna, label="c1", key="k"),
            sheet("bert", *bert, key="k"),
        ],
    )
    assert (said(first), first[1]) == (["accepted"] * 2, False)
    assert again == (first[0], True)
    assert isinstance(other, IdempotencyMismatch)
    assert (said(berts), berts[1]) == (["accepted"] * 2, False)
    assert ports.projects.row("plane").spent == 4
    assert annotate(ports, "plane", who("anna"), sheet("anna", *anna).answers, key="k") == (first[0], True)


def test_the_same_answer_twice_in_a_group_counts_once(ports):
    """Without a key the second is a duplicate; the first stands."""
    start(ports)
    leases = lease(ports, "plane", who("anna"), 2).leases
    one, two = annotate_all(ports, "plane", [sheet("anna", *leases), sheet("anna", *leases, label="c1")])
    assert (said(one), said(two)) == (["accepted"] * 2, ["duplicate"] * 2)
    assert ports.projects.row("plane").spent == 2


def test_two_answers_in_a_group_fill_an_item_and_a_late_third_is_surplus(ports, clock):
    """Slots are counted from answer to answer, not from what the store said before the group."""
    start(ports, votes={"needed": 2, "cap": 2})
    late = [lease(ports, "plane", who(name), 1).leases[0] for name in ("anna", "bert")]
    clock.turn(400)
    tend(ports, "plane")
    live = [
        next(one for one in lease(ports, "plane", who(name), 30).leases if one.item == late[0].item)
        for name in ("carl", "dora")
    ]
    found = annotate_all(
        ports,
        "plane",
        [sheet("carl", live[0]), sheet("anna", late[0]), sheet("dora", live[1]), sheet("bert", late[1])],
    )
    assert late[0].item == late[1].item
    assert [said(one) for one in found] == [["accepted"], ["surplus"], ["accepted"], ["surplus"]]
    tend(ports, "plane")
    counts = ports.pool.counts("plane")
    assert (counts.resolved, counts.conserved) == (1, True)


def test_two_late_answers_in_a_group_share_one_free_slot(ports, clock):
    """The first takes it, the second is kept and does not count."""
    start(ports)
    (first,) = lease(ports, "plane", who("anna"), 1).leases
    clock.turn(400)
    tend(ports, "plane")
    second = next(one for one in lease(ports, "plane", who("bert"), 30).leases if one.item == first.item)
    clock.turn(400)
    one, two = annotate_all(ports, "plane", [sheet("bert", second), sheet("anna", first)])
    assert (said(one), said(two)) == (["late"], ["surplus"])
    assert ports.projects.row("plane").spent == 1


def test_an_old_and_a_new_lease_of_one_item_in_a_group_count_once(ports, clock):
    """Whichever comes first; the other is a duplicate, and the slot is free for nobody else."""
    start(ports, votes={"needed": 2, "cap": 2})
    (old,) = lease(ports, "plane", who("anna"), 1).leases
    clock.turn(400)
    tend(ports, "plane")
    new = next(one for one in lease(ports, "plane", who("anna"), 30).leases if one.item == old.item)
    one, two = annotate_all(ports, "plane", [sheet("anna", old), sheet("anna", new)])
    assert (said(one), said(two)) == (["late"], ["duplicate"])
    state = ports.ledger.slots("plane", [old.item])[0]
    assert (state.done, state.live) == (1, ())


def test_a_foreign_lease_in_a_group_is_rejected_and_its_holders_answer_counts(ports):
    """Also when the thief is read first."""
    start(ports)
    (mine,) = lease(ports, "plane", who("anna"), 1).leases
    thief, holder = annotate_all(ports, "plane", [sheet("bert", mine, label="c1"), sheet("anna", mine)])
    assert (said(thief), said(holder)) == (["rejected"], ["accepted"])


def test_two_reviewers_in_a_group_decide_once(ports, clock):
    """One word settles a dispute; the other is kept as surplus."""
    start(ports, lease={"skips_to_review": 1}, count=2)
    batch = lease(ports, "plane", who("anna"), 1).leases
    skip(ports, "plane", who("anna"), [str(batch[0].id)])
    rita, ron = who("rita", Role.REVIEWER), who("ron", Role.REVIEWER)
    review = next(one for one in lease(ports, "plane", rita, 1).leases if one.lane is Lane.REVIEW)
    clock.turn(400)
    tend(ports, "plane")
    again = next(one for one in lease(ports, "plane", ron, 1).leases if one.lane is Lane.REVIEW)
    one, two = annotate_all(
        ports,
        "plane",
        [sheet("ron", again, role=Role.REVIEWER), sheet("rita", review, label="c1", role=Role.REVIEWER)],
    )
    assert (said(one), said(two)) == (["accepted"], ["surplus"])
    tend(ports, "plane")
    assert ports.pool.items("plane", [review.item])[0].label == "c0"


LABEL_STUDIO = {
    "kind": "label_studio",
    "config": '<View><Choices name="c" toName="t"><Choice value="c0"/></Choices><TextArea name="n" toName="t"/></View>',
}


CROOKED = [
    {"result": [{"from_name": [], "value": {}}]},
    {"result": [{"from_name": {"a": 1}, "value": {}}]},
    {"result": [{"from_name": "c", "value": {"choices": [{}]}}]},
    {"label": ["c0"]},
    {"label": {"c0": 1}},
    {"label": "c0", "seconds": [1]},
    {"label": "c0", "comment": 5},
    {"label": "c0", "lease": {"x": 1}},
]


def test_crooked_answers_in_a_group_are_rejected_alone(ports):
    """Whatever their shape: each has an outcome with a reason, and the answers beside and after them count."""
    start(ports, labels=LABEL_STUDIO)
    sheets = []
    for at, batch in enumerate(lease_all(ports, "plane", [Ask(who=who(f"p{at}"), count=1) for at in range(9)])):
        good = {"lease": str(batch.leases[0].id), "label": "c0"}
        sheets.append(
            Sheet(who=who(f"p{at}"), answers=[good | {"label": None} | one for one in CROOKED[at : at + 1]] + [good])
        )
    found = annotate_all(ports, "plane", sheets)
    assert [said(one) for one in found] == [["rejected", "accepted"]] * 8 + [["accepted"]]
    assert all(one[0][0].reason for one in found[:8])


def test_of_a_group_of_a_hundred_each_gets_his_own_outcome(ports):
    """Good, wrong, replayed and foreign in one transaction: the counters equal the rows."""
    start(ports, count=120)
    sheets, wanted = [], []
    batches = lease_all(ports, "plane", [Ask(who=who(f"p{at}"), count=1) for at in range(100)])
    for at, batch in enumerate(batches):
        name, (mine,) = f"p{at}", batch.leases
        if at % 5 == 1:
            sheets.append(Sheet(who=who(name), answers=[{"lease": str(mine.id), "label": "nonsense"}]))
            wanted.append("rejected")
        elif at % 5 == 2:
            sheets.append(sheet(f"p{at + 1}", mine))
            wanted.append("rejected")
        else:
            sheets.append(sheet(name, mine, key=f"k{at}"))
            wanted.append("accepted")
    found = annotate_all(ports, "plane", sheets)
    assert [said(one)[0] for one in found] == wanted
    assert ports.projects.row("plane").spent == wanted.count(Outcome.ACCEPTED)
    assert ports.pool.counts("plane").conserved
