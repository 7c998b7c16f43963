"""Items may require skills, keys may carry them. What is there already requires and carries nothing.

Columns with a constant default are added without rewriting a row on both databases, however many items there are.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take the step."""
    op.create_table(
        "requirement",
        sa.Column("project", sa.Integer(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("skills", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name="requirement_project_fkey"),
        sa.PrimaryKeyConstraint("project", "number", name="requirement_pkey"),
    )
    op.create_index("requirement_skills", "requirement", ["project", "skills"], unique=True)
    none, no_skills = sa.text("0"), sa.text("'[]'")
    op.add_column("project", sa.Column("requirements", sa.Integer(), nullable=False, server_default=none))
    op.add_column("item", sa.Column("requires", sa.SmallInteger(), nullable=False, server_default=none))
    op.add_column("api_key", sa.Column("skills", sa.Text(), nullable=False, server_default=no_skills))
    where = sa.text("requires <> 0 AND state IN ('pooled', 'disputed')")
    op.create_index(
        "item_required",
        "item",
        ["project", "requires", "state", "number"],
        sqlite_where=where,
        postgresql_where=where,
    )
