"""The tables, their types and the indexes that make the rules of dispatch constraints of the database.

Migrations (`migrations/versions`) create what is declared here; a test compares the two. What the rows mean to the
loop is said by the ports; how they are read and written, by the adapters beside this module.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    text,
)

from labelloop.domain.states import ProjectState

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
REVIEW_SLOT = 100
"""Slots below are votes; from here on, verdicts of reviewers."""


def microseconds(value: datetime) -> int:
    """An instant as the tables keep it."""
    return (value - EPOCH) // MICROSECOND


class Instant(TypeDecorator[datetime]):
    """An aware datetime as microseconds since 1970 UTC: exact, sortable, the same on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Refuses a datetime without a time zone: nobody could say later which instant it was."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the time {value} has no time zone; times are aware UTC")
        return microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Back to an aware datetime in UTC."""
        return None if value is None else EPOCH + timedelta(microseconds=value)


class Document(TypeDecorator[Any]):
    """A JSON value as text. Kept as it came: key order survives, and NUL characters stay escaped."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """None is NULL."""
        return None if value is None else orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """NULL is None."""
        return None if value is None else orjson.loads(value)


Counter = BigInteger().with_variant(Integer(), "sqlite")
"""A growing id. SQLite numbers rows by itself only when the type is INTEGER."""

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)


def _project() -> Column[int]:
    return Column("project", Integer, ForeignKey("project.id"), nullable=False)


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index over the rows that matter. Queries repeat `where` literally, or SQLite will not use it."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


project = Table(
    "project",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    # The edition of its file that is in force.
    Column("edition", Integer, nullable=False, server_default=text("1")),
    Column("state", Text, nullable=False),
    Column("pool_version", Integer, nullable=False, default=0),
    # How the items stand, kept exact by every transaction that adds or moves items.
    Column("items", Integer, nullable=False, default=0),
    Column("pooled", Integer, nullable=False, default=0),
    Column("resolved", Integer, nullable=False, default=0),
    Column("disputed", Integer, nullable=False, default=0),
    Column("retired", Integer, nullable=False, default=0),
    Column("spent", Integer, nullable=False, default=0),
    Column("audit_threshold", BigInteger),
    Column("champion", Integer),
    Column("round", Integer),
    Column("created_at", Instant, nullable=False),
    # How many rows of `requirement` it has: read with each pull, so that nobody looks for more where there are none.
    Column("requirements", Integer, nullable=False, server_default=text("0")),
)

THERE = f"state IN ({', '.join(repr(state.value) for state in ProjectState if state.there)})"
"""Of a project: neither deleted nor on its way out."""

edition = Table(
    "edition",
    metadata,
    _project(),
    # From 1, as the file was changed; rounds and models name the one they were made by, so none is ever removed.
    Column("number", Integer, nullable=False),
    Column("spec", Document, nullable=False),
    # Nobody where it was not noted, as in databases of the first versions.
    Column("created_by", Text),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("project", "number"),
)

requirement = Table(
    "requirement",
    metadata,
    _project(),
    # From 1, in order of arrival; an item names it, 0 for none.
    Column("number", SmallInteger, nullable=False),
    Column("skills", Document, nullable=False),
    PrimaryKeyConstraint("project", "number"),
    Index("requirement_skills", "project", "skills", unique=True),
)

WAITING = "state = 'pooled' AND votes = 0"
STARTED = "state = 'pooled' AND votes > 0"
PREFERRED = "state = 'pooled' AND priority <> 0"
RESOLVED = "state = 'resolved'"
DISPUTED = "state = 'disputed'"
PENDING = "pending = 1"
REQUIRED = "requires <> 0 AND state IN ('pooled', 'disputed')"

item = Table(
    "item",
    metadata,
    _project(),
    Column("number", Integer, nullable=False),
    Column("key", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("data", Document, nullable=False),
    Column("metadata", Document, nullable=False),
    Column("gold", Text),
    Column("duplicate_of", Integer),
    Column("state", Text, nullable=False),
    Column("label", Text),
    Column("value", Text),
    Column("source", Text),
    Column("confidence", Double),
    Column("needed", SmallInteger, nullable=False),
    # An engineer's word about it: above 0 it is served before all others of its lane, below 0 after them.
    Column("priority", SmallInteger, nullable=False, default=0),
    # Counted votes, and whether a verdict on them is due (0 or 1).
    Column("votes", SmallInteger, nullable=False, default=0),
    Column("pending", SmallInteger, nullable=False, default=0),
    Column("created_at", Instant, nullable=False),
    Column("resolved_at", Instant),
    Column("requires", SmallInteger, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("project", "number"),
    Index("item_key", "project", "key", unique=True),
    Index("item_digest", "project", "digest"),
    _partial("item_waiting", "project", "number", where=WAITING),
    _partial("item_started", "project", "number", where=STARTED),
    _partial("item_preferred", "project", "number", "priority", where=PREFERRED),
    _partial("item_resolved", "project", "number", "label", "source", where=RESOLVED),
    _partial("item_disputed", "project", "number", where=DISPUTED),
    _partial("item_pending", "project", "number", where=PENDING),
    _partial("item_required", "project", "requires", "state", "number", where=REQUIRED),
)

round_ = Table(
    "round",
    metadata,
    _project(),
    Column("number", Integer, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("model", Integer),
    Column("pool_version", Integer, nullable=False),
    Column("queries", Integer, nullable=False),
    Column("stats", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("project", "number"),
)

query = Table(
    "query",
    metadata,
    _project(),
    Column("round", Integer, nullable=False),
    Column("item", Integer, nullable=False),
    Column("lane", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("score", Double, nullable=False),
    Column("probability", Double, nullable=False),
    Column("needed", SmallInteger, nullable=False),
    PrimaryKeyConstraint("project", "round", "item"),
    ForeignKeyConstraint(["project", "item"], ["item.project", "item.number"], name="query_item_fkey"),
    sqlite_with_rowid=False,
)

LIVE = "state = 'leased'"
HELD = "state IN ('leased', 'done')"
TAKEN = "state IN ('leased', 'done', 'skipped')"
SKIPPED = "state = 'skipped'"
SERVED = "served_rank IS NOT NULL"

assignment = Table(
    "assignment",
    metadata,
    Column("id", Counter, primary_key=True),
    _project(),
    Column("item", Integer, nullable=False),
    Column("annotator", Text, nullable=False),
    Column("slot", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("lane", Text, nullable=False),
    # Why it was served, copied from the query, so that old rounds can be thrown away.
    Column("round", Integer),
    Column("model", Integer),
    Column("strategy", Text),
    Column("score", Double),
    Column("probability", Double),
    Column("planned_rank", Integer),
    Column("served_rank", Integer),
    Column("leased_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("closed_at", Instant),
    ForeignKeyConstraint(["project", "item"], ["item.project", "item.number"], name="assignment_item_fkey"),
    Index("assignment_item", "project", "item"),
    # The two rules of dispatch: one holder per slot, one turn per annotator and item.
    _partial("assignment_one_holder", "project", "item", "slot", where=HELD, unique=True),
    _partial("assignment_one_turn", "project", "item", "annotator", where=TAKEN, unique=True),
    _partial("assignment_live", "project", "annotator", "expires_at", "lane", "item", where=LIVE),
    _partial("assignment_expiry", "project", "expires_at", where=LIVE),
    _partial("assignment_skipped", "project", "item", where=SKIPPED),
    _partial("assignment_served", "project", "round", "lane", "served_rank", where=SERVED),
    sqlite_autoincrement=True,
)

UNCOUNTED = "counted = 0"

annotation = Table(
    "annotation",
    metadata,
    Column("id", Counter, primary_key=True),
    _project(),
    Column("item", Integer, nullable=False),
    Column("annotator", Text, nullable=False),
    Column("assignment", BigInteger, ForeignKey("assignment.id"), nullable=False, unique=True),
    Column("value", Text, nullable=False),
    Column("label", Text),
    Column("result", Document),
    Column("seconds", Double),
    Column("comment", Text),
    Column("outcome", Text, nullable=False),
    Column("counted", SmallInteger, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("annotation_turn", "project", "item", "annotator", unique=True),
    Index("annotation_annotator", "project", "annotator"),
    _partial("annotation_uncounted", "project", "item", where=UNCOUNTED),
    sqlite_autoincrement=True,
)

reply = Table(
    "reply",
    metadata,
    _project(),
    Column("subject", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("body", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("project", "subject", "key"),
    Index("reply_created_at", "project", "created_at"),
)

consensus = Table(
    "consensus",
    metadata,
    Column("id", Counter, primary_key=True),
    _project(),
    Column("item", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("needed", SmallInteger, nullable=False),
    Column("votes", SmallInteger, nullable=False),
    Column("value", Text),
    Column("label", Text),
    Column("confidence", Double),
    Column("source", Text, nullable=False),
    # What led here where no votes did, such as skips.
    Column("reason", Text),
    Column("created_at", Instant, nullable=False),
    Index("consensus_item", "project", "item"),
    sqlite_autoincrement=True,
)

override = Table(
    "override",
    metadata,
    Column("id", Counter, primary_key=True),
    _project(),
    Column("item", Integer, nullable=False),
    Column("priority", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("override_item", "project", "item"),
    sqlite_autoincrement=True,
)

training_set = Table(
    "training_set",
    metadata,
    _project(),
    Column("digest", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("items", LargeBinary, nullable=False),
    Column("labels", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("project", "digest"),
)

model = Table(
    "model",
    metadata,
    _project(),
    Column("number", Integer, nullable=False),
    Column("job", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("training_set", Text, nullable=False),
    Column("artifact", Text, nullable=False),
    Column("labels", Integer, nullable=False),
    Column("spent", Integer, nullable=False),
    Column("metrics", Document, nullable=False),
    Column("reason", Text, nullable=False),
    Column("provenance", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("project", "number"),
    Index("model_job", "project", "job", unique=True),
)

job = Table(
    "job",
    metadata,
    Column("id", Text, primary_key=True),
    _project(),
    Column("kind", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("due_key", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("progress", Double, nullable=False),
    Column("message", Text, nullable=False),
    Column("result", Document),
    Column("problem", Document),
    Column("created_at", Instant, nullable=False),
    Column("heard_at", Instant),
    Column("finished_at", Instant),
    Index("job_number", "project", "kind", "number", unique=True),
    Index("job_due", "project", "kind", "due_key", unique=True),
    Index("job_state", "project", "state"),
)

api_key = Table(
    "api_key",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("project", Text),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Column("skills", Document, nullable=False, server_default=text("'[]'")),
)
