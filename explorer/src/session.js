// The token: kept in this tab only (sessionStorage), sent in a header only, never in a URL.
const KEY = "fleetgraph-token";
export const ENDPOINT = "/graphql";
export const ACCEPT = "application/graphql-response+json, application/json";

export const currentToken = () => sessionStorage.getItem(KEY);
export const keepToken = (token) => sessionStorage.setItem(KEY, token);
export const forgetToken = () => sessionStorage.removeItem(KEY);

export function post(token, params) {
  return fetch(ENDPOINT, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", Accept: ACCEPT },
    body: JSON.stringify(params),
    credentials: "omit",
    redirect: "error",
  });
}

/** Asks the server who this token is. Answers null when it is good, else a sentence that says what to do. */
export async function refusal(token) {
  if (!/^[\x21-\x7e]+$/.test(token)) return "A token is one word of plain letters and digits. Copy it again, without spaces.";
  let response;
  try {
    response = await post(token, { query: "{ viewer { scopes } }" });
  } catch {
    return "The server does not answer. Is it still running? Start it with “make run” and try again.";
  }
  if (response.status === 401 || response.status === 403) {
    return "The server refused this token. Print the right one with “fleetgraph token” and paste it here.";
  }
  const body = await response.json().catch(() => null);
  if (body?.data?.viewer?.scopes) return null;
  const reason = body?.errors?.[0]?.message ?? `it answered with status ${response.status}`;
  return `The server could not check this token: ${reason}`;
}
