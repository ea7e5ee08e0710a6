"""The searched text of tasks moves to a table of its own: an update of a task need not index its prompt again."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UP = """
DROP INDEX ix_tasks_search;
CREATE TABLE task_texts (
    task_id UUID NOT NULL,
    text TEXT NOT NULL,
    CONSTRAINT pk_task_texts PRIMARY KEY (task_id),
    CONSTRAINT fk_task_texts_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
);
INSERT INTO task_texts (task_id, text)
SELECT id, concat_ws(chr(10), title, left(input, 10000)) FROM tasks WHERE title IS NOT NULL OR input IS NOT NULL;
CREATE INDEX ix_task_texts_text ON task_texts USING gin (text gin_trgm_ops);
"""
DOWN = """
DROP TABLE task_texts;
CREATE INDEX ix_tasks_search ON tasks USING gin (title gin_trgm_ops, input gin_trgm_ops);
"""


def upgrade() -> None:
    for statement in UP.strip().split(";\n"):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    for statement in DOWN.strip().split(";\n"):
        op.get_bind().exec_driver_sql(statement)
