"""What the loop relies on in ports.Projects and ports.Pool."""

import threading

import pytest
from store_desk import MINUTE, NAME, START, new_item, project_file

from labelloop.domain.errors import InvalidItems, ProjectExists, UnknownEdition, UnknownProject
from labelloop.domain.states import ItemState, JobKind, Lane, ProjectState
from labelloop.domain.types import ItemNumber, NewItem


def test_a_project_comes_back_as_it_was_given(store):
    """The file, its state and its counters survive the store."""
    project = project_file(votes={"needed": 3}, lanes={"minority": 0.2})
    store.projects.create(project, START)
    store.projects.create(project, START + MINUTE)
    row = store.projects.row(NAME)
    assert store.projects.get(NAME) == project
    assert (row.created_at, row.state, row.items, row.spent, row.champion) == (START, "active", 0, 0, None)
    store.projects.set_state(NAME, ProjectState.PAUSED)
    assert store.projects.row(NAME).state is ProjectState.PAUSED


def test_a_name_belongs_to_one_project_file(store):
    """Another file under the same name is refused, and the first one stays."""
    store.projects.create(project_file(), START)
    with pytest.raises(ProjectExists, match="another name"):
        store.projects.create(project_file(seed=9), START)
    assert store.projects.get(NAME).seed == 0


def test_a_file_is_changed_edition_by_edition(store):
    """Each edition stays readable with who and when; the round it wishes for is there by the same commit."""
    first, second = project_file(), project_file(title="Demo", votes={"needed": 2})
    store.projects.create(first, START, by="ann")
    assert store.projects.change(second, known=1, by="erin", now=START + MINUTE, plan="edition 2")
    assert store.projects.get(NAME) == second
    assert [store.projects.get(NAME, number) for number in (1, 2)] == [first, second]
    assert store.projects.row(NAME).edition == 2
    told = [(one.number, one.by, one.created_at) for one in store.projects.editions(NAME)]
    assert told == [(2, "erin", START + MINUTE), (1, "ann", START)]
    assert [job.reason for job in store.jobs.recent(NAME, JobKind.PLAN, 10)] == ["edition 2"]
    store.projects.create(second, START)  # the file in force, again
    with pytest.raises(ProjectExists, match="project update"):
        store.projects.create(first, START)


def test_a_change_of_what_is_not_in_force_any_more_is_refused(store):
    """Of two that change the first edition one is taken, and nothing of the other is kept."""
    store.projects.create(project_file(), START)
    assert store.projects.change(project_file(title="A"), known=1, by="ann", now=START, plan=None)
    assert not store.projects.change(project_file(title="B"), known=1, by="bob", now=START, plan="never")
    assert store.projects.get(NAME).title == "A"
    assert len(store.projects.editions(NAME)) == 2
    assert store.jobs.recent(NAME, JobKind.PLAN, 10) == []
    with pytest.raises(UnknownEdition):
        store.projects.get(NAME, 3)


def test_an_unknown_project_names_the_known_ones(store):
    """Every port says which projects there are."""
    store.projects.create(project_file("cats"), START)
    for ask in (
        store.projects.get,
        store.projects.row,
        store.pool.counts,
        store.verdicts.disputed,
        store.rounds.serving,
        store.models.all,
        store.ledger.slots,
    ):
        with pytest.raises(UnknownProject, match="cats"):
            ask("dogs")


def test_the_audit_threshold_is_set_once(store):
    """The second caller gets what the first one set."""
    store.projects.create(project_file(), START)
    assert store.projects.fix_audit(NAME, 2**62) == 2**62
    assert store.projects.fix_audit(NAME, 5) == 2**62


def test_items_are_numbered_in_order_and_kept_as_they_came(desk):
    """Numbers are dense from 0; key order, unicode and NUL characters of the data survive."""
    desk.store.projects.create(project_file(), START)
    data = {"z": "ünï\x00", "a": [1, 2.5, None], "m": {"y": 1, "b": 2}}
    items = [NewItem(key="é", data=data, metadata={"src": "x"}, gold="b"), new_item(1), new_item(2)]
    report = desk.store.pool.add(NAME, items, START)
    assert (report.received, report.added, report.duplicates, report.invalid) == (3, 3, 0, ())
    kept = desk.store.pool.items(NAME, [2, 99, 0])
    assert [item.number for item in kept] == [2, 0]
    assert list(kept[1].data) == ["z", "a", "m"]
    assert (kept[1].data, kept[1].metadata, kept[1].gold, kept[1].key) == (data, {"src": "x"}, "b", "é")
    assert [item.number for item in desk.store.pool.span(NAME, 1, 50)] == [1, 2]
    found = desk.store.pool.find(NAME, "é")
    assert found is not None
    assert found.number == 0
    assert desk.store.pool.find(NAME, "nobody") is None


