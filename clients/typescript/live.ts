// Following without loss: a graphql-ws client that moves `after` on with every event. On a reconnect graphql-ws sends the
// payload that it was given first, so a cursor in it would be stale; here it is the last one that was seen.
import {
  createClient,
  type Client,
  type ClientOptions,
  type FormattedExecutionResult,
  type Sink,
  type SubscribePayload,
} from "graphql-ws";

// The cursor of an event of ours; a document needs `... on LiveEvent { cursor }`.
function cursorIn(data: unknown): string | undefined {
  for (const event of Object.values((data ?? {}) as Record<string, unknown>)) {
    const cursor = (event as { cursor?: unknown } | null)?.cursor;
    if (typeof cursor === "string") return cursor;
  }
  return undefined;
}

// Use it where a graphql-ws client is wanted: in urql's subscriptionExchange, in Apollo's GraphQLWsLink, or by itself.
// The document's variable must be named `after`. Give the token as a function: it is asked for at every connection.
export function createLiveClient(options: ClientOptions & { token: () => string | Promise<string> }): Client {
  const client = createClient({
    retryAttempts: Infinity,
    shouldRetry: () => true,
    connectionParams: async () => ({ Authorization: `Bearer ${await options.token()}` }),
    ...options,
  });
  const subscribe = (payload: SubscribePayload, sink: Sink<FormattedExecutionResult>): (() => void) => {
    const variables: Record<string, unknown> = { ...payload.variables };
    return client.subscribe({ ...payload, variables }, {
      next: (result) => {
        sink.next(result as FormattedExecutionResult);
        const cursor = cursorIn(result.data);
        if (cursor !== undefined) variables["after"] = cursor;
      },
      error: (error) => sink.error(error),
      complete: () => sink.complete(),
    });
  };
  return { ...client, subscribe: subscribe as Client["subscribe"] };
}
