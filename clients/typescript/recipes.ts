// live.ts in urql and in Apollo Client: prints each event's cursor. The suite cuts its connections again and again.
// node build/recipes.js urql|apollo, with FLEETGRAPH_URL and FLEETGRAPH_TOKEN.
import { ApolloClient, InMemoryCache } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { Client as Urql, subscriptionExchange } from "@urql/core";
import WebSocket from "ws";
import { TaskChangesDocument, type TaskChangesSubscription } from "./generated/graphql.js";
import possibleTypes from "./generated/possibleTypes.js";
import { createLiveClient } from "./live.js";

const url = process.env["FLEETGRAPH_URL"] ?? "http://127.0.0.1:5000/graphql";
const client = createLiveClient({
  url: url.replace(/^http/, "ws"),
  webSocketImpl: WebSocket,
  token: () => process.env["FLEETGRAPH_TOKEN"] ?? "",
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 20)),
});

function show(data: TaskChangesSubscription | null | undefined): void {
  const event = data?.taskChanged;
  if (event) console.log(event.__typename, event.cursor);
}

const recipes: Record<string, () => void> = {
  urql: () => {
    const forwardSubscription = (request: { query?: string; variables?: object }) => ({
      subscribe: (sink: Parameters<typeof client.subscribe>[1]) => ({
        unsubscribe: client.subscribe({ ...request, query: request.query ?? "" } as never, sink),
      }),
    });
    const exchanges = [subscriptionExchange({ forwardSubscription: forwardSubscription as never })];
    const urql = new Urql({ url, preferGetMethod: false, exchanges });
    urql.subscription(TaskChangesDocument, {}).subscribe((result) => {
      if (result.error) throw result.error;
      show(result.data);
    });
  },
  apollo: () => {
    const apollo = new ApolloClient({ link: new GraphQLWsLink(client), cache: new InMemoryCache(possibleTypes) });
    apollo.subscribe({ query: TaskChangesDocument, variables: {} }).subscribe({
      next: ({ data }) => show(data),
      error: (error: unknown) => {
        throw error;
      },
    });
  },
};

recipes[process.argv[2] ?? ""]?.();
