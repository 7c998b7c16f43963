"""Items that require skills, in the store: who is granted them, how requirements are numbered, and the step there."""

from datetime import timedelta

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from store_desk import MINUTE, NAME, START, Desk, new_item, project_file, rows

from labelloop.adapters.sql import migrations, tables
from labelloop.adapters.sql.engine import open_engine
from labelloop.adapters.sql.store import open_store
from labelloop.domain.errors import Conflict
from labelloop.domain.skills import MOST_REQUIREMENTS
from labelloop.domain.states import ItemState, Lane, Priority, Role
from labelloop.domain.types import Candidate, Identity, Proposal, Query

GERMAN, BOTH = ("lang:de",), ("lang:de", "skill:radiology")


@pytest.fixture
def clinic(desk: Desk) -> Desk:
    """A pool of an item that requires nothing, one that requires German, and one that requires two skills."""
    desk.store.projects.create(project_file(votes={"needed": 1, "cap": 1}), desk.now)
    items = [new_item(0), new_item(1, requires=GERMAN), new_item(2, requires=BOTH)]
    assert desk.store.pool.add(NAME, items, desk.now).added == 3
    return desk


def grant(desk, who, *items, **more):
    """Items that this annotator is granted of those proposed."""
    return [lease.item for lease in desk.grant(who, *items, **more)]


def test_an_annotator_without_the_skills_is_refused(clinic):
    """Whatever is proposed, SQL grants what the key covers: every skill that the item requires."""
    assert grant(clinic, "ann", 0, 1, 2) == [0]
    assert grant(clinic, "bob", 1, 2, carries=["skill:radiology", "lang:fr"]) == []
    assert grant(clinic, "cy", 1, 2, carries=["lang:de"]) == [1]
    assert grant(clinic, "di", 2, carries=["skill:radiology", "lang:de", "lang:fr"]) == [2]


def test_annotators_who_ask_together_are_told_apart(clinic):
    """In one transaction each is granted by his own skills."""
    proposals = [
        Proposal(annotator=who, candidates=[Candidate(item=1, lane=Lane.AUDIT)], skills=frozenset(carries))
        for who, carries in (("ann", ()), ("bob", GERMAN), ("cy", GERMAN))
    ]
    granted = clinic.store.ledger.grant_all(NAME, proposals, now=START, expires_at=START + MINUTE, most=9)
    assert [len(each.leases) for each in granted] == [0, 1, 0]


def test_a_reviewer_without_the_skills_is_refused(clinic):
    """A disputed item requires what it required before."""
    clinic.submit("ann", *clinic.grant("ann", 1, carries=GERMAN))
    clinic.settle(1, ItemState.DISPUTED)
    assert clinic.store.verdicts.disputed(NAME) == {1: 1}
    assert grant(clinic, "rex", 1, lane=Lane.REVIEW) == []
    assert grant(clinic, "roy", 1, lane=Lane.REVIEW, carries=["lang:de"]) == [1]


def test_equal_requirements_have_one_number(clinic):
    """In whatever order the skills came, and in whichever ingest; numbers are dense and never change."""
    store = clinic.store
    more = [new_item(3, requires=("lang:de",)), new_item(4, requires=("lang:fr",)), new_item(5, requires=BOTH)]
    store.pool.add(NAME, more, clinic.now)
    assert store.projects.row(NAME).requirements == 3
    assert list(store.pool.requirements(NAME, 3)) == [{"lang:de"}, {"lang:de", "skill:radiology"}, {"lang:fr"}]
    assert [requires for _, requires in sorted(rows(store, tables.item.c.number, tables.item.c.requires))] == [
        0,
        1,
        2,
        1,
        3,
        2,
    ]
    numbers, requires = store.pool.required(NAME)
    assert (numbers.tolist(), requires.tolist()) == ([1, 2, 3, 4, 5], [1, 2, 1, 3, 2])


