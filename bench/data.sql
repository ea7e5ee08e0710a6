-- An invented fleet of a given size: the same rows each time, whoever makes it. bench/stores.py sets bench.tasks and the
-- like, and runs this on migrated, empty tables without their indexes.
CREATE FUNCTION pg_temp.setting(name text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT current_setting('bench.' || name)::bigint $$;

-- A UUIDv7 of that time; what is random in others comes from the kind and number.
CREATE FUNCTION pg_temp.id_of(kind text, n bigint, at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(kind || n), 1, 3)
            || '9' || substr(md5(kind || n), 4, 15))::uuid $$;

-- 0 … 1, the same for the same words.
CREATE FUNCTION pg_temp.chance(kind text, n bigint) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT ('x' || substr(md5(kind || n), 1, 8))::bit(32)::bigint / 4294967295.0 $$;

CREATE FUNCTION pg_temp.task_at(n bigint) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT timestamptz '2026-11-01 12:00+00' - (pg_temp.setting('tasks') - n) * interval '12.96 seconds' $$;

CREATE FUNCTION pg_temp.conversation_at(n bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT timestamptz '2026-05-01 00:00+00' + n * interval '20 minutes' $$;

INSERT INTO agents (id, revision, name, type, status, last_seen_at, created_at, updated_at)
SELECT pg_temp.id_of('agent', n, at), 1, 'agent-' || n, (array['PLANNING', 'EXECUTOR', 'CODE_IMPLEMENTATION'])[1 + n % 3],
       (array['IDLE', 'BUSY', 'OFFLINE'])[1 + n % 3], at, at, at
FROM (SELECT n, timestamptz '2026-01-01 00:00+00' + n * interval '1 day' AS at
      FROM generate_series(1, pg_temp.setting('agents')) n) x;

CREATE TEMP TABLE agent_of AS SELECT row_number() OVER (ORDER BY created_at) AS place, id FROM agents;

INSERT INTO conversations (id, origin, external_id, title, session_id, message_seq, created_at, updated_at)
SELECT pg_temp.id_of('conversation', n, at), 'api:bench', 'c' || n, 'Conversation about topic ' || n * 7919 % 1000,
       'session-' || n, 20, at, at + interval '1 hour'
FROM (SELECT n, pg_temp.conversation_at(n) AS at FROM generate_series(1, pg_temp.setting('conversations')) n) x;

INSERT INTO messages (id, conversation_id, seq, external_id, role, at, text)
SELECT pg_temp.id_of('message', n, at), pg_temp.id_of('conversation', c, pg_temp.conversation_at(c)),
       1 + (n - 1) / pg_temp.setting('conversations'), 'm' || n, (array['USER', 'ASSISTANT'])[1 + n % 2], at,
       'Message ' || n || ' ' || repeat('lorem ipsum dolor ', 5)
FROM (SELECT n, c, pg_temp.conversation_at(c) + n % 20 * interval '30 seconds' AS at
      FROM (SELECT n, 1 + (n - 1) % pg_temp.setting('conversations') AS c
            FROM generate_series(1, pg_temp.setting('messages')) n) y) x;

-- Finished but for the newest hundred. Those that run have run for too long: the sweeper finds them as it would leave them.
INSERT INTO tasks (
    id, revision, status, source_status, source, origin, external_id, title, error_type, error_message, agent_id,
    conversation_id, session_id, git_branch, model, created_at, started_at, ended_at, updated_at, stuck_since,
    stuck_reason, input_tokens, cache_read_tokens, output_tokens, call_count, cost_usd, input, result)
SELECT pg_temp.id_of('task', n, at), 1 + n % 5, status, lower(status), (array['CLAUDE_CODE', 'ENGINE', 'API'])[1 + n % 3],
       'api:bench', 't' || n, 'Task ' || n || ': fix the thing in module ' || n * 31 % 500,
       CASE WHEN status = 'FAILED' THEN 'Exit' END, CASE WHEN status = 'FAILED' THEN 'exit code ' || n % 7 END, agent_of.id,
       CASE WHEN n % 4 > 0 THEN pg_temp.id_of('conversation', c, pg_temp.conversation_at(c)) END, 'session-' || c, 'main',
       (array['claude-opus-4-5', 'claude-sonnet-4-5', 'claude-haiku-4-5'])[1 + n / 7 % 3],
       at, begun, ended, coalesce(ended, begun, at),
       CASE WHEN status = 'RUNNING' THEN greatest(begun, at + interval '30 seconds') + interval '10 minutes' END,
       CASE WHEN status = 'RUNNING' THEN 'NO_OUTPUT' END,
       round(pg_temp.chance('in', n) * 20000), round(pg_temp.chance('read', n) * 200000),
       round(pg_temp.chance('out', n) * 4000), 3, round((pg_temp.chance('cost', n) ^ 2 * 2)::numeric, 6),
       'Please fix the thing in module ' || n * 31 % 500, CASE WHEN status = 'COMPLETED' THEN 'Done: ' || n END
FROM (SELECT n, at, c, status,
             date_trunc('milliseconds', CASE WHEN status <> 'QUEUED' THEN at + pg_temp.chance('start', n) * interval '30 seconds' END) AS begun,
             date_trunc('milliseconds', CASE WHEN status NOT IN ('QUEUED', 'RUNNING')
                 THEN at + interval '30 seconds' + pg_temp.chance('end', n) * interval '20 minutes' END) AS ended
      FROM (SELECT n, pg_temp.task_at(n) AS at, 1 + n * 13 % pg_temp.setting('conversations') AS c,
                   CASE WHEN n > pg_temp.setting('tasks') - 100 THEN (array['QUEUED', 'RUNNING'])[1 + n % 2]
                        WHEN n % 11 = 0 THEN 'FAILED' WHEN n % 29 = 0 THEN 'CANCELLED' ELSE 'COMPLETED' END AS status
            FROM generate_series(1, pg_temp.setting('tasks')) n) y) x
     JOIN agent_of ON agent_of.place = 1 + x.n * 7 % pg_temp.setting('agents');

INSERT INTO task_texts (task_id, text) SELECT id, title || E'\n' || input FROM tasks;

INSERT INTO log_lines (task_id, seq, at, level, stream, text)
SELECT pg_temp.id_of('task', n, pg_temp.task_at(n)), seq, pg_temp.task_at(n) + seq * interval '3 seconds',
       CASE WHEN (n + seq) % 9 = 0 THEN 'WARN' ELSE 'INFO' END, CASE WHEN (n + seq) % 9 = 0 THEN 'STDERR' ELSE 'STDOUT' END,
       'line ' || seq || ' of task ' || n || ': step finished with "code" ' || seq % 13 || ' and some padding ' || md5(n || ' ' || seq)
FROM generate_series(1, pg_temp.setting('tasks')) n
     -- Half of the newest have more than a page of 10, so that it has to be cut.
     CROSS JOIN LATERAL generate_series(1, pg_temp.setting('lines_per_task')
         + CASE WHEN pg_temp.setting('lines_per_task') > 0 AND n > pg_temp.setting('tasks') - 1000 AND n % 2 = 0 THEN 50 ELSE 0 END) seq;

INSERT INTO topics (name, seq) SELECT 'log:' || task_id, max(seq) FROM log_lines GROUP BY task_id;
INSERT INTO topics (name, seq) SELECT 'tasks', count(*) FROM tasks;

INSERT INTO usage_records (
    id, at, model, provider, task_id, input_tokens, cache_read_tokens, output_tokens, cost_usd, computed_cost_usd,
    cost_source, source, message_id, request_id)
SELECT pg_temp.id_of('usage', n, at), at, 'claude-sonnet-4-5', 'anthropic', pg_temp.id_of('task', t, at), 1000 + n % 500,
       20000 + n % 3000, 100 + n % 400, cost, cost, 'COMPUTED', 'API', 'msg-' || n, 'req-' || n
FROM (SELECT n, t, pg_temp.task_at(t) AS at, round((0.001 + n % 97 * 0.0007)::numeric, 6) AS cost
      FROM (SELECT n, 1 + (n - 1) % pg_temp.setting('tasks') AS t
            FROM generate_series(1, pg_temp.setting('usage_records')) n) y) x;
