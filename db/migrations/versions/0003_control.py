"""Indexes of open commands, stuck tasks and the search of titles and prompts, which needs the extension pg_trgm."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INDEXES = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX ix_agent_commands_open ON agent_commands (requested_at) WHERE status IN ('REQUESTED', 'ACKNOWLEDGED');
CREATE INDEX ix_tasks_stuck ON tasks (created_at, id) WHERE stuck_since IS NOT NULL;
CREATE INDEX ix_tasks_search ON tasks USING gin (title gin_trgm_ops, input gin_trgm_ops);
"""
# The extension stays: who made it, and who else uses it, is not known here.
DROP_INDEXES = """
DROP INDEX ix_tasks_search;
DROP INDEX ix_tasks_stuck;
DROP INDEX ix_agent_commands_open;
"""


def upgrade() -> None:
    for statement in INDEXES.strip().split(";\n"):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    for statement in DROP_INDEXES.strip().split(";\n"):
        op.get_bind().exec_driver_sql(statement)
