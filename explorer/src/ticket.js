// The ticket of a link that signs in (#ticket=…): out of the address at once, then exchanged for the token.
const TICKET = /^#ticket=([A-Za-z0-9_-]{43})$/;
const ANOTHER = "Print a new link with “fleetgraph token --link”, or paste the token here.";

/** Takes the ticket out of the address, and out of the tab's history; null when there is none. */
export function takeTicket() {
  if (!location.hash.startsWith("#ticket=")) return null;
  const ticket = location.hash.match(TICKET)?.[1] ?? "";
  history.replaceState(history.state, "", location.pathname + location.search);
  return ticket;
}

/** The token that the ticket is worth as { token }, or { sentence } that says why there is none and what to do. */
export async function exchange(ticket) {
  if (!ticket) return { sentence: `This link is not whole. ${ANOTHER}` };
  let response;
  try {
    response = await fetch("/auth/ticket", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ticket }),
      credentials: "omit",
      redirect: "error",
    });
  } catch {
    return { sentence: "The server does not answer. Is it still running? Start it with “make run” and use the link that it prints." };
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body?.token) return { token: body.token };
  if (response.status === 429) return { sentence: "Too many wrong links were tried. Wait a minute, or paste the token here." };
  return { sentence: `This link was used already, or is older than a minute. ${ANOTHER}` };
}

// When the page's code starts, before anything is shown or sent.
export const ticketOfAddress = takeTicket();
