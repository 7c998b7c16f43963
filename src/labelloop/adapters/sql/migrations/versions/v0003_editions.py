"""A project file may change: each that was in force is an edition. What is there is the first of its project."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take the step."""
    op.create_table(
        "edition",
        sa.Column("project", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name="edition_project_fkey"),
        sa.PrimaryKeyConstraint("project", "number", name="edition_pkey"),
    )
    op.execute("INSERT INTO edition (project, number, spec, created_at) SELECT id, 1, spec, created_at FROM project")
    op.add_column("project", sa.Column("edition", sa.Integer(), nullable=False, server_default=sa.text("1")))
    op.drop_column("project", "spec")
