"""Two processes create, fill and delete projects of the same names in any order: each sees what there is, no more."""

import shutil
import tempfile
from functools import cache
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import func, select
from store_desk import MINUTE, START, answer, grant, new_item, project_file, rows, submit

from labelloop.adapters.sql import database, removal, tables
from labelloop.adapters.sql.store import open_store
from labelloop.domain.errors import ProjectExists, UnknownProject
from labelloop.domain.states import Lane, ProjectState, Role
from labelloop.domain.types import Candidate

NAMES = st.sampled_from(["one", "two"])
HANDS = st.sampled_from([0, 1])
CLASSES = (["a", "b"], ["a", "b", "c"])


@cache
def _migrated() -> Path:
    path = Path(tempfile.mkdtemp()) / "x.db"
    open_store(f"sqlite:///{path}").close()
    return path


class Removals(RuleBasedStateMachine):
    """A model of what there is: classes and keys of the items by name, names on their way out, ids ever given."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(_migrated(), self.folder / "x.db")
        self.stores = [open_store(f"sqlite:///{self.folder / 'x.db'}") for _ in range(2)]
        self.patches = [
            mock.patch.object(database, "TRUSTED_SECONDS", 0.0),
            mock.patch.object(removal, "LEAST", 1),
            mock.patch.object(removal, "MOST", 2),
        ]
        for patch in self.patches:
            patch.start()
        self.there: dict[str, tuple[int, set[str]]] = {}
        self.going: set[str] = set()
        self.ids: dict[str, list[int]] = {"one": [], "two": []}
        self.serial = 0

    @rule(hand=HANDS, name=NAMES, file=st.sampled_from([0, 1]))
    def create(self, hand: int, name: str, file: int) -> None:
        """A file is taken where the name is free, or is the same."""
        made = project_file(name, labels={"kind": "classes", "classes": CLASSES[file]})
        try:
            self.stores[hand].projects.create(made, START)
        except ProjectExists:
            assert name in self.going or self.there[name][0] != file
            return
        assert name not in self.going
        if name not in self.there:
            self.there[name] = (file, set())
            (number,) = [
                one for one, known in rows(self.stores[0], tables.project.c.id, tables.project.c.name) if known == name
            ]
            assert number > max(sum(self.ids.values(), [0]))
            self.ids[name].append(number)
        assert self.there[name][0] == file

    @rule(hand=HANDS, name=NAMES, count=st.integers(1, 3))
    def fill(self, hand: int, name: str, count: int) -> None:
        """Items go into what is there."""
        items = [new_item(self.serial + at) for at in range(count)]
        self.serial += count
        try:
            self.stores[hand].pool.add(name, items, START)
        except UnknownProject:
            assert name not in self.there
            return
        self.there[name][1].update(item.key for item in items)

    @rule(hand=HANDS, name=NAMES, item=st.integers(0, 2))
    def work(self, hand: int, name: str, item: int) -> None:
        """An item is leased and answered."""
        ledger, wanted = self.stores[hand].ledger, [Candidate(item=item, lane=Lane.INFORMATIVE)]
        try:
            leases = grant(ledger, name, "ann", wanted, now=START, expires_at=START + MINUTE, most=9)
            submit(ledger, name, "ann", [answer(one) for one in leases], now=START, role=Role.ANNOTATOR)
        except UnknownProject:
            assert name not in self.there

    @rule(hand=HANDS, name=NAMES)
    def begin(self, hand: int, name: str) -> None:
        """A project is marked, or one that is marked already once more."""
        try:
            departure, extent = self.stores[hand].removals.begin(name)
        except UnknownProject:
            assert name not in self.there
            assert name not in self.going
            return
        assert departure.new == (name in self.there)
        if departure.new:
            assert extent.items == len(self.there.pop(name)[1])
        self.going.add(name)

    @rule(hand=HANDS, order_gone=st.booleans())
    def step(self, hand: int, order_gone: bool) -> None:
        """Some of the rows go, and the tombstone is set where none is left."""
        removals = self.stores[hand].removals
        for departure in removals.departing():
            done = removals.remove(departure, seconds=0, jobs=True)
            buried = removals.bury(departure, START, order_gone=order_gone)
            assert buried >= done
            if buried and not departure.buried:
                self.going.discard(departure.name)

    @invariant()
    def everybody_sees_what_there_is(self) -> None:
        """Names, files and items are those of the model; of what was buried no row is left."""
        for store in self.stores:
            assert store.projects.names() == sorted(self.there)
            for name, (file, keys) in self.there.items():
                assert list(store.projects.get(name).labels.classes) == CLASSES[file]
                assert store.projects.row(name).items == len(keys)
                assert {item.key for item in store.pool.span(name, 0, 10_000)} == keys
        with self.stores[0].engine.connect() as connection:
            buried = select(tables.project.c.id).where(tables.project.c.name.contains(" "))
            for table in removal._tables():
                left = select(func.count()).select_from(table).where(removal._own(table).in_(buried))
                assert connection.execute(left).scalar_one() == 0, table.name
            states = set(
                connection.execute(select(tables.project.c.state).where(tables.project.c.name.contains(" "))).scalars()
            )
        assert states <= {ProjectState.DELETED, ProjectState.DELETING}

    def teardown(self) -> None:
        """Close and throw away."""
        for patch in self.patches:
            patch.stop()
        for store in self.stores:
            store.close()
        shutil.rmtree(self.folder)


TestRemovals = Removals.TestCase
TestRemovals.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
