// Node's usual way of subscriptions: graphql-ws over ws, an async iterator for each of them, Redis pub/sub by ioredis.
// A message carries everything that is shown, and is parsed once for all who follow its channel.
import { createServer } from "node:http";
import { buildSchema } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import Redis from "ioredis";
import { WebSocketServer } from "ws";

const schema = buildSchema(`
  scalar DateTime
  interface LiveEvent { cursor: String! at: DateTime! }
  enum TaskStatus { QUEUED RUNNING WAITING_INPUT COMPLETED FAILED CANCELLED UNKNOWN }
  type Task { id: ID! revision: Int! status: TaskStatus! title: String }
  type TaskChanged implements LiveEvent { cursor: String! at: DateTime! task: Task }
  type LogLine { seq: Int! text: String }
  type LogLinesAppended implements LiveEvent { cursor: String! at: DateTime! taskId: ID! lines: [LogLine!]! }
  type Checkpoint implements LiveEvent { cursor: String! at: DateTime! }
  union TaskEvent = TaskChanged | Checkpoint
  union TaskLogEvent = LogLinesAppended | Checkpoint
  input TaskEventFilter { conversationId: [ID!] }
  type Query { ok: Boolean }
  type Subscription { taskChanged(filter: TaskEventFilter): TaskEvent! taskLog(taskId: ID!): TaskLogEvent! }
`);
const fields = schema.getSubscriptionType().getFields();
fields.taskChanged.subscribe = (_, { filter }) =>
  follow(filter ? `tasks:${filter.conversationId[0]}` : "tasks", "taskChanged");
fields.taskLog.subscribe = (_, { taskId }) => follow(`log:${taskId}`, "taskLog");

const redis = new Redis(process.env.REDIS_SOCKET);
const followers = new Map();
redis.on("message", (channel, message) => {
  const event = JSON.parse(message);
  for (const push of followers.get(channel) ?? []) push(event);
});

// Written out, not a generator: one that waits does not notice that its client has left, and it is slower.
function follow(channel, field) {
  const waiting = [{ __typename: "Checkpoint", cursor: "0", at: new Date().toISOString() }];
  let wake;
  let isOver = false;
  const push = (event) => {
    waiting.push(event);
    wake?.();
  };
  const others = followers.get(channel) ?? new Set();
  followers.set(channel, others.add(push));
  const isSubscribed = others.size > 1 ? undefined : redis.subscribe(channel);
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      if (isSubscribed) await isSubscribed;
      while (!waiting.length) {
        if (isOver) return { done: true, value: undefined };
        await new Promise((resolve) => (wake = resolve));
      }
      return { done: false, value: { [field]: waiting.shift() } };
    },
    async return() {
      isOver = true;
      wake?.();
      others.delete(push);
      if (!others.size) {
        followers.delete(channel);
        redis.unsubscribe(channel);
      }
      return { done: true, value: undefined };
    },
  };
}

const server = createServer();
const token = `Bearer ${process.env.TOKEN}`;
useServer(
  { schema, onConnect: ({ connectionParams }) => connectionParams?.Authorization === token },
  new WebSocketServer({ server, path: "/graphql" }),
);
server.listen(Number(process.env.PORT), "127.0.0.1", 2048);
