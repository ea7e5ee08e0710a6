// The side panel with the project's saved operations (graphql/operations); a click opens one in a new tab.
import { useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { parse } from "graphql";
import { createElement as h, useEffect, useState } from "react";
import { stubVariables } from "./variables.js";

const KINDS = [
  ["query", "Queries"],
  ["subscription", "Subscriptions"],
  ["mutation", "Mutations"],
];

function read({ name, document }) {
  const operation = parse(document).definitions.find((definition) => definition.kind === "OperationDefinition");
  const about = document.match(/^(?:\s*#.*\n)+/)?.[0] ?? "";
  return { name, document, operation, about: about.replace(/^\s*#\s?/gm, "").trim() };
}

async function load() {
  const response = await fetch("/explorer/operations.json");
  return (await response.json()).map(read).filter(({ operation }) => operation);
}

function OperationsIcon(props) {
  return h(
    "svg",
    { viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", strokeWidth: 1.5, strokeLinecap: "round", ...props },
    h("path", { d: "M9 6h11M9 12h11M9 18h11M4.5 6h.01M4.5 12h.01M4.5 18h.01" }),
  );
}

function OperationsPanel() {
  const [operations, setOperations] = useState(null);
  const [failed, setFailed] = useState(false);
  const { addTab } = useGraphiQLActions();
  const { queryEditor, variableEditor, schema } = useGraphiQL((state) => ({
    queryEditor: state.queryEditor,
    variableEditor: state.variableEditor,
    schema: state.schema,
  }));
  useEffect(() => {
    load().then(setOperations, () => setFailed(true));
  }, []);

  function open({ document, operation }) {
    if (queryEditor.getValue().trim()) addTab();
    queryEditor.setValue(document);
    variableEditor?.setValue(stubVariables(operation, schema));
    queryEditor.focus();
  }

  if (failed) return h("p", { role: "alert" }, "The saved operations could not be read. Reload the page to try again.");
  if (!operations) return h("p", null, "Loading…");
  const groups = KINDS.map(([kind, title]) => [title, operations.filter(({ operation }) => operation.operation === kind)]);
  return h(
    "section",
    { className: "saved-operations", "aria-label": "Saved operations" },
    h("div", { className: "graphiql-doc-explorer-title" }, "Operations"),
    h("p", null, "Saved operations of this project. A click opens one in a new tab."),
    operations.length === 0 && h("p", null, "There are none yet: add files to graphql/operations."),
    groups
      .filter(([, members]) => members.length > 0)
      .map(([title, members]) =>
        h(
          "div",
          { key: title },
          h("h3", null, title),
          h(
            "ul",
            null,
            members.map((member) =>
              h(
                "li",
                { key: member.name },
                h("button", { type: "button", onClick: () => open(member) }, h("strong", null, member.name), member.about && h("span", null, member.about)),
              ),
            ),
          ),
        ),
      ),
  );
}

export const OPERATIONS_PLUGIN = { title: "Operations", icon: OperationsIcon, content: OperationsPanel };