def test_another_process_learns_of_new_requirements(clinic, url):
    """Requirements are remembered, and asked for again when the project has more than are remembered."""
    other = open_store(url)
    assert len(other.pool.requirements(NAME, 2)) == 2
    clinic.store.pool.add(NAME, [new_item(3, requires=("lang:fr",))], clinic.now)
    assert other.pool.requirements(NAME, other.projects.row(NAME).requirements)[2] == {"lang:fr"}
    other.close()


def test_one_requirement_too_many_is_an_invalid_line(clinic):
    """The line says what to do about it; all others go in, and the numbers stay within a byte."""
    items = [new_item(number, requires=(f"skill:{number}",)) for number in range(10, 10 + MOST_REQUIREMENTS)]
    report = clinic.store.pool.add(NAME, [*items, new_item(3), new_item(4, requires=GERMAN)], clinic.now)
    assert report.added == MOST_REQUIREMENTS
    assert report.duplicates == 0
    assert [wrong.line for wrong in report.invalid] == [items[-2].line, items[-1].line]
    assert "fewer combinations" in report.invalid[0].error
    assert clinic.store.projects.row(NAME).requirements == MOST_REQUIREMENTS


def test_open_items_are_counted_by_requirement(clinic):
    """Settled items count no longer; disputed ones are told apart."""
    assert [(one.number, one.pooled, one.disputed) for one in clinic.store.pool.open_requirements(NAME)] == [
        (1, 1, 0),
        (2, 1, 0),
    ]
    clinic.store.pool.retire(NAME, {2: "unreadable"})
    assert [one.pooled for one in clinic.store.pool.open_requirements(NAME)] == [1, 0]


def test_what_no_round_plans_is_counted_by_requirement(clinic):
    """Items of the serving round and leased ones are not among them."""
    clinic.store.pool.add(NAME, [new_item(n, requires=GERMAN if n % 2 else ()) for n in range(3, 9)], clinic.now)
    clinic.plan(0, 1)
    assert clinic.store.pool.unplanned(NAME) == {0: 3, 1: 3, 2: 1}
    assert grant(clinic, "cy", 3, 1, carries=GERMAN) == [3, 1]
    assert clinic.store.pool.unplanned(NAME) == {0: 3, 1: 2, 2: 1}


def test_the_queue_is_told_what_items_require(clinic):
    """The order of a round and the states it is rebuilt from carry the number."""
    planned = clinic.plan(2, 0, 1)
    assert [query.requires for query in clinic.store.rounds.queries(NAME, planned.number)] == [2, 0, 1]
    assert [state.requires for state in clinic.store.ledger.slots(NAME, [0, 1, 2])] == [0, 1, 2]


def test_what_a_planner_has_at_hand_comes_out_as_what_is_read(clinic):
    """Settled items are left out, and votes, priority and requirement are the item's, as when all of it is read."""
    clinic.store.pool.add(NAME, [new_item(n, requires=GERMAN if n % 2 else ()) for n in range(3, 9)], clinic.now)
    queries = [
        Query(item=item, lane=Lane.INFORMATIVE, rank=rank, score=0.5, probability=1.0, needed=1 + rank % 2)
        for rank, item in enumerate((8, 3, 2, 0, 5, 7))
    ]
    facts = {"strategy": "margin", "seed": 1, "model": None, "pool_version": 1, "stats": {}, "now": clinic.now}
    rounds = clinic.store.rounds
    planned = rounds.save(NAME, queries, **facts)
    assert planned is not None
    assert rounds.queries(NAME, planned.number, queries) == rounds.queries(NAME, planned.number)
    clinic.store.pool.retire(NAME, {3: "unreadable"})
    clinic.store.pool.prioritize(NAME, [0, 5], Priority.FIRST, by="eva", now=clinic.now)
    served = rounds.queries(NAME, planned.number)
    assert [query.item for query in served] == [8, 2, 0, 5, 7]
    assert {query.priority for query in served} == {0, Priority.FIRST.level}
    assert rounds.queries(NAME, planned.number, queries) == served


