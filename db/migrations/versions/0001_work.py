"""Users, hosts, projects, agents, conversations, runs, tasks and what belongs to them."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE users (
    id UUID NOT NULL,
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    email TEXT,
    created_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT uq_users_subject UNIQUE (subject)
);
COMMENT ON COLUMN users.subject IS '`sub` of a JWT, or the owner of an API key';

CREATE TABLE hosts (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    last_push_at TIMESTAMP(3) WITH TIME ZONE,
    created_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_hosts PRIMARY KEY (id),
    CONSTRAINT uq_hosts_name UNIQUE (name)
);

CREATE TABLE projects (
    id UUID NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    repository TEXT,
    created_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_projects PRIMARY KEY (id),
    CONSTRAINT uq_projects_key UNIQUE (key)
);
COMMENT ON COLUMN projects.key IS 'host and folder, or the repository''s address: unique';

CREATE TABLE agents (
    id UUID NOT NULL,
    revision BIGINT DEFAULT 1 NOT NULL,
    host_id UUID,
    name TEXT NOT NULL,
    type TEXT DEFAULT 'CUSTOM' NOT NULL CONSTRAINT ck_agents_type CHECK (type IN ('PLANNING', 'EXECUTOR',
        'CODE_IMPLEMENTATION', 'QUESTION_ASKING', 'CONSULTATION', 'CUSTOM')),
    status TEXT DEFAULT 'OFFLINE' NOT NULL CONSTRAINT ck_agents_status CHECK (status IN ('ONLINE', 'BUSY', 'IDLE',
        'OFFLINE', 'STOPPED')),
    last_seen_at TIMESTAMP(3) WITH TIME ZONE,
    is_controllable BOOLEAN DEFAULT false NOT NULL,
    created_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_agents PRIMARY KEY (id),
    CONSTRAINT uq_agents_host_id_name UNIQUE NULLS NOT DISTINCT (host_id, name),
    CONSTRAINT fk_agents_host_id FOREIGN KEY(host_id) REFERENCES hosts (id) ON DELETE CASCADE
);
CREATE INDEX ix_agents_name_id ON agents (name, id);

CREATE TABLE conversations (
    id UUID NOT NULL,
    revision BIGINT DEFAULT 1 NOT NULL,
    origin TEXT NOT NULL,
    external_id TEXT NOT NULL,
    content_access TEXT DEFAULT 'FULL' NOT NULL CONSTRAINT ck_conversations_content_access CHECK (content_access IN
        ('FULL', 'REDACTED', 'HIDDEN', 'EXPIRED', 'NOT_COLLECTED')),
    title TEXT,
    owner_id UUID,
    host_id UUID,
    project_id UUID,
    visibility TEXT DEFAULT 'EVERYONE' NOT NULL CONSTRAINT ck_conversations_visibility CHECK (visibility IN
        ('OWNER', 'PROJECT', 'EVERYONE')),
    flow_id TEXT,
    session_id TEXT,
    tags TEXT[] DEFAULT '{}' NOT NULL,
    message_seq BIGINT DEFAULT 0 NOT NULL,
    created_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_conversations PRIMARY KEY (id),
    CONSTRAINT uq_conversations_origin_external_id UNIQUE (origin, external_id),
    CONSTRAINT fk_conversations_owner_id FOREIGN KEY(owner_id) REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT fk_conversations_host_id FOREIGN KEY(host_id) REFERENCES hosts (id) ON DELETE SET NULL,
    CONSTRAINT fk_conversations_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE SET NULL
);
CREATE INDEX ix_conversations_created_at_id ON conversations (created_at, id);
CREATE INDEX ix_conversations_flow_id ON conversations (flow_id);
CREATE INDEX ix_conversations_project_id_created_at ON conversations (project_id, created_at);
CREATE INDEX ix_conversations_session_id ON conversations (session_id);
CREATE INDEX ix_conversations_tags ON conversations USING gin (tags);
CREATE INDEX ix_conversations_updated_at_id ON conversations (updated_at, id);
COMMENT ON COLUMN conversations.message_seq IS 'seq of the newest message';

CREATE TABLE runs (
    id UUID NOT NULL,
    revision BIGINT DEFAULT 1 NOT NULL,
    origin TEXT NOT NULL,
    external_id TEXT NOT NULL,
    status TEXT NOT NULL CONSTRAINT ck_runs_status CHECK (status IN ('RUNNING', 'STALLED', 'COMPLETED', 'FAILED')),
    source_status TEXT,
    owner_id UUID,
    project_id UUID,
    host_id UUID,
    current_story_key TEXT,
    elapsed_ms BIGINT,
    reported_cost_usd NUMERIC(18, 9),
    started_at TIMESTAMP(3) WITH TIME ZONE,
    ended_at TIMESTAMP(3) WITH TIME ZONE,
    created_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_runs PRIMARY KEY (id),
    CONSTRAINT uq_runs_origin_external_id UNIQUE (origin, external_id),
    CONSTRAINT fk_runs_owner_id FOREIGN KEY(owner_id) REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT fk_runs_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE SET NULL,
    CONSTRAINT fk_runs_host_id FOREIGN KEY(host_id) REFERENCES hosts (id) ON DELETE SET NULL
);
CREATE INDEX ix_runs_created_at_id ON runs (created_at, id);
CREATE INDEX ix_runs_project_id_created_at_id ON runs (project_id, created_at, id);
CREATE INDEX ix_runs_status_created_at_id ON runs (status, created_at, id);

CREATE TABLE stories (
    id UUID NOT NULL,
    run_id UUID NOT NULL,
    key TEXT NOT NULL,
    title TEXT,
    description TEXT,
    notes TEXT,
    priority INTEGER DEFAULT 0 NOT NULL,
    status TEXT DEFAULT 'PENDING' NOT NULL CONSTRAINT ck_stories_status CHECK (status IN ('PENDING', 'IN_PROGRESS',
        'COMPLETED', 'FAILED', 'BLOCKED')),
    source_status TEXT,
    complexity TEXT DEFAULT 'UNKNOWN' NOT NULL CONSTRAINT ck_stories_complexity CHECK (complexity IN ('SIMPLE',
        'MEDIUM', 'COMPLEX', 'UNKNOWN')),
    created_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_stories PRIMARY KEY (id),
    CONSTRAINT uq_stories_run_id_key UNIQUE (run_id, key),
    CONSTRAINT fk_stories_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
CREATE INDEX ix_stories_run_id_priority_id ON stories (run_id, priority, id);

CREATE TABLE story_dependencies (
    story_id UUID NOT NULL,
    depends_on_id UUID NOT NULL,
    CONSTRAINT pk_story_dependencies PRIMARY KEY (story_id, depends_on_id),
    CONSTRAINT fk_story_dependencies_story_id FOREIGN KEY(story_id) REFERENCES stories (id) ON DELETE CASCADE,
    CONSTRAINT fk_story_dependencies_depends_on_id FOREIGN KEY(depends_on_id) REFERENCES stories (id) ON DELETE
        CASCADE
);
CREATE INDEX ix_story_dependencies_depends_on_id ON story_dependencies (depends_on_id);

CREATE TABLE tasks (
    id UUID NOT NULL,
    revision BIGINT DEFAULT 1 NOT NULL,
    status TEXT NOT NULL CONSTRAINT ck_tasks_status CHECK (status IN ('QUEUED', 'RUNNING', 'WAITING_INPUT',
        'COMPLETED', 'FAILED', 'CANCELLED')),
    source_status TEXT,
    source TEXT NOT NULL CONSTRAINT ck_tasks_source CHECK (source IN ('CLAUDE_CODE', 'CLAUDE_LOOP', 'ENGINE',
        'OTLP', 'WEBHOOK', 'API', 'OTHER')),
    origin TEXT NOT NULL,
    external_id TEXT NOT NULL,
    content_access TEXT DEFAULT 'FULL' NOT NULL CONSTRAINT ck_tasks_content_access CHECK (content_access IN
        ('FULL', 'REDACTED', 'HIDDEN', 'EXPIRED', 'NOT_COLLECTED')),
    title TEXT,
    error_type TEXT,
    owner_id UUID,
    host_id UUID,
    project_id UUID,
    agent_id UUID,
    conversation_id UUID,
    run_id UUID,
    story_id UUID,
    parent_task_id UUID,
    retry_of_id UUID,
    session_id TEXT,
    flow_id TEXT,
    git_branch TEXT,
    model TEXT,
    created_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    started_at TIMESTAMP(3) WITH TIME ZONE,
    ended_at TIMESTAMP(3) WITH TIME ZONE,
    updated_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    stuck_since TIMESTAMP(3) WITH TIME ZONE,
    stuck_reason TEXT CONSTRAINT ck_tasks_stuck_reason CHECK (stuck_reason IN ('NO_OUTPUT', 'WAITING_INPUT',
        'RETRY_STORM', 'AGENT_OFFLINE')),
    input_tokens BIGINT DEFAULT 0 NOT NULL,
    cache_read_tokens BIGINT DEFAULT 0 NOT NULL,
    cache_write_5m_tokens BIGINT DEFAULT 0 NOT NULL,
    cache_write_1h_tokens BIGINT DEFAULT 0 NOT NULL,
    output_tokens BIGINT DEFAULT 0 NOT NULL,
    reasoning_tokens BIGINT DEFAULT 0 NOT NULL,
    call_count BIGINT DEFAULT 0 NOT NULL,
    cost_usd NUMERIC(18, 9) DEFAULT 0 NOT NULL,
    unpriced_call_count BIGINT DEFAULT 0 NOT NULL,
    input TEXT,
    result TEXT,
    error_message TEXT,
    CONSTRAINT pk_tasks PRIMARY KEY (id),
    CONSTRAINT uq_tasks_origin_external_id UNIQUE (origin, external_id),
    CONSTRAINT fk_tasks_owner_id FOREIGN KEY(owner_id) REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT fk_tasks_host_id FOREIGN KEY(host_id) REFERENCES hosts (id) ON DELETE SET NULL,
    CONSTRAINT fk_tasks_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE SET NULL,
    CONSTRAINT fk_tasks_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id) ON DELETE SET NULL,
    CONSTRAINT fk_tasks_conversation_id FOREIGN KEY(conversation_id) REFERENCES conversations (id) ON DELETE SET
        NULL,
    CONSTRAINT fk_tasks_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE SET NULL,
    CONSTRAINT fk_tasks_story_id FOREIGN KEY(story_id) REFERENCES stories (id) ON DELETE SET NULL,
    CONSTRAINT fk_tasks_parent_task_id FOREIGN KEY(parent_task_id) REFERENCES tasks (id) ON DELETE SET NULL,
    CONSTRAINT fk_tasks_retry_of_id FOREIGN KEY(retry_of_id) REFERENCES tasks (id) ON DELETE SET NULL
);
CREATE INDEX ix_tasks_agent_id_created_at_id ON tasks (agent_id, created_at, id);
CREATE INDEX ix_tasks_conversation_id_created_at_id ON tasks (conversation_id, created_at, id);
CREATE INDEX ix_tasks_cost_usd_id ON tasks (cost_usd, id);
CREATE INDEX ix_tasks_created_at_id ON tasks (created_at, id);
CREATE INDEX ix_tasks_flow_id_created_at_id ON tasks (flow_id, created_at, id);
CREATE INDEX ix_tasks_host_id_created_at_id ON tasks (host_id, created_at, id);
CREATE INDEX ix_tasks_owner_id_created_at_id ON tasks (owner_id, created_at, id);
CREATE INDEX ix_tasks_parent_task_id_created_at_id ON tasks (parent_task_id, created_at, id);
CREATE INDEX ix_tasks_project_id_created_at_id ON tasks (project_id, created_at, id);
CREATE INDEX ix_tasks_retry_of_id ON tasks (retry_of_id);
CREATE INDEX ix_tasks_run_id_created_at_id ON tasks (run_id, created_at, id);
CREATE INDEX ix_tasks_session_id ON tasks (session_id);
CREATE INDEX ix_tasks_status_created_at_id ON tasks (status, created_at, id);
CREATE INDEX ix_tasks_story_id ON tasks (story_id);
CREATE INDEX ix_tasks_updated_at_id ON tasks (updated_at, id);

CREATE TABLE agent_commands (
    id UUID NOT NULL,
    kind TEXT NOT NULL CONSTRAINT ck_agent_commands_kind CHECK (kind IN ('START_TASK', 'CANCEL_TASK', 'RETRY_TASK',
        'RESTART_AGENT', 'STOP_AGENT')),
    status TEXT DEFAULT 'REQUESTED' NOT NULL CONSTRAINT ck_agent_commands_status CHECK (status IN ('REQUESTED',
        'ACKNOWLEDGED', 'DONE', 'REFUSED', 'TIMED_OUT')),
    agent_id UUID,
    task_id UUID,
    requested_by_id UUID,
    reason TEXT,
    requested_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    acknowledged_at TIMESTAMP(3) WITH TIME ZONE,
    ended_at TIMESTAMP(3) WITH TIME ZONE,
    CONSTRAINT pk_agent_commands PRIMARY KEY (id),
    CONSTRAINT fk_agent_commands_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id) ON DELETE CASCADE,
    CONSTRAINT fk_agent_commands_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE,
    CONSTRAINT fk_agent_commands_requested_by_id FOREIGN KEY(requested_by_id) REFERENCES users (id) ON DELETE SET
        NULL
);
CREATE INDEX ix_agent_commands_agent_id_requested_at ON agent_commands (agent_id, requested_at);
CREATE INDEX ix_agent_commands_task_id_requested_at ON agent_commands (task_id, requested_at);

CREATE TABLE messages (
    id UUID NOT NULL,
    conversation_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    external_id TEXT,
    role TEXT NOT NULL CONSTRAINT ck_messages_role CHECK (role IN ('USER', 'ASSISTANT', 'SYSTEM', 'TOOL')),
    content_access TEXT DEFAULT 'FULL' NOT NULL CONSTRAINT ck_messages_content_access CHECK (content_access IN
        ('FULL', 'REDACTED', 'HIDDEN', 'EXPIRED', 'NOT_COLLECTED')),
    at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    task_id UUID,
    text TEXT,
    CONSTRAINT pk_messages PRIMARY KEY (id),
    CONSTRAINT uq_messages_conversation_id_seq UNIQUE (conversation_id, seq),
    CONSTRAINT uq_messages_conversation_id_external_id UNIQUE (conversation_id, external_id),
    CONSTRAINT fk_messages_conversation_id FOREIGN KEY(conversation_id) REFERENCES conversations (id) ON DELETE
        CASCADE,
    CONSTRAINT fk_messages_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE SET NULL
);
CREATE INDEX ix_messages_task_id ON messages (task_id);
COMMENT ON COLUMN messages.seq IS '1, 2, 3 … within the conversation, in order of arrival';
COMMENT ON COLUMN messages.external_id IS 'the source''s id of the message; unique within the conversation';

CREATE TABLE tool_calls (
    id UUID NOT NULL,
    task_id UUID NOT NULL,
    external_id TEXT NOT NULL,
    name TEXT NOT NULL,
    started_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    duration_ms BIGINT,
    succeeded BOOLEAN,
    input TEXT,
    output TEXT,
    CONSTRAINT pk_tool_calls PRIMARY KEY (id),
    CONSTRAINT uq_tool_calls_task_id_external_id UNIQUE (task_id, external_id),
    CONSTRAINT fk_tool_calls_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
);
CREATE INDEX ix_tool_calls_task_id_started_at_id ON tool_calls (task_id, started_at, id);
COMMENT ON COLUMN tool_calls.external_id IS 'the source''s id of the call; unique within the task';

CREATE TABLE log_lines (
    task_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    level TEXT NOT NULL CONSTRAINT ck_log_lines_level CHECK (level IN ('DEBUG', 'INFO', 'WARN', 'ERROR')),
    stream TEXT NOT NULL CONSTRAINT ck_log_lines_stream CHECK (stream IN ('STDOUT', 'STDERR', 'THINKING',
        'TOOL_CALL', 'TOOL_RESULT', 'SYSTEM')),
    text TEXT,
    truncated BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT pk_log_lines PRIMARY KEY (task_id, seq)
);
"""

DROPS = """
DROP TABLE log_lines;
DROP TABLE tool_calls;
DROP TABLE messages;
DROP TABLE agent_commands;
DROP TABLE tasks;
DROP TABLE story_dependencies;
DROP TABLE stories;
DROP TABLE runs;
DROP TABLE conversations;
DROP TABLE agents;
DROP TABLE projects;
DROP TABLE hosts;
DROP TABLE users;
"""


def upgrade() -> None:
    for statement in TABLES.strip().split(";\n"):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    for statement in DROPS.strip().split(";\n"):
        op.get_bind().exec_driver_sql(statement)