def test_a_known_key_changes_nothing(desk):
    """The same file sent twice is added once, within a call and across calls."""
    desk.fill(3)
    before = desk.store.projects.row(NAME).pool_version
    changed = NewItem(key="k1", data={"text": "another"})
    report = desk.store.pool.add(NAME, [new_item(0), changed], START)
    assert (report.added, report.duplicates) == (0, 2)
    assert desk.store.pool.items(NAME, [1])[0].data == {"text": "text 1"}
    row = desk.store.projects.row(NAME)
    assert (row.items, row.pool_version) == (3, before)
    report = desk.store.pool.add(NAME, [new_item(5), new_item(5)], START)
    assert (report.added, report.duplicates) == (1, 1)
    assert desk.store.projects.row(NAME).pool_version > before


def test_the_same_data_under_a_new_key_is_retired(desk):
    """A copy is kept beside its original, in the same call and later, and is never served."""
    desk.fill(1)
    copy, twin = {"text": "text 0"}, {"b": 1, "a": 2}
    items = [
        NewItem(key="copy", data=copy),
        NewItem(key="one", data=twin),
        NewItem(key="two", data=dict(reversed(twin.items()))),
    ]
    report = desk.store.pool.add(NAME, items, START)
    assert (report.received, report.added, report.duplicates) == (3, 1, 2)
    kept = desk.store.pool.items(NAME, [1, 3])
    assert [(item.state, item.duplicate_of) for item in kept] == [("retired", 0), ("retired", 2)]
    assert desk.store.pool.waiting(NAME).tolist() == [0, 2]
    assert desk.grant("ann", 1, 3) == []
    assert desk.store.pool.counts(NAME).retired == 2


def test_imported_labels_are_resolved_at_once(desk):
    """An item that comes with its label is never asked, and its source says so."""
    desk.fill(2)
    desk.store.pool.add(NAME, [new_item(7, label="b")], START)
    desk.vote("ann", 1)
    desk.settle(1, ItemState.RESOLVED)
    numbers, labels, sources = desk.store.pool.labeled(NAME)
    assert (numbers.tolist(), labels, sources.tolist()) == ([1, 2], ["a", "b"], [0, 1])
    assert desk.store.pool.waiting(NAME).tolist() == [0]


def test_a_label_that_comes_later_is_taken_by_an_item_that_waits(desk):
    """By its own key or on an exact copy; told once, and the same file again changes nothing."""
    desk.fill(4)
    copy = NewItem(key="copy", data={"text": "text 2"}, label="b", line=2)
    late = [new_item(0, label="a"), copy, new_item(1)]
    report = desk.store.pool.add(NAME, late, START + MINUTE)
    assert (report.received, report.added, report.duplicates, report.labeled, report.invalid) == (3, 0, 3, 2, ())
    numbers, labels, imported = desk.store.pool.labeled(NAME)
    assert (numbers.tolist(), labels, imported.tolist()) == ([0, 2], ["a", "b"], [1, 1])
    assert desk.store.pool.waiting(NAME).tolist() == [1, 3]
    counts = desk.store.pool.counts(NAME)
    assert (counts.pooled, counts.resolved, counts.retired, counts.conserved) == (2, 2, 1, True)
    assert desk.grant("ann", 0, 2) == []
    again = desk.store.pool.add(NAME, late, START + MINUTE)
    assert (again.duplicates, again.labeled, again.invalid) == (3, 0, ())
    assert desk.store.pool.counts(NAME) == counts


def test_a_label_that_comes_later_never_overrules(desk):
    """What people said or have in hand stands, as does the first of two labels; the refused line is named."""
    desk.fill(5)
    desk.vote("ann", 0)
    desk.settle(0, ItemState.RESOLVED)
    desk.grant("bob", 1)
    desk.vote("cid", 2)
    desk.store.pool.retire(NAME, {ItemNumber(3): "unreadable"})
    late = [new_item(at, label="b") for at in range(5)] + [NewItem(key="k4", data={}, label="a", line=6)]
    report = desk.store.pool.add(NAME, late, START)
    assert (report.received, report.duplicates, report.labeled) == (6, 1, 1)
    told = {one.line: one.error for one in report.invalid}
    assert sorted(told) == [1, 2, 3, 4, 6]
    assert "has the label 'a' already" in told[1]
    assert "people are at it" in told[2]
    assert "people are at it" in told[3]
    assert "retired" in told[4]
    assert "has the label 'b' already" in told[6]
    assert desk.store.pool.labeled(NAME)[1] == ["a", "b"]
    assert desk.store.pool.counts(NAME).conserved


