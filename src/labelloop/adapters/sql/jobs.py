"""Wishes in the store: asked for once per due condition, claimed once per attempt."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, or_, select, text, update

from labelloop.adapters.sql import removal, tables
from labelloop.adapters.sql.database import Database
from labelloop.domain.errors import UnknownJob
from labelloop.domain.job_names import name_job
from labelloop.domain.states import JobKind, JobState
from labelloop.domain.types import Job, JobId, Json

_jobs, _projects = tables.job, tables.project
_JOINED = select(_jobs, _projects.c.name.label("project_name")).select_from(_jobs.join(_projects))
_OPEN = (JobState.DUE, JobState.RUNNING)
_THERE = _jobs.c.project.in_(select(_projects.c.id).where(text(tables.THERE)))


class SqlJobs:
    """Implements ports.Jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, name: str, kind: JobKind, due_key: str, *, reason: str, now: datetime) -> tuple[Job, bool]:
        project = self._database.id_of(name)
        same = and_(_jobs.c.project == project, _jobs.c.kind == kind, _jobs.c.due_key == due_key)
        with self._database.read() as connection:
            known = connection.execute(_JOINED.where(same)).one_or_none()
        if known is not None:
            return _job(known), False
        with self._database.write([project]) as connection:
            known = connection.execute(_JOINED.where(same)).one_or_none()
            if known is not None:
                return _job(known), False
            job = _insert(connection, project, name, kind, due_key=due_key, reason=reason, now=now)
            return _job(connection.execute(_JOINED.where(_jobs.c.id == job)).one()), True

    def claim(self, job: JobId, attempt: int, now: datetime) -> Job | None:
        started = {"state": JobState.RUNNING, "attempt": attempt, "heard_at": now, "progress": 0.0, "message": ""}
        with self._database.write() as connection:
            free = and_(_jobs.c.id == job, _jobs.c.attempt == attempt - 1, _jobs.c.state.in_(_OPEN), _THERE)
            taken = connection.execute(update(_jobs).where(free).values(started)).rowcount
            row = connection.execute(_JOINED.where(_jobs.c.id == job)).one_or_none()
        if row is None:
            raise _unknown(job)
        return _job(row) if taken else None

    def beat(self, job: JobId, attempt: int, *, now: datetime, progress: float, message: str) -> bool:
        """One whose project is being deleted is heard, so that we know that it still runs, and told to stop."""
        spoke = self._speak(job, attempt, {"heard_at": now, "progress": progress, "message": message})
        with self._database.read() as connection:
            return spoke and connection.execute(select(_jobs.c.id).where(_jobs.c.id == job, _THERE)).first() is not None

    def finish(
        self,
        job: JobId,
        attempt: int,
        *,
        now: datetime,
        result: Mapping[str, Json] | None,
        problem: Mapping[str, Json] | None,
    ) -> bool:
        ended: dict[str, Any] = {"heard_at": now, "finished_at": now}
        if problem is None:
            ended |= {"state": JobState.DONE, "progress": 1.0, "result": dict(result or {})}
        else:
            ended |= {"state": JobState.FAILED, "problem": dict(problem), "result": dict(result) if result else None}
        return self._speak(job, attempt, ended)

    def get(self, job: JobId) -> Job:
        with self._database.read() as connection:
            row = connection.execute(_JOINED.where(_jobs.c.id == job)).one_or_none()
        if row is None:
            raise _unknown(job)
        return _job(row)

    def unfinished(self, name: str, silent_before: datetime) -> list[Job]:
        project = self._database.id_of(name)
        silent = and_(_jobs.c.state == JobState.RUNNING, _jobs.c.heard_at < silent_before)
        mine = and_(_jobs.c.project == project, _jobs.c.state.in_(_OPEN), or_(_jobs.c.state == JobState.DUE, silent))
        with self._database.read() as connection:
            rows = connection.execute(_JOINED.where(mine).order_by(_jobs.c.created_at, _jobs.c.id)).all()
        return [_job(row, attempt=row.attempt + 1) for row in rows]

    def recent(self, name: str, kind: JobKind, limit: int) -> list[Job]:
        project = self._database.id_of(name)
        mine = and_(_jobs.c.project == project, _jobs.c.kind == kind)
        with self._database.read() as connection:
            rows = connection.execute(_JOINED.where(mine).order_by(_jobs.c.number.desc()).limit(limit)).all()
        return [_job(row) for row in rows]

    def _speak(self, job: JobId, attempt: int, values: dict[str, Any]) -> bool:
        """Only the attempt that was claimed last may speak, and only until the job has ended."""
        mine = and_(_jobs.c.id == job, _jobs.c.attempt == attempt, _jobs.c.state == JobState.RUNNING)
        with self._database.write() as connection:
            return connection.execute(update(_jobs).where(mine).values(values)).rowcount == 1


def ask_plan(connection: Connection, project: int, name: str, model: int, now: datetime) -> None:
    """A promotion asks for a new ranking: in its own transaction, and anew each time the model is promoted."""
    before = _jobs.c.due_key.startswith(f"model:{model}:", autoescape=True)
    mine = and_(_jobs.c.project == project, _jobs.c.kind == JobKind.PLAN, before)
    times = int(connection.execute(select(func.count()).select_from(_jobs).where(mine)).scalar_one())
    due_key = f"model:{model}:{times + 1}"
    _insert(connection, project, name, JobKind.PLAN, due_key=due_key, reason=f"model {model} was promoted", now=now)


def ask_plan_of_edition(
    connection: Connection, project: int, name: str, edition: int, *, reason: str, now: datetime
) -> None:
    """A changed project file asks for a new ranking, in its own transaction."""
    _insert(connection, project, name, JobKind.PLAN, due_key=f"edition:{edition}", reason=reason, now=now)


def _insert(
    connection: Connection, project: int, name: str, kind: JobKind, *, due_key: str, reason: str, now: datetime
) -> JobId:
    mine = and_(_jobs.c.project == project, _jobs.c.kind == kind)
    last = connection.execute(select(func.coalesce(func.max(_jobs.c.number), 0)).where(mine)).scalar_one()
    again = project if removal.had_another(connection, project, name) else None
    job = name_job(kind, name, last + 1, again=again)
    connection.execute(
        insert(_jobs).values(
            id=job,
            project=project,
            kind=kind,
            number=last + 1,
            due_key=due_key,
            reason=reason,
            state=JobState.DUE,
            attempt=0,
            progress=0.0,
            message="",
            created_at=now,
        )
    )
    return job


def _unknown(job: JobId) -> UnknownJob:
    detail = f"There is no job {job!r}. Asking for a round or a training answers with the id of its job."
    return UnknownJob(detail, job=job)


def _job(row: Row[Any], attempt: int | None = None) -> Job:
    return Job(
        id=JobId(row.id),
        project=row.project_name,
        kind=JobKind(row.kind),
        due_key=row.due_key,
        reason=row.reason,
        state=JobState(row.state),
        attempt=row.attempt if attempt is None else attempt,
        progress=row.progress,
        message=row.message,
        result=row.result,
        problem=row.problem,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
