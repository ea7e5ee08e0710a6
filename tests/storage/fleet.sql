-- 20,000 tasks of four months with what belongs to them: enough that PostgreSQL plans as it would for a million.
-- The first agent's, branch's and project's tasks are all old ones; one model and one source are rare, and old.
ALTER TABLE tasks DISABLE TRIGGER test_task_has_event;
CREATE FUNCTION pg_temp.id(kind int, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT ('0000000' || kind || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
CREATE FUNCTION pg_temp.at(n bigint) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT timestamptz '2026-05-01 00:00+00' - (20000 - n) * interval '9 minutes' $$;

INSERT INTO users (id, subject, name, created_at) SELECT pg_temp.id(1, n), 'u' || n, 'U' || n, now() FROM generate_series(1, 5) n;
INSERT INTO hosts (id, name, created_at) SELECT pg_temp.id(2, n), 'h' || n, now() FROM generate_series(1, 20) n;
INSERT INTO projects (id, key, name, created_at) SELECT pg_temp.id(3, n), 'p' || n, 'P' || n, now() FROM generate_series(1, 40) n;
INSERT INTO agents (id, host_id, name, type, created_at, updated_at)
SELECT pg_temp.id(4, n), pg_temp.id(2, 1 + n % 20), 'a' || n,
       CASE WHEN n = 1 THEN 'CONSULTATION' ELSE (array['PLANNING', 'EXECUTOR', 'CUSTOM'])[1 + n % 3] END, now(), now()
FROM generate_series(1, 100) n;
INSERT INTO conversations (id, origin, external_id, title, owner_id, host_id, project_id, tags, created_at, updated_at)
SELECT pg_temp.id(5, n), 't', 'c' || n, 'C ' || n, pg_temp.id(1, 1 + n % 5), pg_temp.id(2, 1 + n % 20),
       pg_temp.id(3, 1 + n % 40), array['t' || n % 50], pg_temp.at(n * 10), pg_temp.at(n * 10)
FROM generate_series(1, 2000) n;
INSERT INTO runs (id, origin, external_id, status, project_id, host_id, started_at, created_at, updated_at)
SELECT pg_temp.id(6, n), 't', 'r' || n, CASE WHEN n > 195 THEN 'RUNNING' ELSE 'COMPLETED' END, pg_temp.id(3, 1 + n % 40),
       pg_temp.id(2, 1 + n % 20), pg_temp.at(n * 100), pg_temp.at(n * 100), pg_temp.at(n * 100)
FROM generate_series(1, 200) n;
INSERT INTO stories (id, run_id, key, created_at, updated_at)
SELECT pg_temp.id(7, n), pg_temp.id(6, 1 + n / 5), 's' || n % 5, now(), now() FROM generate_series(0, 999) n;

INSERT INTO tasks (
    id, status, source, origin, external_id, title, owner_id, host_id, project_id, agent_id, conversation_id, run_id, story_id,
    parent_task_id, session_id, flow_id, git_branch, model, created_at, started_at, ended_at, updated_at, stuck_since,
    stuck_reason, call_count, cost_usd, input)
SELECT pg_temp.id(8, n),
       CASE WHEN n > 19990 THEN (array['QUEUED', 'RUNNING', 'WAITING_INPUT'])[1 + n % 3] WHEN n % 12 = 0 THEN 'FAILED'
            WHEN n % 50 = 0 THEN 'CANCELLED' ELSE 'COMPLETED' END,
       CASE WHEN n BETWEEN 100 AND 110 THEN 'WEBHOOK' WHEN n % 10 = 0 THEN 'API' ELSE 'CLAUDE_CODE' END, 't', 'x' || n,
       'Task ' || n || ' of module ' || n % 500, pg_temp.id(1, 1 + n % 5), pg_temp.id(2, 1 + n % 20),
       pg_temp.id(3, CASE WHEN n <= 2000 THEN 1 ELSE 2 + n % 39 END), pg_temp.id(4, CASE WHEN n <= 2000 THEN 1 ELSE 2 + n % 99 END),
       pg_temp.id(5, 1 + n / 10 % 2000), CASE WHEN n % 20 = 0 THEN pg_temp.id(6, 1 + n / 100 % 200) END, NULL,
       CASE WHEN n % 10 = 9 THEN pg_temp.id(8, n - 8) END, 's' || n / 10, CASE WHEN n % 50 = 0 THEN 'flow:' || n / 500 END,
       'branch' || n / 200, CASE WHEN n BETWEEN 200 AND 210 THEN 'rare' ELSE 'model' || n % 5 END, pg_temp.at(n), pg_temp.at(n),
       CASE WHEN n <= 19990 THEN pg_temp.at(n) + interval '5 minutes' END, pg_temp.at(n) + interval '5 minutes',
       CASE WHEN n > 19995 THEN now() END, CASE WHEN n > 19995 THEN 'NO_OUTPUT' END, 1, (n * 7919 % 10000) / 1000.0,
       'Please look at ' || md5(n::text) || repeat(' and think about it', 5)
FROM generate_series(1, 20000) n;
INSERT INTO task_texts (task_id, text) SELECT id, title || chr(10) || input FROM tasks;
INSERT INTO usage_records (id, at, model, provider, task_id, cost_usd, cost_source, source, message_id, request_id)
SELECT pg_temp.id(9, n), pg_temp.at(n), 'model' || n % 5, 'anthropic', pg_temp.id(8, n), 0.01, 'COMPUTED', 'API', 'm' || n, 'q' || n
FROM generate_series(1, 20000) n;
INSERT INTO log_lines (task_id, seq, at, level, stream, text)
SELECT pg_temp.id(8, n), s, now(), 'INFO', 'STDOUT', 'line ' || s || repeat(' and so on', 5)
FROM generate_series(18001, 20000) n, generate_series(1, 10) s;
INSERT INTO messages (id, conversation_id, seq, role, at, text)
SELECT gen_random_uuid(), pg_temp.id(5, n), s, 'USER', now(), 'message ' || s || repeat(' and so on', 5)
FROM generate_series(1, 2000) n, generate_series(1, 10) s;
INSERT INTO tool_calls (id, task_id, external_id, name, started_at, input)
SELECT gen_random_uuid(), pg_temp.id(8, n), 't' || s, 'Bash', now(), repeat('ls ', 20)
FROM generate_series(18001, 20000) n, generate_series(1, 10) s;
INSERT INTO topics (name, seq) VALUES ('tasks', 20000), ('logs', 20000);
INSERT INTO events (topic, seq, kind, facts, at)
SELECT 'tasks', n, 'TaskChanged', jsonb_build_object('id', pg_temp.id(8, n), 'revision', 1, 'status', 'RUNNING'), now()
FROM generate_series(1, 20000) n;
ALTER TABLE tasks ENABLE TRIGGER test_task_has_event;
