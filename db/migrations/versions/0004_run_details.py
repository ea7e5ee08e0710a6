"""What a run is about, its branch, and what its source counted."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE runs ADD COLUMN title TEXT;
ALTER TABLE runs ADD COLUMN git_branch TEXT;
ALTER TABLE runs ADD COLUMN metrics JSONB;
COMMENT ON COLUMN runs.metrics IS 'what the source counted beside cost and tokens: cache, parallel';
"""


def upgrade() -> None:
    for statement in COLUMNS.strip().split(";\n"):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    op.get_bind().exec_driver_sql("ALTER TABLE runs DROP COLUMN title, DROP COLUMN git_branch, DROP COLUMN metrics")
