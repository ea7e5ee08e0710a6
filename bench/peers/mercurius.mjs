// Fastify with Mercurius and its JIT: a hand-written schema over pg, its loaders batch. Environment: PORT, PGHOST, …
import Fastify from "fastify";
import mercurius from "mercurius";
import pg from "pg";

pg.types.setTypeParser(pg.types.builtins.INT8, Number); // counts: far below 2^53
pg.types.setTypeParser(pg.types.builtins.NUMERIC, Number);
const pool = new pg.Pool({ max: 10 }); // host, user and database from the environment

const schema = `
  scalar DateTime
  type Agent { id: ID! name: String! status: String! }
  type Conversation { id: ID! title: String }
  type LogLine { seq: Int! at: DateTime! stream: String! text: String }
  type Task {
    id: ID! revision: Int! status: String! title: String source: String! model: String createdAt: DateTime!
    startedAt: DateTime endedAt: DateTime costUsd: Float! inputTokens: Float! outputTokens: Float!
    agent: Agent conversation: Conversation logs(first: Int = 10): [LogLine!]!
  }
  type Query { task(id: ID!): Task tasks(status: String, first: Int = 50): [Task!]! }
`;

const TASK = `SELECT id, revision, status, title, source, model, created_at AS "createdAt", started_at AS "startedAt",
  ended_at AS "endedAt", cost_usd AS "costUsd", input_tokens AS "inputTokens", output_tokens AS "outputTokens",
  agent_id AS "agentId", conversation_id AS "conversationId" FROM tasks`;
const NEWEST = "ORDER BY created_at DESC, id DESC LIMIT";

/** Rows of a statement that each connection prepares once. */
const rows = async (name, text, values) => (await pool.query({ name, text, values })).rows;

/** A loader of one row per parent, by the id in its `key`. */
const one = (name, text, key) => async (queries) => {
  const ids = [...new Set(queries.map(({ obj }) => obj[key]).filter((id) => id !== null))];
  const found = new Map((await rows(name, text, [ids])).map((row) => [row.id, row]));
  return queries.map(({ obj }) => found.get(obj[key]) ?? null);
};

const resolvers = {
  Query: {
    task: async (_, { id }) => (await rows("task", `${TASK} WHERE id = $1`, [id]))[0] ?? null,
    tasks: (_, { status, first }) =>
      status == null
        ? rows("tasks", `${TASK} ${NEWEST} $1`, [first])
        : rows("tasks_of_status", `${TASK} WHERE status = $2 ${NEWEST} $1`, [first, status]),
  },
};

const LOGS = `SELECT l.* FROM unnest($1::uuid[]) k(id) CROSS JOIN LATERAL (
  SELECT task_id, seq, at, stream, text FROM log_lines WHERE task_id = k.id ORDER BY seq LIMIT $2) l`;

const loaders = {
  Task: {
    agent: one("agents", "SELECT id, name, status FROM agents WHERE id = any($1)", "agentId"),
    conversation: one("conversations", "SELECT id, title FROM conversations WHERE id = any($1)", "conversationId"),
    logs: async (queries) => {
      const lines = Map.groupBy(
        await rows("logs", LOGS, [queries.map(({ obj }) => obj.id), queries[0].params.first]),
        (line) => line.task_id,
      );
      return queries.map(({ obj }) => lines.get(obj.id) ?? []);
    },
  },
};

const app = Fastify();
app.register(mercurius, { schema, resolvers, loaders, jit: 1, graphiql: false });
await app.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });
