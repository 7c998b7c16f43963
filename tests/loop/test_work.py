"""Leases, answers, votes and disputes, as an annotator meets them."""

from dataclasses import replace

import pytest
from conftest_loop import blobs, create, label, run_jobs, start, who

from labelloop.domain.errors import IdempotencyMismatch, TooLarge, UnknownProject
from labelloop.domain.states import ItemState, Lane, Outcome, ProjectState, Role
from labelloop.domain.types import InvalidLine, NewItem
from labelloop.loop.annotate import annotate
from labelloop.loop.ingest import ingest, read
from labelloop.loop.lease import lease, open_leases, release, renew, skip
from labelloop.loop.report import history
from labelloop.loop.tend import tend

ANNA, BERT, CARL, RITA = who("anna"), who("bert"), who("carl"), who("rita", Role.REVIEWER)


def pull(ports, who, count=1):
    return lease(ports, "plane", who, count).leases


def answer(ports, who, leases, label="c0", key=None):
    answers = [{"lease": str(one.id), "label": label} for one in leases]
    return [one.outcome for one in annotate(ports, "plane", who, answers, key=key)[0]]


def item(ports, number):
    return ports.pool.items("plane", [number])[0]


def test_two_annotators_never_hold_the_same_single_vote_item(ports):
    """Everybody gets other items."""
    start(ports)
    held = [one.item for who in (ANNA, BERT, CARL) for one in pull(ports, who, 20)]
    assert len(held) == len(set(held)) == 60


def test_replies_are_kept_for_a_day(ports, clock):
    """A repeat is a replay for 24 hours; then the steward forgets it, and the answer stands as a duplicate."""
    start(ports)
    held = pull(ports, ANNA, 2)
    assert answer(ports, ANNA, held, key="k") == [Outcome.ACCEPTED] * 2
    clock.turn(23 * 3600)
    tend(ports, "plane")
    assert answer(ports, ANNA, held, key="k") == [Outcome.ACCEPTED] * 2
    clock.turn(2 * 3600)
    tend(ports, "plane")
    assert answer(ports, ANNA, held, key="k") == [Outcome.DUPLICATE] * 2


def test_an_expired_lease_comes_back_and_a_late_answer_still_counts(ports, clock):
    """After its time an item goes to the next; an answer in time to take a free slot is late, not lost."""
    start(ports, count=30)
    mine = pull(ports, ANNA, 30)
    assert pull(ports, BERT, 1) == []
    clock.turn(301)
    tend(ports, "plane")
    assert {one.item for one in pull(ports, BERT, 29)} < {one.item for one in mine}
    assert Outcome.LATE in answer(ports, ANNA, mine)


def test_a_surplus_answer_is_kept_and_not_counted(ports, clock):
    """Who comes after the cap is reached keeps the record of the answer, and spends nothing."""
    start(ports, count=20)
    (mine,) = pull(ports, ANNA)
    clock.turn(301)
    tend(ports, "plane")
    others = pull(ports, BERT, 20)
    answer(ports, BERT, others)
    spent = ports.projects.row("plane").spent
    assert answer(ports, ANNA, [mine]) == [Outcome.SURPLUS]
    assert ports.projects.row("plane").spent == spent
    kept = history(ports, "plane", mine.item)["annotations"]
    assert {one["annotator"] for one in kept} == {"anna", "bert"}


def test_a_skipped_item_never_comes_back_to_its_skipper(ports):
    """The others still get it."""
    start(ports, count=20)
    (one,) = pull(ports, ANNA)
    assert [o.outcome for o in skip(ports, "plane", ANNA, [str(one.id)])] == [Outcome.ACCEPTED]
    tend(ports, "plane")
    run_jobs(ports)
    assert one.item not in {other.item for other in pull(ports, ANNA, 50)}
    assert one.item in {other.item for other in pull(ports, BERT, 50)}


def test_a_released_item_is_free_for_all(ports):
    """Also for the one who gave it back."""
    start(ports, count=10)
    mine = pull(ports, ANNA, 10)
    release(ports, "plane", ANNA, [str(one.id) for one in mine])
    assert len(pull(ports, ANNA, 10)) == 10


