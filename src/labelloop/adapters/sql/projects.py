"""Project files in the store, edition by edition, and the counters beside them.

What the files mean is the business of `labelloop.projects`.
"""

import time
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import ColumnElement, Connection, Select, and_, insert, select, text, update

from labelloop.adapters.sql import removal, tables
from labelloop.adapters.sql.database import Database
from labelloop.adapters.sql.driver import Driver, statement
from labelloop.adapters.sql.jobs import ask_plan_of_edition
from labelloop.adapters.sql.tables import EPOCH, MICROSECOND
from labelloop.domain.errors import ProjectExists, UnknownEdition
from labelloop.domain.states import ProjectState
from labelloop.domain.types import Edition, Json, ModelNumber, ProjectRow, RoundNumber, Subject
from labelloop.projects import Project, parse

_rows = tables.project
_editions = tables.edition

KNOWN_SECONDS = 1.0
"""How long a process may go on by an edition that another process has replaced."""


class SqlProjects:
    """Implements ports.Projects."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._parsed: dict[tuple[int, int], Project] = {}
        self._in_force: dict[int, tuple[int, float]] = {}

    def create(self, project: Project, now: datetime, *, by: Subject | None = None) -> None:
        spec = project.model_dump(mode="json")
        with self._database.write() as connection:
            removal.refuse_going(connection, project.name)
            row = {"name": project.name, "state": ProjectState.ACTIVE, "created_at": now}
            new = self._database.insert(_rows).on_conflict_do_nothing(index_elements=["name"]).returning(_rows.c.id)
            made = connection.execute(new, row).scalar_one_or_none()
            if made is not None:
                _keep(connection, made, 1, spec=spec, by=by, now=now)
            kept = connection.execute(spec_in_force(_rows.c.name == project.name)).scalar_one()
        if kept != orjson.loads(orjson.dumps(spec)) and (known := parse(kept, project.name)) != project:
            other = [name for name, section in project.model_dump().items() if section != known.model_dump()[name]]
            raise ProjectExists(
                f"A project {project.name!r} exists with another content ({', '.join(other)}). To change it: labelloop "
                "project update FILE. To keep both: give this one another name.",
                project=project.name,
            )

    def get(self, name: str, edition: int | None = None) -> Project:
        project = self._database.id_of(name)
        wanted = edition or self._edition(project)
        known = self._parsed.get((project, wanted))
        if known is not None:
            return known
        with self._database.read(hot=True) as connection:
            mine = (_editions.c.project == project, _editions.c.number == wanted)
            spec = connection.execute(select(_editions.c.spec).where(*mine)).scalar_one_or_none()
        if spec is None:
            raise UnknownEdition(f"The file of project {name!r} has no edition {edition}.", project=name)
        # An edition never changes, so it is read and checked once per process.
        return self._parsed.setdefault((project, wanted), parse(spec, name))

    def _edition(self, project: int) -> int:
        """The edition in force, asked at most once a second: answers ask for it, too."""
        known, until = self._in_force.get(project, (0, 0.0))
        if known and time.monotonic() < until:
            return known
        with self._database.read(hot=True) as connection:
            ((found,),) = Driver(connection).rows(_EDITION, project)
        self._in_force[project] = (found, time.monotonic() + KNOWN_SECONDS)
        return int(found)

    def change(
        self, project: Project, *, known: int, empty: bool = False, by: Subject, now: datetime, plan: str | None
    ) -> bool:
        own = self._database.id_of(project.name)
        with self._database.write([own]) as connection:
            mine = [_rows.c.id == own, _rows.c.edition == known, *([_rows.c["items"] == 0] if empty else [])]
            if not connection.execute(update(_rows).where(*mine).values(edition=known + 1)).rowcount:
                return False
            _keep(connection, own, known + 1, spec=project.model_dump(mode="json"), by=by, now=now)
            if plan is not None:
                ask_plan_of_edition(connection, own, project.name, known + 1, reason=plan, now=now)
        self._in_force.pop(own, None)
        return True

    def editions(self, name: str) -> list[Edition]:
        mine = _editions.c.project == self._database.id_of(name)
        wanted = select(_editions.c.number, _editions.c.created_by, _editions.c.created_at).where(mine)
        with self._database.read() as connection:
            rows = connection.execute(wanted.order_by(_editions.c.number.desc())).all()
        return [Edition(number=number, by=by, created_at=at) for number, by, at in rows]

    def row(self, name: str) -> ProjectRow:
        project = self._database.id_of(name)
        with self._database.read(hot=True) as connection:
            row = _Row(*Driver(connection).rows(_ROW, project)[0])
            if not ProjectState(row.state).there:
                raise self._database.unknown(name, connection)
        return ProjectRow(
            name=name,
            state=ProjectState(row.state),
            pool_version=row.pool_version,
            items=row.items,
            spent=row.spent,
            audit_threshold=row.audit_threshold,
            champion=None if row.champion is None else ModelNumber(row.champion),
            round=None if row.round is None else RoundNumber(row.round),
            created_at=EPOCH + row.created_at * MICROSECOND,
            requirements=row.requirements,
            edition=row.edition,
        )

    def names(self) -> list[str]:
        with self._database.read() as connection:
            there = select(_rows.c.name).where(text(tables.THERE)).order_by(_rows.c.name)
            return list(connection.execute(there).scalars())

    def set_state(self, name: str, state: ProjectState) -> None:
        project = self._database.id_of(name)
        with self._database.write([project]) as connection:
            connection.execute(update(_rows).where(_rows.c.id == project).values(state=state))

    def fix_audit(self, name: str, threshold: int) -> int:
        project = self._database.id_of(name)
        own = _rows.c.id == project
        with self._database.write([project]) as connection:
            unset = update(_rows).where(own, _rows.c.audit_threshold.is_(None))
            connection.execute(unset.values(audit_threshold=threshold))
            return int(connection.execute(select(_rows.c.audit_threshold).where(own)).scalar_one())


class _Row(NamedTuple):
    """What is asked at every pull, and therefore by the short way."""

    state: str
    pool_version: int
    items: int
    spent: int
    audit_threshold: int | None
    champion: int | None
    round: int | None
    created_at: int
    requirements: int
    edition: int


def spec_in_force(mine: ColumnElement[bool]) -> Select[Any]:
    """The content of the file in force of a project."""
    joined = and_(_editions.c.project == _rows.c.id, _editions.c.number == _rows.c.edition)
    return select(_editions.c.spec).select_from(_rows.join(_editions, joined)).where(mine)


def _keep(connection: Connection, project: int, number: int, *, spec: Json, by: Subject | None, now: datetime) -> None:
    row = {"project": project, "number": number, "spec": spec, "created_by": by, "created_at": now}
    connection.execute(insert(_editions).values(row))


_ROW = statement(f"SELECT {', '.join(_Row._fields)} FROM project WHERE id = ?")  # noqa: S608 - our own names
_EDITION = statement("SELECT edition FROM project WHERE id = ?")
