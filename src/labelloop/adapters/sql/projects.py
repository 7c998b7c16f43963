"""Project files in the store, and the counters beside them. Their meaning is `labelloop.projects`' business."""

from datetime import datetime
from typing import NamedTuple

import orjson
from sqlalchemy import select, update

from labelloop.adapters.sql import removal, tables
from labelloop.adapters.sql.database import Database
from labelloop.adapters.sql.driver import Driver, statement
from labelloop.adapters.sql.tables import EPOCH, MICROSECOND
from labelloop.domain.errors import ProjectExists
from labelloop.domain.states import ProjectState
from labelloop.domain.types import ModelNumber, ProjectRow, RoundNumber
from labelloop.projects import Project, parse

_rows = tables.project


class SqlProjects:
    """Implements ports.Projects."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._parsed: dict[int, Project] = {}

    def create(self, project: Project, now: datetime) -> None:
        spec = project.model_dump(mode="json")
        with self._database.write() as connection:
            removal.refuse_going(connection, project.name)
            row = {"name": project.name, "spec": spec, "state": ProjectState.ACTIVE, "created_at": now}
            new = self._database.insert(_rows).on_conflict_do_nothing(index_elements=["name"])
            connection.execute(new, row)
            kept = connection.execute(select(_rows.c.spec).where(_rows.c.name == project.name)).scalar_one()
        if kept != orjson.loads(orjson.dumps(spec)) and (known := parse(kept, project.name)) != project:
            other = [name for name, section in project.model_dump().items() if section != known.model_dump()[name]]
            raise ProjectExists(
                f"A project {project.name!r} exists with another content ({', '.join(other)}). A project file cannot be"
                " changed: give this one another name.",
                project=project.name,
            )

    def get(self, name: str) -> Project:
        project = self._database.id_of(name)
        known = self._parsed.get(project)
        if known is not None:
            return known
        with self._database.read(hot=True) as connection:
            spec = connection.execute(select(_rows.c.spec).where(_rows.c.id == project)).scalar_one()
        # A project's file never changes, so it is read and checked once per process.
        return self._parsed.setdefault(project, parse(spec, name))

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
        )

    def names(self) -> list[str]:
        with self._database.read() as connection:
            there = select(_rows.c.name).where(_rows.c.state.in_([one for one in ProjectState if one.there]))
            return list(connection.execute(there.order_by(_rows.c.name)).scalars())

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


_ROW = statement(f"SELECT {', '.join(_Row._fields)} FROM project WHERE id = ?")  # noqa: S608 - our own names
