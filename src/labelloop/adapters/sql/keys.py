"""API keys in the store. It sees their HMAC digests only; a stolen database opens no door."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select, update

from labelloop.adapters.sql import removal, tables
from labelloop.adapters.sql.database import Database
from labelloop.adapters.sql.driver import Driver, statement
from labelloop.domain.errors import Conflict
from labelloop.domain.skills import Skills
from labelloop.domain.states import Role
from labelloop.domain.types import Identity, KnownKey, Subject

_keys = tables.api_key


class SqlKeys:
    """Implements ports.Keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, identity: Identity, digest: str, now: datetime) -> None:
        """The same key for the same identity again is no error.

        Raises:
            Conflict: the key is revoked or stands for somebody else.
            ProjectExists: its project is being deleted.
        """
        row = {"digest": digest, "subject": identity.subject, "role": identity.role, "project": identity.project}
        with self._database.write() as connection:
            if identity.project is not None:
                removal.refuse_going(connection, identity.project)
            new = self._database.insert(_keys).on_conflict_do_nothing()
            connection.execute(new, {**row, "skills": sorted(identity.skills), "created_at": now})
        if self.find(digest) != identity:
            raise Conflict("This key is revoked or stands for somebody else. Make a new one.")

    def find(self, digest: str) -> Identity | None:
        with self._database.read(hot=True) as connection:
            rows = Driver(connection).rows(_FIND, digest)
        if not rows:
            return None
        subject, role, project, skills = rows[0]
        return _identity(subject, role, project, orjson.loads(skills))

    def known(self) -> list[KnownKey]:
        with self._database.read() as connection:
            rows = connection.execute(select(_keys).order_by(_keys.c.created_at, _keys.c.digest)).all()
        return [
            KnownKey(
                digest=row.digest,
                identity=_identity(row.subject, row.role, row.project, row.skills),
                created_at=row.created_at,
                revoked_at=row.revoked_at,
            )
            for row in rows
        ]

    def carried(self, name: str) -> list[tuple[Role, Skills]]:
        with self._database.read() as connection:
            rows = Driver(connection).rows(_CARRIED, name)
        return [(Role(role), frozenset(orjson.loads(skills))) for role, skills in rows]

    def revoke(self, digest: str, now: datetime) -> bool:
        """False when there was no such key, or it was revoked before."""
        return self._change(digest, revoked_at=now)

    def equip(self, digest: str, skills: Skills) -> bool:
        return self._change(digest, skills=sorted(skills))

    def _change(self, digest: str, **values: Any) -> bool:
        valid = update(_keys).where(_keys.c.digest == digest, _keys.c.revoked_at.is_(None))
        with self._database.write() as connection:
            return connection.execute(valid.values(values)).rowcount == 1


def _identity(subject: str, role: str, project: str | None, skills: Iterable[str]) -> Identity:
    return Identity(subject=Subject(subject), role=Role(role), project=project, skills=frozenset(skills))


_FIND = statement("SELECT subject, role, project, skills FROM api_key WHERE digest = ? AND revoked_at IS NULL")
_CARRIED = statement(
    "SELECT DISTINCT role, skills FROM api_key WHERE revoked_at IS NULL AND (project IS NULL OR project = ?)"
)