def test_renewing_keeps_a_lease_alive(ports, clock):
    """A heartbeat gives the full time again; an expired lease cannot be renewed."""
    start(ports, count=10)
    mine = pull(ports, ANNA, 2)
    clock.turn(200)
    renewed = renew(ports, "plane", ANNA, [str(mine[0].id)])
    assert renewed[0].outcome is Outcome.ACCEPTED
    assert renewed[0].expires_at > mine[0].expires_at
    clock.turn(200)
    tend(ports, "plane")
    assert answer(ports, ANNA, mine[:1]) == [Outcome.ACCEPTED]
    assert renew(ports, "plane", ANNA, [str(mine[1].id)])[0].outcome is Outcome.REJECTED


def test_open_leases_survive_a_reload(ports):
    """A page that starts again finds what it had."""
    start(ports)
    mine = pull(ports, ANNA, 3)
    assert [one.id for one in open_leases(ports, "plane", ANNA).leases] == [one.id for one in mine]
    assert open_leases(ports, "plane", BERT).leases == []


def test_wrong_leases_and_labels_are_rejected_one_by_one(ports):
    """Nine good answers are taken; the tenth is told what is wrong with it."""
    start(ports)
    mine, foreign = pull(ports, ANNA, 9), pull(ports, BERT, 1)
    answers = [{"lease": str(one.id), "label": "c1"} for one in mine[:8]]
    wrong = [
        {"lease": str(mine[8].id), "label": "cow"},
        {"lease": str(foreign[0].id), "label": "c1"},
        {"lease": "999999", "label": "c1"},
        {"lease": "1; DROP TABLE item", "label": "c1"},
        {"label": "c1"},
        "nonsense",
    ]
    outcomes, _ = annotate(ports, "plane", ANNA, answers + wrong)
    assert [one.outcome for one in outcomes] == [Outcome.ACCEPTED] * 8 + [Outcome.REJECTED] * 6
    assert "not in the schema" in outcomes[8].reason
    assert all(one.reason for one in outcomes[8:])
    assert answer(ports, ANNA, mine[8:]) == [Outcome.ACCEPTED]


def test_the_same_key_has_one_effect(ports):
    """A repeat is answered from the first time; another body under the key is refused."""
    start(ports)
    mine = pull(ports, ANNA, 3)
    assert answer(ports, ANNA, mine[:2], key="k1") == [Outcome.ACCEPTED] * 2
    assert answer(ports, ANNA, mine[:2], key="k1") == [Outcome.ACCEPTED] * 2
    assert answer(ports, ANNA, mine[:2]) == [Outcome.DUPLICATE] * 2
    assert ports.projects.row("plane").spent == 2
    with pytest.raises(IdempotencyMismatch):
        answer(ports, ANNA, mine[2:], key="k1")


def test_three_votes_from_three_annotators_decide(ports):
    """Each item goes to three people, and the majority is its label with its share as confidence."""
    start(ports, count=10, votes={"needed": 3})
    held = {who.subject: pull(ports, who, 10) for who in (ANNA, BERT, CARL)}
    assert [len(leases) for leases in held.values()] == [10, 10, 10]
    assert pull(ports, who("dora"), 1) == []
    answer(ports, ANNA, held["anna"], "c1")
    answer(ports, BERT, held["bert"], "c1")
    tend(ports, "plane")
    assert ports.pool.counts("plane").resolved == 0
    answer(ports, CARL, held["carl"], "c2")
    tend(ports, "plane")
    counts = ports.pool.counts("plane")
    assert (counts.resolved, counts.conserved) == (10, True)
    verdict = history(ports, "plane", held["anna"][0].item)["consensus"][-1]
    assert verdict["label"] == "c1"
    assert verdict["confidence"] == pytest.approx(2 / 3)


