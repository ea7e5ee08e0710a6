// How operations travel: queries and mutations by HTTP POST, subscriptions by WebSocket (graphql-transport-ws).
import { getOperationAST, parse } from "graphql";
import { createClient } from "graphql-ws";
import { currentToken, ENDPOINT, post } from "./session.js";

const failure = (message) => ({ errors: [{ message }] });

const CLOSED = {
  1006: "There is no live connection to the server. Is it still running?",
  4400: "The server could not read a message of this subscription and closed the connection.",
  4401: "The server closed the connection because it was not signed in. Sign out and sign in again.",
  4403: "The server refused the token. Sign out, print the right one with “fleetgraph token” and sign in again.",
  4408: "The server waited too long for the sign-in. Run the subscription again.",
};

function sentenceFor(error) {
  if (Array.isArray(error)) return { errors: error };
  if (typeof error?.code === "number") {
    const reason = CLOSED[error.code] ?? `The live connection was closed (${error.code}${error.reason ? `: ${error.reason}` : ""}).`;
    return failure(reason);
  }
  return failure("There is no live connection to the server. Is it still running?");
}

/** Passes events on; an error becomes the last result, a sentence instead of a bare close event. */
function spoken(events) {
  let ended = false;
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      if (ended) return { done: true, value: undefined };
      try {
        return await events.next();
      } catch (error) {
        ended = true;
        return { done: false, value: sentenceFor(error) };
      }
    },
    return() {
      ended = true;
      return events.return();
    },
  };
}

async function overHttp(params, onRefused) {
  let response;
  try {
    response = await post(currentToken(), params);
  } catch {
    return failure("The server does not answer. Is it still running? Start it with “make run” and try again.");
  }
  if (response.status === 401) {
    onRefused();
    return failure("The server no longer accepts this token.");
  }
  return response.json().catch(() => failure(`The server answered with status ${response.status} and no JSON.`));
}

/** The operation that is meant. What GraphiQL knows of it lags 0.1 s behind the editor: the name may be of another text. */
function meant({ query, operationName }) {
  try {
    const document = parse(query);
    return getOperationAST(document, operationName) ?? getOperationAST(document);
  } catch {
    return null; // the server says what is wrong with it
  }
}

/** One fetcher for a signed-in page; `dispose` closes its WebSocket. `onRefused` is called when the token stops working. */
export function createFetcher(onRefused) {
  const address = new URL(ENDPOINT, location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  const socket = createClient({
    url: address.href,
    lazy: true,
    // A silent reconnect would leave out what happened meanwhile: the stream ends with a sentence instead.
    retryAttempts: 0,
    connectionParams: () => ({ Authorization: `Bearer ${currentToken()}` }),
    onNonLazyError: () => {},
  });
  const fetcher = (params) => {
    const operation = meant(params);
    const sent = operation ? { ...params, operationName: operation.name?.value } : params;
    return operation?.operation === "subscription" ? spoken(socket.iterate(sent)) : overHttp(sent, onRefused);
  };
  return { fetcher, dispose: () => socket.dispose() };
}
