"""The ledger of a project as a book of plain values, read straight from the tables once nobody writes any more."""

from typing import Any

from chaos_history import Book, Held, Kept, Row
from sqlalchemy import create_engine, select

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.tables import EPOCH
from labelloop.domain.states import JobState, Role
from labelloop.projects import Project

SLACK = 1.0
"""A lease's times are those of the calls, which the ledger may write in another order when commits stand in line."""


def read(url: str, project: Project) -> Book:
    """Everything the ledger says about a project."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(select(tables.project).where(tables.project.c.name == project.name)).one()

        def rows(table: Any) -> list[Any]:
            return list(
                connection.execute(select(table).where(table.c.project == found.id).order_by(*table.primary_key))
            )

        book = Book(
            items={row.number: _item(row) for row in rows(tables.item)},
            leases=[_lease(row) for row in rows(tables.assignment)],
            annotations=[_annotation(row) for row in rows(tables.annotation)],
            cap=project.votes.most,
            unfinished=[row.id for row in rows(tables.job) if row.state in {JobState.DUE, JobState.RUNNING}],
            spent=found.spent,
        )
    engine.dispose()
    return book


def _item(row: Any) -> Row:
    return Row(item=row.number, state=row.state, needed=row.needed, votes=row.votes)


def _lease(row: Any) -> Held:
    end = row.expires_at if row.closed_at is None else min(row.expires_at, row.closed_at)
    return Held(
        lease=str(row.id),
        item=row.item,
        who=row.annotator,
        slot=row.slot,
        state=row.state,
        lane=row.lane,
        begin=(row.leased_at - EPOCH).total_seconds() + SLACK,
        end=(end - EPOCH).total_seconds(),
    )


def _annotation(row: Any) -> Kept:
    return Kept(
        lease=str(row.assignment),
        item=row.item,
        who=row.annotator,
        label=row.label,
        outcome=row.outcome,
        counted=bool(row.counted),
        review=row.role != Role.ANNOTATOR,
    )
