// Access: beyond loopback the console wants its token once, and gives a cookie that no script can read.
import { h } from "preact";
import { useEffect, useState } from "preact/hooks";
import { SESSION_NEEDED } from "./api.js";

/** `isOpen` is null until the console has responded. */
export function useSession() {
  const [isOpen, setOpen] = useState(null);
  const check = async () => {
    try {
      const response = await fetch("api/session", { credentials: "same-origin" });
      const found = await response.json();
      setOpen(!found.required || found.authenticated);
    } catch {
      setOpen(true); // Each screen says that the console does not respond, and tries again.
    }
  };
  useEffect(() => {
    check();
    const close = () => setOpen(false);
    window.addEventListener(SESSION_NEEDED, close);
    return () => window.removeEventListener(SESSION_NEEDED, close);
  }, []);
  return { isOpen, check };
}

export function SessionForm({ session }) {
  const [problem, setProblem] = useState("");
  const submit = async (event) => {
    event.preventDefault();
    const token = new FormData(event.currentTarget).get("token");
    try {
      const response = await fetch("api/session", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ token }),
        credentials: "same-origin",
      });
      if (response.ok) return void session.check();
      setProblem(response.status === 401 ? "This is not the console's token." : `The console responded with status ${response.status}.`);
    } catch {
      setProblem("The console does not respond. Is its process still running?");
    }
  };
  return h(
    "main",
    { id: "main", tabIndex: -1 },
    h("h1", null, "Gatewayz console"),
    h("p", null, "This console listens beyond this machine, so it wants its token. Whoever started it has it."),
    h(
      "form",
      { class: "filters section", onSubmit: submit },
      h("label", null, "Token", h("input", { name: "token", type: "password", autocomplete: "current-password", required: true, autofocus: true })),
      h("button", { class: "button primary", type: "submit" }, "Open"),
    ),
    h("p", { role: "alert", class: "broken" }, problem),
  );
}
