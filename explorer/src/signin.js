// The panel that asks for the token before anything else; every operation needs one.
import { createElement as h, useState } from "react";
import { keepToken, refusal } from "./session.js";

/** Calls `onSignedIn` once the server has accepted the token; `notice` is a sentence to start with. */
export function SignIn({ notice, onSignedIn }) {
  const [problem, setProblem] = useState(notice);
  const [checking, setChecking] = useState(false);

  async function submit(event) {
    event.preventDefault();
    const token = new FormData(event.currentTarget).get("token").trim();
    setChecking(true);
    const sentence = await refusal(token);
    setChecking(false);
    setProblem(sentence);
    if (sentence === null) {
      keepToken(token);
      onSignedIn();
    }
  }

  return h(
    "main",
    { className: "panel" },
    h("img", { src: "/explorer/favicon.svg", alt: "", width: 40, height: 40 }),
    h("h1", null, "Fleetgraph"),
    h(
      "p",
      null,
      "Paste the access token to explore the API. ",
      h("code", null, "fleetgraph token"),
      " prints it. It is the file ",
      h("code", null, "token"),
      " in the data folder, which ",
      h("code", null, "make run"),
      " names. ",
      h("code", null, "fleetgraph token --link"),
      " prints a link that signs you in.",
    ),
    h(
      "form",
      { onSubmit: submit },
      h("label", { htmlFor: "token" }, "Token"),
      h("input", {
        id: "token",
        name: "token",
        type: "password",
        required: true,
        autoFocus: true,
        autoComplete: "off",
        spellCheck: false,
        "aria-invalid": Boolean(problem),
        "aria-describedby": "token-note",
      }),
      h("button", { type: "submit", disabled: checking }, checking ? "Checking…" : "Sign in"),
    ),
    h("p", { role: "alert", className: "problem" }, problem),
    h("p", { id: "token-note", className: "note" }, "It stays in this browser tab and is forgotten when you close it."),
  );
}
