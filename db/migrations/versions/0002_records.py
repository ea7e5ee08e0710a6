"""Model calls and their evidence, the event log, importers' positions, answered mutations, leases."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE usage_records (
    id UUID NOT NULL,
    at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    task_id UUID,
    owner_id UUID,
    host_id UUID,
    project_id UUID,
    input_tokens BIGINT DEFAULT 0 NOT NULL,
    cache_read_tokens BIGINT DEFAULT 0 NOT NULL,
    cache_write_5m_tokens BIGINT DEFAULT 0 NOT NULL,
    cache_write_1h_tokens BIGINT DEFAULT 0 NOT NULL,
    output_tokens BIGINT DEFAULT 0 NOT NULL,
    reasoning_tokens BIGINT DEFAULT 0 NOT NULL,
    cost_usd NUMERIC(18, 9),
    reported_cost_usd NUMERIC(18, 9),
    computed_cost_usd NUMERIC(18, 9),
    cost_source TEXT NOT NULL CONSTRAINT ck_usage_records_cost_source CHECK (cost_source IN ('REPORTED',
        'COMPUTED', 'UNPRICED')),
    price_version TEXT,
    source TEXT NOT NULL,
    session_id TEXT,
    message_id TEXT,
    request_id TEXT,
    is_sidechain BOOLEAN DEFAULT false NOT NULL,
    raw JSONB,
    CONSTRAINT pk_usage_records PRIMARY KEY (id),
    CONSTRAINT uq_usage_records_message_id UNIQUE (message_id),
    CONSTRAINT uq_usage_records_request_id UNIQUE (request_id),
    CONSTRAINT fk_usage_records_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE SET NULL,
    CONSTRAINT fk_usage_records_owner_id FOREIGN KEY(owner_id) REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT fk_usage_records_host_id FOREIGN KEY(host_id) REFERENCES hosts (id) ON DELETE SET NULL,
    CONSTRAINT fk_usage_records_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE SET NULL
);
CREATE INDEX ix_usage_records_at_id ON usage_records (at, id);
CREATE INDEX ix_usage_records_project_id_at ON usage_records (project_id, at);
CREATE INDEX ix_usage_records_task_id_at_id ON usage_records (task_id, at, id);
COMMENT ON COLUMN usage_records.source IS 'kind of origin that told of the call: CLAUDE_CODE, API, …';
COMMENT ON COLUMN usage_records.raw IS 'speed, query_source and what else the source said of the call';

CREATE TABLE usage_identities (
    key TEXT NOT NULL,
    usage_record_id UUID NOT NULL,
    CONSTRAINT pk_usage_identities PRIMARY KEY (key),
    CONSTRAINT fk_usage_identities_usage_record_id FOREIGN KEY(usage_record_id) REFERENCES usage_records (id) ON
        DELETE CASCADE
);
CREATE INDEX ix_usage_identities_usage_record_id ON usage_identities (usage_record_id);

CREATE TABLE usage_evidence (
    id UUID NOT NULL,
    usage_record_id UUID NOT NULL,
    fingerprint TEXT NOT NULL,
    source TEXT NOT NULL,
    location TEXT,
    at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    model TEXT NOT NULL,
    message_id TEXT,
    request_id TEXT,
    session_id TEXT,
    is_sidechain BOOLEAN DEFAULT false NOT NULL,
    input_tokens BIGINT DEFAULT 0 NOT NULL,
    cache_read_tokens BIGINT DEFAULT 0 NOT NULL,
    cache_write_5m_tokens BIGINT DEFAULT 0 NOT NULL,
    cache_write_1h_tokens BIGINT DEFAULT 0 NOT NULL,
    output_tokens BIGINT DEFAULT 0 NOT NULL,
    reasoning_tokens BIGINT DEFAULT 0 NOT NULL,
    reported_cost_usd NUMERIC(18, 9),
    task_id UUID,
    raw JSONB,
    CONSTRAINT pk_usage_evidence PRIMARY KEY (id),
    CONSTRAINT uq_usage_evidence_fingerprint UNIQUE (fingerprint),
    CONSTRAINT fk_usage_evidence_usage_record_id FOREIGN KEY(usage_record_id) REFERENCES usage_records (id) ON
        DELETE CASCADE,
    CONSTRAINT fk_usage_evidence_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE SET NULL
);
CREATE INDEX ix_usage_evidence_session_id_model_at ON usage_evidence (session_id, model, at);
CREATE INDEX ix_usage_evidence_task_id ON usage_evidence (task_id);
CREATE INDEX ix_usage_evidence_usage_record_id ON usage_evidence (usage_record_id);
COMMENT ON COLUMN usage_evidence.fingerprint IS 'sha256 of what identifies the source''s row; unique';
COMMENT ON COLUMN usage_evidence.location IS 'file:line, or the mutation that told it';

CREATE TABLE topics (
    name TEXT NOT NULL,
    seq BIGINT NOT NULL,
    min_seq BIGINT DEFAULT 0 NOT NULL,
    CONSTRAINT pk_topics PRIMARY KEY (name)
);
COMMENT ON COLUMN topics.min_seq IS 'all up to here is pruned';

CREATE TABLE events (
    topic TEXT NOT NULL,
    seq BIGINT NOT NULL,
    kind TEXT NOT NULL,
    facts JSONB NOT NULL,
    at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_events PRIMARY KEY (topic, seq)
);

CREATE TABLE epoch (
    singleton SMALLSERIAL NOT NULL CONSTRAINT ck_epoch_singleton CHECK (singleton = 1),
    id UUID NOT NULL,
    fingerprint TEXT NOT NULL,
    created_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_epoch PRIMARY KEY (singleton)
);
COMMENT ON COLUMN epoch.fingerprint IS 'cluster, timeline and database that the epoch was made in';

CREATE TABLE leases (
    name TEXT NOT NULL,
    holder TEXT NOT NULL,
    expires_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_leases PRIMARY KEY (name)
);

CREATE TABLE import_offsets (
    id UUID NOT NULL,
    importer TEXT NOT NULL,
    host TEXT NOT NULL,
    path TEXT NOT NULL,
    byte_offset BIGINT DEFAULT 0 NOT NULL,
    line_count BIGINT DEFAULT 0 NOT NULL,
    head_sha256 TEXT,
    state JSONB DEFAULT '{}' NOT NULL,
    updated_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_import_offsets PRIMARY KEY (id),
    CONSTRAINT uq_import_offsets_importer_host_path UNIQUE (importer, host, path)
);
COMMENT ON COLUMN import_offsets.importer IS 'claude-code, claude-loop, …';
COMMENT ON COLUMN import_offsets.head_sha256 IS 'of the file''s first bytes and the last before byte_offset';
COMMENT ON COLUMN import_offsets.state IS 'what the reader carries on with';

CREATE TABLE imported_rows (
    host TEXT NOT NULL,
    key UUID NOT NULL,
    CONSTRAINT pk_imported_rows PRIMARY KEY (host, key)
);

CREATE TABLE idempotency_keys (
    credential TEXT NOT NULL,
    mutation TEXT NOT NULL,
    key TEXT NOT NULL,
    request_sha256 TEXT NOT NULL,
    result JSONB NOT NULL,
    created_at TIMESTAMP(3) WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (credential, mutation, key)
);
CREATE INDEX ix_idempotency_keys_created_at ON idempotency_keys (created_at);
COMMENT ON COLUMN idempotency_keys.credential IS 'who asked: `local`, or the API key''s id';
COMMENT ON COLUMN idempotency_keys.result IS 'ids of what was written';
"""

DROPS = """
DROP TABLE idempotency_keys;
DROP TABLE imported_rows;
DROP TABLE import_offsets;
DROP TABLE leases;
DROP TABLE epoch;
DROP TABLE events;
DROP TABLE topics;
DROP TABLE usage_evidence;
DROP TABLE usage_identities;
DROP TABLE usage_records;
"""


def upgrade() -> None:
    for statement in TABLES.strip().split(";\n"):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    for statement in DROPS.strip().split(";\n"):
        op.get_bind().exec_driver_sql(statement)