def test_a_tie_asks_for_one_more_and_is_disputed_at_the_cap(ports):
    """Three voices at odds bring a fourth, then a reviewer; the reviewer's word stands."""
    start(ports, count=1, votes={"needed": 2, "cap": 3}, lanes={"informative": 1, "audit": 0}, stop={"budget": 3})
    for one, word in ((ANNA, "c0"), (BERT, "c1")):
        answer(ports, one, pull(ports, one), word)
    tend(ports, "plane")
    third = pull(ports, CARL)
    assert len(third) == 1
    answer(ports, CARL, third, "c2")
    tend(ports, "plane")
    assert item(ports, 0).state is ItemState.DISPUTED
    assert pull(ports, who("dora")) == []
    review = pull(ports, RITA)
    assert [one.lane for one in review] == [Lane.REVIEW]
    answer(ports, RITA, review, "c2")
    tend(ports, "plane")
    assert (item(ports, 0).state, item(ports, 0).label) == (ItemState.RESOLVED, "c2")
    assert ports.pool.counts("plane").conserved


def test_the_budget_ends_the_work_exactly(ports):
    """Open leases count, so no vote is spent beyond the budget."""
    truth = start(ports, stop={"budget": 7})
    assert len(pull(ports, ANNA, 5)) == 5
    assert len(pull(ports, BERT, 5)) == 2
    assert pull(ports, CARL, 5) == []
    answer(ports, ANNA, open_leases(ports, "plane", ANNA).leases)
    answer(ports, BERT, open_leases(ports, "plane", BERT).leases)
    assert lease(ports, "plane", ANNA, 5).reason == "the budget is spent"
    assert truth


def test_a_paused_project_gives_no_work_but_takes_answers(ports):
    """Pausing loses nothing that people are doing."""
    start(ports)
    mine = pull(ports, ANNA, 2)
    ports.projects.set_state("plane", ProjectState.PAUSED)
    batch = lease(ports, "plane", ANNA, 2)
    assert (batch.leases, batch.reason) == ([], "the project is paused")
    assert batch.retry_after
    assert answer(ports, ANNA, mine) == [Outcome.ACCEPTED] * 2


def test_an_annotator_may_hold_so_many_leases(ports):
    """Beyond the maximum nothing more is given until something comes back."""
    start(ports, lease={"seconds": 60, "maximum": 4})
    assert len(pull(ports, ANNA, 10)) == 4
    assert pull(ports, ANNA, 1) == []


def test_limits_and_unknown_projects_are_said(ports):
    """Ten thousand leases at once, or a project that is not there."""
    start(ports)
    with pytest.raises(TooLarge, match="1000"):
        lease(ports, "plane", ANNA, 10_000)
    with pytest.raises(UnknownProject, match=r"plain.*plane"):
        lease(ports, "plain", ANNA, 1)


def test_redis_may_lose_everything(ports):
    """After a flush the steward builds the queue again: leases and answers stand, the rest is served."""
    truth = start(ports, count=60)
    mine = pull(ports, ANNA, 10)
    label(ports, truth, count=10, by="bert")
    ports.queue._connection.flushall()
    tend(ports, "plane")
    assert answer(ports, ANNA, mine) == [Outcome.ACCEPTED] * 10
    rest = pull(ports, CARL, 60)
    assert len(rest) == 40
    assert not {one.item for one in rest} & {one.item for one in mine}


def test_bad_lines_are_named_and_the_rest_goes_in(ports):
    """Each bad line is reported with its number and remedy; good ones around it enter."""
    create(ports, items={"kind": "table", "field": "x"})
    good, _ = blobs(2)
    raw = [
        {"key": "a", "data": {"x": 1.0}, "label": "cow"},
        {"key": "", "data": {"x": 1.0}},
        {"key": "b", "data": {"z": 1.0}},
        {"key": "c", "data": {"x": float("inf")}},
        {"key": "d", "data": {"x": [1.0, [float("nan")]]}},
        {"key": "n\0", "data": {"x": 1.0}},
        {"key": "e", "data": {}},
        {"key": "f", "data": {"x": 1.0}, "lable": "c0"},
        7,
    ]
    report = ingest(ports, "plane", good + [read(one, at) for at, one in enumerate(raw, start=3)])
    assert (report.received, report.added, report.duplicates) == (11, 2, 0)
    assert [bad.line for bad in report.invalid] == list(range(3, 12))
    words = [
        "not a class",
        "`key`",
        "no field 'x'",
        "infinity",
        "NaN",
        "`key`",
        "at least one field",
        "lable",
        "object",
    ]
    assert all(word in bad.error for word, bad in zip(words, report.invalid, strict=True))


