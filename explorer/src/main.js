// The page: sign-in first, then GraphiQL with our fetcher, our saved operations and a way to sign out.
import { exchange, takeTicket, ticketOfAddress } from "./ticket.js";
import "fleetgraph/workers";
import { useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import { createElement as h, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { createFetcher } from "./fetcher.js";
import { OPERATIONS_PLUGIN } from "./operations.js";
import { currentToken, forgetToken, keepToken } from "./session.js";
import { SignIn } from "./signin.js";

const FIRST_QUERY = `# The newest tasks. Run: Ctrl-Enter.
# At the left: schema, operations.
query NewestTasks {
  tasks(first: 10) {
    totalCount
    nodes {
      status
      title
      createdAt
      agent {
        name
      }
      usage {
        costUsd
      }
    }
  }
}
`;
const PLUGINS = [OPERATIONS_PLUGIN, HISTORY_PLUGIN];

/** The name and the way out. Lives inside GraphiQL, which by itself looks at the system's colours only when it starts. */
function Brand({ onSignOut }) {
  const theme = useGraphiQL((state) => state.theme);
  const { setTheme } = useGraphiQLActions();
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => setTheme(theme);
    dark.addEventListener("change", follow);
    return () => dark.removeEventListener("change", follow);
  }, [theme, setTheme]);
  return [
    h("span", { key: "brand", className: "brand" }, h("img", { src: "/explorer/favicon.svg", alt: "", width: 20, height: 20 }), "Fleetgraph"),
    h("button", { key: "out", type: "button", className: "sign-out", onClick: onSignOut }, "Sign out"),
  ];
}

function Explorer({ onSignOut, onRefused }) {
  const [{ fetcher, dispose }] = useState(() => createFetcher(onRefused));
  useEffect(() => dispose, [dispose]);
  return h(
    GraphiQL,
    {
      fetcher,
      plugins: PLUGINS,
      defaultQuery: FIRST_QUERY,
      defaultEditorToolsVisibility: true,
      isHeadersEditorEnabled: false,
      shouldPersistHeaders: false,
      schemaDescription: true,
    },
    h(GraphiQL.Logo, null, h(Brand, { onSignOut })),
  );
}

function Page() {
  const [ticket, setTicket] = useState(ticketOfAddress);
  const [signedIn, setSignedIn] = useState(() => currentToken() !== null);
  const [notice, setNotice] = useState(null);
  const leave = (sentence) => {
    forgetToken();
    setNotice(sentence);
    setSignedIn(false);
  };
  useEffect(() => {
    // A link that is opened in this very tab changes the fragment and loads nothing.
    const onHashChange = () => setTicket((present) => takeTicket() ?? present);
    addEventListener("hashchange", onHashChange);
    return () => removeEventListener("hashchange", onHashChange);
  }, []);
  useEffect(() => {
    if (ticket === null) return;
    exchange(ticket).then(({ token, sentence }) => {
      if (token) keepToken(token);
      setNotice(sentence ?? null);
      setSignedIn(currentToken() !== null);
      setTicket(null);
    });
  }, [ticket]);
  if (ticket !== null) return h("main", { className: "panel" }, h("p", { role: "status" }, "Signing in…"));
  if (!signedIn) return h(SignIn, { notice, onSignedIn: () => setSignedIn(true) });
  return h(Explorer, {
    onSignOut: () => leave(null),
    onRefused: () => leave("The server no longer accepts this token. Print the right one with “fleetgraph token” and paste it here."),
  });
}

createRoot(document.getElementById("root")).render(h(Page));
