"""Indexes for the filters of tasks that had none."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = ("git_branch", "model", "source")


def upgrade() -> None:
    for column in COLUMNS:
        op.create_index(f"ix_tasks_{column}_created_at_id", "tasks", [column, "created_at", "id"])


def downgrade() -> None:
    for column in reversed(COLUMNS):
        op.drop_index(f"ix_tasks_{column}_created_at_id")