def test_history_tells_what_an_item_requires(clinic):
    """In words, and an empty list for most items."""
    told = [clinic.store.ledger.history(NAME, item)["requires"] for item in range(3)]
    assert told == [[], ["lang:de"], ["lang:de", "skill:radiology"]]


def test_a_key_keeps_its_skills(store):
    """They come back with it; the same key with others is a conflict; a revoked one covers nothing."""
    ann = Identity(subject="ann", role=Role.ANNOTATOR, skills=frozenset(BOTH))
    store.keys.create(ann, "one", START)
    assert store.keys.find("one") == ann
    with pytest.raises(Conflict):
        store.keys.create(Identity(subject="ann", role=Role.ANNOTATOR), "one", START)
    store.keys.create(Identity(subject="rex", role=Role.REVIEWER, project="other"), "two", START)
    assert store.keys.carried(NAME) == [(Role.ANNOTATOR, frozenset(BOTH))]
    store.keys.revoke("one", START)
    assert store.keys.carried(NAME) == []


def step_to(engine, number: str) -> None:
    """Run the steps up to this one, as the service would have at that time."""
    with engine.execution_options(labelloop_write=True).begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", migrations.__path__[0].replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        command.upgrade(config, number)


FIRST = """
INSERT INTO project (id, name, spec, state, pool_version, items, pooled, resolved, disputed, retired, spent, created_at)
VALUES (1, 'demo', :spec, 'active', 1, 2, 2, 0, 0, 0, 0, 0);
INSERT INTO item (project, number, key, digest, data, metadata, state, needed, priority, votes, pending, created_at)
VALUES (1, 0, 'k0', :zero, '{"text": "zero"}', '{}', 'pooled', 1, 0, 0, 0, 0);
INSERT INTO item (project, number, key, digest, data, metadata, state, needed, priority, votes, pending, created_at)
VALUES (1, 1, 'k1', :one, '{"text": "one"}', '{}', 'pooled', 1, 0, 0, 0, 0);
INSERT INTO assignment (project, item, annotator, slot, state, lane, leased_at, expires_at)
VALUES (1, 1, 'ann', 0, 'leased', 'informative', 0, :later);
INSERT INTO api_key (digest, subject, role, created_at) VALUES ('d', 'ann', 'annotator', 0)
"""


def test_a_database_of_the_first_version_is_brought_up_to_date(fresh_url):
    """Its items require nothing, its keys carry nothing, its leases go on; new items may require skills."""
    engine = open_engine(fresh_url)
    if engine.dialect.name == "sqlite":
        migrations._use_wal(engine)
    step_to(engine, "0001")
    values = {
        "spec": project_file().model_dump_json(),
        "zero": b"0",
        "one": b"1",
        "later": tables.microseconds(START + timedelta(days=1)),
    }
    with engine.begin() as connection:
        for one in FIRST.split(";"):
            used = {name: value for name, value in values.items() if f":{name}" in one}
            connection.execute(text(one), used)
    engine.dispose()
    store = open_store(fresh_url)
    assert store.projects.row(NAME).requirements == 0
    assert store.projects.get(NAME) == store.projects.get(NAME, 1) == project_file()
    assert [(one.number, one.by) for one in store.projects.editions(NAME)] == [(1, None)]
    assert store.keys.find("d") == Identity(subject="ann", role=Role.ANNOTATOR)
    assert [item.key for item in store.pool.items(NAME, [0, 1])] == ["k0", "k1"]
    (held,) = store.ledger.held(NAME, "ann", START)
    desk = Desk(store, fresh_url)
    assert desk.said("ann", held) == ["accepted"]
    assert store.pool.add(NAME, [new_item(2, requires=GERMAN)], START).added == 1
    assert grant(desk, "bob", 0, 2) == [0]
    assert store.ledger.history(NAME, 2)["requires"] == ["lang:de"]
    store.close()
