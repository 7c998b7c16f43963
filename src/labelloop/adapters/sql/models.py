"""The registry of training sets and models, and the one pointer to the champion."""

from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, and_, func, insert, select, update

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.database import Database
from labelloop.adapters.sql.jobs import ask_plan
from labelloop.domain.errors import Conflict, UnknownModel
from labelloop.domain.states import ModelState
from labelloop.domain.types import JobId, Model, ModelNumber, TrainingSet

_models, _projects, _sets = tables.model, tables.project, tables.training_set
_FACTS = ("state", "training_set", "artifact", "labels", "spent", "metrics", "reason", "provenance", "created_at")


class SqlModels:
    """Implements ports.Models."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep_training_set(self, name: str, training_set: TrainingSet, now: datetime) -> None:
        """Its number is given here, in order of arrival."""
        project = self._database.id_of(name)
        with self._database.write([project]) as connection:
            row = {
                "project": project,
                "digest": training_set.digest,
                "number": _next(connection, _sets, project),
                "items": np.asarray(training_set.items, dtype="<i8").tobytes(),
                "labels": list(training_set.labels),
                "created_at": now,
            }
            connection.execute(self._database.insert(_sets).on_conflict_do_nothing(), row)

    def training_set(self, name: str, digest: str) -> TrainingSet:
        project = self._database.id_of(name)
        with self._database.read() as connection:
            mine = and_(_sets.c.project == project, _sets.c.digest == digest)
            row = connection.execute(select(_sets).where(mine)).one_or_none()
        if row is None:
            detail = f"Project {name!r} has no training set {digest!r}. A model's `training_set` names one."
            raise UnknownModel(detail, project=name, training_set=digest)
        items = np.frombuffer(row.items, dtype="<i8").tolist()
        return TrainingSet(number=row.number, digest=row.digest, items=items, labels=row.labels)

    def add(self, name: str, model: Model, job: JobId) -> ModelNumber:
        project = self._database.id_of(name)
        with self._database.write([project]) as connection:
            known = connection.execute(_of_job(project, job)).one_or_none()
            if known is not None:
                return ModelNumber(known.number)
            number = _next(connection, _models, project)
            facts = {fact: getattr(model, fact) for fact in _FACTS}
            facts |= {"metrics": dict(model.metrics), "provenance": dict(model.provenance)}
            connection.execute(insert(_models).values(project=project, number=number, job=job, **facts))
        return ModelNumber(number)

    def get(self, name: str, number: ModelNumber) -> Model:
        project = self._database.id_of(name)
        with self._database.read() as connection:
            return _model(_row(connection, project, name, number))

    def all(self, name: str) -> list[Model]:
        project = self._database.id_of(name)
        with self._database.read() as connection:
            rows = connection.execute(select(_models).where(_models.c.project == project).order_by(_models.c.number))
            return [_model(row) for row in rows]

    def of_job(self, name: str, job: JobId) -> Model | None:
        project = self._database.id_of(name)
        with self._database.read() as connection:
            row = connection.execute(_of_job(project, job)).one_or_none()
        return None if row is None else _model(row)

    def decide(
        self,
        name: str,
        number: ModelNumber,
        state: ModelState,
        *,
        reason: str,
        now: datetime,
        champion: ModelNumber | None,
    ) -> bool:
        """Also raises Conflict where the champion itself would get another state: promote another model instead."""
        project = self._database.id_of(name)
        with self._database.write([project]) as connection:
            _row(connection, project, name, number)
            mine = select(_projects.c.champion).where(_projects.c.id == project)
            current = connection.execute(mine).scalar_one()
            if current != champion:
                return False
            if current == number:
                if state is not ModelState.CHAMPION:
                    raise Conflict(f"Model {number} is the champion. Promote another model in its place.", model=number)
                return True
            _set(connection, project, number, {"state": state, "reason": reason})
            if state is ModelState.CHAMPION:
                if current is not None:
                    _set(connection, project, current, {"state": ModelState.RETIRED})
                own = update(_projects).where(_projects.c.id == project)
                connection.execute(own.values(champion=number))
                ask_plan(connection, project, name, number, now)
        return True


def _next(connection: Connection, table: Any, project: int) -> int:
    last = select(func.coalesce(func.max(table.c.number), 0)).where(table.c.project == project)
    return int(connection.execute(last).scalar_one()) + 1


def _of_job(project: int, job: JobId) -> Any:
    return select(_models).where(_models.c.project == project, _models.c.job == job)


def _set(connection: Connection, project: int, number: int, values: dict[str, Any]) -> None:
    mine = and_(_models.c.project == project, _models.c.number == number)
    connection.execute(update(_models).where(mine).values(values))


def _row(connection: Connection, project: int, name: str, number: ModelNumber) -> Row[Any]:
    mine = and_(_models.c.project == project, _models.c.number == number)
    row = connection.execute(select(_models).where(mine)).one_or_none() if 0 < number < 2**31 else None
    if row is None:
        known = connection.execute(select(_models.c.number).where(_models.c.project == project)).scalars().all()
        listed = f"Models: {', '.join(map(str, sorted(known)))}." if known else "It has no models yet."
        raise UnknownModel(f"Project {name!r} has no model {number}. {listed}", project=name, model=number)
    return row


def _model(row: Row[Any]) -> Model:
    facts = {fact: getattr(row, fact) for fact in _FACTS}
    return Model(number=ModelNumber(row.number), **{**facts, "state": ModelState(row.state)})