def test_an_empty_pool_gives_empty_arrays(desk):
    """Nothing is an answer too, with the right type."""
    desk.fill(0)
    numbers, labels, sources = desk.store.pool.labeled(NAME)
    assert (len(numbers), labels, len(sources), numbers.dtype) == (0, [], 0, "int64")
    assert desk.store.pool.waiting(NAME).dtype == "int32"
    assert desk.store.pool.counts(NAME).conserved


@pytest.mark.parametrize(
    "item", [NewItem(key="a\x00b", data={"t": 1}, line=8), NewItem(key="x", data={"t": {1, 2}}, line=8)]
)
def test_what_cannot_be_kept_is_named_and_nothing_goes_in(desk, item):
    """The whole chunk is refused with the line of the culprit."""
    desk.fill(1)
    with pytest.raises(InvalidItems, match="line 8"):
        desk.store.pool.add(NAME, [new_item(5), item], START)
    assert desk.store.projects.row(NAME).items == 1


def test_counts_are_a_partition(desk):
    """Each item counts once: leased before queued before pooled; disputed and resolved by state."""
    desk.fill(8, needed=2, cap=2)
    desk.plan(0, 1, 2, 3, needed=2)
    desk.grant("ann", 0, 6)
    desk.grant("bob", 0)
    for who, label in (("ann", "a"), ("bob", "b")):
        desk.vote(who, 1, label)
        desk.vote(who, 2, "a")
    desk.settle(1, ItemState.DISPUTED, votes=2)
    desk.settle(2, ItemState.RESOLVED, votes=2)
    counts = desk.store.pool.counts(NAME)
    assert (counts.leased, counts.queued, counts.pooled) == (2, 1, 3)
    assert (counts.resolved, counts.disputed, counts.retired, counts.ingested) == (1, 1, 0, 8)
    assert counts.conserved


def test_waiting_leaves_out_what_somebody_works_on(desk):
    """Items with a counted vote or a live lease are not planned again; expired ones are."""
    desk.fill(5, needed=2)
    desk.vote("ann", 1)
    desk.grant("ann", 2)
    desk.grant("ann", 3, span=MINUTE / 2)
    assert desk.store.pool.waiting(NAME).tolist() == [0, 4]
    desk.pass_time(MINUTE / 2)
    assert desk.store.ledger.expire(NAME, desk.now) == 1
    assert desk.store.pool.waiting(NAME).tolist() == [0, 3, 4]


def test_two_ingests_at_once_share_no_number(desk):
    """Threads that add at the same time get dense numbers and no lost items."""
    desk.fill(0)

    def add(part: int) -> None:
        for start in range(0, 100, 20):
            desk.store.pool.add(NAME, [new_item(part * 50 + start + n) for n in range(20)], START)

    threads = [threading.Thread(target=add, args=(part,)) for part in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [item.number for item in desk.store.pool.span(NAME, 0, 1000)] == list(range(200))
    assert desk.store.projects.row(NAME).items == 200


def test_retired_items_are_counted_and_say_why(desk):
    """Items taken out keep their reason and are asked no more; what people answered stays; again changes nothing."""
    desk.store.projects.create(project_file(), START)
    items = [
        NewItem(key="a", data={"t": 1}),
        NewItem(key="b", data={"t": 2}, label="a"),
        NewItem(key="c", data={"t": 3}),
    ]
    desk.store.pool.add(NAME, items, START)
    desk.vote("ann", 2)
    desk.settle(2, ItemState.RESOLVED)
    reasons = {ItemNumber(number): "no picture" for number in (0, 1, 2, 9)}
    assert desk.store.pool.retire(NAME, reasons) == 2
    assert desk.store.pool.retire(NAME, reasons) == 0
    counts = desk.store.pool.counts(NAME)
    assert (counts.pooled, counts.retired, counts.resolved, counts.conserved) == (0, 2, 1, True)
    assert desk.store.pool.labeled(NAME)[0].tolist() == [2]
    kept = desk.store.pool.find(NAME, "a")
    assert kept is not None
    assert kept.metadata == {"retired": "no picture"}
    assert desk.store.pool.waiting(NAME).tolist() == []


def test_the_lane_of_the_first_lease_is_remembered(desk):
    """Whoever asks by which lane an item was handed out first hears of that one, also of a released lease."""
    desk.fill(1_200)
    desk.plan(0, lane=Lane.MINORITY)
    first = desk.grant("ann", 0, lane=Lane.MINORITY)
    desk.store.ledger.close(NAME, "ann", [lease.id for lease in first], now=desk.now, skip=False)
    desk.plan(0, 1, lane=Lane.AUDIT)
    desk.grant("bob", 0, 1, lane=Lane.AUDIT)
    everybody = [ItemNumber(number) for number in range(1_200)]
    assert desk.store.rounds.asked(NAME, everybody) == {0: Lane.MINORITY, 1: Lane.AUDIT}
    assert desk.store.rounds.asked(NAME, []) == {}
