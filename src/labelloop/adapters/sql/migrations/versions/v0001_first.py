"""The first tables. Steps go forward only: going back is restoring a backup."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name="api_key_pkey"),
    )
    op.create_table(
        "project",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("pool_version", sa.Integer(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("pooled", sa.Integer(), nullable=False),
        sa.Column("resolved", sa.Integer(), nullable=False),
        sa.Column("disputed", sa.Integer(), nullable=False),
        sa.Column("retired", sa.Integer(), nullable=False),
        sa.Column("spent", sa.Integer(), nullable=False),
        sa.Column("audit_threshold", sa.BigInteger(), nullable=True),
        sa.Column("champion", sa.Integer(), nullable=True),
        sa.Column("round", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="project_pkey"),
        sa.UniqueConstraint("name", name="project_name_key"),
    )
    op.create_table(
        "consensus",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("project", sa.Integer(), nullable=False),
        sa.Column("item", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("needed", sa.SmallInteger(), nullable=False),
        sa.Column("votes", sa.SmallInteger(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name="consensus_project_fkey"),
        sa.PrimaryKeyConstraint("id", name="consensus_pkey"),
        sqlite_autoincrement=True,
    )
    op.create_index("consensus_item", "consensus", ["project", "item"], unique=False)
    op.create_table(
        "override",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("project", sa.Integer(), nullable=False),
        sa.Column("item", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name="override_project_fkey"),
        sa.PrimaryKeyConstraint("id", name="override_pkey"),
        sqlite_autoincrement=True,
    )
    op.create_index("override_item", "override", ["project", "item"], unique=False)
    op.create_table(
        "item",
        sa.Column("project", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("gold", sa.Text(), nullable=True),
        sa.Column("duplicate_of", sa.Integer(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("needed", sa.SmallInteger(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("votes", sa.SmallInteger(), nullable=False),
        sa.Column("pending", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name="item_project_fkey"),
        sa.PrimaryKeyConstraint("project", "number", name="item_pkey"),
    )
    op.create_index("item_digest", "item", ["project", "digest"], unique=False)
    op.create_index(
        "item_disputed",
        "item",
        ["project", "number"],
        unique=False,
        sqlite_where=sa.text("state = 'disputed'"),
        postgresql_where=sa.text("state = 'disputed'"),
    )
    op.create_index(
        "item_preferred",
        "item",
        ["project", "number", "priority"],
        unique=False,
        sqlite_where=sa.text("state = 'pooled' AND priority <> 0"),
        postgresql_where=sa.text("state = 'pooled' AND priority <> 0"),
    )
    op.create_index("item_key", "item", ["project", "key"], unique=True)
    op.create_index(
        "item_pending",
        "item",
        ["project", "number"],
        unique=False,
        sqlite_where=sa.text("pending = 1"),
        postgresql_where=sa.text("pending = 1"),
    )
    op.create_index(
        "item_resolved",
        "item",
        ["project", "number", "label", "source"],
        unique=False,
        sqlite_where=sa.text("state = 'resolved'"),
        postgresql_where=sa.text("state = 'resolved'"),
    )
    op.create_index(
        "item_started",
        "item",
        ["project", "number"],
        unique=False,
        sqlite_where=sa.text("state = 'pooled' AND votes > 0"),
        postgresql_where=sa.text("state = 'pooled' AND votes > 0"),
    )
    op.create_index(
        "item_waiting",
        "item",
        ["project", "number"],
        unique=False,
        sqlite_where=sa.text("state = 'pooled' AND votes = 0"),
        postgresql_where=sa.text("state = 'pooled' AND votes = 0"),
    )
    op.create_table(
        "job",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("due_key", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("heard_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name="job_project_fkey"),
        sa.PrimaryKeyConstraint("id", name="job_pkey"),
    )
    op.create_index("job_due", "job", ["project", "kind", "due_key"], unique=True)
    op.create_index("job_number", "job", ["project", "kind", "number"], unique=True)
    op.create_index("job_state", "job", ["project", "state"], unique=False)
    op.create_table(
        "model",
        sa.Column("project", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("training_set", sa.Text(), nullable=False),
        sa.Column("artifact", sa.Text(), nullable=False),
        sa.Column("labels", sa.Integer(), nullable=False),
        sa.Column("spent", sa.Integer(), nullable=False),
        sa.Column("metrics", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("provenance", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name="model_project_fkey"),
        sa.PrimaryKeyConstraint("project", "number", name="model_pkey"),
    )
    op.create_index("model_job", "model", ["project", "job"], unique=True)
    op.create_table(
        "reply",
        sa.Column("project", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name="reply_project_fkey"),
        sa.PrimaryKeyConstraint("project", "subject", "key", name="reply_pkey"),
    )
    op.create_index("reply_created_at", "reply", ["project", "created_at"], unique=False)
    op.create_table(
        "round",
        sa.Column("project", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Integer(), nullable=True),
        sa.Column("pool_version", sa.Integer(), nullable=False),
        sa.Column("queries", sa.Integer(), nullable=False),
        sa.Column("stats", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name="round_project_fkey"),
        sa.PrimaryKeyConstraint("project", "number", name="round_pkey"),
    )
    op.create_table(
        "training_set",
        sa.Column("project", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("items", sa.LargeBinary(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name="training_set_project_fkey"),
        sa.PrimaryKeyConstraint("project", "digest", name="training_set_pkey"),
    )
    op.create_table(
        "assignment",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("project", sa.Integer(), nullable=False),
        sa.Column("item", sa.Integer(), nullable=False),
        sa.Column("annotator", sa.Text(), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=True),
        sa.Column("model", sa.Integer(), nullable=True),
        sa.Column("strategy", sa.Text(), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("probability", sa.Double(), nullable=True),
        sa.Column("planned_rank", sa.Integer(), nullable=True),
        sa.Column("served_rank", sa.Integer(), nullable=True),
        sa.Column("leased_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["project", "item"], ["item.project", "item.number"], name="assignment_item_fkey"),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name="assignment_project_fkey"),
        sa.PrimaryKeyConstraint("id", name="assignment_pkey"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "assignment_expiry",
        "assignment",
        ["project", "expires_at"],
        unique=False,
        sqlite_where=sa.text("state = 'leased'"),
        postgresql_where=sa.text("state = 'leased'"),
    )
    op.create_index("assignment_item", "assignment", ["project", "item"], unique=False)
    op.create_index(
        "assignment_live",
        "assignment",
        ["project", "annotator", "expires_at", "lane", "item"],
        unique=False,
        sqlite_where=sa.text("state = 'leased'"),
        postgresql_where=sa.text("state = 'leased'"),
    )
    op.create_index(
        "assignment_one_holder",
        "assignment",
        ["project", "item", "slot"],
        unique=True,
        sqlite_where=sa.text("state IN ('leased', 'done')"),
        postgresql_where=sa.text("state IN ('leased', 'done')"),
    )
    op.create_index(
        "assignment_one_turn",
        "assignment",
        ["project", "item", "annotator"],
        unique=True,
        sqlite_where=sa.text("state IN ('leased', 'done', 'skipped')"),
        postgresql_where=sa.text("state IN ('leased', 'done', 'skipped')"),
    )
    op.create_index(
        "assignment_served",
        "assignment",
        ["project", "round", "lane", "served_rank"],
        unique=False,
        sqlite_where=sa.text("served_rank IS NOT NULL"),
        postgresql_where=sa.text("served_rank IS NOT NULL"),
    )
    op.create_index(
        "assignment_skipped",
        "assignment",
        ["project", "item"],
        unique=False,
        sqlite_where=sa.text("state = 'skipped'"),
        postgresql_where=sa.text("state = 'skipped'"),
    )
    op.create_table(
        "query",
        sa.Column("project", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("item", sa.Integer(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("needed", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project", "item"], ["item.project", "item.number"], name="query_item_fkey"),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name="query_project_fkey"),
        sa.PrimaryKeyConstraint("project", "round", "item", name="query_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "annotation",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("project", sa.Integer(), nullable=False),
        sa.Column("item", sa.Integer(), nullable=False),
        sa.Column("annotator", sa.Text(), nullable=False),
        sa.Column("assignment", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("counted", sa.SmallInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["assignment"], ["assignment.id"], name="annotation_assignment_fkey"),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name="annotation_project_fkey"),
        sa.PrimaryKeyConstraint("id", name="annotation_pkey"),
        sa.UniqueConstraint("assignment", name="annotation_assignment_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("annotation_annotator", "annotation", ["project", "annotator"], unique=False)
    op.create_index("annotation_turn", "annotation", ["project", "item", "annotator"], unique=True)
    op.create_index(
        "annotation_uncounted",
        "annotation",
        ["project", "item"],
        unique=False,
        sqlite_where=sa.text("counted = 0"),
        postgresql_where=sa.text("counted = 0"),
    )
