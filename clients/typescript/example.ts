// Lists the newest tasks with what they cost, then follows every change. Usage, after `make clients`:
// FLEETGRAPH_TOKEN=$(fleetgraph token) npm run example
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { print } from "graphql";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { TaskBoardDocument, TaskChangesDocument, type TaskChangesSubscription } from "./generated/graphql.js";

const url = process.env["FLEETGRAPH_URL"] ?? "http://127.0.0.1:5000/graphql";
const headers = { Authorization: `Bearer ${process.env["FLEETGRAPH_TOKEN"] ?? ""}` };

async function query<Data, Variables>(document: TypedDocumentNode<Data, Variables>, variables: Variables): Promise<Data> {
  const body = JSON.stringify({ query: print(document), variables });
  const response = await fetch(url, { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body });
  const { data, errors } = (await response.json()) as { data: Data; errors?: { message: string }[] };
  if (errors) throw new Error(errors.map(({ message }) => message).join("; "));
  return data;
}

const { tasks } = await query(TaskBoardDocument, { first: 10 });
for (const task of tasks.nodes) console.log(task.status, `$${task.usage.costUsd.toFixed(4)}`, task.title, task.createdAt);

const live = createClient({ url: url.replace(/^http/, "ws"), connectionParams: headers, webSocketImpl: WebSocket });
for await (const { data } of live.iterate<TaskChangesSubscription>({ query: print(TaskChangesDocument) })) {
  const event = data?.taskChanged;
  if (event?.__typename !== "TaskChanged" || !event.task) continue;
  const { status, usage, title } = event.task;
  console.log(event.isNew ? "new" : "changed", status, `$${usage.costUsd.toFixed(4)}`, title);
}