@pytest.mark.parametrize("value", [None, 12, ["a"]])
def test_a_text_that_is_none_is_a_bad_line(ports, value):
    """No features can be made of it, so it is refused at the door, where its line is known; labels change nothing."""
    create(ports, items={"kind": "text", "field": "mail"}, features={"kind": "text"})
    raw = [{"key": "a", "data": {"mail": "hello"}}, {"key": "b", "data": {"mail": value}, "label": "c0"}]
    report = ingest(ports, "plane", [read(one, at) for at, one in enumerate(raw, start=1)])
    assert report.added == 1
    (bad,) = report.invalid
    assert bad.line == 2
    assert "'mail' must be text" in bad.error


def test_why_there_is_no_work_before_the_first_round(ports):
    """An empty project, one whose round is being planned, and one that cannot be planned say different things."""
    create(ports, features={"kind": "columns", "columns": ["x"]})
    tend(ports, "plane")
    assert lease(ports, "plane", ANNA, 1).reason == "the project has no items yet"
    ingest(ports, "plane", [NewItem(key=f"w{at}", data={"x": f"word {at}"}, line=at + 1) for at in range(50)])
    tend(ports, "plane")
    assert lease(ports, "plane", ANNA, 1).reason == "the first round is being planned"
    run_jobs(ports)
    reason = lease(ports, "plane", ANNA, 1).reason
    assert "could not be planned" in reason
    assert "'x'" in reason


def test_ingesting_again_changes_nothing(ports):
    """Items are idempotent by key, and the same data under another key is a duplicate."""
    create(ports)
    items, _ = blobs(20)
    assert ingest(ports, "plane", items).added == 20
    again = ingest(ports, "plane", items)
    assert (again.added, again.duplicates) == (0, 20)
    twin = read({"key": "twin", "data": dict(items[0].data)}, 1)
    assert not isinstance(twin, InvalidLine)
    report = ingest(ports, "plane", [twin])
    assert (report.added, report.duplicates) == (0, 1)
    assert ports.pool.counts("plane").conserved
    found = ports.pool.find("plane", "twin")
    assert (found.state, found.duplicate_of) == (ItemState.RETIRED, 0)


def test_labels_from_elsewhere_end_the_asking(ports):
    """Who sends them for a pool that is being asked gets them trained on, and nobody is asked about those items."""
    truth = start(ports)
    (held,) = pull(ports, ANNA, 1)
    late, _ = blobs(200)
    known = [replace(one, label=truth[one.key]) for one in late[:198]]
    report = ingest(ports, "plane", known)
    refused = sum(one.key == held.key for one in known)
    assert (report.duplicates, report.labeled, len(report.invalid)) == (198 - refused, 198 - refused, refused)
    tend(ports, "plane")
    run_jobs(ports)
    asked = {held.key} | {one.key for one in pull(ports, BERT, 10)}
    assert asked == {held.key, "i198", "i199"}
    assert ports.models.all("plane")[-1].labels == report.labeled


def test_history_says_why_an_item_was_served(ports):
    """Round, model, strategy, score, planned rank, lane and selection probability stand with each dispatch."""
    start(ports)
    (one,) = pull(ports, ANNA)
    answer(ports, ANNA, [one], "c1")
    tend(ports, "plane")
    told = history(ports, "plane", one.item)
    (dispatch,) = told["dispatches"]
    assert {"round", "model", "strategy", "score", "planned_rank", "lane", "probability"} <= set(dispatch)
    assert dispatch["round"] == 1
    assert dispatch["lane"] == one.lane
    assert told["annotations"][0]["label"] == "c1"
    assert told["consensus"][0]["label"] == "c1"


def test_a_redis_that_outlived_its_database_is_forgotten(ports):
    """An order of another life, with a higher number than SQL knows, is never served."""
    start(ports, count=20)
    ports.queue.load("plane", 99, {}, [], {Lane.INFORMATIVE: 1.0})
    assert pull(ports, ANNA, 1) == []
    tend(ports, "plane")
    assert ports.queue_health.serving("plane") == ports.rounds.serving("plane").number
    assert len(pull(ports, ANNA, 20)) == 20
